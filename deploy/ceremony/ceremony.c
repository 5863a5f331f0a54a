/* ceremony.c - see ceremony.h. */
#include "ceremony.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "home.h"
#include "steps.h"
#include "vendor.h"

#define BACKDATE_S 3600 /* a device certificate begins an hour before it is made; its CA should not begin later */

void ceremony_done(struct ceremony *c)
{
	for (size_t i = 0; i < sizeof(c->ca) / sizeof(c->ca[0]); i++)
		buf_done(&c->ca[i].der);
	hsm_close(c->hsm);
	transcript_free(c->transcript);
}

void ceremony_ca_file(const struct spec_ca *ca, char *out, size_t out_len)
{
	snprintf(out, out_len, "ca/%s.pem", ca->name);
}

/* Certificates and keys of an earlier attempt: which of them is there cannot be known to belong together. */
enum reason ceremony_check_blank(const struct ceremony *c, struct fault *f)
{
	const char *const advice =
		"the home is half made; move it away or remove it, the token folder too, and start again";
	char file[LIMIT_PROFILE_CHARS + 16];

	for (size_t i = 0; i < c->spec->n_cas; i++) {
		ceremony_ca_file(&c->spec->ca[i], file, sizeof(file));
		if (home_has(c->home, file))
			return fault_set(f, REASON_CONFIG, "%s/%s is there without %s: %s", c->home, file,
					 TRANSCRIPT_FILE, advice);
	}
	for (size_t i = 0; i < c->spec->n_ends; i++) {
		const char *key_file = c->spec->end[i].key_file;

		if ((key_file != NULL && home_has(c->home, key_file)) || home_has(c->home, c->spec->end[i].file))
			return fault_set(f, REASON_CONFIG, "%s/%s is there without %s: %s", c->home,
					 c->spec->end[i].file, TRANSCRIPT_FILE, advice);
	}
	return REASON_OK;
}

struct pins {
	char so[HOME_PIN_BYTES], user[HOME_PIN_BYTES];
};

static void pins_wipe(struct pins *pins)
{
	OPENSSL_cleanse(pins, sizeof(*pins));
}

static enum reason read_pins(const struct ceremony *c, struct pins *pins, struct fault *f)
{
	bool made;

	TRY(home_pin(c->home, c->token->so_pin_file, pins->so, &made, f));
	printf("security officer's PIN %s %s\n", made ? "made in" : "read from", c->token->so_pin_file);
	TRY(home_pin(c->home, c->token->pin_file, pins->user, &made, f));
	printf("user PIN %s %s\n", made ? "made in" : "read from", c->token->pin_file);
	return REASON_OK;
}

/* Keys in the token that are no CA's, by their place: OCSP's, then those of the certificates with token_key. */
static const char *extra_key(const struct spec *spec, size_t i)
{
	if (i == 0)
		return spec->ocsp_key;
	return i <= spec->n_ends ? spec->end[i - 1].token_key : NULL;
}

static enum reason make_extra_key(const struct ceremony *c, struct token *token, size_t i, struct fault *f)
{
	const char *label = extra_key(c->spec, i);

	if (label == NULL || c->end == 1)
		return REASON_OK;
	TRY(token_generate(token, label, (uint8_t)(c->spec->n_cas + 1 + i), KEY_EC_P256, 0, f));
	printf("key %s (%s) generated in token '%s'\n", label, key_type_name(KEY_EC_P256), c->token->label);
	return REASON_OK;
}

static enum reason make_keys(const struct ceremony *c, struct token *token, struct fault *f)
{
	for (size_t i = c->first; i < c->end; i++) {
		const struct spec_ca *ca = &c->spec->ca[i];

		TRY(token_generate(token, ca->name, (uint8_t)(i + 1), ca->type, ca->rsa_bits, f));
		printf("key %s (%s) generated in token '%s'\n", ca->name, key_type_name(ca->type), c->token->label);
	}
	for (size_t i = 0; i <= c->spec->n_ends; i++)
		TRY(make_extra_key(c, token, i, f));
	return REASON_OK;
}

enum reason ceremony_fill_token(struct ceremony *c, struct fault *f)
{
	AUTO(token_closep) struct token *token = NULL;
	AUTO(pins_wipe) struct pins pins;
	struct token_info info;
	bool found;

