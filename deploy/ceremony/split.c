/* split.c - the ceremony in parts, for a root whose key never meets the server; see ceremony.h. */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ceremony.h"
#include "home.h"
#include "steps.h"

#define REQUESTED_FILE "requested.json" /* in the server's home: its token is filled, the certificates are awaited */
#define TEXT_MAX (256 * 1024)

static void file_close(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

static void req_freep(X509_REQ **req)
{
	X509_REQ_free(*req);
}

static void x509_freep(X509 **x)
{
	X509_free(*x);
}

static enum reason open_file(const char *folder, const char *name, const char *end, FILE **ret_file,
			     char path[HOME_PATH_BYTES], struct fault *f)
{
	char file[LIMIT_PROFILE_CHARS + 32];

	snprintf(file, sizeof(file), "%s%s", name, end);
	TRY(home_path(folder, file, path, f));
	*ret_file = fopen(path, "re");
	return *ret_file != NULL ? REASON_OK : fault_set(f, REASON_CONFIG, "%s: %m", path);
}

static struct ceremony begin(const struct spec *spec, const struct spec_token *token, size_t first, size_t end,
			     const char *home, const char *module)
{
	return (struct ceremony){
		.spec = spec,
		.token = token,
		.first = first,
		.end = end,
		.home = home,
		.module = module != NULL ? module : token->module,
		.now_s = clock_wall_s(),
	};
}

static enum reason check_split(const struct spec *spec, struct fault *f)
{
	if (spec->root_token.module == NULL)
		return fault_set(
			f, REASON_CONFIG,
			"the spec has no root_token: where is the root's key to be? (see deploy/ceremony/spec.h)");
	return REASON_OK;
}

/* For people who compare two machines: the key's hash, in groups that can be read aloud. */
static void show_key(const char *name, const struct pubkey *key)
{
	uint8_t hash[32];

	pubkey_hash(key, hash);
	printf("key of %s, SHA-256:\n   ", name);
	for (size_t i = 0; i < sizeof(hash); i++)
		printf("%s%02x", i == 16 ? "\n    " : i % 2 == 0 ? " " : "", hash[i]);
	printf("\n");
}

/*
 * request
 */

static enum reason sign_request(X509_REQ *req, const struct hsm_key *key, struct fault *f)
{
	uint8_t sig[LIMIT_SIGNATURE_BYTES];
	unsigned char *tbs = NULL;
	X509_ALGOR *alg = X509_ALGOR_new();
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	const bool rsa = hsm_key_public(key)->type == KEY_RSA;
	const int nid = rsa                                        ? NID_sha256WithRSAEncryption
			: hsm_key_public(key)->type == KEY_EC_P384 ? NID_ecdsa_with_SHA384
								   : NID_ecdsa_with_SHA256;
	enum reason reason = REASON_NO_MEMORY;
	size_t len = 0;
	int n;

	/* the algorithm is no part of what is signed in a PKCS#10 request (RFC 2986 section 4.2) */
	if (alg != NULL && bits != NULL && (n = i2d_re_X509_REQ_tbs(req, &tbs)) > 0 &&
	    X509_ALGOR_set0(alg, OBJ_nid2obj(nid), rsa ? V_ASN1_NULL : V_ASN1_UNDEF, NULL) == 1)
		reason = hsm_sign(key, 0, BLOB(tbs, (size_t)n), sig, &len, f);
	if (reason == REASON_OK && ASN1_BIT_STRING_set(bits, sig, (int)len) == 1 &&
	    X509_REQ_set1_signature_algo(req, alg) == 1) {
		bits->flags = (bits->flags & ~(ASN1_STRING_FLAG_BITS_LEFT | 7L)) | ASN1_STRING_FLAG_BITS_LEFT;
		X509_REQ_set0_signature(req, bits);
		bits = NULL;
	}
	ASN1_BIT_STRING_free(bits);
	X509_ALGOR_free(alg);
	OPENSSL_free(tbs);
	return reason;
}

static enum reason make_request(const struct ceremony *c, size_t i, const char *out, struct fault *f)
{
	AUTO(req_freep) X509_REQ *req = X509_REQ_new();
	AUTO(evp_pkey_freep) EVP_PKEY *key = pubkey_evp(hsm_key_public(c->ca[i].key));
	X509_NAME *name = X509_REQ_get_subject_name(req);
	const char *text[] = { c->spec->organization, c->spec->ca[i].cn };
	const int nid[] = { NID_organizationName, NID_commonName };
	char file[LIMIT_PROFILE_CHARS + 16];
	BIO *pem;
	char *bytes;
	long n;
	enum reason reason;

	for (size_t k = 0; k < 2; k++) {
		if (X509_NAME_add_entry_by_NID(name, nid[k], V_ASN1_UTF8STRING, (const unsigned char *)text[k], -1, -1,
					       0) != 1)
			return fault_set(f, REASON_NO_MEMORY, "request of %s", c->spec->ca[i].name);
	}
	if (key == NULL || X509_REQ_set_pubkey(req, key) != 1)
		return fault_set(f, REASON_NO_MEMORY, "request of %s", c->spec->ca[i].name);
	TRY(sign_request(req, c->ca[i].key, f));
	if (X509_REQ_verify(req, key) != 1)
		return fault_set(f, REASON_INTERNAL, "the token's signature in the request of %s does not verify",
				 c->spec->ca[i].name);
	pem = BIO_new(BIO_s_mem());
	if (pem == NULL || PEM_write_bio_X509_REQ(pem, req) != 1 || (n = BIO_get_mem_data(pem, &bytes)) <= 0) {
		BIO_free(pem);
		return fault_set(f, REASON_NO_MEMORY, "PEM");
	}
	snprintf(file, sizeof(file), "%s.csr", c->spec->ca[i].name);
	reason = home_write_public(out, file, BLOB(bytes, (size_t)n), f);
	BIO_free(pem);
	printf("request %s/%s: CA %s\n", out, file, c->spec->ca[i].cn);
	show_key(c->spec->ca[i].name, hsm_key_public(c->ca[i].key));
	return reason;
}

enum reason ceremony_request(const struct spec *spec, const char *home, const char *module, const char *out,
			     struct fault *f)
{
	AUTO(ceremony_done) struct ceremony c = begin(spec, &spec->token, 1, spec->n_cas, home, module);

	TRY(check_split(spec, f));
	if (home_has(home, TRANSCRIPT_FILE))
		return fault_set(f, REASON_CONFIG, "%s/%s is there: the ceremony has been held", home, TRANSCRIPT_FILE);
	TRY(ceremony_check_blank(&c, f));
	TRY(transcript_new(spec, &c.transcript, f));
	if (!home_has(home, REQUESTED_FILE)) {
		TRY(ceremony_fill_token(&c, f));
		TRY(ceremony_open_keys(&c, f));
		TRY(transcript_write(c.transcript, home, REQUESTED_FILE, f));
	} else {
		printf("the keys are there since an earlier request; the same again\n");
		TRY(ceremony_open_keys(&c, f));
	}
	for (size_t i = 1; i < spec->n_cas; i++)
		TRY(make_request(&c, i, out, f));
	return REASON_OK;
}

/*
 * certify
 */

static enum reason read_request(const char *folder, const char *name, struct pubkey *ret_key, struct fault *f)
{
	AUTO(file_close) FILE *file = NULL;
	AUTO(req_freep) X509_REQ *req = NULL;
	char path[HOME_PATH_BYTES];
	unsigned char *spki = NULL;
	enum reason reason;
	int n;

	TRY(open_file(folder, name, ".csr", &file, path, f));
	req = PEM_read_X509_REQ(file, NULL, NULL, NULL);
	if (req == NULL)
		return fault_set(f, REASON_CONFIG, "%s: no PKCS#10 request in PEM", path);
	if (X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) != 1)
		return fault_set(f, REASON_CSR_SIGNATURE, "%s: its signature is not by its key", path);
	n = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &spki);
	reason = n > 0 ? pubkey_parse(BLOB(spki, (size_t)n), ret_key, f)
		       : fault_set(f, REASON_NO_MEMORY, "key of %s", path);
	OPENSSL_free(spki);
	return reason;
}

