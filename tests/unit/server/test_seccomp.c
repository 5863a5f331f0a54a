/* test_seccomp.c - what can a role still ask the kernel for once it is sealed? Each try is a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "observe/log.h"
#include "role.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

#define WORKED 0      /* the child's exit status when the call did; else the errno of its failure */
#define NOT_SEALED 99 /* there is no such errno's meaning here */

static int outcome(long result)
{
	return result < 0 ? errno : WORKED;
}

static const char *const no_arguments[] = { "true", NULL };

static int run_program(void)
{
	return outcome(execv("/bin/true", (char *const *)(uintptr_t)no_arguments));
}

static int fork_once(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return outcome(pid);
}

static int vfork_raw(void)
{
	return outcome(syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, 0));
}

static int trace(void)
{
	return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int read_memory(void)
{
	return outcome(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int load_bpf(void)
{
	return outcome(syscall(SYS_bpf, 0, NULL, 0));
}

static int kernel_keys(void)
{
	return outcome(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
}

static int mount_a_file_system(void)
{
	return outcome(syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL));
}

static int new_namespace(void)
{
	return outcome(unshare(CLONE_NEWUSER));
}

static int socket_inet(void)
{
	return outcome(socket(AF_INET, SOCK_STREAM, 0));
}

static int socket_inet6(void)
{
	return outcome(socket(AF_INET6, SOCK_DGRAM, 0));
}

static int socket_packet(void)
{
	return outcome(socket(AF_PACKET, SOCK_RAW, 0));
}

static int socket_netlink(void)
{
	return outcome(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int socket_unix(void)
{
	return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int open_to_write(void)
{
	return outcome(open("/dev/null", O_WRONLY));
}

static int open_to_create(void)
{
	return outcome(open("/tmp", O_TMPFILE | O_RDWR, 0600));
}

static int open_to_read(void)
{
	return outcome(open("/dev/null", O_RDONLY));
}

static int open_unseen(void)
{
	return outcome(syscall(SYS_openat2, AT_FDCWD, "/dev/null", NULL, 0));
}

static int remove_a_file(void)
{
	return outcome(unlink("/nonexistent/file"));
}

static int rename_a_file(void)
{
	return outcome(rename("/nonexistent/file", "/nonexistent/other"));
}

static int change_mode(void)
{
	return outcome(chmod("/nonexistent/file", 0777));
}

static int memory_as_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? errno
		       : WORKED;
}

static int data_becomes_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NOT_SEALED : outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int signal_another(void)
{
	return outcome(kill(getppid(), 0));
}

static int signal_itself(void)
{
	return outcome(kill(getpid(), 0));
}

static int become_another(void)
{
	return outcome(setuid(getuid()));
}

static int raise_limits(void)
{
	const struct rlimit limit = { 10, 10 };

	return outcome(setrlimit(RLIMIT_NOFILE, &limit));
}

static int listen_anew(void)
{
	return outcome(listen(STDIN_FILENO, 1));
}

static int bind_anew(void)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX };

	return outcome(bind(STDIN_FILENO, (const struct sockaddr *)&address, sizeof(address.sun_family)));
}

static int undump(void)
{
	return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int ring(void)
{
	return outcome(syscall(SYS_io_uring_setup, 1, NULL));
}

static void *nothing(void *argument)
{
	return argument;
}

static int start_a_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, nothing, NULL);

	if (error == 0)
		pthread_join(thread, NULL);
	return error;
}

static void *execute(void *argument)
{
	(void)argument;
	(void)socket_inet();
	_exit(socket_inet());
}

#define KILLED (-SIGSYS)
#define ALL                                                                                                            \
	{                                                                                                              \
		true, true, true, true                                                                                 \
	}
#define NOT_CA                                                                                                         \
	{                                                                                                              \
		[ROLE_RA] = true, [ROLE_VA] = true, [ROLE_ADMIN] = true                                                \
	}

/* What comes of it, and in which roles that is so. */
static const struct {
	const char *what;
	int (*call)(void);
	int expected;
	bool in[ROLE_COUNT];
} tries[] = {
	{ "run a program", run_program, KILLED, ALL },
	{ "fork", fork_once, KILLED, ALL },
	{ "vfork", vfork_raw, KILLED, ALL },
	{ "be traced", trace, KILLED, ALL },
	{ "read another's memory", read_memory, KILLED, ALL },
	{ "load BPF", load_bpf, KILLED, ALL },
	{ "the kernel's keys", kernel_keys, KILLED, ALL },
	{ "mount", mount_a_file_system, KILLED, ALL },
	{ "a new namespace", new_namespace, KILLED, ALL },
	{ "an IPv4 socket", socket_inet, EPERM, ALL },
	{ "an IPv6 socket", socket_inet6, EPERM, ALL },
	{ "a packet socket", socket_packet, EPERM, ALL },
	{ "a netlink socket", socket_netlink, EPERM, ALL },
	{ "open to write", open_to_write, EPERM, NOT_CA },
	{ "open to create", open_to_create, EPERM, NOT_CA },
	{ "openat2", open_unseen, ENOSYS, ALL },
	{ "io_uring", ring, ENOSYS, ALL },
	{ "remove a file", remove_a_file, EPERM, NOT_CA },
	{ "rename a file", rename_a_file, EPERM, NOT_CA },
	{ "change a mode", change_mode, EPERM, NOT_CA },
	{ "memory that is code", memory_as_code, EPERM, ALL },
	{ "data that becomes code", data_becomes_code, EPERM, ALL },
	{ "signal another process", signal_another, EPERM, ALL },
	{ "become another user", become_another, EPERM, ALL },
	{ "set limits", raise_limits, EPERM, ALL },
	{ "listen", listen_anew, EPERM, ALL },
	{ "bind", bind_anew, EPERM, ALL },
	{ "be dumped again", undump, EPERM, ALL },
	/* the other side: what each goes on doing */
	{ "a Unix socket", socket_unix, WORKED, ALL },
	{ "open to read", open_to_read, WORKED, ALL },
	{ "open to write an anchor", open_to_write, WORKED, { [ROLE_CA] = true } },
	{ "remove an anchor", remove_a_file, ENOENT, { [ROLE_CA] = true } },
	{ "signal itself", signal_itself, WORKED, ALL },
	{ "start a thread", start_a_thread, WORKED, ALL },
};

static struct config config; /* confinement.seccomp: required */

static void seal(enum role role, bool network)
{
	struct fault f = { 0 };

	signal(SIGSYS, SIG_DFL);
	if (seal_start(&config, false, &f) != REASON_OK || seal_role(&config, role, network, &f) != REASON_OK) {
		fprintf(stderr, "%s\n", f.detail);
		_exit(NOT_SEALED);
	}
}

/* The exit status, or minus the signal. */
static int ended(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int try_sealed(enum role role, bool network, int (*call)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		seal(role, network);
		_exit(call());
	}
	return ended(pid);
}

static void a_role_gets_what_it_needs_and_nothing_else(void **state)
{
	(void)state;
	if (sanitized)
		skip();
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		for (unsigned role = 0; role < ROLE_COUNT; role++) {
			int got;

			if (!tries[i].in[role])
				continue;
			got = try_sealed((enum role)role, false, tries[i].call);
			if (got != tries[i].expected)
				fail_msg("%s: %s: got %d, expected %d", role_name((enum role)role), tries[i].what, got,
					 tries[i].expected);
		}
}

static void a_ca_with_a_network_token_may_reach_it(void **state)
{
	(void)state;
	if (sanitized)
		skip();
	assert_int_equal(try_sealed(ROLE_CA, true, socket_inet), WORKED);
	assert_int_equal(try_sealed(ROLE_CA, true, socket_packet), EPERM);
}

static pthread_barrier_t both;

static void *later(void *argument)
{
	pthread_barrier_wait(&both); /* the thread is there */
	pthread_barrier_wait(&both); /* the other one has sealed */
	return execute(argument);
}

static void threads_that_are_there_already_are_sealed_too(void **state)
{
	pid_t pid;

	(void)state;
	if (sanitized)
		skip();
	pid = fork();
	if (pid == 0) {
		pthread_t thread;

		pthread_barrier_init(&both, NULL, 2);
		if (pthread_create(&thread, NULL, later, NULL) != 0)
			_exit(NOT_SEALED);
		pthread_barrier_wait(&both);
		seal(ROLE_RA, false);
		pthread_barrier_wait(&both);
		pthread_join(thread, NULL);
	}
	assert_int_equal(ended(pid), EPERM);
}

static int supervise_and(int (*call)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		struct fault f = { 0 };

		if (seal_start(&config, true, &f) != REASON_OK)
			_exit(NOT_SEALED);
		_exit(call());
	}
	return ended(pid);
}

static void the_supervisor_may_start_programs_and_no_more(void **state)
{
	(void)state;
	if (sanitized)
		skip();
	assert_int_equal(supervise_and(fork_once), WORKED);
	assert_int_equal(supervise_and(run_program), 0);
	assert_int_equal(supervise_and(trace), KILLED);
	assert_int_equal(supervise_and(load_bpf), KILLED);
	assert_int_equal(supervise_and(mount_a_file_system), KILLED);
}

static void off_is_off(void **state)
{
	(void)state;
	config.confinement.seccomp = SECCOMP_OFF;
	assert_int_equal(try_sealed(ROLE_RA, false, socket_inet), WORKED);
	config.confinement.seccomp = SECCOMP_REQUIRED;
}

/* A kernel without seccomp, played by a filter that denies there is such a thing. */
static bool take_seccomp_away(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	return filter != NULL && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0) == 0 &&
	       seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
				SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP)) == 0 &&
	       seccomp_load(filter) == 0;
}

