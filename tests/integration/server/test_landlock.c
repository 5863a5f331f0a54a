/* test_landlock.c - what each role can still open and connect to once its fence is up, and what it has to. */
#include "plant.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"

static int try_open(const struct plant *plant, const char *name, int flags)
{
	char path[192];
	int fd;

	snprintf(path, sizeof(path), name[0] == '/' ? "%s%s" : "%s/%s", name[0] == '/' ? "" : plant->home, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

#define RA (1U << ROLE_RA)
#define VA (1U << ROLE_VA)
#define ADMIN (1U << ROLE_ADMIN)

/* Every path of a home, and which of the three may open it. What may be opened was open to the test before. */
static const struct {
	const char *name;
	int flags;
	unsigned may;
} paths[] = {
	{ "secrets/pin", O_RDONLY, 0 },
	{ "secrets/so-pin", O_RDONLY, 0 },
	{ "secrets/assay_ca.pgpass", O_RDONLY, 0 },
	{ "secrets", O_RDONLY, 0 },
	{ "token", O_RDONLY, 0 },
	{ "softhsm2.conf", O_RDONLY, 0 },
	{ "state", O_RDONLY, 0 },
	{ "assay.json", O_RDONLY, 0 }, /* it may name the ledger's password */
	{ "operator/operator.key", O_RDONLY, 0 },
	{ "rig/rig.key", O_RDONLY, 0 },
	{ "/root", O_RDONLY, 0 },
	{ "/home", O_RDONLY, 0 },
	{ "/tmp", O_RDONLY, 0 },
	{ "/etc/passwd", O_RDONLY, 0 },
	{ "/proc/1/status", O_RDONLY, 0 },
	{ "secrets/nonce.key", O_RDONLY, RA },
	{ "tls/est.key", O_RDONLY, RA },
	{ "tls/est.pem", O_RDONLY, RA },
	{ "tls-admin/admin.key", O_RDONLY, ADMIN },
	{ "tls-admin/admin.pem", O_RDONLY, ADMIN },
	{ "trust/rigs.pem", O_RDONLY, RA | ADMIN },
	{ "trust/operators.pem", O_RDONLY, RA | ADMIN },
	{ "users/users.json", O_RDONLY, RA },
	{ "vendor/root.pem", O_RDONLY, RA },
	{ "ca/attested.pem", O_RDONLY, RA | VA | ADMIN },
	{ "run", O_RDONLY, ADMIN },
	/* nothing is written, not even what is one's own */
	{ "run/new", O_WRONLY | O_CREAT, 0 },
	{ "users/users.json", O_WRONLY, 0 },
	{ "users/users.json", O_RDONLY | O_TRUNC, 0 },
	{ "ca/attested.pem", O_RDWR, 0 },
	{ "tls/new", O_WRONLY | O_CREAT, 0 },
	{ "/dev/null", O_RDWR, RA | VA | ADMIN },
};
#define N_PATHS (sizeof(paths) / sizeof(paths[0]))

static bool can_landlock(void)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1)
		return true;
	print_message("this kernel has no Landlock\n");
	return false;
}

static struct config *load_config(const struct plant *plant)
{
	struct config *config;
	struct fault f = { 0 };

