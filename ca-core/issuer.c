/* issuer.c - see issuer.h: opening an issuer, building TBS certificates, signing. */
#include "issuer_own.h"

#include <assert.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define BACKDATE_S ISSUER_BACKDATE_S /* devices without a good clock, and relying parties whose clock is a little behind */

void issuer_free(struct issuer *issuer)
{
	if (issuer == NULL)
		return;
	buf_done(&issuer->der);
	buf_done(&issuer->algorithm);
	buf_done(&issuer->fixed);
	buf_done(&issuer->fixed_quiet);
	buf_done(&issuer->crldp);
	buf_done(&issuer->freshest);
	free(issuer->crl_base_url);
	free(issuer);
}
AUTO_FREE(struct issuer, issuer_freep, issuer_free)

static void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}

static enum reason read_certificate(const char *path, struct buf *ret_der, struct fault *f)
{
	AUTO(bio_freep) BIO *file = BIO_new_file(path, "r");
	unsigned char *der = NULL;
	long len;
	enum reason reason;

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "%s: cannot be read", path);
	if (PEM_bytes_read_bio(&der, &len, NULL, PEM_STRING_X509, file, NULL, NULL) != 1)
		return fault_set(f, REASON_CONFIG, "%s: no PEM certificate in it", path);
	reason = buf_copy(BLOB(der, (size_t)len), ret_der, f);
	OPENSSL_free(der);
	return reason;
}

static enum reason check_ca(const struct issuer *issuer, const char *path, struct fault *f)
{
	const struct cert *cert = &issuer->cert;
	const unsigned needed = KU_KEY_CERT_SIGN | KU_CRL_SIGN;

	if (!cert->is_ca)
		return fault_set(f, REASON_CONFIG, "%s: not a CA certificate", path);
	if ((cert->key_usage & needed) != needed)
		return fault_set(f, REASON_CONFIG, "%s: keyUsage lacks keyCertSign or cRLSign", path);
	if (name_empty(cert->subject) || cert->ski.len == 0)
		return fault_set(f, REASON_CONFIG, "%s: subject or subjectKeyIdentifier is missing", path);
	if (issuer->alg == SIG_NONE)
		return fault_set(f, REASON_CONFIG, "%s: key is %s; allowed: ec-p256, ec-p384, rsa", path,
				 key_type_name(cert->key.type));
	return REASON_OK;
}

enum reason issuer_attach(struct issuer *issuer, const struct issuer_options *options, struct hsm *hsm, struct fault *f)
{
	const struct hsm_key *key;

	TRY(hsm_key(hsm, options->key_label, &key, f));
	if (!pubkey_equal(hsm_key_public(key), &issuer->cert.key))
		return fault_set(f, REASON_CONFIG, "issuer %s: key '%s' in the token is not the key of %s",
				 issuer->name, options->key_label, options->certificate);
	issuer->key = key;
	return REASON_OK;
}

void issuer_detach(struct issuer *issuer)
{
	issuer->key = NULL;
}

static enum reason encode_pointers(const struct issuer *issuer, const char *ca_issuers_url, const char *ocsp_url,
				   struct buf *out, struct fault *f)
{
	uint8_t room[ISSUER_FIXED_BYTES];
	struct derw w = derw_over(room, sizeof(room));

	if (ca_issuers_url != NULL || ocsp_url != NULL)
		ext_aia(&w, ca_issuers_url, ocsp_url);
	ext_aki(&w, issuer->cert.ski);
	if (w.full)
		return fault_set(f, REASON_CONFIG, "issuer %s: URLs longer than %d characters", issuer->name,
				 LIMIT_SAN_CHARS);
	return buf_copy(derw_blob(&w), out, f);
}

static enum reason encode_fixed(struct issuer *issuer, const struct issuer_options *options, struct fault *f)
{
	uint8_t room[ISSUER_FIXED_BYTES];
	struct derw w = derw_over(room, sizeof(room));

	tbs_algorithm(&w, issuer->alg);
	if (w.full)
		return fault_set(f, REASON_INTERNAL, "issuer %s: algorithm", issuer->name);
	TRY(buf_copy(derw_blob(&w), &issuer->algorithm, f));
	TRY(encode_pointers(issuer, options->ca_issuers_url, NULL, &issuer->fixed_quiet, f));
	return encode_pointers(issuer, options->ca_issuers_url, options->ocsp_url, &issuer->fixed, f);
}

/* What points to the lists: in certificates, and in the complete list itself. */
static enum reason encode_crl_urls(struct issuer *issuer, const struct issuer_options *options, struct fault *f)
{
	uint8_t room[ISSUER_FIXED_BYTES];
	struct derw w = derw_over(room, sizeof(room));
	char url[CRL_URL_BYTES];

