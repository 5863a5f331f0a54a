/* issuer.c - see agent.h: what is accepted of one issuer, and in which order. */
#include "agent.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of OpenSSL's X509_V_... */
static int path_error(X509_STORE *store, X509 *cert, unsigned long flags)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int error = X509_V_ERR_OUT_OF_MEM;

	if (ctx != NULL && X509_STORE_CTX_init(ctx, store, cert, NULL) == 1) {
		X509_STORE_CTX_set_flags(ctx, flags);
		error = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	}
	X509_STORE_CTX_free(ctx);
	return error;
}

static bool path_holds(int error, bool from_va, struct why *why)
{
	if (error == X509_V_OK || (error == X509_V_ERR_CERT_REVOKED && !from_va))
		return true;
	return why_set(why, "not under the root: %s%s", X509_verify_cert_error_string(error),
		       error == X509_V_ERR_CRL_HAS_EXPIRED
			       ? ": --root-crl has ended, make the next one with assay-ceremony crl"
			       : "");
}

static void set_revoked(struct issuer *issuer, bool revoked)
{
	if (issuer->revoked == revoked)
		return;
	issuer->revoked = revoked;
	say("%s: the root %s its CA%s", issuer->name, revoked ? "has revoked" : "does not revoke",
	    revoked ? ": every certificate of it counts as revoked" : " any more: its lists are followed again");
}

/* Whatever the time: what is revoked in a CRL that has ended is not good again. */
void issuer_look_again(struct agent *agent, struct issuer *issuer)
{
	int error =
		issuer->cert == NULL ? X509_V_OK : path_error(agent->store, issuer->cert, X509_V_FLAG_NO_CHECK_TIME);

	if (error == X509_V_OK || error == X509_V_ERR_CERT_REVOKED)
		set_revoked(issuer, error != X509_V_OK);
}

bool issuer_take_cert(struct agent *agent, struct issuer *issuer, const struct bytes *der, bool from_va,
		      struct why *why)
{
	const uint8_t *p = der->ptr;
	X509 *cert = d2i_X509(NULL, &p, (long)der->len);
	int error = cert == NULL ? X509_V_OK : path_error(agent->store, cert, 0);

	if (cert == NULL || p != der->ptr + der->len)
		(void)why_set(why, "no certificate (%zu bytes)", der->len);
	else if (X509_check_ca(cert) != 1 || (X509_get_key_usage(cert) & KU_CRL_SIGN) == 0)
		(void)why_set(why, "no CA that may sign CRLs");
	else if (path_holds(error, from_va, why) &&
		 X509_NAME_digest(X509_get_subject_name(cert), EVP_sha256(), issuer->name_hash, NULL) == 1) {
		X509_free(issuer->cert);
		issuer->cert = cert;
		set_revoked(issuer, error != X509_V_OK);
		return true;
	}
	X509_free(cert);
	return false;
}

/* The delta is of use while it is the newer one and begins not after the complete list. */
static const struct crl *delta_in_use(const struct issuer *issuer)
{
	const struct crl *delta = &issuer->delta, *complete = &issuer->complete;

	return delta->number > complete->number && delta->base <= complete->number ? delta : NULL;
}

/* Neither the number nor the time goes back. */
static enum taken order_of(const struct crl *old, const struct crl *new, struct why *why)
{
	if (old->der.len == 0)
		return TAKEN_NEWER;
	if (new->number == old->number &&new->der.len == old->der.len &&
	    memcmp(new->der.ptr, old->der.ptr, old->der.len) == 0)
		return TAKEN_SAME;
	if (new->number == old->number)
		(void)why_set(why, "another one with the number %llu has been seen", (unsigned long long)old->number);
	else if (new->number < old->number)
		(void)why_set(why, "number %llu is older than %llu, which has been seen",
			      (unsigned long long)new->number, (unsigned long long)old->number);
	else if (new->this_s < old->this_s)
		(void)why_set(why, "number %llu is dated before %llu", (unsigned long long)new->number,
			      (unsigned long long)old->number);
	else
		return TAKEN_NEWER;
	return TAKEN_NOT;
}

static enum taken put(struct issuer *issuer, struct crl *new, bool delta, struct why *why)
{
	struct crl *old = delta ? &issuer->delta : &issuer->complete, kept = *old;
	enum taken order = order_of(old, new, why);
	struct serials effective;

	if (order != TAKEN_NEWER)
		return order;
	if (delta && new->base > issuer->complete.number) {
		issuer->wants_complete = true;
		(void)why_set(why, "it adds to %llu, the newest complete list here is %llu",
			      (unsigned long long)new->base, (unsigned long long)issuer->complete.number);
		return TAKEN_NOT;
	}
	*old = *new;
	if (!crl_merge(&issuer->complete, delta_in_use(issuer), &effective)) {
		*old = kept;
		(void)why_set(why, "no memory");
		return TAKEN_NOT;
	}
	*new = (struct crl){ 0 };
	crl_free(&kept);
	if (!serials_equal(&issuer->effective, &effective))
		order = TAKEN_CHANGED;
	free(issuer->effective.ptr);
	issuer->effective = effective;
	if (!delta)
		issuer->wants_complete = false;
	return order;
}

enum taken issuer_take_crl(struct issuer *issuer, struct bytes *der, bool delta, int64_t now_s, struct why *why)
{
	struct crl crl;
	enum taken taken;

	if (!crl_read(der, issuer->cert, delta, now_s, &crl, why))
		return TAKEN_NOT;
	taken = put(issuer, &crl, delta, why);
	crl_free(&crl);
	return taken;
}

int64_t issuer_good_until_s(const struct issuer *issuer)
{
	const struct crl *delta = delta_in_use(issuer);

	return delta != NULL ? delta->next_s : issuer->complete.next_s;
}

uint64_t issuer_number(const struct issuer *issuer)
{
	const struct crl *delta = delta_in_use(issuer);

	return delta != NULL ? delta->number : issuer->complete.number;
}

void issuer_done(struct issuer *issuer)
{
	X509_free(issuer->cert);
	crl_free(&issuer->complete);
	crl_free(&issuer->delta);
	free(issuer->effective.ptr);
}
