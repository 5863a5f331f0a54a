/*
 * mes.h - the line's log for the manufacturing execution system: one JSON object a line, one line a device.
 *
 * Owns:    mes_close() closes the file.
 * Threads: any; several programs may append to one file.
 */
#ifndef RIG_MES_H
#define RIG_MES_H

#include "basics.h"

struct mes;
MUST_CHECK bool mes_open(const char *path, struct mes **ret_mes, struct trouble *t);
void mes_close(struct mes *mes); /* accepts NULL */

/* Appends the text and a newline, whole or not at all. */
MUST_CHECK bool mes_append(struct mes *mes, const char *line, struct trouble *t);

/* RFC 3339, UTC, milliseconds; out holds 25. */
void mes_timestamp(char out[25]);

#endif
