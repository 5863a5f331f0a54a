/*
 * heads_export.h - signed heads to where they are kept outside the ledger: a file that only grows, and syslog.
 *
 * A file that cannot be written (its disk full, its mount gone) loses nothing: what waits is written in order when it
 * can be again, and a process that starts writes the newest head anew, for the last one may have died before it did. So
 * a head may stand in the file twice.
 *
 * Threads: one.
 */
#ifndef ASSAY_CA_HEADS_EXPORT_H
#define ASSAY_CA_HEADS_EXPORT_H

#include <stdbool.h>

#include "base/blob.h"

#define HEADS_WAITING_MAX (1024 * 1024) /* bytes; beyond it the oldest are left out, and the ledger still has them */

struct heads_export {
	const char *file; /* NULL: none */
	bool syslog;
	struct buf waiting; /* lines for the file */
};

void heads_export_open(struct heads_export *export, const char *file, bool to_syslog); /* borrows file */
void heads_export_done(struct heads_export *export);
/* A line without its end. Out of memory: the file lacks it. */
void heads_export_add(struct heads_export *export, struct blob line);
/* Writes what waits; a reason other than OK: it still waits. */
MUST_CHECK enum reason heads_export_flush(struct heads_export *export, struct fault *f);

#endif
