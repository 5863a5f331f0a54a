/* test_csrattrs.c - csrattrs.h: the response byte for byte as RFC 8951 section 4 shapes it. */
#include "expect.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "csrattrs.h"
#include "der.h"

static void assert_hex(enum key_type type, unsigned rsa_bits, bool evidence, bool challenge, const char *want)
{
	AUTO(buf_done) struct buf der = { 0 };
	char hex[256];

	assert_ok(csrattrs_build(type, rsa_bits, evidence, challenge, &der, NULL));
	assert_true(der.len * 2 < sizeof(hex));
	text_hex(buf_blob(&der), hex, sizeof(hex));
	assert_string_equal(hex, want);
}

#define P256_ATTRIBUTE "301506072a8648ce3d0201310a06082a8648ce3d030107"
#define ECDSA_256 "06082a8648ce3d040302"
#define EVIDENCE "060b2a864886f70d010910023b"
#define CHALLENGE "06092a864886f70d010907"

static void an_ec_key_is_an_attribute_with_its_curve(void **state)
{
	(void)state;
	assert_hex(KEY_EC_P256, 0, false, false, "3021" P256_ATTRIBUTE ECDSA_256);
	assert_hex(KEY_EC_P256, 0, true, false, "302e" P256_ATTRIBUTE EVIDENCE ECDSA_256);
	assert_hex(KEY_EC_P256, 0, true, true, "3039" CHALLENGE P256_ATTRIBUTE EVIDENCE ECDSA_256);
	assert_hex(KEY_EC_P384, 0, false, false, "301e301206072a8648ce3d0201310706052b8104002206082a8648ce3d040303");
}

static void an_rsa_key_is_an_attribute_with_its_size(void **state)
{
	(void)state;
	assert_hex(KEY_RSA, 2048, false, false, "301e301106092a864886f70d01010131040202080006092a864886f70d01010b");
}

static void no_key_type_is_an_internal_fault(void **state)
{
	struct buf der = { 0 };

	(void)state;
	assert_reason(csrattrs_build(KEY_NONE, 0, false, false, &der, NULL), REASON_INTERNAL);
	assert_reason(csrattrs_build(KEY_TYPE_COUNT, 0, false, false, &der, NULL), REASON_INTERNAL);
	assert_null(der.ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ec_key_is_an_attribute_with_its_curve),
		cmocka_unit_test(an_rsa_key_is_an_attribute_with_its_size),
		cmocka_unit_test(no_key_type_is_an_internal_fault),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
