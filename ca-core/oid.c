/* oid.c - see oid.h. */
#include "oid.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const struct {
	const char *name;
	const char *dotted;
} known[] = {
#define OID(id, name, dotted) [OID_##id] = { name, dotted },
#include "oid.def"
#undef OID
};

static struct oid table[OID_COUNT];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

/* One arc in base 128, most significant group first. */
static bool push_arc(struct oid *oid, uint64_t arc)
{
	unsigned groups = 1;

	for (uint64_t rest = arc >> 7; rest > 0; rest >>= 7)
		groups++;
	if (oid->len + groups > sizeof(oid->bytes))
		return false;
	for (unsigned i = groups; i > 0; i--)
		oid->bytes[oid->len++] = (uint8_t)((arc >> (7 * (i - 1)) & 0x7f) | (i > 1 ? 0x80 : 0));
	return true;
}

/* Reads digits up to a dot or the end; refuses leading zeros and what 64 bits cannot hold. */
static bool read_arc(const char **text, uint64_t *ret_arc)
{
	const char *p = *text;
	uint64_t arc = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(arc, 10U, &arc) || __builtin_add_overflow(arc, (uint64_t)(*p - '0'), &arc))
			return false;
	}
	*text = p;
	*ret_arc = arc;
	return true;
}

bool oid_parse(const char *dotted, struct oid *ret_oid)
{
	struct oid oid = { 0 };
	uint64_t root, arc;

	if (!read_arc(&dotted, &root) || root > 2 || *dotted++ != '.' || !read_arc(&dotted, &arc))
		return false;
	if ((root < 2 && arc >= 40) || __builtin_add_overflow(arc, root * 40, &arc) || !push_arc(&oid, arc))
		return false;
	while (*dotted == '.') {
		dotted++;
		if (!read_arc(&dotted, &arc) || !push_arc(&oid, arc))
			return false;
	}
	if (*dotted != '\0')
		return false;
	*ret_oid = oid;
	return true;
}

/* Reads one base-128 arc at *pos; false when it is cut off, padded or beyond 64 bits. */
static bool next_arc(const struct oid *oid, size_t *pos, uint64_t *ret_arc)
{
	uint64_t arc = 0;

	if (oid->bytes[*pos] == 0x80)
		return false;
	while (*pos < oid->len) {
		uint8_t byte = oid->bytes[(*pos)++];

		if (arc >> 57 != 0)
			return false;
		arc = arc << 7 | (byte & 0x7f);
		if ((byte & 0x80) == 0) {
			*ret_arc = arc;
			return true;
		}
	}
	return false;
}

static bool dotted_text(const struct oid *oid, char *out, size_t out_len)
{
	size_t pos = 0, used;
	uint64_t arc, root;

	if (oid->len == 0 || oid->len > sizeof(oid->bytes) || !next_arc(oid, &pos, &arc))
		return false;
	root = arc < 80 ? arc / 40 : 2;
	used = (size_t)snprintf(out, out_len, "%u.%llu", (unsigned)root, (unsigned long long)(arc - root * 40));
	while (pos < oid->len) {
		if (!next_arc(oid, &pos, &arc))
			return false;
		if (used < out_len)
			used += (size_t)snprintf(out + used, out_len - used, ".%llu", (unsigned long long)arc);
	}
	return used < out_len;
}

void oid_text(const struct oid *oid, char *out, size_t out_len)
{
	char hex[2 * LIMIT_OID_BYTES + 1];

	if (dotted_text(oid, out, out_len))
		return;
	text_hex(BLOB(oid->bytes, oid->len <= sizeof(oid->bytes) ? oid->len : 0), hex, sizeof(hex));
	snprintf(out, out_len, "hex:%s", hex);
}

bool oid_is(struct blob content, const struct oid *oid)
{
	return content.len == oid->len && memcmp(content.ptr, oid->bytes, oid->len) == 0;
}

bool oid_equal(const struct oid *a, const struct oid *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static void table_fill(void)
{
	for (size_t i = 0; i < OID_COUNT; i++) {
		bool parsed = oid_parse(known[i].dotted, &table[i]);

		assert(parsed);
		(void)parsed;
	}
}

void oid_init(void)
{
	pthread_once(&table_once, table_fill);
}

const struct oid *oid_of(enum oid_id id)
{
	assert((unsigned)id < OID_COUNT && table[id].len > 0); /* oid_init() comes first */
	return &table[id];
}

bool oid_by_name(const char *name, struct oid *ret_oid)
{
	oid_init();
	for (size_t i = 0; i < OID_COUNT; i++) {
		if (strcmp(known[i].name, name) == 0) {
			*ret_oid = table[i];
			return true;
		}
	}
	return oid_parse(name, ret_oid);
}
