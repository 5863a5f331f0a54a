/*
 * crl.c - TBSCertList, as issuer.h promises it. Full CRLs only, without an issuing distribution point: one list says
 * everything about one issuer.
 */
#include "issuer_own.h"

#define ENTRY_BYTES 80                         /* serial of 20, GeneralizedTime, reason code, headers */
#define AROUND_BYTES (1024 + LIMIT_NAME_BYTES) /* everything else */

/* RFC 5280 section 5.3.1: 7 is not used, removeFromCRL (8) belongs to delta CRLs only. */
static bool reason_fits(uint8_t reason)
{
	return reason <= 10 && reason != 7 && reason != 8;
}

static void write_entry(struct derw *w, const struct revoked_entry *entry)
{
	const uint8_t *mark = derw_mark(w);

	if (entry->reason != 0) {
		derw_uint(w, DER_ENUMERATED, entry->reason);
		ext_wrap(w, OID_CE_CRL_REASON, false, mark);
		derw_wrap(w, DER_SEQUENCE, mark);
	}
	derw_time(w, entry->at_s);
	derw_uint_bytes(w, BLOB(entry->serial, entry->serial_len));
	derw_wrap(w, DER_SEQUENCE, mark);
}

static void write_extensions(struct derw *w, const struct issuer *issuer, uint64_t number)
{
	const uint8_t *mark = derw_mark(w), *value = mark;

	derw_uint(w, DER_INTEGER, number);
	ext_wrap(w, OID_CE_CRL_NUMBER, false, value);
	ext_aki(w, issuer->cert.ski);
	derw_wrap(w, DER_SEQUENCE, mark);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), mark);
}

static void write_list(struct derw *w, const struct revoked_entry *revoked, size_t n)
{
	const uint8_t *mark = derw_mark(w);

	if (n == 0)
		return; /* section 5.1.2.6: absent, not empty */
	while (n-- > 0)
		write_entry(w, &revoked[n]);
	derw_wrap(w, DER_SEQUENCE, mark);
}

enum reason issuer_build_crl(const struct issuer *issuer, uint64_t number, int64_t now_s, int64_t next_s,
			     const struct revoked_entry *revoked, size_t n, struct buf *ret_tbs, struct fault *f)
{
	AUTO(buf_done) struct buf room = { 0 };
	const size_t cap = AROUND_BYTES + n * ENTRY_BYTES;
	struct derw w;

	for (size_t i = 0; i < n; i++) {
		if (!reason_fits(revoked[i].reason) || revoked[i].serial_len == 0 ||
		    revoked[i].serial_len > LIMIT_SERIAL_BYTES)
			return fault_set(f, REASON_INTERNAL, "CRL entry %zu: reason %u, serial of %u bytes", i,
					 revoked[i].reason, revoked[i].serial_len);
	}
	if (next_s <= now_s)
		return fault_set(f, REASON_INTERNAL, "CRL of %s: nextUpdate is not after thisUpdate", issuer->name);
	TRY(buf_reserve(&room, cap, f));
	w = derw_over(room.ptr, cap);
	write_extensions(&w, issuer, number);
	write_list(&w, revoked, n);
	derw_time(&w, next_s);
	derw_time(&w, now_s);
	derw_raw(&w, issuer->cert.subject);
	derw_raw(&w, buf_blob(&issuer->algorithm));
	derw_uint(&w, DER_INTEGER, 1); /* v2 */
	derw_wrap(&w, DER_SEQUENCE, w.end);
	if (w.full)
		return fault_set(f, REASON_INTERNAL, "CRL of %s with %zu entries does not fit %zu bytes", issuer->name,
				 n, cap);
	return buf_copy(derw_blob(&w), ret_tbs, f);
}
