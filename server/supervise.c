/*
 * supervise.c - starts the four roles, starts again those that die, stops them in order. See role.h.
 *
 * One thread, one loop: a signal, or the time at which a role is due to be started again. It reads no byte of anybody's
 * but the configuration, and holds the lock that keeps a second assayd out of the same run_dir.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "observe/log.h"
#include "role.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000 /* a token that is back is in use again within 5 s */
#define SETTLED_US (10 * 1000000LL) /* a role that has lived so long starts with the shortest back-off again */
#define STOP_US (30 * 1000000LL)    /* to finish everything in hand */
#define TICK_MS 100                 /* until every role is ready, and while one waits to be started again */
#define ORPHANS_US (10 * 1000000LL) /* for the roles of a supervisor that was killed to be gone */
#define PORTS_US 500000             /* for their ports to be free */

struct child {
	enum role role;
	pid_t pid;                  /* 0: not running */
	int64_t started_us, due_us; /* due_us: when to start it (again) */
	int backoff_ms;
	bool down; /* stays down until an operator acts */
};

struct supervisor {
	const char *self, *config_path;
	const struct config *config;
	struct metrics *metrics;
	int lock_fd;
	int64_t restarts;
	bool announced; /* "ready" has been said */
	bool settled; /* every role has been ready once: a role that refuses its configuration now is only started again
		       */
	struct child child[ROLE_COUNT];
};

/* The ca first: the others connect to it. */
static const enum role start_order[ROLE_COUNT] = { ROLE_CA, ROLE_VA, ROLE_ADMIN, ROLE_RA };
/* The ra first: it finishes what it has in hand with the others still there. */
static const enum role stop_order[ROLE_COUNT] = { ROLE_RA, ROLE_VA, ROLE_ADMIN, ROLE_CA };

static void wanted_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGCHLD);
}

static void exec_role(const struct supervisor *s, enum role role, pid_t parent)
{
	char *const argv[] = {
		"assayd", "--config", (char *)(uintptr_t)s->config_path, "--role", (char *)(uintptr_t)role_name(role),
		NULL
	};
	sigset_t none;

	/* Without us it ends at once, as in a crash, which loses nothing: an orderly end would keep the next start
	 * waiting for ports, sockets and streams of the ledger. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it died before it could be watched */
		_exit(EXIT_FAILURE);
	fcntl(s->lock_fd, F_SETFD, 0); /* see lock_alone() */
	sigemptyset(&none);
	sigaddset(&none, SIGHUP); /* one that comes before the role listens waits for it */
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(s->self, argv);
	_exit(EXIT_FAILURE);
}

static void start(struct supervisor *s, struct child *child)
{
	pid_t self = getpid(), pid = fork();

	if (pid == 0)
		exec_role(s, child->role, self);
	child->started_us = clock_mono_us();
	child->due_us = child->started_us + BACKOFF_MAX_MS * 1000LL; /* if fork failed */
	child->pid = pid < 0 ? 0 : pid;
	log_event(pid < 0 ? LOG_ERROR : LOG_INFO, "role_started", "name", LOG_STR, role_name(child->role), "pid",
		  LOG_INT, (int64_t)pid, NULL);
}

static void start_due(struct supervisor *s)
{
	int64_t now_us = clock_mono_us();

	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		struct child *child = &s->child[start_order[i]];

		if (child->pid == 0 && !child->down && child->due_us <= now_us)
			start(s, child);
	}
}

static void schedule(struct supervisor *s, struct child *child)
{
	int64_t now_us = clock_mono_us();

	if (now_us - child->started_us >= SETTLED_US || child->backoff_ms == 0)
		child->backoff_ms = BACKOFF_MIN_MS;
	child->due_us = now_us + child->backoff_ms * 1000LL;
	log_event(LOG_WARN, "role_restarts", "name", LOG_STR, role_name(child->role), "in_ms", LOG_INT,
		  (int64_t)child->backoff_ms, NULL);
	child->backoff_ms = child->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : child->backoff_ms * 2;
	metrics_gauge(s->metrics, GAUGE_CHILD_RESTARTS, ++s->restarts);
}

static void tell_exit(const struct child *child, int status)
{
	if (WIFSIGNALED(status))
		log_event(LOG_ERROR, "role_died", "name", LOG_STR, role_name(child->role), "signal", LOG_INT,
			  (int64_t)WTERMSIG(status), NULL);
	else
		log_event(WEXITSTATUS(status) == 0 ? LOG_INFO : LOG_ERROR, "role_ended", "name", LOG_STR,
			  role_name(child->role), "status", LOG_INT, (int64_t)WEXITSTATUS(status), NULL);
}

