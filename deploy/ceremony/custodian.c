/* custodian.c - see custodian.h. */
#include "custodian.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ceremony/quorum.h"
#include "home.h"
#include "transcript.h"

#define TEXT_MAX (1024 * 1024) /* a transcript is some 10 KiB */

static void file_close(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

static void text_free(char **text)
{
	free(*text);
}

static enum reason read_text(const char *path, char **ret_text, size_t *ret_len, struct fault *f)
{
	AUTO(file_close) FILE *file = fopen(path, "re");
	AUTO(text_free) char *text = calloc(1, TEXT_MAX);

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "%s: %m", path);
	if (text == NULL)
		return fault_set(f, REASON_NO_MEMORY, "%s", path);
	*ret_len = fread(text, 1, TEXT_MAX - 1, file);
	if (*ret_len == TEXT_MAX - 1)
		return fault_set(f, REASON_CONFIG, "%s: longer than %d bytes", path, TEXT_MAX - 2);
	*ret_text = TAKE(text);
	return REASON_OK;
}

static enum reason read_home(const char *home, char **ret_text, struct quorum *ret_quorum, struct fault *f)
{
	char path[HOME_PATH_BYTES];
	size_t len;

	TRY(home_path(home, TRANSCRIPT_FILE, path, f));
	TRY(read_text(path, ret_text, &len, f));
	TRY(quorum_read(*ret_text, ret_quorum, f));
	if (ret_quorum->needed > 0)
		return REASON_OK;
	quorum_done(ret_quorum);
	return fault_set(f, REASON_CONFIG, "%s asks for no custodians' signatures: the spec had no quorum", path);
}

static const char *key_of(const struct quorum *q, const char *name)
{
	const json_t *list = json_object_get(q->transcript, "custodians");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *has = json_string_value(json_object_get(json_array_get(list, i), "name"));

		if (has != NULL && strcmp(has, name) == 0)
			return json_string_value(json_object_get(json_array_get(list, i), "key"));
	}
	return NULL;
}

static enum reason sign_text(const char *key_file, const char *text, uint8_t out[QUORUM_SIGNATURE_MAX], size_t *ret_len,
			     struct fault *f)
{
	AUTO(file_close) FILE *file = fopen(key_file, "re");
	AUTO(evp_pkey_freep) EVP_PKEY *key = NULL;
	EVP_MD_CTX *ctx;
	bool ok;

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "%s: %m", key_file);
	key = PEM_read_PrivateKey(file, NULL, NULL, NULL); /* asks for the passphrase on the terminal */
	if (key == NULL)
		return fault_set(f, REASON_CONFIG, "%s: no private key in PEM, or a wrong passphrase", key_file);
	ctx = EVP_MD_CTX_new();
	*ret_len = QUORUM_SIGNATURE_MAX;
	ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	     EVP_DigestSign(ctx, out, ret_len, (const unsigned char *)text, strlen(text)) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? REASON_OK : fault_set(f, REASON_CONFIG, "%s does not sign with SHA-256", key_file);
}

enum reason custodian_sign(const char *home, const char *name, const char *key_file, struct fault *f)
{
	AUTO(text_free) char *text = NULL;
	AUTO(quorum_done) struct quorum q = { 0 };
	uint8_t signature[QUORUM_SIGNATURE_MAX];
	char file[QUORUM_NAME_CHARS + 32];
	const char *key;
	size_t len;

	TRY(read_home(home, &text, &q, f));
	key = key_of(&q, name);
	if (key == NULL)
		return fault_set(f, REASON_CONFIG, "'%s' is no custodian of this ceremony; its transcript names them",
				 name);
	TRY(sign_text(key_file, text, signature, &len, f));
	if (!quorum_verify(key, text, BLOB(signature, len)))
		return fault_set(f, REASON_CONFIG, "%s is not the key of custodian %s", key_file, name);
	snprintf(file, sizeof(file), "custodians/%s.sig", name);
	TRY(home_write_public(home, file, BLOB(signature, len), f));
	printf("signature %s/%s over %s/%s\n", home, file, home, TRANSCRIPT_FILE);
	return REASON_OK;
}

