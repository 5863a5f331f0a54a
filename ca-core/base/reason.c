/* reason.c - see reason.h. */
#include "base/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct reason_info infos[] = {
#define REASON(id, name, http, class, text) [REASON_##id] = { name, http, REASON_CLASS_##class, text },
#include "base/reason.def"
#undef REASON
};

const struct reason_info *reason_info(enum reason reason)
{
	if ((unsigned)reason >= REASON_COUNT)
		reason = REASON_INTERNAL;
	return &infos[reason];
}

_Bool reason_by_name(const char *name, enum reason *ret_reason)
{
	for (unsigned i = 0; i < REASON_COUNT; i++)
		if (strcmp(infos[i].name, name) == 0) {
			*ret_reason = (enum reason)i;
			return 1;
		}
	return 0;
}

enum reason fault_set(struct fault *f, enum reason reason, const char *fmt, ...)
{
	va_list ap;

	if (f == NULL)
		return reason;
	f->reason = reason;
	va_start(ap, fmt);
	vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
	va_end(ap);
	return reason;
}
