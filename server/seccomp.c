/*
 * seccomp.c - what a role may ask the kernel for: two seals, of which the second is put on when everything is open.
 *
 * seal_start(), before any thread and any byte of anybody: what only a taken-over process asks for (run a program,
 * trace, mount, load a module, reach for keys) ends it. seal_role(), over all threads, once the role's threads, sockets
 * and modules are there: what its table in seccomp_calls.c names it may go on doing, everything else is refused with
 * EPERM, and the kernel logs it. Refused and not killed, since libraries try calls that they can do without, and a line
 * that stops because a library was updated is no gain; clone3 is ENOSYS, so that glibc falls back on clone, whose flags
 * a filter can look at.
 *
 * Does not: look at paths (landlock.c does) or at addresses: a filter sees numbers, not what pointers point to.
 * Spec: Linux Documentation/userspace-api/seccomp_filter.rst; libseccomp.
 */
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <unistd.h>

#include "observe/log.h"
#include "role.h"
#include "seccomp_calls.h"

AUTO_FREE(void, filter_freep, seccomp_release)

/* Sanitizers trace, re-execute and open files of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static enum reason add(void *filter, uint32_t action, const struct sealed_call *call, struct fault *f)
{
	struct scmp_arg_cmp argument = call->argument;
	int error;

	if (call->own_pid)
		argument = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
	error = seccomp_rule_add_array(filter, action, call->number, argument.op == 0 ? 0 : 1, &argument);
	if (error != 0 && error != -EEXIST)
		return fault_set(f, REASON_INTERNAL, "seccomp: call %d: %s", call->number, strerror(-error));
	return REASON_OK;
}

static enum reason add_table(void *filter, uint32_t action, const struct sealed_call *table, struct fault *f)
{
	for (; table->number != SEALED_END; table++)
		TRY(add(filter, action, table, f));
	return REASON_OK;
}

static enum reason new_filter(uint32_t otherwise, void **ret_filter, struct fault *f)
{
	AUTO(filter_freep) void *filter = seccomp_init(otherwise);

	if (filter == NULL)
		return fault_set(f, REASON_NO_MEMORY, "seccomp filter");
	if (seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) != 0)
		return fault_set(f, REASON_INTERNAL, "seccomp: this kernel cannot seal all threads at once");
	/* a tree, not a list: the role pays on every call; a library that cannot makes a filter that holds as well */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	*ret_filter = TAKE(filter);
	return REASON_OK;
}

static enum reason load(void *filter, struct fault *f)
{
	int error = seccomp_load(filter);

	return error == 0 ? REASON_OK : fault_set(f, REASON_INTERNAL, "seccomp: %s", strerror(-error));
}

static enum reason put_start(bool runs_programs, struct fault *f)
{
	AUTO(filter_freep) void *filter = NULL;

	TRY(new_filter(SCMP_ACT_ALLOW, &filter, f));
	TRY(add_table(filter, SCMP_ACT_KILL_PROCESS, sealed_never, f));
	if (!runs_programs) {
		TRY(add_table(filter, SCMP_ACT_KILL_PROCESS, sealed_programs, f));
		TRY(add_table(filter, SCMP_ACT_ERRNO(ENOSYS), sealed_unseen, f));
	}
	return load(filter, f);
}

static enum reason put_role(enum role role, bool network, struct fault *f)
{
	AUTO(filter_freep) void *filter = NULL;

	TRY(new_filter(SCMP_ACT_ERRNO(EPERM), &filter, f));
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	TRY(add_table(filter, SCMP_ACT_ALLOW, sealed_common, f));
	TRY(add_table(filter, SCMP_ACT_ALLOW, sealed_role[role], f));
	if (network)
		TRY(add_table(filter, SCMP_ACT_ALLOW, sealed_network, f));
	/* the first seal has answered these already; without a word in the kernel's log, for every thread begins so */
	TRY(add_table(filter, SCMP_ACT_ALLOW, sealed_unseen, f));
	return load(filter, f);
}

/* True when there is nothing to do, which is said aloud. */
static bool off(const struct config *config)
{
	if (sanitized)
		log_event(LOG_WARN, "seccomp_off", "detail", LOG_STR,
			  "built with a sanitizer, which needs system calls that no role has", NULL);
	else if (config->confinement.seccomp == SECCOMP_OFF)
		log_event(LOG_WARN, "seccomp_off", "detail", LOG_STR,
			  "confinement.seccomp is \"off\": the role can ask the kernel for anything that its user may",
			  NULL);
	else
		return false;
	return true;
}

/* What a kernel without seccomp means is the configuration's to say. */
static enum reason judge(const struct config *config, enum reason reason, struct fault *f)
{
	struct fault inner = *f;

	if (reason == REASON_OK)
		return REASON_OK;
	if (config->confinement.seccomp == SECCOMP_WANTED) {
		log_fault(LOG_WARN, "seccomp_off", f);
		return REASON_OK;
	}
	return fault_set(f, REASON_CONFIG,
			 "%.80s; confinement.seccomp is \"required\": \"wanted\" goes on without, and says so",
			 inner.detail);
}

enum reason seal_start(const struct config *config, bool runs_programs, struct fault *f)
{
	if (off(config))
		return REASON_OK;
	return judge(config, put_start(runs_programs, f), f);
}

enum reason seal_role(const struct config *config, enum role role, bool network, struct fault *f)
{
	if (sanitized || config->confinement.seccomp == SECCOMP_OFF)
		return REASON_OK; /* seal_start() has said so */
	return judge(config, put_role(role, network, f), f);
}