	if (options->crl_url == NULL)
		return REASON_OK;
	ext_crldp(&w, options->crl_url);
	if (w.full)
		return fault_set(f, REASON_CONFIG, "issuer %s: URLs longer than %d characters", issuer->name,
				 LIMIT_SAN_CHARS);
	TRY(buf_copy(derw_blob(&w), &issuer->crldp, f));
	if (options->crl_base_url == NULL)
		return REASON_OK;
	if (strlen(options->crl_base_url) > LIMIT_SAN_CHARS)
		return fault_set(f, REASON_CONFIG, "issuer %s: URLs longer than %d characters", issuer->name,
				 LIMIT_SAN_CHARS);
	issuer->crl_base_url = strdup(options->crl_base_url);
	if (issuer->crl_base_url == NULL)
		return fault_set(f, REASON_NO_MEMORY, "issuer %s", issuer->name);
	issuer_delta_url(issuer, url);
	w = derw_over(room, sizeof(room));
	ext_freshest(&w, url);
	return buf_copy(derw_blob(&w), &issuer->freshest, f);
}

static enum reason take_options(struct issuer *issuer, const struct issuer_options *options, struct fault *f)
{
	size_t len = strlen(options->name);

	if (len == 0 || len > LIMIT_PROFILE_CHARS)
		return fault_set(f, REASON_CONFIG, "issuer name '%s': 1 to %d characters", options->name,
				 LIMIT_PROFILE_CHARS);
	if (options->hourly_max == 0)
		return fault_set(f, REASON_CONFIG, "issuer %s: hourly_max is 0; allowed: 1 or more", options->name);
	if (options->level_min > options->level_max)
		return fault_set(f, REASON_CONFIG, "issuer %s: level_min %s is above level_max %s", options->name,
				 level_name(options->level_min), level_name(options->level_max));
	if (options->crl_shards > CRL_SHARDS_MAX || (options->crl_shards & (options->crl_shards - 1)) != 0)
		return fault_set(f, REASON_CONFIG, "issuer %s: crl_shards %u; allowed: 0 or a power of two up to %d",
				 options->name, options->crl_shards, CRL_SHARDS_MAX);
	issuer->crl_shards = options->crl_shards;
	memcpy(issuer->name, options->name, len);
	issuer->level_min = options->level_min;
	issuer->level_max = options->level_max;
	issuer->validity_max_s = options->validity_max_s;
	issuer->hourly_max = options->hourly_max;
	return REASON_OK;
}

enum reason issuer_open(const struct issuer_options *options, struct hsm *hsm, struct issuer **ret_issuer,
			struct fault *f)
{
	AUTO(issuer_freep) struct issuer *issuer = calloc(1, sizeof(*issuer));

