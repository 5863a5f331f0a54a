/*
 * role.h - the four roles, as main.c starts them.
 *
 * Each runs until the process gets SIGTERM or SIGINT (blocked in every thread; role_wait() takes it), then stops
 * without losing anything: no new input, every job in hand finished, then everything closed in reverse order.
 */
#ifndef ASSAY_ROLE_H
#define ASSAY_ROLE_H

#include "config.h"
#include "observe/metrics.h"

#define EXIT_TOKEN_PIN 78 /* the supervisor does not start such a role again: a wrong PIN is never tried twice */

/* Return 0 on an orderly stop, else the exit status. */
int ra_run(const struct config *config, struct metrics *metrics);
int ca_run(const struct config *config, struct metrics *metrics);
int va_run(const struct config *config, struct metrics *metrics);
int admin_run(const struct config *config, struct metrics *metrics);

/* Blocks until SIGTERM or SIGINT; other threads may call role_stop() to end the wait with an exit status. */
int role_wait(void);
void role_stop(int status);

/* supervise.c: `assayd` without --role: starts the four, restarts those that die (back-off 50 ms to 5 s), stops them in
 * the order ra, va, admin, ca. It parses only the command line and the configuration. */
int supervise(const char *self, const char *config_path, const struct config *config);

#endif