	if (config_load(plant->config, &config, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	return config;
}

/* In a child, for it cannot be undone. */
static void confine(const struct config *config, enum role role)
{
	struct fault f = { 0 };

	if (role_become(config, role, &f) != REASON_OK)
		_exit(250);
	role_confine(config, role);
}

/* The number of the first path that is wrong, from one. */
static int walk_paths(const struct plant *plant, enum role role)
{
	for (size_t i = 0; i < N_PATHS; i++) {
		bool may = (paths[i].may & (1U << role)) != 0;

		if (try_open(plant, paths[i].name, paths[i].flags) != (may ? 0 : EACCES))
			return (int)i + 1;
	}
	return 0;
}

static int wait_child(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void put_file(const struct plant *plant, const char *name, const char *text)
{
	char path[192];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", plant->home, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void each_role_opens_what_is_its_own_and_nothing_else(void **state)
{
	static const enum role confined[] = { ROLE_RA, ROLE_VA, ROLE_ADMIN };
	struct plant *plant = *state;
	struct config *config;

	if (!can_landlock())
		skip();
	config = load_config(plant);
	put_file(plant, "secrets/assay_ca.pgpass", "secret\n");
	for (size_t i = 0; i < N_PATHS; i++) { /* before: it is Landlock that refuses, or that we are not root */
		int error = (paths[i].flags & (O_CREAT | O_TRUNC)) != 0
				    ? 0
				    : try_open(plant, paths[i].name, paths[i].flags);

		if (error != 0 && (error != EACCES || paths[i].name[0] != '/' || geteuid() == 0))
			fail_msg("%s: %s", paths[i].name, strerror(error));
	}
	for (unsigned i = 0; i < 3; i++) {
		pid_t pid = fork();
		int wrong;

		if (pid == 0) {
			confine(config, confined[i]);
			_exit(walk_paths(plant, confined[i]));
		}
		wrong = wait_child(pid);
		if (wrong != 0)
			fail_msg("%s: %s (%d)", role_name(confined[i]),
				 wrong <= (int)N_PATHS ? paths[wrong - 1].name : "not confined", wrong);
	}
	config_free(config);
}

/* Editors and certbots replace files by renaming; the fence is put up before. */
static void files_that_are_read_again_may_be_replaced(void **state)
{
	static const struct {
		const char *name;
		enum role role;
	} files[] = { { "users/users.json", ROLE_RA },
		      { "tls/est.key", ROLE_RA },
		      { "tls/est.pem", ROLE_RA },
		      { "trust/rigs.pem", ROLE_RA },
		      { "vendor/root.pem", ROLE_RA },
		      { "tls-admin/admin.key", ROLE_ADMIN },
		      { "tls-admin/admin.pem", ROLE_ADMIN },
		      { "trust/operators.pem", ROLE_ADMIN } };
	struct plant *plant = *state;
	struct config *config;

	if (!can_landlock())
		skip();
	config = load_config(plant);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char name[64], from[192], to[192], old[200];
		int there[2];
		pid_t pid;

		snprintf(name, sizeof(name), "%s.new", files[i].name);
		put_file(plant, name, "another\n");
		snprintf(from, sizeof(from), "%s/%s", plant->home, name);
		snprintf(to, sizeof(to), "%s/%s", plant->home, files[i].name);
		snprintf(old, sizeof(old), "%s.old", to);
		assert_int_equal(pipe(there), 0);
		pid = fork();
		if (pid == 0) {
			char byte;

			close(there[1]);
			confine(config, files[i].role);
			_exit(read(there[0], &byte, 1) == 1 ? try_open(plant, files[i].name, O_RDONLY) : 251);
		}
		assert_int_equal(rename(to, old), 0);
		assert_int_equal(rename(from, to), 0);
		assert_int_equal(write(there[1], "x", 1), 1);
		close(there[0]);
		close(there[1]);
		if (wait_child(pid) != 0)
			fail_msg("%s cannot be read after it was replaced", files[i].name);
		assert_int_equal(rename(old, to), 0);
	}
	config_free(config);
}

/* Where they lie together the PIN comes first, and an operator is told. */
static void a_file_beside_the_pin_does_not_open_its_folder(void **state)
{
	struct plant *plant = *state;
	struct config *config;
	pid_t pid;

	if (!can_landlock())
		skip();
	config = load_config(plant);
	put_file(plant, "secrets/users.json", "[]\n");
	free(config->users);
	assert_true(asprintf(&config->users, "%s/secrets/users.json", plant->home) > 0);
	pid = fork();
	if (pid == 0) {
		if (freopen(plant->log, "a", stderr) == NULL)
			_exit(252);
		confine(config, ROLE_RA);
		_exit(try_open(plant, "secrets/users.json", O_RDONLY) != 0 ? 1
		      : try_open(plant, "secrets/pin", O_RDONLY) != EACCES ? 2
									   : 0);
	}
	assert_int_equal(wait_child(pid), 0);
	assert_true(plant_logged(plant, "reload_in_place_only"));
	config_free(config);
}

static int tcp_to(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				       .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
}

static void no_role_but_the_ca_connects_over_tcp(void **state)
{
	struct plant *plant = *state;
	struct config *config = load_config(plant);

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 4) {
		print_message("this kernel's Landlock does not look at connections; seccomp refuses the socket\n");
		config_free(config);
		skip();
	}
	for (unsigned i = 0; i < 3; i++) {
		static const enum role confined[] = { ROLE_RA, ROLE_VA, ROLE_ADMIN };
		pid_t pid = fork();

		if (pid == 0) {
			confine(config, confined[i]);
			_exit(tcp_to(plant->port[0]));
		}
		assert_int_equal(wait_child(pid), EACCES);
	}
	assert_int_equal(tcp_to(plant->port[0]), ECONNREFUSED); /* we may, and nobody is there */
	config_free(config);
}

/* A core of the ra holds its TLS key, the nonces' secret and passwords, and a pipe in core_pattern heeds no limit. */
static void no_role_leaves_its_memory_to_others(void **state)
{
	struct config *config = load_config(*state);

	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			confine(config, (enum role)i);
			_exit(prctl(PR_GET_DUMPABLE) == 0 ? 0 : 1);
		}
		if (wait_child(pid) != 0)
			fail_msg("%s can be dumped and traced", role_name((enum role)i));
	}
	config_free(config);
}

/* Nothing is started here: the folders that a first start makes are made too. */
static int set_up(void **state)
{
	static const char *const made[] = { "state", "run" };
	struct plant *plant;
	char path[192];

	if (plant_setup(state) != 0)
		return -1;
	plant = *state;
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", plant->home, made[i]);
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_role_opens_what_is_its_own_and_nothing_else),
		cmocka_unit_test(files_that_are_read_again_may_be_replaced),
		cmocka_unit_test(a_file_beside_the_pin_does_not_open_its_folder),
		cmocka_unit_test(no_role_but_the_ca_connects_over_tcp),
		cmocka_unit_test(no_role_leaves_its_memory_to_others),
	};

	return cmocka_run_group_tests(tests, set_up, plant_teardown);
}
