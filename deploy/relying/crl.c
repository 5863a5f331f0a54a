/* crl.c - see agent.h: one CRL, read by OpenSSL and verified (RFC 5280 section 5). */
#include "agent.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, REVOKED_SERIAL_BYTES);
}

static void sort(struct serials *s)
{
	size_t n = 0;

	if (s->n > 1)
		qsort(s->ptr, s->n, REVOKED_SERIAL_BYTES, compare);
	for (size_t i = 0; i < s->n; i++) {
		const uint8_t *at = s->ptr + i * REVOKED_SERIAL_BYTES;

		if (n > 0 && compare(at, at - REVOKED_SERIAL_BYTES) == 0)
			continue;
		memmove(s->ptr + n++ * REVOKED_SERIAL_BYTES, at, REVOKED_SERIAL_BYTES);
	}
	s->n = n;
}

bool serials_equal(const struct serials *a, const struct serials *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->ptr, b->ptr, a->n * REVOKED_SERIAL_BYTES) == 0);
}

bool crl_time(const ASN1_TIME *time, int64_t *ret_s)
{
	struct tm tm;

	if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1)
		return false;
	*ret_s = (int64_t)timegm(&tm);
	return true;
}

static bool number_of(const X509_CRL *crl, int nid, uint64_t *ret_number)
{
	ASN1_INTEGER *value = X509_CRL_get_ext_d2i(crl, nid, NULL, NULL);
	bool done = value != NULL && ASN1_INTEGER_get_uint64(ret_number, value) == 1;

	ASN1_INTEGER_free(value);
	return done;
}

/* What we do not know and must not ignore: an issuing distribution point makes a part look like the whole. */
static bool only_known_criticals(const X509_CRL *crl, bool delta)
{
	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
		X509_EXTENSION *ext = X509_CRL_get_ext(crl, i);

		if (X509_EXTENSION_get_critical(ext) &&
		    !(delta && OBJ_obj2nid(X509_EXTENSION_get_object(ext)) == NID_delta_crl))
			return false;
	}
	return X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1) < 0;
}

static bool check_form(const X509_CRL *crl, bool delta, struct crl *out, struct why *why)
{
	bool has_base = X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0;

	if (!number_of(crl, NID_crl_number, &out->number) || out->number == 0)
		return why_set(why, "it has no CRL number");
	if (has_base != delta)
		return why_set(why, "it is %s", delta ? "no delta" : "a delta, not a complete list");
	if (!only_known_criticals(crl, delta))
		return why_set(why, "it is not for every certificate of the issuer");
	if (delta && (!number_of(crl, NID_delta_crl, &out->base) || out->base == 0 || out->base >= out->number))
		return why_set(why, "its base is not before it");
	return true;
}

static bool check_time(const X509_CRL *crl, int64_t now_s, struct crl *out, struct why *why)
{
	if (!crl_time(X509_CRL_get0_lastUpdate(crl), &out->this_s) ||
	    !crl_time(X509_CRL_get0_nextUpdate(crl), &out->next_s))
		return why_set(why, "it has no thisUpdate or nextUpdate");
	if (now_s == 0)
		return true;
	if (out->this_s > now_s + CLOCK_SKEW_S)
		return why_set(why, "it begins %lld s from now: check this machine's clock",
			       (long long)(out->this_s - now_s));
	if (out->next_s <= now_s)
		return why_set(why, "its nextUpdate was %lld s ago", (long long)(now_s - out->next_s));
	return true;
}

static bool is_release(const X509_REVOKED *entry)
{
	ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
	bool release = reason != NULL && ASN1_ENUMERATED_get(reason) == CRL_REASON_REMOVE_FROM_CRL;

	ASN1_ENUMERATED_free(reason);
	return release;
}

/* A critical extension of an entry would be certificateIssuer: an entry of somebody else's certificate. */
static bool plain(const X509_REVOKED *entry)
{
	for (int i = 0; i < X509_REVOKED_get_ext_count(entry); i++)
		if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(entry, i)))
			return false;
	return true;
}