static struct child *child_of(struct supervisor *s, pid_t pid)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (s->child[i].pid == pid)
			return &s->child[i];
	return NULL;
}

/* A child that has ended, if there is one; it is not running any more. */
static struct child *reap(struct supervisor *s, int *ret_status)
{
	struct child *child = NULL;
	pid_t pid;

	while (child == NULL && (pid = waitpid(-1, ret_status, WNOHANG)) > 0)
		child = child_of(s, pid);
	if (child == NULL)
		return NULL;
	child->pid = 0;
	tell_exit(child, *ret_status);
	metrics_write_gauge(s->config->run_dir, role_name(child->role), GAUGE_READY, 0);
	return child;
}

/* False when the whole of it has to end: a first start with a configuration that a role cannot use. */
static bool reap_all(struct supervisor *s)
{
	struct child *child;
	int status;

	while ((child = reap(s, &status)) != NULL) {
		bool exited = WIFEXITED(status);

		if (exited && WEXITSTATUS(status) == EXIT_TOKEN_PIN) {
			child->down = true;
			log_event(LOG_ERROR, "role_stays_down", "name", LOG_STR, role_name(child->role), "detail",
				  LOG_STR, "the token refused the PIN: correct token.pin_file, then restart assayd",
				  NULL);
		} else if (exited && WEXITSTATUS(status) == EXIT_CONFIG && !s->settled) {
			log_event(LOG_ERROR, "start_refused", "name", LOG_STR, role_name(child->role), "detail",
				  LOG_STR, "see its start_failed line above", NULL);
			return false;
		} else {
			schedule(s, child);
		}
	}
	return true;
}

static void announce(struct supervisor *s)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		int64_t ready;

		if (!metrics_read_gauge(s->config->run_dir, role_name((enum role)i), GAUGE_READY, &ready) || ready == 0)
			return;
	}
	s->announced = s->settled = true;
	metrics_gauge(s->metrics, GAUGE_READY, 1);
	log_event(LOG_INFO, "all_roles_ready", NULL);
}

/* How long the loop may sleep. */
static struct timespec until_next(const struct supervisor *s)
{
	int64_t now_us = clock_mono_us(), wait_us = s->announced ? 3600 * 1000000LL : TICK_MS * 1000LL;

	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		const struct child *child = &s->child[i];

		if (child->pid == 0 && !child->down && child->due_us - now_us < wait_us)
			wait_us = child->due_us - now_us;
	}
	if (wait_us < 1000)
		wait_us = 1000;
	return (struct timespec){ .tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000 };
}

/* The roles read again what may change. */
static void pass_on_reload(const struct supervisor *s)
{
	log_event(LOG_INFO, "reload_asked", NULL);
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (s->child[i].pid > 0)
			kill(s->child[i].pid, SIGHUP);
}

static int watch_over(struct supervisor *s)
{
	sigset_t set;

	wanted_signals(&set);
	for (;;) {
		struct timespec wait = until_next(s);
		int got = sigtimedwait(&set, NULL, &wait);

		if (got == SIGTERM || got == SIGINT)
			return 0;
		if (got == SIGHUP)
			pass_on_reload(s);
		if (!reap_all(s))
			return EXIT_FAILURE;
		start_due(s);
		if (!s->announced)
			announce(s);
	}
}

/* Asks one role to stop and waits; a role that does not finish in time is killed, and the log says so. */
static void stop_one(struct supervisor *s, struct child *child)
{
	int64_t deadline_us = clock_mono_us() + STOP_US;
	const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (child->pid > 0)
		kill(child->pid, SIGTERM);
	while (child->pid > 0) {
		while (reap(s, &status) != NULL)
			;
		if (child->pid == 0)
			return;
		if (clock_mono_us() > deadline_us) {
			log_event(LOG_ERROR, "role_killed", "name", LOG_STR, role_name(child->role), "after_s", LOG_INT,
				  (int64_t)(STOP_US / 1000000), NULL);
			kill(child->pid, SIGKILL);
			deadline_us = INT64_MAX;
		}
		sigtimedwait(&set, NULL, &tick);
	}
}

static void stop_all(struct supervisor *s)
{
	log_event(LOG_INFO, "stopping", NULL);
	metrics_gauge(s->metrics, GAUGE_READY, 0);
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		stop_one(s, &s->child[stop_order[i]]);
	log_event(LOG_INFO, "stopped", NULL);
}

