/* test_supervise.c - does assayd start its four roles, keep them up, stop them in order, and say clearly why it will
 * not? */
#include "plant.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "observe/metrics.h"

#define PATIENCE_US (120 * 1000000LL)

static const char *const roles[] = { "ra", "ca", "va", "admin" };

static void run_dir(const struct plant *plant, char out[160])
{
	snprintf(out, 160, "%s/run", plant->home);
}

static bool is_ready(const struct plant *plant, const char *role)
{
	char dir[160];
	int64_t ready;

	run_dir(plant, dir);
	return metrics_read_gauge(dir, role, GAUGE_READY, &ready) && ready == 1;
}

static void pause_a_little(void)
{
	const struct timespec t = { .tv_nsec = 10000000 };

	nanosleep(&t, NULL);
}

static void wait_all_ready(const struct plant *plant)
{
	int64_t until_us = clock_mono_us() + PATIENCE_US;

	for (unsigned i = 0; i < 4; i++)
		while (!is_ready(plant, roles[i])) {
			if (clock_mono_us() > until_us)
				fail_msg("%s is not ready", roles[i]);
			pause_a_little();
		}
}

/* By its command line. */
static bool is_role(const struct plant *plant, const char *pid, const char *role)
{
	char path[300], want[256], line[256] = "";
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	n = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	for (size_t i = 0; i + 1 < n; i++)
		if (line[i] == '\0')
			line[i] = ' ';
	snprintf(want, sizeof(want), "assayd --config %s --role %s", plant->config, role);
	return strcmp(line, want) == 0;
}

/* The role's process as /proc lists it; 0 if there is none. */
static pid_t role_pid(const struct plant *plant, const char *role)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t pid = 0;

	assert_non_null(dir);
	while (pid == 0 && (entry = readdir(dir)) != NULL)
		if (is_role(plant, entry->d_name, role))
			pid = (pid_t)atoi(entry->d_name);
	closedir(dir);
	return pid;
}

static int start(void **state)
{
	struct plant *plant = *state;

	remove(plant->log);
	plant_start_all(plant);
	wait_all_ready(plant);
	return 0;
}

static int stop(void **state)
{
	struct plant *plant = *state;
	int status = plant->ca == 0 ? 0 : plant_stop(plant);

	for (unsigned i = 0; i < 4; i++)
		if (role_pid(plant, roles[i]) != 0)
			return -1;
	return status;
}

static int fresh_log(void **state)
{
	struct plant *plant = *state;

	return remove(plant->log) != 0 && errno != ENOENT;
}

static void a_role_that_dies_is_started_again(void **state)
{
	struct plant *plant = *state;

	for (unsigned i = 0; i < 4; i++) {
		pid_t old = role_pid(plant, roles[i]), new;
		int64_t until_us = clock_mono_us() + PATIENCE_US;

		assert_true(old > 0);
		kill(old, SIGKILL);
		while ((new = role_pid(plant, roles[i])) == old || new == 0) {
			assert_true(clock_mono_us() < until_us);
			pause_a_little();
		}
	}
	wait_all_ready(plant);
	assert_true(plant_logged(plant, "\"role_died\""));
}

static void it_stops_in_order(void **state)
{
	struct plant *plant = *state;
	static char all[1 << 18];
	const char *at = all;
	FILE *file;

	assert_int_equal(plant_stop(plant), 0);
	file = fopen(plant->log, "r");
	all[fread(all, 1, sizeof(all) - 1, file)] = '\0';
	fclose(file);
	for (unsigned i = 0; i < 4; i++) {
		static const char *const order[] = { "ra", "va", "admin", "ca" };
		char ended[64];

		snprintf(ended, sizeof(ended), "\"event\":\"role_ended\",\"name\":\"%s\",\"status\":0", order[i]);
		at = strstr(at, ended);
		if (at == NULL)
			fail_msg("no %s behind the one before", ended);
	}
	assert_null(strstr(all, "role_killed"));
}

static void the_roles_end_with_a_supervisor_that_is_killed(void **state)
{
	struct plant *plant = *state;
	int64_t until_us = clock_mono_us() + PATIENCE_US;

	plant_kill(plant);
	for (unsigned i = 0; i < 4; i++)
		while (role_pid(plant, roles[i]) != 0) {
			assert_true(clock_mono_us() < until_us);
			pause_a_little();
		}
}

