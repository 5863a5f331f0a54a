/*
 * heads_export.h - signed heads to where they are kept outside the ledger: a file that only grows, and syslog.
 *
 * What cannot be written (a full disk, a mount that is gone, no syslogd, or one that does not read) is not lost: what
 * waits goes in order when it can again, and a process that starts writes the newest head anew, for the last one may
 * have died before it did. So a head may stand there twice. Nobody is waited for.
 *
 * To syslog a head is one datagram as syslog(3) makes it, "<85>Nov 21 09:00:00 assay-heads: LINE": authpriv, notice.
 * Not by syslog(3), which says nothing of what did not arrive and waits for a syslogd that does not read. A socket that
 * takes streams gets the same, ended by a zero byte, as from syslog(3).
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
	struct fault fault; /* why the oldest still waits, and what to do; REASON_OK: none does */
};

struct heads_export {
	struct heads_sink file, syslog;
	int socket; /* -1: not connected */
	bool stream;
};

void heads_export_open(struct heads_export *export, const char *file,
		       const char *syslog); /* borrows; each may be NULL */
void heads_export_done(struct heads_export *export);
/* A line without its end. Out of memory: it is left out. */
void heads_export_add(struct heads_export *export, struct blob line);
/* Writes what waits; false: some of it still waits, and the sinks say why. */
bool heads_export_flush(struct heads_export *export);
/* There is a sink, and in each something waits. */
bool heads_export_nowhere(const struct heads_export *export);

#endif
