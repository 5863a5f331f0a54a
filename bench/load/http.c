/*
 * http.c - see http.h.
 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *header(const char *head, const char *end, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line != NULL && line < end; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':')
			return line + 2 + len + 1 + strspn(line + 2 + len + 1, " \t");
	return NULL;
}

enum http_progress http_reply_parse(const char *text, size_t len, struct http_reply *ret_reply)
{
	const char *end = strstr(text, "\r\n\r\n");
	const char *length, *wait, *connection;
	struct http_reply reply = { 0 };

	if (end == NULL)
		return HTTP_MORE;
	length = header(text, end, "Content-Length");
	if (sscanf(text, "HTTP/1.1 %3d", &reply.status) != 1 || length == NULL)
		return HTTP_BROKEN;
	reply.body = end + 4;
	reply.body_len = strtoul(length, NULL, 10);
	if (len < (size_t)(reply.body - text) + reply.body_len)
		return HTTP_MORE;
	wait = header(text, end, "Retry-After");
	connection = header(text, end, "Connection");
	reply.retry_after_s = wait == NULL ? 0 : strtod(wait, NULL);
	reply.close = connection != NULL && strncasecmp(connection, "close", 5) == 0;
	*ret_reply = reply;
	return HTTP_WHOLE;
}