/* What the spec says it is to be: a request for another type of key is somebody else's. */
static enum reason check_type(const struct spec_ca *ca, const struct pubkey *key, struct fault *f)
{
	if (key->type != ca->type || (key->type == KEY_RSA && key->bits != ca->rsa_bits))
		return fault_set(f, REASON_CONFIG, "the request of %s is for %s of %u bits; the spec says %s", ca->name,
				 key_type_name(key->type), key->bits, key_type_name(ca->type));
	return REASON_OK;
}

static enum reason read_cert(const char *folder, const char *name, struct buf *ret_der, struct fault *f)
{
	AUTO(file_close) FILE *file = NULL;
	AUTO(x509_freep) X509 *x = NULL;
	char path[HOME_PATH_BYTES];
	unsigned char *der = NULL;
	enum reason reason;
	int n;

	TRY(open_file(folder, name, ".pem", &file, path, f));
	x = PEM_read_X509(file, NULL, NULL, NULL);
	if (x == NULL || (n = i2d_X509(x, &der)) <= 0)
		return fault_set(f, REASON_CONFIG, "%s: no certificate in PEM", path);
	reason = buf_copy(BLOB(der, (size_t)n), ret_der, f);
	OPENSSL_free(der);
	return reason;
}

/* The root: made at the first time, found later. */
static enum reason open_root(struct ceremony *c, struct fault *f)
{
	char folder[HOME_PATH_BYTES], file[LIMIT_PROFILE_CHARS + 16];