	TRY(token_open(c->module, &token, f));
	TRY(token_find(token, c->token->label, &found, f));
	if (found)
		return fault_set(f, REASON_CONFIG,
				 "token '%s' is there already, but %s/%s is not: remove the token, or bring back the "
				 "home it belongs to",
				 c->token->label, c->home, TRANSCRIPT_FILE);
	TRY(read_pins(c, &pins, f));
	TRY(token_init(token, c->token->label, pins.so, pins.user, f));
	TRY(token_describe(token, &info, f));
	printf("token '%s' initialised: %s %s, serial %s\n", info.label, info.manufacturer, info.model, info.serial);
	TRY(transcript_token(c->transcript, &info, f));
	TRY(token_login(token, pins.user, f));
	return make_keys(c, token, f);
}

static enum reason note_ocsp_key(struct ceremony *c, struct fault *f)
{
	const struct hsm_key *key;

	if (c->spec->ocsp_key == NULL || c->end == 1)
		return REASON_OK;
	TRY(hsm_key(c->hsm, c->spec->ocsp_key, &key, f));
	return transcript_key(c->transcript, c->spec->ocsp_key, "token", hsm_key_public(key), f);
}

static enum reason open_token(struct ceremony *c, struct fault *f)
{
	char pin_file[HOME_PATH_BYTES];

	TRY(home_path(c->home, c->token->pin_file, pin_file, f));
	return hsm_open(
		&(struct hsm_options){
			.module = c->module, .token_label = c->token->label, .pin_file = pin_file, .sessions = 1 },
		&c->hsm, f);
}

enum reason ceremony_open_keys(struct ceremony *c, struct fault *f)
{
	TRY(open_token(c, f));
	for (size_t i = c->first; i < c->end; i++) {
		TRY(hsm_key(c->hsm, c->spec->ca[i].name, &c->ca[i].key, f));
		TRY(transcript_key(c->transcript, c->spec->ca[i].name, "token", hsm_key_public(c->ca[i].key), f));
	}
	return note_ocsp_key(c, f);
}

static int64_t end_of(int64_t now_s, int64_t validity_s)
{
	return validity_s == SPEC_NO_EXPIRY ? TIME_NO_EXPIRY : now_s + validity_s;
}

static void subject_of(struct ca_cert_ask *ask, const char *organization, const char *cn)
{
	ask->n_subject = 2;
	ask->subject[0].type = OID_AT_ORG;
	snprintf(ask->subject[0].value, sizeof(ask->subject[0].value), "%s", organization);
	ask->subject[1].type = OID_AT_CN;
	snprintf(ask->subject[1].value, sizeof(ask->subject[1].value), "%s", cn);
}

void ceremony_ask(const struct ceremony *c, size_t i, const struct pubkey *key, struct ca_cert_ask *ret_ask)
{
	*ret_ask = (struct ca_cert_ask){
		.key = key,
		.ca = true,
		.path_len = i == 0 ? 1 : 0,
		.key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN,
		.not_before_s = c->now_s - BACKDATE_S,
		.not_after_s = end_of(c->now_s, c->spec->ca[i].validity_s),
	};
	subject_of(ret_ask, c->spec->organization, c->spec->ca[i].cn);
}

enum reason ceremony_keep_ca(struct ceremony *c, size_t i, struct fault *f)
{
	struct ca *ca = &c->ca[i];

	TRY(cert_parse(buf_blob(&ca->der), &ca->cert, f));
	ceremony_ca_file(&c->spec->ca[i], ca->file, sizeof(ca->file));
	TRY(home_write_certs(c->home, ca->file, &(struct blob){ ca->der.ptr, ca->der.len }, 1, f));
	printf("certificate %s: CA %s\n", ca->file, c->spec->ca[i].cn);
	return transcript_cert(c->transcript, ca->file, buf_blob(&ca->der), f);
}

enum reason ceremony_make_ca(struct ceremony *c, size_t i, const struct pubkey *key, struct fault *f)
{
	const struct ca *root = &c->ca[0];
	struct ca_signer signer = { .token = root->key, .name = i == 0 ? (struct blob){ 0 } : root->cert.subject };
	struct ca_cert_ask ask;

	ceremony_ask(c, i, key, &ask);
	TRY(ca_cert_issue(&signer, &ask, &c->ca[i].der, f));
	return ceremony_keep_ca(c, i, f);
}

/* Where an end certificate's key is: made here in memory, or already in the token. */
struct end_key {
	EVP_PKEY *memory;
	struct pubkey public;
	const char *where;
};

static enum reason end_key(const struct ceremony *c, const struct spec_end *spec, struct end_key *ret_key,
			   struct fault *f)
{
	const struct hsm_key *token;