/* A folder of the ca's: it makes its sockets in one and its anchors in the other. Others may pass, not write. */
static enum reason make_folder(const struct config *config, const char *key, const char *dir, mode_t mode,
			       struct fault *f)
{
	if (mkdir(dir, mode) != 0 && errno != EEXIST)
		return fault_set(f, REASON_CONFIG, "%s: %s: cannot make %s: %s", config->path, key, dir,
				 strerror(errno));
	if (config->user[ROLE_CA] == NULL || geteuid() != 0)
		return REASON_OK;
	if (chown(dir, role_uid(config, ROLE_CA), (gid_t)-1) != 0 || chmod(dir, mode) != 0)
		return fault_set(f, REASON_CONFIG, "%s: %s: %s: %s", config->path, key, dir, strerror(errno));
	return REASON_OK;
}

static void pause_a_little(void)
{
	const struct timespec t = { .tv_nsec = 10 * 1000000L };

	nanosleep(&t, NULL);
}

/*
 * Two locks on one file: fcntl's is the supervisor's alone, flock's is its roles' as well, who inherit the descriptor.
 * Who finds the first one taken is refused at once; who finds only the second waits for roles to end whose supervisor
 * was killed.
 */
static bool lock_alone(int fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int64_t until_us = clock_mono_us() + ORPHANS_US;

	if (fcntl(fd, F_SETLK, &whole) != 0)
		return false;
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (clock_mono_us() > until_us)
			return false;
		pause_a_little();
	}
	return true;
}

/* run_dir, and in it the lock that lives as long as this process and its roles. */
static enum reason lock_run_dir(struct supervisor *s, struct fault *f)
{
	const char *dir = s->config->run_dir;
	char path[480];

	TRY(make_folder(s->config, "run_dir", dir, 0711, f));
	TRY(make_folder(s->config, "state_dir", s->config->state_dir, 0700, f));
	snprintf(path, sizeof(path), "%s/assayd.pid", dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (s->lock_fd < 0)
		return fault_set(f, REASON_CONFIG, "%s: run_dir: cannot make %s: %s", s->config->path, path,
				 strerror(errno));
	if (!lock_alone(s->lock_fd))
		return fault_set(f, REASON_CONFIG, "another assayd runs already on run_dir %s: stop it first", dir);
	if (ftruncate(s->lock_fd, 0) != 0 || dprintf(s->lock_fd, "%d\n", (int)getpid()) < 0)
		return fault_set(f, REASON_CONFIG, "%s: %s", path, strerror(errno));
	return REASON_OK;
}

/* A process that ends lets go of its descriptors one by one: the lock may be free before the ports are. */
static enum reason find_ports_free(const struct config *config, struct fault *f)
{
	int64_t until_us = clock_mono_us() + PORTS_US;
	enum reason reason = config_check_ports(config, f);

	while (reason != REASON_OK && clock_mono_us() < until_us) {
		pause_a_little();
		reason = config_check_ports(config, f);
	}
	return reason;
}

/* Counters of an earlier run would say "ready" for roles that are not there. */
static void forget_metrics(const struct supervisor *s)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		char path[480];

		snprintf(path, sizeof(path), "%s/metrics.%s", s->config->run_dir, role_name((enum role)i));
		unlink(path);
	}
}

/* What one thread allocates another one frees, a batch at a time. glibc puts 7 pieces of a size aside for a thread and
 * works on all others under the arena's lock. It reads this when a process starts, and has no call for it; the units in
 * deploy/systemd say the same. Whoever set it before knows better. */
static void keep_memory_at_hand(void)
{
	(void)setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=64", 0);
}

static enum reason begin(struct supervisor *s, struct fault *f)
{
	sigset_t set;

	keep_memory_at_hand();
	TRY(lock_run_dir(s, f));
	TRY(find_ports_free(s->config, f));
	forget_metrics(s);
	TRY(metrics_open(s->config->run_dir, "supervisor", &s->metrics, f));
	TRY(seal_start(s->config, true, f));
	metrics_gauge(s->metrics, GAUGE_UP_SINCE_S, clock_wall_s());
	wanted_signals(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		s->child[i].role = (enum role)i;
	return REASON_OK;
}

int supervise(const char *self, const char *config_path, const struct config *config)
{
	struct supervisor s = { .self = self, .config_path = config_path, .config = config, .lock_fd = -1 };
	struct fault fault = { 0 };
	int status;

	if (begin(&s, &fault) != REASON_OK) {
		fprintf(stderr, "assayd: %s\n", fault.detail);
		return EXIT_FAILURE;
	}
	start_due(&s);
	status = watch_over(&s);
	stop_all(&s);
	close(s.lock_fd); /* the pid file stays: removing it would let two processes lock two files of one name */
	return status;
}