	ceremony_ca_file(&c->spec->ca[0], file, sizeof(file));
	if (!home_has(c->home, file)) {
		TRY(ceremony_fill_token(c, f));
		TRY(ceremony_open_keys(c, f));
		return ceremony_make_ca(c, 0, hsm_key_public(c->ca[0].key), f);
	}
	TRY(ceremony_open_keys(c, f));
	TRY(home_path(c->home, "ca", folder, f));
	TRY(read_cert(folder, c->spec->ca[0].name, &c->ca[0].der, f));
	TRY(cert_parse(buf_blob(&c->ca[0].der), &c->ca[0].cert, f));
	if (!pubkey_equal(&c->ca[0].cert.key, hsm_key_public(c->ca[0].key)))
		return fault_set(f, REASON_CONFIG, "%s/%s is not the certificate of the root's key in token '%s'",
				 c->home, file, c->token->label);
	return transcript_cert(c->transcript, file, buf_blob(&c->ca[0].der), f);
}

/* A root certifies again in later years: each time has a transcript of its own. */
static enum reason free_transcript(const char *home, char name[64], struct fault *f)
{
	snprintf(name, 64, "%s", TRANSCRIPT_FILE);
	for (unsigned k = 2; home_has(home, name); k++) {
		if (k > 999)
			return fault_set(f, REASON_CONFIG, "%s: no name is left for a transcript", home);
		snprintf(name, 64, "ceremony-%u.json", k);
	}
	return REASON_OK;
}

enum reason ceremony_certify(const struct spec *spec, const char *home, const char *module, const char *requests,
			     const char *out, struct fault *f)
{
	AUTO(ceremony_done) struct ceremony c = begin(spec, &spec->root_token, 0, 1, home, module);
	struct pubkey key[1 + SPEC_ISSUERS_MAX];
	char name[64], file[LIMIT_PROFILE_CHARS + 16];

	TRY(check_split(spec, f));
	for (size_t i = 1; i < spec->n_cas; i++) {
		TRY(read_request(requests, spec->ca[i].name, &key[i], f));
		TRY(check_type(&spec->ca[i], &key[i], f));
	}
	TRY(transcript_new(spec, &c.transcript, f));
	TRY(free_transcript(home, name, f));
	TRY(open_root(&c, f));
	show_key(spec->ca[0].name, hsm_key_public(c.ca[0].key));
	TRY(home_write_certs(out, "root.pem", &(struct blob){ c.ca[0].der.ptr, c.ca[0].der.len }, 1, f));
	for (size_t i = 1; i < spec->n_cas; i++) {
		TRY(ceremony_make_ca(&c, i, &key[i], f));
		show_key(spec->ca[i].name, &key[i]);
		snprintf(file, sizeof(file), "%s.pem", spec->ca[i].name);
		TRY(home_write_certs(out, file, &(struct blob){ c.ca[i].der.ptr, c.ca[i].der.len }, 1, f));
	}
	TRY(transcript_write(c.transcript, home, name, f));
	TRY(transcript_write(c.transcript, out, TRANSCRIPT_FILE, f));
	printf("transcript %s/%s; take %s back to the server\n", home, name, out);
	return REASON_OK;
}

/*
 * accept
 */

static bool signed_by(const struct ca *ca, const struct ca *root)
{
	const unsigned char *p = ca->der.ptr;
	AUTO(x509_freep) X509 *x = d2i_X509(NULL, &p, (long)ca->der.len);
	AUTO(evp_pkey_freep) EVP_PKEY *key = pubkey_evp(&root->cert.key);

	return x != NULL && key != NULL && X509_verify(x, key) == 1;
}