	if (spec->token_key != NULL) {
		TRY(hsm_key(c->hsm, spec->token_key, &token, f));
		*ret_key = (struct end_key){ .public = *hsm_key_public(token), .where = "token" };
		return REASON_OK;
	}
	*ret_key = (struct end_key){ .memory = EVP_EC_gen("P-256"), .where = spec->key_file };
	if (ret_key->memory == NULL)
		return fault_set(f, REASON_NO_MEMORY, "key of %s", spec->cn);
	return ca_cert_public(ret_key->memory, &ret_key->public, f);
}

static enum reason make_end_of(struct ceremony *c, const struct spec_end *spec, const struct end_key *key,
			       struct fault *f)
{
	AUTO(buf_done) struct buf der = { 0 };
	const struct ca *issuer = &c->ca[spec->issuer];
	struct ca_signer signer = { .token = issuer->key, .name = issuer->cert.subject };
	struct ca_cert_ask ask = {
		.key = &key->public,
		.key_usage = KU_DIGITAL_SIGNATURE,
		.n_ekus = spec->n_ekus,
		.n_sans = spec->n_sans,
		.not_before_s = c->now_s - BACKDATE_S,
		.not_after_s = end_of(c->now_s, spec->validity_s),
	};

	subject_of(&ask, c->spec->organization, spec->cn);
	memcpy(ask.eku, spec->eku, sizeof(ask.eku));
	memcpy(ask.san, spec->san, sizeof(ask.san));
	TRY(ca_cert_issue(&signer, &ask, &der, f));
	if (key->memory != NULL)
		TRY(home_write_key(c->home, spec->key_file, key->memory, f));
	TRY(home_write_certs(c->home, spec->file, (struct blob[]){ buf_blob(&der), buf_blob(&issuer->der) },
			     spec->chain ? 2 : 1, f));
	printf("certificate %s: %s, key in %s\n", spec->file, spec->cn, key->where);
	TRY(transcript_key(c->transcript, spec->token_key != NULL ? spec->token_key : spec->cn, key->where,
			   &key->public, f));
	return transcript_cert(c->transcript, spec->file, buf_blob(&der), f);
}

static enum reason make_end(struct ceremony *c, const struct spec_end *spec, struct fault *f)
{
	struct end_key key = { 0 };
	enum reason reason = end_key(c, spec, &key, f);

	if (reason == REASON_OK)
		reason = make_end_of(c, spec, &key, f);
	EVP_PKEY_free(key.memory);
	return reason;
}

static enum reason make_trust(struct ceremony *c, const struct spec_trust *spec, struct fault *f)
{
	struct blob anchors[SPEC_ISSUERS_MAX];

	for (size_t i = 0; i < spec->n; i++)
		anchors[i] = buf_blob(&c->ca[spec->issuer[i]].der);
	TRY(home_write_certs(c->home, spec->file, anchors, spec->n, f));
	printf("trust list %s\n", spec->file);
	return REASON_OK;
}

static enum reason make_nonce_key(const struct ceremony *c, struct fault *f)
{
	uint8_t key[32];
	enum reason reason;

	if (home_has(c->home, c->spec->nonce_key))
		return REASON_OK;
	if (RAND_bytes(key, sizeof(key)) != 1)
		return fault_set(f, REASON_INTERNAL, "random numbers");
	reason = home_write_secret(c->home, c->spec->nonce_key, BLOB_OF(key), f);
	OPENSSL_cleanse(key, sizeof(key));
	printf("nonce key %s\n", c->spec->nonce_key);
	return reason;
}

/* A key may be there without its transcript, from an attempt that was cut short: then that alone is made. */
static enum reason add_extra_key(struct ceremony *c, size_t i, struct fault *f)
{
	AUTO(token_closep) struct token *token = NULL;
	AUTO(pins_wipe) struct pins pins;
	unsigned n;
	bool found;

	TRY(token_open(c->module, &token, f));
	TRY(token_find(token, c->token->label, &found, f));
	if (!found)
		return fault_set(f, REASON_CONFIG, "key %s: token '%s' is not there", extra_key(c->spec, i),
				 c->token->label);
	TRY(read_pins(c, &pins, f));
	TRY(token_login(token, pins.user, f));
	TRY(token_count_keys(token, extra_key(c->spec, i), &n, f));
	return n > 0 ? REASON_OK : make_extra_key(c, token, i, f);
}

