/*
 * route.c - see route.h.
 */
#include "http/route.h"

#include <string.h>
#include <strings.h>

#define SEGMENTS_MAX 5

static const struct route_op ops[] = {
	/* name            operation           metric              methods                post type */
	{ "cacerts", EST_CACERTS, OP_CACERTS, HTTP_GET, NULL },
	{ "csrattrs", EST_CSRATTRS, OP_CSRATTRS, HTTP_GET, NULL },
	{ "nonce", EST_NONCE, OP_NONCE, HTTP_GET | HTTP_POST, "application/est-attestation-freshness+json" },
	{ "simpleenroll", EST_SIMPLEENROLL, OP_SIMPLEENROLL, HTTP_POST, "application/pkcs10" },
	{ "simplereenroll", EST_SIMPLEREENROLL, OP_SIMPLEREENROLL, HTTP_POST, "application/pkcs10" },
};

struct segment {
	size_t len;
	char text[LIMIT_LABEL_CHARS + 1];
};

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 unreserved characters and the colon, which some clients have in their labels. */
static bool segment_char(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~:", c) != NULL);
}

/* One character of a path, percent-decoded; -1 if it cannot be part of a segment of ours. */
static int next_char(struct blob *left)
{
	int c = left->ptr[0], high, low;
	size_t used = 1;

	if (c == '%') {
		if (left->len < 3 || (high = hex_digit(left->ptr[1])) < 0 || (low = hex_digit(left->ptr[2])) < 0)
			return -1;
		c = high * 16 + low;
		used = 3;
	}
	left->ptr += used;
	left->len -= used;
	return segment_char(c) ? c : -1;
}

static bool next_segment(struct blob *left, struct segment *ret_segment)
{
	struct segment s = { 0 };

	if (left->len == 0 || left->ptr[0] != '/')
		return false;
	left->ptr++, left->len--;
	while (left->len > 0 && left->ptr[0] != '/') {
		int c = next_char(left);

		if (c < 0 || s.len == LIMIT_LABEL_CHARS)
			return false;
		s.text[s.len++] = (char)c;
	}
	*ret_segment = s;
	return s.len > 0;
}

static const struct route_op *op_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

enum reason route_parse(struct blob path, struct route *ret_route, struct fault *f)
{
	struct segment s[SEGMENTS_MAX];
	struct route route = { 0 };
	const char *label = "";
	size_t n = 0, at;

	while (path.len > 0) {
		if (n == SEGMENTS_MAX || !next_segment(&path, &s[n]))
			return fault_set(f, REASON_HTTP_PATH, "no EST path");
		n++;
	}
	if (n < 3)
		return fault_set(f, REASON_HTTP_PATH, "no EST path");
	at = strcmp(s[0].text, ".well-known") == 0 ? 0 : 1;
	if (strcmp(s[at].text, ".well-known") != 0 || strcmp(s[at + 1].text, "est") != 0)
		return fault_set(f, REASON_HTTP_PATH, "no EST path");
	if (at == 0 && n == 4)
		label = s[2].text;
	else if (at == 1 && n == 4)
		label = s[0].text;
	else if (at != 0 || n != 3)
		return fault_set(f, REASON_HTTP_PATH, "no EST path");
	route.op = op_by_name(s[n - 1].text);
	if (route.op == NULL)
		return fault_set(f, REASON_HTTP_PATH, "operation \"%s\"", s[n - 1].text);
	memcpy(route.label, label, strlen(label) + 1);
	*ret_route = route;
	return REASON_OK;
}

enum reason route_check(const struct route_op *op, unsigned method, const char *type, struct fault *f)
{
	if ((op->methods & method) == 0)
		return fault_set(f, REASON_HTTP_METHOD, "%s takes %s", op->name, http_methods_text(op->methods));
	if (method == HTTP_POST && !media_type_is(type, op->post_type))
		return fault_set(f, REASON_HTTP_MEDIA_TYPE, "%s takes %s, not \"%.64s\"", op->name, op->post_type,
				 type != NULL ? type : "");
	return REASON_OK;
}

unsigned http_method(const char *name)
{
	if (strcmp(name, "GET") == 0 || strcmp(name, "HEAD") == 0)
		return HTTP_GET;
	return strcmp(name, "POST") == 0 ? HTTP_POST : 0;
}

const char *http_methods_text(unsigned methods)
{
	static const char *const text[] = { "", "GET, HEAD", "POST", "GET, HEAD, POST" };

	return text[methods & (HTTP_GET | HTTP_POST)];
}

bool media_type_is(const char *header, const char *wanted)
{
	size_t len = strlen(wanted);

	if (header == NULL)
		return false;
	header += strspn(header, " \t");
	if (strncasecmp(header, wanted, len) != 0)
		return false;
	header += len;
	header += strspn(header, " \t");
	return *header == '\0' || *header == ';';
}
