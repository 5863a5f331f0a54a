/* revoked_list.c - see revoked_list.h. */
#include "revoked_list.h"

#include <string.h>

static uint64_t get(const uint8_t *p, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | p[i];
	return value;
}

static uint8_t *put(uint8_t *p, uint64_t value, size_t n)
{
	for (size_t i = n; i-- > 0; value >>= 8)
		p[i] = (uint8_t)value;
	return p + n;
}

static void get_issuer(const uint8_t *p, struct revoked_issuer *out)
{
	memcpy(out->name, p, REVOKED_NAME_BYTES);
	out->good_until_s = (int64_t)get(p + REVOKED_NAME_BYTES, 8);
	out->number = get(p + REVOKED_NAME_BYTES + 8, 8);
	out->n = get(p + REVOKED_NAME_BYTES + 16, 8);
}

bool revoked_list_open(const uint8_t *bytes, size_t len, struct revoked_list *ret_list)
{
	struct revoked_list list;
	size_t at = REVOKED_MAGIC_BYTES + 4;

	if (len < at || memcmp(bytes, REVOKED_MAGIC, REVOKED_MAGIC_BYTES) != 0)
		return false;
	list.n = get(bytes + REVOKED_MAGIC_BYTES, 4);
	if (list.n == 0 || list.n > REVOKED_ISSUERS_MAX || len - at < list.n * REVOKED_ISSUER_BYTES)
		return false;
	for (size_t i = 0; i < list.n; i++, at += REVOKED_ISSUER_BYTES)
		get_issuer(bytes + at, &list.issuer[i]);
	for (size_t i = 0; i < list.n; i++) {
		if (list.issuer[i].n > (len - at) / REVOKED_SERIAL_BYTES)
			return false;
		list.issuer[i].serials = bytes + at;
		at += list.issuer[i].n * REVOKED_SERIAL_BYTES;
	}
	if (at != len)
		return false;
	*ret_list = list;
	return true;
}

const struct revoked_issuer *revoked_list_issuer(const struct revoked_list *list,
						 const uint8_t name[REVOKED_NAME_BYTES])
{
	for (size_t i = 0; i < list->n; i++)
		if (memcmp(list->issuer[i].name, name, REVOKED_NAME_BYTES) == 0)
			return &list->issuer[i];
	return NULL;
}

bool revoked_list_has(const struct revoked_issuer *issuer, const uint8_t serial[REVOKED_SERIAL_BYTES])
{
	uint64_t from = 0, to = issuer->n;

	while (from < to) {
		uint64_t middle = from + (to - from) / 2;
		int order = memcmp(serial, issuer->serials + middle * REVOKED_SERIAL_BYTES, REVOKED_SERIAL_BYTES);

		if (order == 0)
			return true;
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return false;
}

bool revoked_serial(const uint8_t *bytes, size_t len, uint8_t out[REVOKED_SERIAL_BYTES])
{
	while (len > 0 && *bytes == 0) {
		bytes++;
		len--;
	}
	if (len > REVOKED_SERIAL_BYTES)
		return false;
	memset(out, 0, REVOKED_SERIAL_BYTES - len);
	if (len > 0)
		memcpy(out + REVOKED_SERIAL_BYTES - len, bytes, len);
	return true;
}

size_t revoked_list_head(const struct revoked_list *list, uint8_t out[REVOKED_HEAD_BYTES_MAX])
{
	uint8_t *p = out;

	memcpy(p, REVOKED_MAGIC, REVOKED_MAGIC_BYTES);
	p = put(p + REVOKED_MAGIC_BYTES, list->n, 4);
	for (size_t i = 0; i < list->n; i++) {
		memcpy(p, list->issuer[i].name, REVOKED_NAME_BYTES);
		p = put(p + REVOKED_NAME_BYTES, (uint64_t)list->issuer[i].good_until_s, 8);
		p = put(p, list->issuer[i].number, 8);
		p = put(p, list->issuer[i].n, 8);
	}
	return (size_t)(p - out);
}
