/*
 * log.h - one JSON object a line on standard error.
 *
 * Threads: any; a line is one write().
 * Does not: take secrets; field values are escaped, and cut at 512 characters.
 */
#ifndef ASSAY_LOG_H
#define ASSAY_LOG_H

#include <stdint.h>

#include "base/reason.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Before any thread: the role goes into each line. Lines below `least` are dropped. */
void log_init(const char *role, enum log_level least);

/*
 * log_event(LOG_INFO, "enrol", "serial", LOG_STR, serial, "ms", LOG_INT, (int64_t)3, NULL): event name, then triples of
 * key, type and value, ended by NULL. Every line has ts, level, role, event.
 */
enum log_type { LOG_STR, LOG_INT };
__attribute__((sentinel)) void log_event(enum log_level level, const char *event, ...);
/* The same with reason and detail of a fault. */
void log_fault(enum log_level level, const char *event, const struct fault *fault);

#endif
