/* test_sha.c - sha.h: HMAC-SHA-512 is what RFC 4231 says. */
#include "expect.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/sha.h"

/* RFC 4231 section 4.3, and the same by OpenSSL for keys of every length that is taken. */
static void hmac_sha512_is_that_of_rfc_4231(void **state)
{
	static const uint8_t jefe[8] = { 0x16, 0x4b, 0x7a, 0x7b, 0xfc, 0xf8, 0x19, 0xe2 };
	uint8_t key[128], ours[64], theirs[64];
	size_t len = 0;

	(void)state;
	hmac_sha512(BLOB_STR("Jefe"), BLOB_STR("what do ya want for nothing?"), ours);
	assert_memory_equal(ours, jefe, sizeof(jefe));
	for (size_t i = 1; i <= sizeof(key); i++) {
		key[i - 1] = (uint8_t)(i * 7);
		hmac_sha512(BLOB(key, i), BLOB(key, i / 2), ours);
		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA512", NULL, key, i, key, i / 2, theirs,
					  sizeof(theirs), &len));
		assert_int_equal(len, sizeof(ours));
		assert_memory_equal(ours, theirs, sizeof(ours));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hmac_sha512_is_that_of_rfc_4231),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
