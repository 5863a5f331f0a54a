/* ocsp_responder.c - see ocsp.h: the responder's own certificate, and its key at work. */
#include <assert.h>
#include <stdio.h>

#include "issuer_own.h"
#include "ocsp.h"

static void write_nocheck(struct derw *w)
{
	const uint8_t *mark = derw_mark(w);

	derw_put(w, DER_NULL, (struct blob){ 0 });
	ext_wrap(w, OID_OCSP_NOCHECK, false, mark);
}

static void write_extensions(struct derw *w, const struct issuer *issuer, const struct pubkey *key)
{
	uint8_t key_id[KEY_ID_BYTES];

	tbs_key_id(key, key_id);
	write_nocheck(w);
	ext_aki(w, issuer->cert.ski);
	ext_ski(w, BLOB_OF(key_id));
	ext_eku(w, oid_of(OID_KP_OCSP_SIGNING), 1);
	ext_key_usage(w, KU_DIGITAL_SIGNATURE);
	ext_basic(w, false, -1);
}

enum reason ocsp_build_responder(const struct issuer *issuer, const struct pubkey *key, struct blob serial,
				 int64_t not_before_s, int64_t not_after_s, struct buf *ret_tbs, struct fault *f)
{
	uint8_t room[TBS_BYTES], name_room[LIMIT_NAME_BYTES];
	struct derw w = derw_over(room, sizeof(room)), name = derw_over(name_room, sizeof(name_room));
	struct name_attr cn = { .type = OID_AT_CN };

	snprintf(cn.value, sizeof(cn.value), "OCSP responder for %s", issuer->name);
	tbs_name(&name, &cn, 1);
	write_extensions(&w, issuer, key);
	tbs_certificate(&w,
			&(struct tbs_fields){ .serial = serial,
					      .algorithm = buf_blob(&issuer->algorithm),
					      .issuer = issuer->cert.subject,
					      .subject = derw_blob(&name),
					      .not_before_s = not_before_s,
					      .not_after_s = not_after_s,
					      .key = key },
			w.end);
	if (w.full || name.full)
		return fault_set(f, REASON_INTERNAL, "responder's certificate under %s cannot be written",
				 issuer->name);
	return buf_copy(derw_blob(&w), ret_tbs, f);
}

enum reason ocsp_sign(const struct hsm_key *key, unsigned slot, struct blob tbs, struct buf *ret_tail, struct fault *f)
{
	AUTO(buf_done) struct buf signature = { 0 };
	uint8_t room[LIMIT_SIGNATURE_BYTES + 64];
	struct derw w = derw_over(room, sizeof(room));

	TRY(signed_make(key, slot, tbs, &signature, f));
	tbs_tail(&w, hsm_key_alg(key), buf_blob(&signature));
	assert(!w.full);
	return buf_copy(derw_blob(&w), ret_tail, f);
}
