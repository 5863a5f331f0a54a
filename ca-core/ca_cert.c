/* ca_cert.c - see ca_cert.h. */
#include "ca_cert.h"

#include <arpa/inet.h>
#include <openssl/x509.h>
#include <string.h>

#include "issuer_own.h"

enum reason ca_cert_public(EVP_PKEY *key, struct pubkey *ret_public, struct fault *f)
{
	uint8_t *spki = NULL;
	int len = i2d_PUBKEY(key, &spki);
	enum reason reason = len > 0 ? pubkey_parse(BLOB(spki, (size_t)len), ret_public, f)
				     : fault_set(f, REASON_NO_MEMORY, "public key");

	OPENSSL_free(spki);
	return reason;
}

static enum reason signer_public(const struct ca_signer *signer, struct pubkey *ret_public, struct fault *f)
{
	if (signer->token == NULL)
		return ca_cert_public(signer->memory, ret_public, f);
	*ret_public = *hsm_key_public(signer->token);
	return REASON_OK;
}

/* iPAddress [7]: 4 or 16 octets, RFC 5280 section 4.2.1.6; 0 if the text is no address. */
static size_t read_ip(const char *text, struct in6_addr *out)
{
	if (inet_pton(AF_INET, text, out) == 1)
		return 4;
	return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

bool ca_cert_san_fits(const char *san)
{
	struct in6_addr address;

	if (strncmp(san, "dns:", 4) == 0) {
		size_t len = strlen(san + 4);

		return len > 0 &&
		       strspn(san + 4, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == len;
	}
	return strncmp(san, "ip:", 3) == 0 && read_ip(san + 3, &address) > 0;
}

static enum reason write_sans(struct derw *w, const struct ca_cert_ask *ask, struct fault *f)
{
	const uint8_t *mark = derw_mark(w);
	struct in6_addr address;

	for (size_t i = ask->n_sans; i-- > 0;) {
		const char *san = ask->san[i];

		if (!ca_cert_san_fits(san))
			return fault_set(f, REASON_CONFIG, "subjectAltName '%s': allowed: dns:NAME, ip:ADDRESS", san);
		if (san[0] == 'd')
			derw_text(w, DER_CONTEXT(2), san + 4);
		else
			derw_put(w, DER_CONTEXT(7), BLOB(&address, read_ip(san + 3, &address)));
	}
	if (ask->n_sans > 0) {
		derw_wrap(w, DER_SEQUENCE, mark);
		ext_wrap(w, OID_CE_SAN, false, mark);
	}
	return REASON_OK;
}

static enum reason write_extensions(struct derw *w, const struct ca_cert_ask *ask, const struct pubkey *signer,
				    struct fault *f)
{
	uint8_t own_id[KEY_ID_BYTES], signer_id[KEY_ID_BYTES];

	tbs_key_id(ask->key, own_id);
	tbs_key_id(signer, signer_id);
	ext_aki(w, BLOB_OF(signer_id));
	ext_ski(w, BLOB_OF(own_id));
	TRY(write_sans(w, ask, f));
	if (ask->n_ekus > 0)
		ext_eku(w, ask->eku, ask->n_ekus);
	ext_key_usage(w, ask->key_usage);
	ext_basic(w, ask->ca, ask->path_len);
	return REASON_OK;
}

static enum reason build(const struct ca_cert_ask *ask, const struct pubkey *signer, struct blob issuer_name,
			 struct buf *ret_tbs, struct fault *f)
{
	uint8_t room[TBS_BYTES], name_room[LIMIT_NAME_BYTES], algorithm_room[32], serial[SERIAL_BYTES];
	struct derw w = derw_over(room, sizeof(room)), name = derw_over(name_room, sizeof(name_room));
	struct derw algorithm = derw_over(algorithm_room, sizeof(algorithm_room));

	if (ask->n_subject == 0 || (ask->ca && ask->n_ekus > 0) || ask->key_usage == 0)
		return fault_set(f, REASON_CONFIG, "certificate without subject or keyUsage, or a CA with extKeyUsage");
	tbs_name(&name, ask->subject, ask->n_subject);
	tbs_algorithm(&algorithm, tbs_alg_of(signer));
	TRY(write_extensions(&w, ask, signer, f));
	TRY(serial_new(ask->not_before_s * 1000000, serial, f));
	tbs_certificate(&w,
			&(struct tbs_fields){ .serial = BLOB_OF(serial),
					      .algorithm = derw_blob(&algorithm),
					      .issuer = issuer_name.len > 0 ? issuer_name : derw_blob(&name),
					      .subject = derw_blob(&name),
					      .not_before_s = ask->not_before_s,
					      .not_after_s = ask->not_after_s,
					      .key = ask->key },
			w.end);
	if (w.full || name.full || algorithm.full)
		return fault_set(f, REASON_CONFIG, "certificate cannot be written in %d bytes", TBS_BYTES);
	return buf_copy(derw_blob(&w), ret_tbs, f);
}

static enum reason sign_in_memory(EVP_PKEY *key, enum sig_alg alg, struct blob tbs,
				  uint8_t signature[LIMIT_SIGNATURE_BYTES], size_t *ret_len, struct fault *f)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = alg == SIG_ECDSA_SHA384 ? EVP_sha384() : EVP_sha256();
	size_t len = LIMIT_SIGNATURE_BYTES;
	bool made = ctx != NULL && EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 &&
		    EVP_DigestSign(ctx, signature, &len, tbs.ptr, tbs.len) == 1;

	EVP_MD_CTX_free(ctx);
	if (!made)
		return fault_set(f, REASON_INTERNAL, "signature of a key in memory");
	*ret_len = len;
	return REASON_OK;
}

enum reason ca_cert_issue(const struct ca_signer *signer, const struct ca_cert_ask *ask, struct buf *ret_der,
			  struct fault *f)
{
	AUTO(buf_done) struct buf tbs = { 0 };
	uint8_t signature[LIMIT_SIGNATURE_BYTES], room[LIMIT_SIGNATURE_BYTES + 64];
	struct derw tail = derw_over(room, sizeof(room));
	struct pubkey public;
	enum sig_alg alg;
	size_t len;

	TRY(signer_public(signer, &public, f));
	alg = tbs_alg_of(&public);
	TRY(build(ask, &public, signer->name, &tbs, f));
	if (signer->token != NULL)
		TRY(hsm_sign(signer->token, 0, buf_blob(&tbs), signature, &len, f));
	else
		TRY(sign_in_memory(signer->memory, alg, buf_blob(&tbs), signature, &len, f));
	TRY(signed_verify(&public, alg, buf_blob(&tbs), BLOB(signature, len), f));
	tbs_tail(&tail, alg, BLOB(signature, len));
	return signed_assemble(buf_blob(&tbs), derw_blob(&tail), ret_der, f);
}