enum { WENT_ON, REFUSED, OTHERWISE };

static int without(enum seccomp_mode mode)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct fault f = { 0 };

		config.confinement.seccomp = (int)mode;
		if (!take_seccomp_away())
			_exit(NOT_SEALED);
		if (seal_role(&config, ROLE_RA, false, &f) == REASON_OK)
			_exit(WENT_ON);
		_exit(f.reason == REASON_CONFIG && strstr(f.detail, "confinement.seccomp") != NULL ? REFUSED
												   : OTHERWISE);
	}
	return ended(pid);
}

static void a_seal_that_cannot_be_had_ends_the_role_unless_it_is_only_wanted(void **state)
{
	(void)state;
	if (sanitized)
		skip();
	assert_int_equal(without(SECCOMP_REQUIRED), REFUSED);
	assert_int_equal(without(SECCOMP_WANTED), WENT_ON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_gets_what_it_needs_and_nothing_else),
		cmocka_unit_test(a_ca_with_a_network_token_may_reach_it),
		cmocka_unit_test(threads_that_are_there_already_are_sealed_too),
		cmocka_unit_test(the_supervisor_may_start_programs_and_no_more),
		cmocka_unit_test(off_is_off),
		cmocka_unit_test(a_seal_that_cannot_be_had_ends_the_role_unless_it_is_only_wanted),
	};

	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