static bool take_entry(const X509_REVOKED *entry, bool delta, struct crl *out)
{
	const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(entry);
	struct serials *to = delta && is_release(entry) ? &out->released : &out->revoked;

	if (!plain(entry) || ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER ||
	    !revoked_serial(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial),
			    to->ptr + to->n * REVOKED_SERIAL_BYTES))
		return false;
	to->n++;
	return true;
}

static bool take_entries(X509_CRL *crl, bool delta, struct crl *out, struct why *why)
{
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);
	int n = entries == NULL ? 0 : sk_X509_REVOKED_num(entries);

	out->revoked.ptr = malloc(((size_t)n + 1) * REVOKED_SERIAL_BYTES);
	out->released.ptr = delta ? malloc(((size_t)n + 1) * REVOKED_SERIAL_BYTES) : NULL;
	if (out->revoked.ptr == NULL || (delta && out->released.ptr == NULL))
		return why_set(why, "no memory for %d entries", n);
	for (int i = 0; i < n; i++)
		if (!take_entry(sk_X509_REVOKED_value(entries, i), delta, out))
			return why_set(why, "entry %d is not understood", i);
	sort(&out->revoked);
	sort(&out->released);
	return true;
}

static bool check(X509_CRL *crl, X509 *issuer, bool delta, int64_t now_s, struct crl *out, struct why *why)
{
	if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) != 0)
		return why_set(why, "it is of another issuer");
	if (X509_CRL_verify(crl, X509_get0_pubkey(issuer)) != 1)
		return why_set(why, "its signature is not the issuer's");
	return check_form(crl, delta, out, why) && check_time(crl, now_s, out, why) &&
	       take_entries(crl, delta, out, why);
}

bool crl_read(struct bytes *der, X509 *issuer, bool delta, int64_t now_s, struct crl *ret_crl, struct why *why)
{
	const uint8_t *p = der->ptr;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der->len);
	struct crl out = { 0 };
	bool done;

	if (crl == NULL || p != der->ptr + der->len)
		done = why_set(why, "it is no CRL (%zu bytes)", der->len);
	else
		done = check(crl, issuer, delta, now_s, &out, why);
	X509_CRL_free(crl);
	if (!done) {
		crl_free(&out);
		return false;
	}
	out.der = *der;
	*der = (struct bytes){ 0 };
	*ret_crl = out;
	return true;
}

void crl_free(struct crl *crl)
{
	bytes_free(&crl->der);
	free(crl->revoked.ptr);
	free(crl->released.ptr);
	*crl = (struct crl){ 0 };
}

bool serials_have(const struct serials *s, const uint8_t *serial)
{
	return s->n > 0 && bsearch(serial, s->ptr, s->n, REVOKED_SERIAL_BYTES, compare) != NULL;
}

static const uint8_t *at(const struct serials *s, size_t i)
{
	return i < s->n ? s->ptr + i * REVOKED_SERIAL_BYTES : NULL;
}

/* Two ascending runs into one. */
bool crl_merge(const struct crl *complete, const struct crl *delta, struct serials *ret_serials)
{
	static const struct serials none;
	const struct serials *a = &complete->revoked, *b = delta != NULL ? &delta->revoked : &none;
	struct serials out = { .ptr = malloc((a->n + b->n + 1) * REVOKED_SERIAL_BYTES) };
	size_t i = 0, k = 0;

	if (out.ptr == NULL)
		return false;
	while (i < a->n || k < b->n) {
		int order = i == a->n ? 1 : k == b->n ? -1 : compare(at(a, i), at(b, k));
		const uint8_t *next = order <= 0 ? at(a, i) : at(b, k);

		if (delta == NULL || !serials_have(&delta->released, next))
			memcpy(out.ptr + out.n++ * REVOKED_SERIAL_BYTES, next, REVOKED_SERIAL_BYTES);
		i += order <= 0;
		k += order >= 0;
	}
	*ret_serials = out;
	return true;
}
