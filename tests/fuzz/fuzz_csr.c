/* fuzz_csr.c - csr_parse(): no crash, and what it accepts lies inside the input and is what it says. */
#include <stdlib.h>

#include "csr.h"
#include "failing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void inside(struct blob whole, struct blob part)
{
	if (part.len > 0 && (part.ptr < whole.ptr || part.ptr + part.len > whole.ptr + whole.len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct blob der = BLOB(data, len);
	struct claims claims = { 0 };
	char text[LIMIT_NAME_CHARS + 1];
	uint8_t hash[32];
	struct csr csr;

	oid_init();
	if (csr_parse(der, &csr, &claims, NULL) != REASON_OK)
		return 0;
	inside(der, csr.subject);
	inside(der, csr.san);
	inside(der, csr.evidence);
	inside(der, csr.challenge);
	inside(der, csr.continuity);
	if (claims.n != 1 || csr.n_ekus > LIMIT_EKUS ||
	    (pubkey_check(&csr.key, NULL) != REASON_OK && !failing_happened()))
		abort();
	inside(der, claims.item[0].message);
	inside(der, claims.item[0].signature);
	if (name_get(csr.subject, OID_AT_CN, text) && text[0] == '\0')
		abort();
	pubkey_hash(&csr.key, hash);
	if (claim_holds(&claims.item[0]) && len < 100)
		abort(); /* no key and signature fit into so little */
	return 0;
}
