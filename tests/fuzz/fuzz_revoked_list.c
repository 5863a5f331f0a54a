/* fuzz_revoked_list.c - the file that mosquitto's plugin maps. */
#include <assert.h>
#include <string.h>

#include "revoked_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t serial[REVOKED_SERIAL_BYTES], head[REVOKED_HEAD_BYTES_MAX];
	struct revoked_list list;
	size_t head_len;

	if (!revoked_list_open(data, len, &list))
		return 0;
	head_len = revoked_list_head(&list, head);
	assert(head_len <= len && memcmp(head, data, head_len) == 0);
	memset(serial, len > 20 ? data[20] : 0, sizeof(serial));
	for (size_t i = 0; i < list.n; i++)
		(void)revoked_list_has(&list.issuer[i], serial);
	return 0;
}
