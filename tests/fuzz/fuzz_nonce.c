/* fuzz_nonce.c - a nonce from anybody: never taken, for nobody here knows the key. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "failing.h"
#include "nonce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Any 32 octets do; they reach the reader as a file. */
static struct nonce_key *open_key(void)
{
	char path[] = "/tmp/assay-fuzz-XXXXXX";
	struct nonce_key *key = NULL;
	struct fault f;
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, path, 16) != 16 || write(fd, path, 16) != 16 ||
	    nonce_key_open(path, &key, &f) != REASON_OK)
		abort();
	close(fd);
	unlink(path);
	return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct nonce_key *key;
	enum reason reason;
	struct fault f;

	if (key == NULL)
		key = open_key();
	reason = nonce_check(key, "rig:fuzz", "line", BLOB(data, len), 600, &f);
	assert(failing_happened() ? reason != REASON_OK
				  : reason == (len == 0 ? REASON_NONCE_MISSING : REASON_NONCE_FOREIGN));
	return 0;
}