	if (issuer == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct issuer");
	TRY(take_options(issuer, options, f));
	TRY(read_certificate(options->certificate, &issuer->der, f));
	TRY(cert_parse(buf_blob(&issuer->der), &issuer->cert, f));
	issuer->alg = tbs_alg_of(&issuer->cert.key);
	TRY(check_ca(issuer, options->certificate, f));
	if (hsm != NULL)
		TRY(issuer_attach(issuer, options, hsm, f));
	TRY(encode_fixed(issuer, options, f));
	TRY(encode_crl_urls(issuer, options, f));
	*ret_issuer = TAKE(issuer);
	return REASON_OK;
}

const char *issuer_name(const struct issuer *issuer)
{
	return issuer->name;
}

struct blob issuer_der(const struct issuer *issuer)
{
	return buf_blob(&issuer->der);
}

const struct cert *issuer_cert(const struct issuer *issuer)
{
	return &issuer->cert;
}

/* The stamp: of this grant's evidence, or, for the same key renewed without any, the earlier certificate's. */
static void write_result(struct derw *w, const struct grant *grant, const struct copied_names *copied)
{
	uint8_t spki[LIMIT_SPKI_BYTES];
	struct oid format;

	if (!grant->stamp_result)
		return;
	if (grant->evidence_format[0] != '\0') {
		if (oid_by_name(grant->evidence_format, &format))
			ext_result(w, &format, grant->level, buf_blob(&grant->evidence));
		else
			w->full = true; /* issuer_check() refuses this */
	} else if (copied != NULL && copied->result.len > 0 &&
		   blob_equal(copied->spki, BLOB(spki, pubkey_spki(&grant->key, spki)))) {
		const uint8_t *mark = derw_mark(w);

		derw_raw(w, copied->result);
		ext_wrap(w, OID_ASSAY_RESULT, false, mark);
	}
}

static void write_san(struct derw *w, const struct grant *grant, const struct copied_names *copied)
{
	if (copied != NULL && copied->san.len > 0) {
		const uint8_t *mark = derw_mark(w);

		derw_raw(w, copied->san);
		ext_wrap(w, OID_CE_SAN, false, mark);
	} else if ((copied == NULL || copied->subject.len == 0) && grant->n_sans > 0) {
		ext_san(w, grant->san, grant->n_sans);
	}
}

static void write_revocation(struct derw *w, const struct issuer *issuer, const struct grant *grant, struct blob serial)
{
	char url[CRL_URL_BYTES];

	if (grant->crl == GRANT_CRL_NONE) {
		ext_no_rev_avail(w);
	} else if (grant->crl == GRANT_CRL_SHARD) {
		issuer_shard_url(issuer, crl_shard(serial, issuer->crl_shards), url); /* issuer_check(): it has them */
		ext_crldp(w, url);
	} else {
		derw_raw(w, buf_blob(&issuer->crldp));
	}
}

static void write_extensions(struct derw *w, const struct issuer *issuer, const struct grant *grant,
			     const struct copied_names *copied, struct blob serial)
{
	uint8_t key_id[KEY_ID_BYTES];

	tbs_key_id(&grant->key, key_id);
	write_result(w, grant, copied);
	write_revocation(w, issuer, grant, serial);
	/* RFC 9608 section 2: beside noRevAvail no OCSP responder is named */
	derw_raw(w, buf_blob(grant->crl == GRANT_CRL_NONE ? &issuer->fixed_quiet : &issuer->fixed));
	ext_ski(w, BLOB_OF(key_id));
	write_san(w, grant, copied);
	if (grant->n_ekus > 0)
		ext_eku(w, grant->eku, grant->n_ekus);
	ext_key_usage(w, grant->key_usage);
	ext_basic(w, false, -1);
}

static int64_t end_of_validity(const struct issuer *issuer, const struct grant *grant, int64_t now_s)
{
	int64_t end = TIME_NO_EXPIRY;

	if (grant->validity_s > 0 && __builtin_add_overflow(now_s, grant->validity_s, &end))
		end = TIME_NO_EXPIRY;
	return end < issuer->cert.not_after_s ? end : issuer->cert.not_after_s;
}

enum reason issuer_build(const struct issuer *issuer, const struct grant *grant, const struct copied_names *copied,
			 const uint8_t serial[SERIAL_BYTES], int64_t now_s, struct buf *ret_tbs,
			 int64_t *ret_not_before_s, int64_t *ret_not_after_s, struct fault *f)
{
	uint8_t room[TBS_BYTES], name_room[LIMIT_NAME_BYTES];
	struct derw w = derw_over(room, sizeof(room)), name = derw_over(name_room, sizeof(name_room));
	struct tbs_fields fields = {
		.serial = BLOB(serial, SERIAL_BYTES),
		.algorithm = buf_blob(&issuer->algorithm),
		.issuer = issuer->cert.subject,
		.not_before_s = now_s - BACKDATE_S,
		.not_after_s = end_of_validity(issuer, grant, now_s),
		.key = &grant->key,
	};

	if (copied != NULL && copied->subject.len > 0) {
		fields.subject = copied->subject;
	} else {
		tbs_name(&name, grant->subject, grant->n_subject);
		fields.subject = derw_blob(&name);
	}
	if (name.full || name_empty(fields.subject))
		return fault_set(f, REASON_GRANT_REFUSED, "subject is empty or longer than %d bytes", LIMIT_NAME_BYTES);
	write_extensions(&w, issuer, grant, copied, fields.serial);
	tbs_certificate(&w, &fields, w.end);
	if (w.full)
		return fault_set(f, REASON_GRANT_REFUSED, "certificate cannot be written in %d bytes", TBS_BYTES);
	TRY(buf_copy(derw_blob(&w), ret_tbs, f));
	*ret_not_before_s = fields.not_before_s;
	*ret_not_after_s = fields.not_after_s;
	return REASON_OK;
}

static enum reason claim_own(struct claims *claims, const struct pubkey *key, enum sig_alg alg, struct blob tbs,
			     struct blob signature, struct fault *f)
{
	claims->n = claims->n_keys = 0;
	return claims_add(claims,
			  (struct claim){ .key = key,
					  .alg = alg,
					  .form = SIG_FORM_DER,
					  .often = true,
					  .message = tbs,
					  .signature = signature,
					  .refusal = REASON_TOKEN_AWAY,
					  .what = "own signature" },
			  f);
}

/* A token that signs wrongly is worse than one that is away: nobody may see such a signature. */
static enum reason own_verdict(enum reason verdict, struct fault *f)
{
	return verdict == REASON_OK ? REASON_OK
				    : fault_set(f, REASON_TOKEN_AWAY, "the signature that was made does not verify");
}

enum reason signed_verify(const struct pubkey *key, enum sig_alg alg, struct blob tbs, struct blob signature,
			  struct fault *f)
{
	struct claims claims;
	struct claims *batch[] = { &claims };
	struct fault verdict = { 0 };

