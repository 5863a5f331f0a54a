/*
 * heads_export.h - signed heads to where they are kept outside the ledger: a file that only grows, and syslog.
 *
 * What cannot be written (a full disk, a mount that is gone, no syslogd, or one that does not read) is not lost: what
 * waits goes in order when it can again, and a process that starts writes the newest head anew, for the last one may
 * have died before it did. So a head may stand there twice. Nobody is waited for.
 *
 * To syslog a head is one datagram as syslog(3) makes it, "<85>Nov 21 09:00:00 assay-heads: LINE": authpriv, notice.
 * Not by syslog(3), which says nothing of what did not arrive and waits for a syslogd that does not read.
 *
 * Threads: one.
 */
#ifndef ASSAY_CA_HEADS_EXPORT_H
#define ASSAY_CA_HEADS_EXPORT_H

#include <stdbool.h>

#include "base/blob.h"

#define HEADS_WAITING_MAX (1024 * 1024) /* bytes; beyond it the oldest are left out, and the ledger still has them */

struct heads_sink {
	const char *to;     /* a file, or syslog's socket; NULL: none */
	struct buf waiting; /* lines */
};

struct heads_export {
	struct heads_sink file, syslog;
	int socket; /* -1: not connected */
};

void heads_export_open(struct heads_export *export, const char *file,
		       const char *syslog); /* borrows; each may be NULL */
void heads_export_done(struct heads_export *export);
/* A line without its end. Out of memory: it is left out. */
void heads_export_add(struct heads_export *export, struct blob line);
/* Writes what waits; a reason other than OK: some of it still waits. */
MUST_CHECK enum reason heads_export_flush(struct heads_export *export, struct fault *f);

#endif