/* One entry of `signatures` for each custodian whose file is there; whether they hold is quorum_read()'s to say. */
static enum reason gather(const char *home, const struct quorum *q, json_t *signatures, struct fault *f)
{
	const json_t *list = json_object_get(q->transcript, "custodians");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_object_get(json_array_get(list, i), "name"));
		AUTO(text_free) char *bytes = NULL;
		AUTO(buf_done) struct buf base64 = { 0 };
		char file[QUORUM_NAME_CHARS + 32], path[HOME_PATH_BYTES];
		size_t len;

		snprintf(file, sizeof(file), "custodians/%s.sig", name == NULL ? "" : name);
		if (name == NULL || !home_has(home, file))
			continue;
		TRY(home_path(home, file, path, f));
		TRY(read_text(path, &bytes, &len, f));
		TRY(text_base64(BLOB(bytes, len), &base64, f));
		if (json_array_append_new(signatures, json_pack("{s:s, s:s%}", "custodian", name, "signature",
								(char *)base64.ptr, base64.len)) != 0)
			return fault_set(f, REASON_NO_MEMORY, "signatures");
	}
	return REASON_OK;
}

static enum reason seal_text(const char *home, const char *text, const struct quorum *q, char **ret_sealed,
			     struct fault *f)
{
	json_t *signatures = json_array();
	json_t *sealed = json_pack("{s:s, s:i, s:s, s:o}", "what", QUORUM_SEALED, "version", 1, "transcript", text,
				   "signatures", signatures);
	enum reason reason =
		sealed == NULL ? fault_set(f, REASON_NO_MEMORY, "sealed transcript") : gather(home, q, signatures, f);

	if (reason == REASON_OK)
		*ret_sealed = json_dumps(sealed, JSON_INDENT(2));
	json_decref(sealed);
	TRY(reason);
	return *ret_sealed == NULL ? fault_set(f, REASON_NO_MEMORY, "sealed transcript") : REASON_OK;
}

static enum reason show(const struct quorum *q, struct fault *f)
{
	if (q->needed == 0) {
		printf("custodians: %s; no signatures were asked for\n", q->names);
		return REASON_OK;
	}
	if (q->signed_by < q->needed)
		return fault_set(f, REASON_CONFIG, "signed by %u of %u custodians (%s); the quorum is %u", q->signed_by,
				 q->of, q->signed_by == 0 ? "nobody" : q->names, q->needed);
	printf("signed by %s: %u of %u custodians, quorum %u\n", q->names, q->signed_by, q->of, q->needed);
	return REASON_OK;
}

enum reason custodian_seal(const char *home, struct fault *f)
{
	AUTO(text_free) char *text = NULL;
	AUTO(text_free) char *sealed = NULL;
	AUTO(quorum_done) struct quorum q = { 0 };
	AUTO(quorum_done) struct quorum check = { 0 };

	TRY(read_home(home, &text, &q, f));
	TRY(seal_text(home, text, &q, &sealed, f));
	TRY(quorum_read(sealed, &check, f));
	TRY(show(&check, f));
	TRY(home_write_public(home, SEALED_FILE, BLOB_STR(sealed), f));
	printf("sealed transcript %s/%s; the ledger takes it by record_ceremony()\n", home, SEALED_FILE);
	return REASON_OK;
}

enum reason custodian_check(const char *file, struct fault *f)
{
	AUTO(text_free) char *text = NULL;
	AUTO(quorum_done) struct quorum q = { 0 };
	size_t len;

	TRY(read_text(file, &text, &len, f));
	TRY(quorum_read(text, &q, f));
	return show(&q, f);
}
