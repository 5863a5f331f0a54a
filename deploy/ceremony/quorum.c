/* quorum.c - see quorum.h. */
#include "ceremony/quorum.h"

#include <openssl/pem.h>
#include <string.h>

#include "base/text.h"

AUTO_FREE(EVP_PKEY, pkey_freep, EVP_PKEY_free)

static void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}

static EVP_PKEY *read_key(const char *pem)
{
	AUTO(bio_freep) BIO *text = BIO_new_mem_buf(pem, -1);

	return text == NULL ? NULL : PEM_read_bio_PUBKEY(text, NULL, NULL, NULL);
}

static enum reason check_custodian(const char *name, const char *key_pem, struct fault *f)
{
	AUTO(pkey_freep) EVP_PKEY *key = read_key(key_pem);
	const size_t len = strlen(name);

	if (len == 0 || len > QUORUM_NAME_CHARS || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		return fault_set(f, REASON_CONFIG, "custodian '%s': allowed: 1 to %d of a-z, 0-9 and '-'", name,
				 QUORUM_NAME_CHARS);
	if (key == NULL || !((EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) >= 256) ||
			     (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 2048)))
		return fault_set(f, REASON_CONFIG,
				 "key of custodian %s: allowed: a public key in PEM, EC from 256 bits or RSA from 2048 "
				 "(openssl pkey -pubout)",
				 name);
	return REASON_OK;
}

/* One person with two names, or two names for one key, would be two of the quorum. */
static bool same(const char *name, const char *key_pem, const json_t *other)
{
	AUTO(pkey_freep) EVP_PKEY *key = read_key(key_pem);
	AUTO(pkey_freep) EVP_PKEY *other_key = read_key(json_string_value(json_object_get(other, "key")));

	return strcmp(name, json_string_value(json_object_get(other, "name"))) == 0 || EVP_PKEY_eq(key, other_key) == 1;
}

enum reason quorum_check_custodians(const json_t *list, struct fault *f)
{
	const char *name, *key;

	if (json_array_size(list) == 0 || json_array_size(list) > QUORUM_CUSTODIANS_MAX)
		return fault_set(f, REASON_CONFIG, "custodians: an array of 1 to %d", QUORUM_CUSTODIANS_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (json_unpack_ex(json_array_get(list, i), NULL, JSON_STRICT, "{s:s, s:s}", "name", &name, "key",
				   &key) != 0)
			return fault_set(f, REASON_CONFIG,
					 "custodians: with a quorum each is an object of name and key");
		TRY(check_custodian(name, key, f));
		for (size_t k = 0; k < i; k++)
			if (same(name, key, json_array_get(list, k)))
				return fault_set(f, REASON_CONFIG, "custodians: two with the same name or key");
	}
	return REASON_OK;
}

static void digest_freep(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

bool quorum_verify(const char *key_pem, const char *text, struct blob signature)
{
	AUTO(pkey_freep) EVP_PKEY *key = read_key(key_pem);
	AUTO(digest_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	return key != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	       EVP_DigestVerify(ctx, signature.ptr, signature.len, (const unsigned char *)text, strlen(text)) == 1;
}

/* The custodian of this name, as the transcript says. */
static const json_t *find(const json_t *transcript, const char *name)
{
	const json_t *list = json_object_get(transcript, "custodians");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		const char *has = json_string_value(json_object_get(one, "name"));

		if (has != NULL && strcmp(has, name) == 0)
			return one;
	}
	return NULL;
}

static void name_add(struct quorum *q, const char *name)
{
	const size_t len = strlen(q->names);

	(void)snprintf(q->names + len, sizeof(q->names) - len, "%s%s", len == 0 ? "" : ", ", name);
}

static bool named(const struct quorum *q, const char *name)
{
	const size_t len = strlen(name);

	for (const char *at = strstr(q->names, name); at != NULL; at = strstr(at + 1, name)) {
		if ((at == q->names || at[-1] == ' ') && (at[len] == '\0' || at[len] == ','))
			return true;
	}
	return false;
}

static enum reason take_signature(struct quorum *q, const char *text, const json_t *entry, struct fault *f)
{
	const char *name = json_string_value(json_object_get(entry, "custodian"));
	const char *base64 = json_string_value(json_object_get(entry, "signature"));
	const json_t *custodian = name == NULL ? NULL : find(q->transcript, name);
	const char *key = json_string_value(json_object_get(custodian, "key"));
	AUTO(buf_done) struct buf signature = { 0 };

	if (key == NULL || base64 == NULL)
		return fault_set(f, REASON_CONFIG, "a signature by '%.40s', who is no custodian of this ceremony",
				 name == NULL ? "" : name);
	if (strlen(base64) > 2 * QUORUM_SIGNATURE_MAX || text_unbase64(BLOB_STR(base64), &signature, f) != REASON_OK ||
	    !quorum_verify(key, text, buf_blob(&signature)))
		return fault_set(f, REASON_CONFIG, "the signature of custodian %s does not verify", name);
	if (named(q, name))
		return fault_set(f, REASON_CONFIG, "two signatures of custodian %s", name);
	name_add(q, name);
	q->signed_by++;
	return REASON_OK;
}

/* Names only: a ceremony without a quorum. */
static void list_names(struct quorum *q)
{
	const json_t *list = json_object_get(q->transcript, "custodians");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		if (name != NULL && strlen(name) <= QUORUM_NAME_CHARS)
			name_add(q, name);
	}
}

static enum reason read_transcript(const char *text, struct quorum *q, struct fault *f)
{
	const json_t *quorum;

	q->transcript = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(q->transcript))
		return fault_set(f, REASON_CONFIG, "no transcript of a ceremony: no JSON object");
	quorum = json_object_get(q->transcript, "quorum");
	if (quorum == NULL)
		return REASON_OK;
	TRY(quorum_check_custodians(json_object_get(q->transcript, "custodians"), f));
	q->of = (unsigned)json_array_size(json_object_get(q->transcript, "custodians"));
	if (json_integer_value(quorum) < 1 || json_integer_value(quorum) > q->of)
		return fault_set(f, REASON_CONFIG, "quorum: allowed: 1 to as many as there are custodians");
	q->needed = (unsigned)json_integer_value(quorum);
	return REASON_OK;
}

static enum reason read_sealed(const json_t *sealed, struct quorum *q, struct fault *f)
{
	const json_t *signatures = json_object_get(sealed, "signatures");
	const char *text = json_string_value(json_object_get(sealed, "transcript"));

	if (text == NULL || !json_is_array(signatures))
		return fault_set(f, REASON_CONFIG, "a sealed transcript has transcript and signatures");
	TRY(read_transcript(text, q, f));
	for (size_t i = 0; i < json_array_size(signatures); i++)
		TRY(take_signature(q, text, json_array_get(signatures, i), f));
	return REASON_OK;
}

void quorum_done(struct quorum *quorum)
{
	json_decref(quorum->transcript);
	quorum->transcript = NULL;
}

enum reason quorum_read(const char *text, struct quorum *ret_quorum, struct fault *f)
{
	AUTO(quorum_done) struct quorum q = { 0 };
	json_t *outer = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *what = json_string_value(json_object_get(outer, "what"));
	enum reason reason;

	if (what != NULL && strcmp(what, QUORUM_SEALED) == 0)
		reason = read_sealed(outer, &q, f);
	else
		reason = read_transcript(text, &q, f);
	json_decref(outer);
	TRY(reason);
	if (q.needed == 0)
		list_names(&q);
	*ret_quorum = q;
	q.transcript = NULL;
	return REASON_OK;
}