/* Runs assayd to its end; what it says on standard error. */
static int say(const struct plant *plant, const char *options, char *out, size_t out_len)
{
	char line[512];
	FILE *p;
	int status;

	snprintf(line, sizeof(line), ASSAYD " --config %s %s 2>&1", plant->config, options);
	p = popen(line, "r");
	assert_non_null(p);
	out[fread(out, 1, out_len - 1, p)] = '\0';
	status = pclose(p);
	return WEXITSTATUS(status);
}

static void a_second_one_is_refused_in_one_line(void **state)
{
	struct plant *plant = *state;
	char out[1024];

	assert_int_equal(say(plant, "", out, sizeof(out)), 1);
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
	assert_non_null(strstr(out, "another assayd runs already"));
	assert_non_null(strstr(out, "/run"));
	wait_all_ready(plant); /* the first one is not touched */
}

static void a_port_that_is_taken_is_named_in_one_line(void **state)
{
	static const char *const keys[] = { "est.listeners[0].port", "admin.port", "status.port" };
	struct plant *plant = *state;

	for (unsigned i = 0; i < 3; i++) {
		struct sockaddr_in address = { .sin_family = AF_INET,
					       .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
					       .sin_port = htons(plant->port[i]) };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char out[1024], port[16];

		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		assert_int_equal(listen(fd, 1), 0);
		assert_int_equal(say(plant, "", out, sizeof(out)), 1);
		close(fd);
		snprintf(port, sizeof(port), " %u ", plant->port[i]);
		assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
		assert_non_null(strstr(out, keys[i]));
		assert_non_null(strstr(out, port));
		for (unsigned k = 0; k < 4; k++)
			assert_int_equal(role_pid(plant, roles[k]), 0);
	}
}

static void check_says_good_or_what_is_not(void **state)
{
	struct plant *plant = *state;
	char out[1024], from[192], to[192];

	assert_int_equal(say(plant, "--check", out, sizeof(out)), 0);
	assert_string_equal(out, "configuration is good\n");
	snprintf(from, sizeof(from), "%s/trust/rigs.pem", plant->home);
	snprintf(to, sizeof(to), "%s/trust/rigs.away", plant->home);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(say(plant, "--check", out, sizeof(out)), 2);
	assert_non_null(strstr(out, "trust.rigs"));
	assert_int_equal(rename(to, from), 0);
}

static void a_secret_that_every_user_can_read_is_refused(void **state)
{
	static const char *const secrets[][2] = { { "token.pin_file", "secrets/pin" },
						  { "est.key", "tls/est.key" },
						  { "admin.key", "tls-admin/admin.key" } };
	struct plant *plant = *state;
	char out[1024], path[192];

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", plant->home, secrets[i][1]);
		assert_int_equal(chmod(path, 0644), 0);
		assert_int_equal(say(plant, "--check", out, sizeof(out)), 2);
		assert_non_null(strstr(out, secrets[i][0]));
		assert_non_null(strstr(out, "open to every user (mode 644)"));
		assert_int_equal(chmod(path, 0640), 0); /* a group's right may be how a role gets at it */
	}
	assert_int_equal(say(plant, "--check", out, sizeof(out)), 0);
}

static void with_a_wrong_pin_the_ca_stays_down_and_the_rest_goes_on(void **state)
{
	struct plant *plant = *state;
	int64_t until_us = clock_mono_us() + PATIENCE_US;
	char path[192];
	FILE *file;

	snprintf(path, sizeof(path), "%s/secrets/pin", plant->home);
	file = fopen(path, "w");
	fputs("00000000\n", file);
	fclose(file);
	plant_start_all(plant);
	while (!plant_logged(plant, "role_stays_down")) {
		assert_true(clock_mono_us() < until_us);
		pause_a_little();
	}
	assert_true(plant_logged(plant, "correct token.pin_file"));
	assert_int_equal(role_pid(plant, "ca"), 0);
	assert_true(role_pid(plant, "ra") > 0);
	assert_int_equal(plant_stop(plant), 0);
	file = fopen(path, "w");
	fputs("12345678\n", file);
	fclose(file);
}

