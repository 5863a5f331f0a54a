/* role.c - what all roles have in common: their life between two signals, and the rights they give up. See role.h. */
#include "role.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe/log.h"

static atomic_int stop_status; /* set by role_stop(), handed over by role_status() */
static bool started_as_root;   /* written by role_prepare() before any thread */

/* All that role_pause() takes: to stop, and to reload. */
static void role_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void role_prepare(void)
{
	const struct rlimit no_core = { 0, 0 };
	struct rlimit files;
	sigset_t set;

	role_signals(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a log that may not grow is an error to write(), not an end */
	setrlimit(RLIMIT_CORE, &no_core);
	/* the usual 1,024 would end a listener's connections before its own limit does; nothing here uses select() */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/*
	 * Who is woken does not push aside who woke it, where all cores are busy: it comes when that one waits, and
	 * finds a batch instead of one job. Halves the CPU of an enrolment under load and costs an idle machine
	 * nothing. May be forbidden (a service manager then sets it): no matter.
	 */
	(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	umask(077);
	started_as_root = geteuid() == 0;
}

bool role_pause(int at_most_ms, bool *ret_reload)
{
	const struct timespec wait = { .tv_sec = at_most_ms / 1000, .tv_nsec = at_most_ms % 1000 * 1000000L };
	sigset_t set;
	int got;

	role_signals(&set);
	got = sigtimedwait(&set, NULL, &wait);
	*ret_reload = got == SIGHUP;
	return got != SIGTERM && got != SIGINT;
}

int role_status(void)
{
	return atomic_load(&stop_status);
}

void role_stop(int status)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&stop_status, &none, status))
		kill(getpid(), SIGTERM);
}

int role_start_failed(const struct fault *fault)
{
	log_fault(LOG_ERROR, "start_failed", fault);
	if (fault->reason == REASON_TOKEN_PIN)
		return EXIT_TOKEN_PIN;
	return fault->reason == REASON_CONFIG ? EXIT_CONFIG : EXIT_FAILURE;
}

static enum reason find_user(const struct config *config, enum role role, struct passwd **ret_user, struct fault *f)
{
	errno = 0;
	*ret_user = getpwnam(config->user[role]);
	if (*ret_user == NULL)
		return fault_set(f, REASON_CONFIG, "%s: roles.%s.user is \"%s\", which is no user of this system",
				 config->path, role_name(role), config->user[role]);
	return REASON_OK;
}

static enum reason become(const struct passwd *user, struct fault *f)
{
	int parent_death_signal = 0;
	pid_t parent = getppid();

	prctl(PR_GET_PDEATHSIG, &parent_death_signal);
	if (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
		return fault_set(f, REASON_CONFIG, "cannot become user %s: %s", user->pw_name, strerror(errno));
	prctl(PR_SET_PDEATHSIG, parent_death_signal); /* a change of user clears it */
	if (parent_death_signal != 0 && getppid() != parent)
		return fault_set(f, REASON_STOPPING, "the supervisor has ended");
	return REASON_OK;
}

enum reason role_become(const struct config *config, enum role role, struct fault *f)
{
	struct passwd *user;

	if (started_as_root && config->user[role] != NULL) {
		TRY(find_user(config, role, &user, f));
		TRY(become(user, f));
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fault_set(f, REASON_INTERNAL, "no_new_privs: %s", strerror(errno));
	/* a core that is piped to a program heeds no RLIMIT_CORE, and roles may share a user */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fault_set(f, REASON_INTERNAL, "dumpable: %s", strerror(errno));
	return REASON_OK;
}

/* Under a service manager each role has been started as its own user. */
static bool started_apart(const struct config *config)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		const struct passwd *user = config->user[i] == NULL ? NULL : getpwnam(config->user[i]);

		if (user != NULL && user->pw_uid == geteuid())
			return true;
	}
	return false;
}

uid_t role_uid(const struct config *config, enum role role)
{
	const struct passwd *user = NULL;

	if (config->user[role] != NULL && (started_as_root || started_apart(config)))
		user = getpwnam(config->user[role]);
	if (user != NULL)
		return user->pw_uid;
	return started_as_root ? 0 : geteuid();
}
