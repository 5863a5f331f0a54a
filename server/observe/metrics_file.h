/*
 * metrics_file.h - the reading side of a role's metrics file, shared by metrics.c and prometheus.c alone.
 */
#ifndef ASSAY_METRICS_FILE_H
#define ASSAY_METRICS_FILE_H

#include "observe/metrics.h"

#define METRICS_MAGIC 0x61737379U /* "assy" */
#define METRICS_VERSION 2U

/* Fails when the role never started, or left a file of another version. */
MUST_CHECK enum reason metrics_map(const char *run_dir, const char *role, const struct metrics **ret_metrics);
void metrics_unmap(const struct metrics *m);

/* Upper bound of a latency bucket; not for the last one, which has none. */
static inline int64_t metrics_bucket_us(unsigned i)
{
	return (int64_t)500 << i;
}

#endif
