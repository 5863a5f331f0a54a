/*
 * reason.h - why something was refused: one enum for the whole of Assay, made from reason.def.
 *
 * Owns:     nothing; struct fault is a value.
 * Threads:  pure.
 * Does not: log, or say anything to a client (server/http/reply.c does both, in one call).
 *
 * A function that can fail returns MUST_CHECK enum reason and fills a struct fault; its ret_ outputs are touched
 * only on success. `detail` is for the log alone and never reaches a client.
 */
#ifndef ASSAY_REASON_H
#define ASSAY_REASON_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum reason {
#define REASON(id, name, http, class, text) REASON_##id,
#include "reason.def"
#undef REASON
	REASON_COUNT
};

enum reason_class { REASON_CLASS_NONE, REASON_CLASS_CLIENT, REASON_CLASS_AUTH, REASON_CLASS_RETRY, REASON_CLASS_INTERNAL };

struct reason_info {
	const char *name; /* log field and metric label */
	int http; /* status */
	enum reason_class class;
	const char *text; /* what the client reads */
};

/* Never NULL; a value outside the enum gives the entry of REASON_INTERNAL. */
const struct reason_info *reason_info(enum reason reason);
/* The reason with this name, as it stands in frames between the roles; false if there is none. */
MUST_CHECK _Bool reason_by_name(const char *name, enum reason *ret_reason);

struct fault {
	enum reason reason;
	char detail[192]; /* for the log alone; never a secret */
};

/* Fill *f (which may be NULL) and return `reason`, so that `return fault_set(f, REASON_X, "...")` reads well. */
__attribute__((format(printf, 3, 4))) enum reason fault_set(struct fault *f, enum reason reason, const char *fmt, ...);

/* Return at the first failure. */
#define TRY(expr)                                                                                                      \
	do {                                                                                                           \
		enum reason try_reason = (expr);                                                                       \
		if (try_reason != REASON_OK)                                                                           \
			return try_reason;                                                                             \
	} while (0)

#endif