/* What --check cannot see, for the files are there: the key is none. */
static void a_first_start_that_a_role_refuses_ends_as_a_whole(void **state)
{
	struct plant *plant = *state;
	char key[192], away[192];
	FILE *file;

	snprintf(key, sizeof(key), "%s/tls/est.key", plant->home);
	snprintf(away, sizeof(away), "%s/tls/est.key.away", plant->home);
	assert_int_equal(rename(key, away), 0);
	file = fopen(key, "w");
	fputs("no key\n", file);
	assert_int_equal(fchmod(fileno(file), 0600), 0);
	fclose(file);
	plant_start_all(plant);
	assert_int_equal(plant_wait(plant), EXIT_FAILURE);
	assert_true(plant_logged(plant, "start_refused"));
	assert_true(plant_logged(plant, "est.key"));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(role_pid(plant, roles[i]), 0);
	assert_int_equal(rename(away, key), 0);
}

/* In every thread, so that none is left that a takeover could use. */
static unsigned threads_sealed(pid_t pid)
{
	char folder[64];
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/task", (int)pid);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char path[384], line[128];
		int filters = -1;
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s/status", folder, entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (file == NULL)
			continue; /* it has ended meanwhile */
		while (fgets(line, sizeof(line), file) != NULL)
			if (sscanf(line, "Seccomp_filters: %d", &filters) == 1 && filters != 3)
				fail_msg("%s has %d filters", path, filters); /* supervisor's, start's, role's */
			else if (strncmp(line, "Seccomp:", 8) == 0)
				assert_string_equal(line, "Seccomp:\t2\n");
		fclose(file);
		n++;
	}
	closedir(dir);
	return n;
}

static void every_thread_of_every_role_is_sealed(void **state)
{
	struct plant *plant = *state;

	if (plant_logged(plant, "seccomp_off")) {
		print_message("built with a sanitizer: no seccomp\n");
		skip();
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(threads_sealed(role_pid(plant, roles[i])) >= 3);
}

/* The library reads it when a process starts: what stands there then counts. */
static void every_role_is_started_with_memory_at_hand(void **state)
{
	static const char wanted[] = "GLIBC_TUNABLES=glibc.malloc.tcache_count=64";
	struct plant *plant = *state;

	for (unsigned i = 0; i < 4; i++) {
		static char variables[1 << 20];
		char path[64];
		FILE *file;
		size_t n;

		snprintf(path, sizeof(path), "/proc/%d/environ", (int)role_pid(plant, roles[i]));
		file = fopen(path, "r");
		assert_non_null(file);
		n = fread(variables, 1, sizeof(variables), file);
		fclose(file);
		assert_non_null(memmem(variables, n, wanted, sizeof(wanted))); /* its NUL too */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(check_says_good_or_what_is_not, fresh_log, stop),
		cmocka_unit_test_setup_teardown(a_secret_that_every_user_can_read_is_refused, fresh_log, stop),
		cmocka_unit_test_setup_teardown(a_port_that_is_taken_is_named_in_one_line, fresh_log, stop),
		cmocka_unit_test_setup_teardown(a_first_start_that_a_role_refuses_ends_as_a_whole, fresh_log, stop),
		cmocka_unit_test_setup_teardown(a_role_that_dies_is_started_again, start, stop),
		cmocka_unit_test_setup_teardown(a_second_one_is_refused_in_one_line, start, stop),
		cmocka_unit_test_setup_teardown(it_stops_in_order, start, stop),
		cmocka_unit_test_setup_teardown(the_roles_end_with_a_supervisor_that_is_killed, start, stop),
		cmocka_unit_test_setup_teardown(with_a_wrong_pin_the_ca_stays_down_and_the_rest_goes_on, fresh_log,
						stop),
		cmocka_unit_test_setup_teardown(every_thread_of_every_role_is_sealed, start, stop),
		cmocka_unit_test_setup_teardown(every_role_is_started_with_memory_at_hand, start, stop),
	};

	return cmocka_run_group_tests(tests, plant_setup, plant_teardown);
}