	TRY(claim_own(&claims, key, alg, tbs, signature, f));
	claims_check(batch, 1, &verdict);
	return own_verdict(verdict.reason, f);
}

bool issuer_signed(const struct issuer *issuer, const struct cert *cert)
{
	struct fault none;

	return blob_equal(cert->issuer, issuer->cert.subject) && cert->alg == issuer->alg &&
	       signed_verify(&issuer->cert.key, cert->alg, cert->tbs, cert->signature, &none) == REASON_OK;
}

enum reason issuer_make(const struct issuer *issuer, unsigned slot, struct blob tbs, struct buf *ret_made,
			struct fault *f)
{
	uint8_t signature[LIMIT_SIGNATURE_BYTES];
	size_t len;

	if (issuer->key == NULL)
		return fault_set(f, REASON_TOKEN_AWAY, "issuer %s: opened without a token", issuer->name);
	TRY(hsm_sign(issuer->key, slot, tbs, signature, &len, f));
	return buf_copy(BLOB(signature, len), ret_made, f);
}

static enum reason write_tail(const struct unproven *u, struct fault *f)
{
	uint8_t room[LIMIT_SIGNATURE_BYTES + 64];
	struct derw w = derw_over(room, sizeof(room));

	tbs_tail(&w, u->issuer->alg, u->made);
	if (w.full)
		return fault_set(f, REASON_INTERNAL, "signature of %zu bytes", u->made.len);
	return buf_copy(derw_blob(&w), u->ret_tail, f);
}

void issuer_prove(const struct unproven *batch, size_t n)
{
	struct claims claims[ISSUER_PROVE_MAX], *checked[ISSUER_PROVE_MAX] = { NULL };
	const struct unproven *of[ISSUER_PROVE_MAX];
	struct fault verdict[ISSUER_PROVE_MAX];
	size_t n_checked = 0;

	assert(n <= ISSUER_PROVE_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct unproven *u = &batch[i];

		of[n_checked] = u;
		checked[n_checked] = &claims[n_checked];
		if (claim_own(checked[n_checked], &u->issuer->cert.key, u->issuer->alg, u->tbs, u->made, u->verdict) ==
		    REASON_OK)
			n_checked++;
	}
	claims_check(checked, n_checked, verdict);
	for (size_t i = 0; i < n_checked; i++)
		if (own_verdict(verdict[i].reason, of[i]->verdict) == REASON_OK)
			of[i]->verdict->reason = write_tail(of[i], of[i]->verdict);
}

enum reason issuer_sign(const struct issuer *issuer, unsigned slot, struct blob tbs, struct buf *ret_tail,
			struct fault *f)
{
	AUTO(buf_done) struct buf made = { 0 };
	struct fault verdict = { 0 };

	TRY(issuer_make(issuer, slot, tbs, &made, f));
	issuer_prove(&(struct unproven){ issuer, tbs, buf_blob(&made), ret_tail, &verdict }, 1);
	return verdict.reason == REASON_OK ? REASON_OK : fault_set(f, verdict.reason, "%s", verdict.detail);
}

enum reason signed_make(const struct hsm_key *key, unsigned slot, struct blob message, struct buf *ret_signature,
			struct fault *f)
{
	uint8_t signature[LIMIT_SIGNATURE_BYTES];
	size_t len;

	TRY(hsm_sign(key, slot, message, signature, &len, f));
	TRY(signed_verify(hsm_key_public(key), hsm_key_alg(key), message, BLOB(signature, len), f));
	return buf_copy(BLOB(signature, len), ret_signature, f);
}

enum reason signed_assemble(struct blob tbs, struct blob tail, struct buf *ret_der, struct fault *f)
{
	AUTO(buf_done) struct buf room = { 0 };
	const size_t cap = tbs.len + tail.len + 8; /* tag and length */
	struct derw w;

	TRY(buf_reserve(&room, cap, f));
	w = derw_over(room.ptr, cap);
	derw_raw(&w, tail);
	derw_raw(&w, tbs);
	derw_wrap(&w, DER_SEQUENCE, w.end);
	assert(!w.full);
	return buf_copy(derw_blob(&w), ret_der, f);
}
