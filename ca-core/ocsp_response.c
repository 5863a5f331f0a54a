/* ocsp_response.c - see ocsp.h: answers, written backwards like everything else that is signed. */
#include <assert.h>
#include <time.h>

#include "ocsp.h"
#include "tbs.h"

#define SINGLE_BYTES 256 /* CertID with SHA-256 of 116, three times, reason, headers */
#define AROUND_BYTES 512 /* responder, time, nonce, headers */

/* GeneralizedTime always (RFC 6960 section 4.2.2.2.1), unlike certificates. */
static void write_time(struct derw *w, int64_t unix_s)
{
	time_t t = (time_t)unix_s;
	struct tm tm;
	char text[20];

	if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm) != 15)
		w->full = true;
	else
		derw_text(w, DER_GENERALIZED_TIME, text);
}

static void write_hash(struct derw *w, const struct ocsp_single *s)
{
	const uint8_t *mark = derw_mark(w);

	if (s->null_params)
		derw_put(w, DER_NULL, (struct blob){ 0 });
	derw_oid(w, oid_of(s->hash == OCSP_SHA1 ? OID_SHA1 : OID_SHA256));
	derw_wrap(w, DER_SEQUENCE, mark);
}

static void write_cert_id(struct derw *w, const struct ocsp_single *s)
{
	const uint8_t *mark = derw_mark(w);
	size_t len = ocsp_hash_len(s->hash);

	/* as the client wrote it: the octets of an INTEGER, which may be a negative one */
	derw_put(w, DER_INTEGER, BLOB(s->serial, s->serial_len));
	derw_put(w, DER_OCTET_STRING, BLOB(s->issuer->key[s->hash], len));
	derw_put(w, DER_OCTET_STRING, BLOB(s->issuer->name[s->hash], len));
	write_hash(w, s);
	derw_wrap(w, DER_SEQUENCE, mark);
}

/* good [0] IMPLICIT NULL, revoked [1] IMPLICIT RevokedInfo, unknown [2] IMPLICIT NULL */
static void write_status(struct derw *w, const struct ocsp_single *s)
{
	const uint8_t *mark = derw_mark(w);

	if (s->status != OCSP_REVOKED) {
		derw_put(w, s->status == OCSP_GOOD ? DER_CONTEXT(0) : DER_CONTEXT(2), (struct blob){ 0 });
		return;
	}
	if (s->reason != 0) {
		derw_uint(w, DER_ENUMERATED, s->reason);
		derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), mark);
	}
	write_time(w, s->revoked_s);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(1), mark);
}

static void write_single(struct derw *w, const struct ocsp_single *s)
{
	const uint8_t *mark = derw_mark(w);

	write_time(w, s->next_s);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), mark);
	write_time(w, s->this_s);
	write_status(w, s);
	write_cert_id(w, s);
	derw_wrap(w, DER_SEQUENCE, mark);
}

static void write_nonce(struct derw *w, struct blob nonce)
{
	const uint8_t *mark = derw_mark(w);

	derw_put(w, DER_OCTET_STRING, nonce);
	ext_wrap(w, OID_OCSP_NONCE, false, mark);
	derw_wrap(w, DER_SEQUENCE, mark);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(1), mark);
}

static bool can_say(const struct ocsp_single *s)
{
	return s->serial_len > 0 && s->serial_len <= LIMIT_SERIAL_BYTES && s->next_s > s->this_s &&
	       (s->status != OCSP_REVOKED || (s->reason <= 10 && s->reason != 7 && s->reason != 8));
}

enum reason ocsp_build(const struct pubkey *responder, const struct ocsp_single *single, size_t n, struct blob nonce,
		       int64_t produced_s, struct buf *ret_tbs, struct fault *f)
{
	uint8_t room[AROUND_BYTES + LIMIT_OCSP_IDS * SINGLE_BYTES], key_id[KEY_ID_BYTES];
	struct derw w = derw_over(room, sizeof(room));
	const uint8_t *mark;

	if (n == 0 || n > LIMIT_OCSP_IDS || nonce.len > LIMIT_OCSP_NONCE_BYTES)
		return fault_set(f, REASON_INTERNAL, "OCSP answer about %zu, nonce of %zu", n, nonce.len);
	for (size_t i = 0; i < n; i++)
		if (!can_say(&single[i]))
			return fault_set(f, REASON_INTERNAL, "OCSP answer %zu: status %d, reason %u, serial of %u", i,
					 (int)single[i].status, single[i].reason, single[i].serial_len);
	if (nonce.len > 0)
		write_nonce(&w, nonce);
	mark = derw_mark(&w);
	while (n-- > 0)
		write_single(&w, &single[n]);
	derw_wrap(&w, DER_SEQUENCE, mark);
	write_time(&w, produced_s);
	tbs_key_id(responder, key_id);
	mark = derw_mark(&w);
	derw_put(&w, DER_OCTET_STRING, BLOB_OF(key_id));
	derw_wrap(&w, DER_CONTEXT_CONSTRUCTED(2), mark); /* byKey */
	derw_wrap(&w, DER_SEQUENCE, w.end);
	if (w.full)
		return fault_set(f, REASON_INTERNAL, "OCSP answer does not fit %zu bytes", sizeof(room));
	return buf_copy(derw_blob(&w), ret_tbs, f);
}

enum reason ocsp_assemble(struct blob tbs, struct blob tail, struct blob certificate, struct buf *ret_der,
			  struct fault *f)
{
	AUTO(buf_done) struct buf room = { 0 };
	const size_t cap = tbs.len + tail.len + certificate.len + 64; /* headers, OID, status */
	struct derw w;

	TRY(buf_reserve(&room, cap, f));
	w = derw_over(room.ptr, cap);
	derw_raw(&w, certificate);
	derw_wrap(&w, DER_SEQUENCE, w.end);
	derw_wrap(&w, DER_CONTEXT_CONSTRUCTED(0), w.end);
	derw_raw(&w, tail);
	derw_raw(&w, tbs);
	derw_wrap(&w, DER_SEQUENCE, w.end); /* BasicOCSPResponse */
	derw_wrap(&w, DER_OCTET_STRING, w.end);
	derw_oid(&w, oid_of(OID_OCSP_BASIC));
	derw_wrap(&w, DER_SEQUENCE, w.end);
	derw_wrap(&w, DER_CONTEXT_CONSTRUCTED(0), w.end);
	derw_uint(&w, DER_ENUMERATED, 0); /* successful */
	derw_wrap(&w, DER_SEQUENCE, w.end);
	assert(!w.full);
	return buf_copy(derw_blob(&w), ret_der, f);
}

struct blob ocsp_error(enum ocsp_error error)
{
	static const uint8_t answers[][5] = {
		[OCSP_MALFORMED] = { 0x30, 3, 0x0a, 1, OCSP_MALFORMED },
		[OCSP_INTERNAL] = { 0x30, 3, 0x0a, 1, OCSP_INTERNAL },
		[OCSP_TRY_LATER] = { 0x30, 3, 0x0a, 1, OCSP_TRY_LATER },
		[OCSP_UNAUTHORIZED] = { 0x30, 3, 0x0a, 1, OCSP_UNAUTHORIZED },
	};

	return BLOB_OF(answers[error]);
}
