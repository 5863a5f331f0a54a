/* head.c - see head.h. */
#include "head.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "files.h"

static const char before[] = "{\"head\":", between[] = ",\"signature\":\"", after[] = "\"}";
static const char *const kinds[] = { "certificates", "crls", "ocsp", "responders", "heads" };

static const char *begin_of(const char *line, size_t len)
{
	return memmem(line, len, before, sizeof(before) - 1);
}

bool head_is_line(const char *line, size_t len)
{
	return begin_of(line, len) != NULL;
}

static bool is_hash(const json_t *value)
{
	const char *text = json_string_value(value);

	return text != NULL && strlen(text) == 2 * HEAD_HASH && strspn(text, "0123456789abcdef") == 2 * HEAD_HASH;
}

static bool is_position(const json_t *p)
{
	return json_array_size(p) == 4 && json_is_string(json_array_get(p, 0)) &&
	       json_is_string(json_array_get(p, 1)) && json_integer_value(json_array_get(p, 2)) > 0 &&
	       is_hash(json_array_get(p, 3));
}

static bool check(const json_t *json)
{
	const json_t *positions = json_object_get(json, "positions"), *intents = json_object_get(json, "intents");

	if (json_integer_value(json_object_get(json, "assay_head")) != 1 ||
	    !json_is_string(json_object_get(json, "node")) || json_integer_value(json_object_get(json, "number")) < 1 ||
	    !is_hash(json_object_get(json, "previous")) || !json_is_array(positions) ||
	    json_array_size(positions) > HEAD_POSITIONS_MAX)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!json_is_integer(json_object_get(intents, kinds[i])))
			return false;
	for (size_t i = 0; i < json_array_size(positions); i++)
		if (!is_position(json_array_get(positions, i)))
			return false;
	return true;
}

bool head_parse_text(const char *text, size_t len, struct head *out)
{
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	struct head head = { .text = text, .len = len, .json = json };

	if (json == NULL || !check(json) || EVP_Digest(text, len, head.hash, NULL, EVP_sha256(), NULL) != 1) {
		json_decref(json);
		return false;
	}
	head.node = json_string_value(json_object_get(json, "node"));
	head.number = json_integer_value(json_object_get(json, "number"));
	head.previous = json_string_value(json_object_get(json, "previous"));
	head.positions = json_object_get(json, "positions");
	*out = head;
	return true;
}

/* Base64 in one piece, canonical: what is encoded again must be the same. */
static bool decode(const char *text, size_t len, struct head *head)
{
	unsigned char bytes[HEAD_SIGNATURE_MAX + 4], again[2 * HEAD_SIGNATURE_MAX];
	size_t pad = len >= 2 && text[len - 1] == '=' ? (text[len - 2] == '=' ? 2 : 1) : 0;

	if (len == 0 || len % 4 != 0 || len / 4 * 3 > HEAD_SIGNATURE_MAX ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len) != (int)(len / 4 * 3))
		return false;
	head->signature_len = len / 4 * 3 - pad;
	memcpy(head->signature, bytes, head->signature_len);
	return EVP_EncodeBlock(again, bytes, (int)head->signature_len) == (int)len && memcmp(again, text, len) == 0;
}

bool head_parse(const char *line, size_t len, struct head *out)
{
	const char *begin = begin_of(line, len), *middle = NULL, *text;
	struct head head;
	size_t left;

	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (begin == NULL || len < sizeof(after) || memcmp(line + len - 2, after, 2) != 0)
		return false;
	text = begin + sizeof(before) - 1;
	left = len - 2 > (size_t)(text - line) ? len - 2 - (size_t)(text - line) : 0; /* HEAD, between, base64 */
	middle = memmem(text, left, between, sizeof(between) - 1);
	if (middle == NULL || !head_parse_text(text, (size_t)(middle - text), &head))
		return false;
	if (!decode(middle + sizeof(between) - 1, left - (size_t)(middle - text) - (sizeof(between) - 1), &head)) {
		head_done(&head);
		return false;
	}
	*out = head;
	return true;
}

void head_done(struct head *head)
{
	json_decref(head->json);
	*head = (struct head){ 0 };
}

int64_t head_intents(const struct head *head, const char *kind)
{
	const json_t *n = json_object_get(json_object_get(head->json, "intents"), kind);

	return json_is_integer(n) ? (int64_t)json_integer_value(n) : -1;
}

EVP_PKEY *head_key(const char *path, char ret_sha256[2 * HEAD_HASH + 1])
{
	BIO *file = small_open(path);
	X509 *cert = file == NULL ? NULL : PEM_read_bio_X509(file, NULL, NULL, NULL);
	EVP_PKEY *key = cert == NULL ? NULL : X509_get_pubkey(cert);
	uint8_t hash[EVP_MAX_MD_SIZE];

	ret_sha256[0] = '\0';
	if (cert != NULL && X509_digest(cert, EVP_sha256(), hash, NULL) == 1)
		for (size_t i = 0; i < HEAD_HASH; i++)
			(void)snprintf(ret_sha256 + 2 * i, 3, "%02x", hash[i]);
	if (cert == NULL && file != NULL && BIO_reset(file) == 1)
		key = PEM_read_bio_PUBKEY(file, NULL, NULL, NULL);
	X509_free(cert);
	BIO_free(file);
	return key;
}

bool head_verify(const struct head *head, EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, head->signature, head->signature_len, (const unsigned char *)head->text,
				   head->len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}
