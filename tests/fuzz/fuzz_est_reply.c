/*
 * fuzz_est_reply.c - what the reference rig reads of a server's answers, the first byte says which: the certificates of
 * an enrolment, the nonce of a freshness reply.
 */
#include <assert.h>

#include "est.h"
#include "failing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_certs(const struct bytes *body)
{
	STACK_OF(X509) *certs = NULL;
	struct trouble t = { "" };

	assert(est_certs(body, &certs, &t) == (certs != NULL));
	assert(certs != NULL || t.text[0] != '\0');
	sk_X509_pop_free(certs, X509_free);
}

static void try_nonce(const struct bytes *body)
{
	struct bytes nonce = { 0 };
	struct trouble t = { "" };

	if (est_nonce(body, &nonce, &t))
		assert(nonce.len <= body->len);
	else
		assert(nonce.ptr == NULL && t.text[0] != '\0');
	bytes_done(&nonce);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes body;

	if (len == 0 || !bytes_copy(data + 1, len - 1, &body))
		return 0;
	if (data[0] % 2 == 0)
		try_certs(&body);
	else
		try_nonce(&body);
	bytes_done(&body);
	return 0;
}
