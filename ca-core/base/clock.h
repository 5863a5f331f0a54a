/*
 * clock.h - the two clocks: wall time for certificates and records, monotonic time for deadlines.
 *
 * Threads: pure.
 */
#ifndef ASSAY_CLOCK_H
#define ASSAY_CLOCK_H

#include <stdint.h>

#define TIME_NO_EXPIRY INT64_MAX /* stands for 99991231235959Z, RFC 5280 section 4.1.2.5 */

int64_t clock_wall_s(void); /* Unix time, seconds */
int64_t clock_wall_us(void); /* Unix time, microseconds */
int64_t clock_mono_us(void); /* never goes back; for deadlines and durations */

#endif