/* The CA that an added certificate is issued by: its key is in the token, its certificate in the home. */
static enum reason find_issuer(struct ceremony *c, size_t i, struct fault *f)
{
	struct ca *ca = &c->ca[i];

	ceremony_ca_file(&c->spec->ca[i], ca->file, sizeof(ca->file));
	TRY(hsm_key(c->hsm, c->spec->ca[i].name, &ca->key, f));
	TRY(home_read_cert(c->home, ca->file, &ca->der, f));
	return cert_parse(buf_blob(&ca->der), &ca->cert, f);
}

static enum reason add_extra(struct ceremony *c, size_t i, struct fault *f)
{
	const struct spec_end *end = i == 0 ? NULL : &c->spec->end[i - 1];

	TRY(transcript_new(c->spec, &c->transcript, f));
	TRY(add_extra_key(c, i, f));
	TRY(open_token(c, f));
	if (end == NULL)
		return note_ocsp_key(c, f);
	TRY(find_issuer(c, end->issuer, f));
	return home_has(c->home, end->file) ? fault_set(f, REASON_CONFIG,
							"%s/%s is there without a transcript: remove it and "
							"start again",
							c->home, end->file)
					    : make_end(c, end, f);
}

/* For a home from before there was this key: with a transcript of its own. */
static enum reason supplement_one(const struct ceremony *like, size_t i, bool *ret_added, struct fault *f)
{
	AUTO(ceremony_done) struct ceremony c = *like;
	const char *label = extra_key(c.spec, i);
	char file[LIMIT_PROFILE_CHARS + 32];
	bool named = true;

	if (label == NULL)
		return REASON_OK;
	snprintf(file, sizeof(file), SUPPLEMENT_FILE, i == 0 ? "ocsp" : label);
	if (!home_has(c.home, file))
		TRY(transcript_names(c.home, label, &named, f));
	if (named)
		return REASON_OK;
	TRY(add_extra(&c, i, f));
	TRY(transcript_write(c.transcript, c.home, file, f));
	printf("transcript %s/%s: key %s added\n", c.home, file, label);
	*ret_added = true;
	return REASON_OK;
}

static enum reason supplement(const struct ceremony *c, struct fault *f)
{
	bool added = false;

	for (size_t i = 0; i <= c->spec->n_ends; i++)
		TRY(supplement_one(c, i, &added, f));
	if (!added)
		printf("%s/%s is there: the ceremony has been held, nothing to do\n", c->home, TRANSCRIPT_FILE);
	return REASON_OK;
}

enum reason ceremony_finish(struct ceremony *c, struct fault *f)
{
	for (size_t i = 0; i < c->spec->n_ends; i++)
		TRY(make_end(c, &c->spec->end[i], f));
	for (size_t i = 0; i < c->spec->n_trust; i++)
		TRY(make_trust(c, &c->spec->trust[i], f));
	TRY(make_nonce_key(c, f));
	if (c->spec->software_vendor)
		TRY(vendor_make(c->transcript, c->home, c->now_s, f));
	TRY(transcript_write(c->transcript, c->home, TRANSCRIPT_FILE, f));
	printf("transcript %s/%s: the ceremony is complete\n", c->home, TRANSCRIPT_FILE);
	if (c->spec->quorum > 0)
		printf("next: %u of %zu custodians sign it (assay-ceremony sign), then assay-ceremony seal\n",
		       c->spec->quorum, json_array_size(c->spec->custodians));
	return REASON_OK;
}

enum reason ceremony_hold(const struct spec *spec, const char *home, const char *module, struct fault *f)
{
	AUTO(ceremony_done)
	struct ceremony c = {
		.spec = spec,
		.token = &spec->token,
		.end = spec->n_cas,
		.home = home,
		.module = module != NULL ? module : spec->token.module,
		.now_s = clock_wall_s(),
	};

	if (spec->root_token.module != NULL)
		return fault_set(f, REASON_CONFIG,
				 "the spec has a root_token: hold the ceremony in parts (request, certify, accept), or "
				 "remove it");
	if (home_has(home, TRANSCRIPT_FILE))
		return supplement(&c, f);
	TRY(ceremony_check_blank(&c, f));
	TRY(transcript_new(spec, &c.transcript, f));
	TRY(ceremony_fill_token(&c, f));
	TRY(ceremony_open_keys(&c, f));
	for (size_t i = 0; i < spec->n_cas; i++)
		TRY(ceremony_make_ca(&c, i, hsm_key_public(c.ca[i].key), f));
	return ceremony_finish(&c, f);
}
