/*
 * linking.c - linking of identity and proof of possession: was this CSR signed for this very TLS connection?
 *
 * A challengePassword means nothing else here: base64 of the connection's channel binding, or the request is refused. A
 * rig that lets a CSR wait while it reconnects therefore makes a new one. An RA's requests are not held to it (RFC 7030
 * section 3.7): what its devices signed was bound to their connection with the RA, which the RA has checked.
 *
 * Spec: RFC 7030 section 3.5; RFC 9266; tls.h says which binding on which version.
 */
#include <openssl/crypto.h>

#include "base/text.h"
#include "ra/ra.h"

enum reason linking_compare(const struct binding *binding, struct blob challenge, bool required, struct fault *f)
{
	AUTO(buf_done) struct buf expected = { 0 };

	if (challenge.len == 0 && !required)
		return REASON_OK;
	if (challenge.len == 0)
		return fault_set(f, REASON_LINK_MISSING, "no challengePassword in the CSR");
	if (binding->type == NULL)
		return fault_set(f, REASON_LINK_FAILED, "no channel binding: %s", binding->why);
	TRY(text_base64(BLOB(binding->value, binding->len), &expected, f));
	if (challenge.len != expected.len || CRYPTO_memcmp(challenge.ptr, expected.ptr, expected.len) != 0)
		return fault_set(f, REASON_LINK_FAILED,
				 "challengePassword of %zu characters is not base64 of this connection's %s",
				 challenge.len, binding->type);
	return REASON_OK;
}

enum reason linking_check(struct enrolment *e, struct fault *f)
{
	if (e->who.kind == WHO_RA)
		return REASON_OK;
	if (e->read->csr.challenge.len > 0 && e->binding.once)
		atomic_store(&e->bound, true);
	return linking_compare(&e->binding, e->read->csr.challenge, e->label->facts.binding, f);
}
