/* fuzz_ocsp.c - ocsp_parse(): no crash, and what it accepts lies inside the input and can be answered. */
#include <stdlib.h>
#include <string.h>

#include "failing.h"
#include "ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void inside(struct blob whole, struct blob part)
{
	if (part.len > 0 && (part.ptr < whole.ptr || part.ptr + part.len > whole.ptr + whole.len))
		abort();
}

static struct ocsp_single answer_to(const struct ocsp_cert_id *id, const struct ocsp_issuer *issuer)
{
	struct ocsp_single s = { .hash = id->known_hash ? id->hash : OCSP_SHA1,
				 .null_params = id->null_params,
				 .issuer = issuer,
				 .serial_len = (uint8_t)id->serial.len,
				 .status = OCSP_UNKNOWN,
				 .this_s = 1000,
				 .next_s = 2000 };

	memcpy(s.serial, id->serial.ptr, id->serial.len);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct ocsp_issuer issuer;
	struct blob der = BLOB(data, len);
	struct ocsp_single single[LIMIT_OCSP_IDS];
	struct pubkey key = { .type = KEY_EC_P256, .bits = 256, .len = 65 };
	struct ocsp_request r;
	AUTO(buf_done) struct buf tbs = { 0 };

	oid_init();
	if (ocsp_parse(der, &r, NULL) != REASON_OK)
		return 0;
	inside(der, r.nonce);
	for (size_t i = 0; i < r.n; i++) {
		inside(der, r.id[i].whole);
		inside(der, r.id[i].serial);
		(void)ocsp_names(&r.id[i], &issuer);
		single[i] = answer_to(&r.id[i], &issuer);
	}
	if (ocsp_build(&key, single, r.n, r.nonce, 1000, &tbs, NULL) != REASON_OK && !failing_happened())
		abort();
	return 0;
}
