/*
 * role.h - the four roles, as main.c starts them.
 *
 * Each runs until the process gets SIGTERM or SIGINT (blocked in every thread; role_pause() takes it), then stops
 * without losing anything: no new input, every job in hand finished, then everything closed in reverse order.
 */
#ifndef ASSAY_ROLE_H
#define ASSAY_ROLE_H

#include "config.h"
#include "observe/metrics.h"

#define EXIT_CONFIG 2     /* the configuration cannot be used: the first start ends as a whole */
#define EXIT_TOKEN_PIN 78 /* the supervisor does not start such a role again: a wrong PIN is never tried twice */

/* Return 0 on an orderly stop, else the exit status. */
int ra_run(const struct config *config, struct metrics *metrics);
int ca_run(const struct config *config, struct metrics *metrics);
int va_run(const struct config *config, struct metrics *metrics);
int admin_run(const struct config *config, struct metrics *metrics);

/* One wait: false when it is time to stop, by SIGTERM or SIGINT; *ret_reload says that SIGHUP came. role_serve()
 * (reload.h) lives by it. Other threads may call role_stop() to end the wait with an exit status. */
MUST_CHECK bool role_pause(int at_most_ms, bool *ret_reload);
void role_stop(int status);
int role_status(void); /* for role_stop()'s status, once role_pause() has said false */

/* Says in the log why a role could not start; the exit status for it. */
int role_start_failed(const struct fault *fault);

/* First thing in main(), before any thread: signals for role_pause() are blocked, no core dumps, files for the owner
 * only. */
void role_prepare(void);
/* Becomes roles.<role>.user when started as root; no new privileges from then on; it can be neither traced nor
 * dumped. */
MUST_CHECK enum reason role_become(const struct config *config, enum role role, struct fault *f);
/* The user that a role runs as, seen from a process that has become its own. */
uid_t role_uid(const struct config *config, enum role role);
/* landlock.c: takes the token, the PIN and other roles' secrets out of reach, where the kernel can. Last thing before
 * the role runs. */
void role_confine(const struct config *config, enum role role);

/* seccomp.c: before any thread: what nobody here ever does ends the process, and, but for the supervisor, running another
 * program. Inherited by what is started. */
MUST_CHECK enum reason seal_start(const struct config *config, bool runs_programs, struct fault *f);
/* The same, when everything is open, over every thread: only what the role goes on doing. `network`: it begins
 * connections over the network, as a ca with a token or a ledger there. */
MUST_CHECK enum reason seal_role(const struct config *config, enum role role, bool network, struct fault *f);

/* check.c: everything that the configuration names is there and fits together: profiles, users, trust lists,
 * certificates. */
MUST_CHECK enum reason config_check(const struct config *config, struct fault *f);
/* Every port of the configuration is free; the fault names the key and the port. */
MUST_CHECK enum reason config_check_ports(const struct config *config, struct fault *f);

/* supervise.c: `assayd` without --role: starts the four, restarts those that die (back-off 50 ms to 2 s), stops them in
 * the order ra, va, admin, ca. It parses only the command line and the configuration. */
int supervise(const char *self, const char *config_path, const struct config *config);

#endif