static enum reason check_certified(const struct ceremony *c, size_t i, struct fault *f)
{
	const struct ca *ca = &c->ca[i], *root = &c->ca[0];
	const char *name = c->spec->ca[i].name;

	if (i > 0 && !pubkey_equal(&ca->cert.key, hsm_key_public(ca->key)))
		return fault_set(f, REASON_CONFIG,
				 "%s.pem is for another key than the token's; was it made from an older request?",
				 name);
	if (!ca->cert.is_ca || ca->cert.path_len != (i == 0 ? 1 : 0) || ca->cert.n_ekus > 0 ||
	    ca->cert.key_usage != (KU_KEY_CERT_SIGN | KU_CRL_SIGN))
		return fault_set(f, REASON_CONFIG,
				 "%s.pem: a CA certificate is wanted with path length %d, keyCertSign and cRLSign "
				 "alone, no extended key usage",
				 name, i == 0 ? 1 : 0);
	if (!blob_equal(ca->cert.issuer, root->cert.subject) || !signed_by(ca, root))
		return fault_set(f, REASON_CONFIG, "%s.pem is not signed by the root in root.pem", name);
	return REASON_OK;
}

static enum reason take_certificates(struct ceremony *c, const char *folder, struct fault *f)
{
	for (size_t i = 0; i < c->spec->n_cas; i++) {
		TRY(read_cert(folder, i == 0 ? "root" : c->spec->ca[i].name, &c->ca[i].der, f));
		TRY(cert_parse(buf_blob(&c->ca[i].der), &c->ca[i].cert, f));
		TRY(check_certified(c, i, f));
	}
	for (size_t i = 0; i < c->spec->n_cas; i++) {
		TRY(ceremony_keep_ca(c, i, f));
		show_key(c->spec->ca[i].name, &c->ca[i].cert.key);
	}
	return REASON_OK;
}

static enum reason take_transcript(struct ceremony *c, const char *folder, struct fault *f)
{
	AUTO(file_close) FILE *file = NULL;
	char path[HOME_PATH_BYTES], *text;
	enum reason reason = REASON_OK;
	size_t n;

	if (!home_has(folder, TRANSCRIPT_FILE)) {
		printf("no %s in %s: the root is of another making, and its ceremony is not on record here\n",
		       TRANSCRIPT_FILE, folder);
		return REASON_OK;
	}
	TRY(open_file(folder, TRANSCRIPT_FILE, "", &file, path, f));
	text = calloc(1, TEXT_MAX);
	if (text == NULL)
		return fault_set(f, REASON_NO_MEMORY, "transcript");
	n = fread(text, 1, TEXT_MAX - 1, file);
	reason = n < TEXT_MAX - 1 ? transcript_root(c->transcript, text, f)
				  : fault_set(f, REASON_CONFIG, "%s: longer than %d bytes", path, TEXT_MAX - 2);
	free(text);
	return reason;
}

static enum reason note_token(const struct ceremony *c, struct fault *f)
{
	AUTO(token_closep) struct token *token = NULL;
	struct token_info info;
	bool found;

	TRY(token_open(c->module, &token, f));
	TRY(token_find(token, c->token->label, &found, f));
	if (!found)
		return fault_set(f, REASON_CONFIG, "token '%s' is not there", c->token->label);
	TRY(token_describe(token, &info, f));
	return transcript_token(c->transcript, &info, f);
}

enum reason ceremony_accept(const struct spec *spec, const char *home, const char *module, const char *certified,
			    struct fault *f)
{
	AUTO(ceremony_done) struct ceremony c = begin(spec, &spec->token, 1, spec->n_cas, home, module);

	TRY(check_split(spec, f));
	if (home_has(home, TRANSCRIPT_FILE)) {
		printf("%s/%s is there: the ceremony has been held, nothing to do\n", home, TRANSCRIPT_FILE);
		return REASON_OK;
	}
	if (!home_has(home, REQUESTED_FILE))
		return fault_set(f, REASON_CONFIG, "%s: no keys were requested here; begin with assay-ceremony request",
				 home);
	TRY(ceremony_check_blank(&c, f));
	TRY(transcript_new(spec, &c.transcript, f));
	TRY(note_token(&c, f));
	TRY(ceremony_open_keys(&c, f));
	TRY(take_transcript(&c, certified, f));
	TRY(take_certificates(&c, certified, f));
	return ceremony_finish(&c, f);
}
