/*
 * crl.c - TBSCertList, as issuer.h promises it: complete lists, deltas and shards, and what they are called.
 */
#include "issuer_own.h"

#include <stdio.h>
#include <string.h>

#define ENTRY_BYTES 80                                         /* serial of 20, GeneralizedTime, reason code, headers */
#define AROUND_BYTES (1024 + LIMIT_NAME_BYTES + CRL_URL_BYTES) /* everything else */
#define REMOVE_FROM_CRL 8

unsigned crl_shard(struct blob serial, unsigned shards)
{
	return serial.ptr[serial.len - 1] & (shards - 1);
}

void crl_name(const char *issuer, const struct crl_scope *scope, char out[CRL_NAME_CHARS + 1])
{
	if (scope->kind == CRL_SHARD)
		snprintf(out, CRL_NAME_CHARS + 1, "%s/%u", issuer, scope->shard % CRL_SHARDS_MAX);
	else
		snprintf(out, CRL_NAME_CHARS + 1, "%s%s", issuer, scope->kind == CRL_DELTA ? "-delta" : "");
}

bool crl_name_parse(const char *name, const char *issuer, unsigned shards, struct crl_scope *ret_scope)
{
	char one[CRL_NAME_CHARS + 1];

	for (unsigned i = 0; i < shards + 2; i++) {
		struct crl_scope scope = { .kind = i == 0 ? CRL_COMPLETE : i == 1 ? CRL_DELTA : CRL_SHARD };

		scope.shard = i < 2 ? 0 : i - 2;
		crl_name(issuer, &scope, one);
		if (strcmp(one, name) == 0) {
			*ret_scope = scope;
			return true;
		}
	}
	return false;
}

void issuer_shard_url(const struct issuer *issuer, unsigned shard, char out[CRL_URL_BYTES])
{
	snprintf(out, CRL_URL_BYTES, "%s/%u.crl", issuer->crl_base_url, shard % CRL_SHARDS_MAX);
}

void issuer_delta_url(const struct issuer *issuer, char out[CRL_URL_BYTES])
{
	snprintf(out, CRL_URL_BYTES, "%s-delta.crl", issuer->crl_base_url);
}

/* RFC 5280 section 5.3.1: 7 is not used, removeFromCRL belongs to delta CRLs only. */
static bool reason_fits(enum crl_kind kind, uint8_t reason)
{
	return reason <= 10 && reason != 7 && (reason != REMOVE_FROM_CRL || kind == CRL_DELTA);
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

/* What makes the list another than complete, and critical: who does not know it must not take the list for complete. */
static void write_scope(struct derw *w, const struct issuer *issuer, const struct crl_scope *scope)
{
	const uint8_t *mark = derw_mark(w);
	char url[CRL_URL_BYTES];

	if (scope->kind == CRL_DELTA) {
		derw_uint(w, DER_INTEGER, scope->base);
		ext_wrap(w, OID_CE_DELTA_CRL, true, mark);
	} else if (scope->kind == CRL_SHARD) {
		issuer_shard_url(issuer, scope->shard, url);
		ext_idp(w, url);
	} else {
		derw_raw(w, buf_blob(&issuer->freshest));
	}
}

static void write_extensions(struct derw *w, const struct issuer *issuer, const struct crl_scope *scope,
			     uint64_t number)
{
	const uint8_t *mark = derw_mark(w), *value;

	write_scope(w, issuer, scope);
	value = derw_mark(w);
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

static bool entry_fits(const struct issuer *issuer, const struct crl_scope *scope, const struct revoked_entry *entry)
{
	if (!reason_fits(scope->kind, entry->reason) || entry->serial_len == 0 ||
	    entry->serial_len > LIMIT_SERIAL_BYTES)
		return false;
	return scope->kind != CRL_SHARD ||
	       crl_shard(BLOB(entry->serial, entry->serial_len), issuer->crl_shards) == scope->shard;
}

static enum reason check_crl(const struct issuer *issuer, const struct crl_scope *scope, uint64_t number,
			     const struct revoked_entry *revoked, size_t n, struct fault *f)
{
	if (scope->kind == CRL_SHARD && (issuer->crl_base_url == NULL || scope->shard >= issuer->crl_shards))
		return fault_set(f, REASON_INTERNAL, "CRL of %s: shard %u of %u", issuer->name, scope->shard,
				 issuer->crl_shards);
	if (scope->kind == CRL_DELTA && (scope->base == 0 || scope->base >= number))
		return fault_set(f, REASON_INTERNAL, "delta CRL %llu of %s has no base before it",
				 (unsigned long long)number, issuer->name);
	for (size_t i = 0; i < n; i++)
		if (!entry_fits(issuer, scope, &revoked[i]))
			return fault_set(f, REASON_INTERNAL, "CRL entry %zu: reason %u, serial of %u bytes", i,
					 revoked[i].reason, revoked[i].serial_len);
	return REASON_OK;
}

enum reason issuer_build_crl(const struct issuer *issuer, const struct crl_scope *scope, uint64_t number, int64_t now_s,
			     int64_t next_s, const struct revoked_entry *revoked, size_t n, struct buf *ret_tbs,
			     struct fault *f)
{
	AUTO(buf_done) struct buf room = { 0 };
	const size_t cap = AROUND_BYTES + n * ENTRY_BYTES;
	struct derw w;

	TRY(check_crl(issuer, scope, number, revoked, n, f));
	if (next_s <= now_s)
		return fault_set(f, REASON_INTERNAL, "CRL of %s: nextUpdate is not after thisUpdate", issuer->name);
	TRY(buf_reserve(&room, cap, f));
	w = derw_over(room.ptr, cap);
	write_extensions(&w, issuer, scope, number);
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
