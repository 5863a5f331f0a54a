/* grant.c - see grant.h. */
#include "grant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha.h"

static const char *const level_names[] = {
	[LEVEL_NONE] = "none",
	[LEVEL_VOUCHED] = "vouched",
	[LEVEL_PROVISIONED] = "provisioned",
	[LEVEL_NATIVE] = "native",
};
#define N_LEVELS (sizeof(level_names) / sizeof(level_names[0]))

const char *level_name(enum level level)
{
	return (unsigned)level < N_LEVELS ? level_names[level] : "invalid";
}

bool level_by_name(const char *name, enum level *ret_level)
{
	for (unsigned i = 0; i < N_LEVELS; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum level)i;
			return true;
		}
	}
	return false;
}

void device_hash(const struct device_id *device, uint8_t out[32])
{
	uint8_t bytes[sizeof(device->format) + 1 + sizeof(device->vendor_root) + sizeof(device->element)];
	size_t len = strnlen(device->format, sizeof(device->format));

	assert(device->element_len <= sizeof(device->element));
	memcpy(bytes, device->format, len);
	bytes[len++] = 0;
	memcpy(bytes + len, device->vendor_root, sizeof(device->vendor_root));
	len += sizeof(device->vendor_root);
	memcpy(bytes + len, device->element, device->element_len);
	len += device->element_len;
	sha256(BLOB(bytes, len), out);
}

struct grant *grant_new(void)
{
	return calloc(1, sizeof(struct grant));
}

void grant_free(struct grant *grant)
{
	if (grant == NULL)
		return;
	buf_done(&grant->evidence);
	buf_done(&grant->continuity);
	free(grant);
}
