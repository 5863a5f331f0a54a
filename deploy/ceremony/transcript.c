/* transcript.c - see transcript.h. */
#include "transcript.h"

#include <openssl/sha.h>
#include <openssl/x509.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "home.h"

struct transcript {
	json_t *json;
	json_t *keys, *certificates; /* borrowed from json */
};

void transcript_free(struct transcript *transcript)
{
	if (transcript == NULL)
		return;
	json_decref(transcript->json);
	free(transcript);
}

static void time_text(int64_t unix_s, char out[32])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (unix_s == TIME_NO_EXPIRY)
		snprintf(out, 32, "none");
	else if (gmtime_r(&t, &tm) != NULL)
		strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Steals `value`, which may be NULL when memory was short. */
static enum reason append(json_t *array, json_t *value, struct fault *f)
{
	return json_array_append_new(array, value) == 0 ? REASON_OK : fault_set(f, REASON_NO_MEMORY, "transcript");
}

enum reason transcript_new(const struct spec *spec, struct transcript **ret_transcript, struct fault *f)
{
	AUTO(transcript_freep) struct transcript *transcript = calloc(1, sizeof(*transcript));
	const struct passwd *user = getpwuid(getuid());
	char host[256] = "", date[32], hash[65];

	if (transcript == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct transcript");
	gethostname(host, sizeof(host) - 1);
	time_text(clock_wall_s(), date);
	text_hex(BLOB_OF(spec->sha256), hash, sizeof(hash));
	transcript->json = json_pack("{s:s, s:i, s:s, s:s, s:s, s:O, s:s, s:s, s:[], s:[]}", "what",
				     "assay key ceremony", "version", 1, "date", date, "host", host, "who",
				     user != NULL ? user->pw_name : "unknown", "custodians", spec->custodians,
				     "organization", spec->organization, "spec_sha256", hash, "keys", "certificates");
	if (transcript->json == NULL)
		return fault_set(f, REASON_NO_MEMORY, "transcript");
	if (spec->quorum > 0 &&
	    json_object_set_new(transcript->json, "quorum", json_integer((json_int_t)spec->quorum)) != 0)
		return fault_set(f, REASON_NO_MEMORY, "transcript");
	transcript->keys = json_object_get(transcript->json, "keys");
	transcript->certificates = json_object_get(transcript->json, "certificates");
	*ret_transcript = TAKE(transcript);
	return REASON_OK;
}

enum reason transcript_token(struct transcript *transcript, const struct token_info *info, struct fault *f)
{
	json_t *token = json_pack("{s:s, s:s, s:s, s:s}", "label", info->label, "manufacturer", info->manufacturer,
				  "model", info->model, "serial", info->serial);

	return json_object_set_new(transcript->json, "token", token) == 0
		       ? REASON_OK
		       : fault_set(f, REASON_NO_MEMORY, "transcript");
}

enum reason transcript_key(struct transcript *transcript, const char *label, const char *where,
			   const struct pubkey *key, struct fault *f)
{
	uint8_t hash[32];
	char hex[65];

	pubkey_hash(key, hash);
	text_hex(BLOB_OF(hash), hex, sizeof(hex));
	return append(transcript->keys,
		      json_pack("{s:s, s:s, s:s, s:i, s:s}", "label", label, "where", where, "type",
				key_type_name(key->type), "bits", (int)key->bits, "spki_sha256", hex),
		      f);
}

static void name_text(struct blob name, char *out, size_t out_len)
{
	const uint8_t *p = name.ptr;
	X509_NAME *parsed = d2i_X509_NAME(NULL, &p, (long)name.len);
	BIO *text = BIO_new(BIO_s_mem());
	int n = 0;

	if (parsed != NULL && text != NULL && X509_NAME_print_ex(text, parsed, 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_read(text, out, (int)out_len - 1);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(text);
	X509_NAME_free(parsed);
}

enum reason transcript_cert(struct transcript *transcript, const char *file, struct blob der, struct fault *f)
{
	char subject[512], issuer[512], serial[2 * LIMIT_SERIAL_BYTES + 1], from[32], until[32], hex[65];
	uint8_t hash[32];
	struct cert cert;

	TRY(cert_parse(der, &cert, f));
	name_text(cert.subject, subject, sizeof(subject));
	name_text(cert.issuer, issuer, sizeof(issuer));
	text_hex(cert.serial, serial, sizeof(serial));
	time_text(cert.not_before_s, from);
	time_text(cert.not_after_s, until);
	SHA256(der.ptr, der.len, hash);
	text_hex(BLOB_OF(hash), hex, sizeof(hex));
	return append(transcript->certificates,
		      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "file", file, "subject", subject, "issuer",
				issuer, "serial", serial, "not_before", from, "not_after", until, "sha256", hex),
		      f);
}

enum reason transcript_root(struct transcript *transcript, const char *text, struct fault *f)
{
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	uint8_t hash[32];
	char hex[65];

	if (root == NULL)
		return fault_set(f, REASON_CONFIG, "the root's transcript is no JSON");
	SHA256((const unsigned char *)text, strlen(text), hash);
	text_hex(BLOB_OF(hash), hex, sizeof(hex));
	return json_object_set_new(transcript->json, "root_ceremony", root) == 0 &&
			       json_object_set_new(transcript->json, "root_ceremony_sha256", json_string(hex)) == 0
		       ? REASON_OK
		       : fault_set(f, REASON_NO_MEMORY, "transcript");
}

enum reason transcript_write(const struct transcript *transcript, const char *home, const char *file, struct fault *f)
{
	char *text = json_dumps(transcript->json, JSON_INDENT(2));
	enum reason reason;

	if (text == NULL)
		return fault_set(f, REASON_NO_MEMORY, "transcript");
	reason = home_write_public(home, file, BLOB_STR(text), f);
	free(text);
	return reason;
}

enum reason transcript_names(const char *home, const char *label, bool *ret_named, struct fault *f)
{
	char path[HOME_PATH_BYTES];
	json_error_t error;
	json_t *json, *key;
	size_t i;

	TRY(home_path(home, TRANSCRIPT_FILE, path, f));
	json = json_load_file(path, 0, &error);
	if (json == NULL)
		return fault_set(f, REASON_CONFIG, "%s: %s", path, error.text);
	*ret_named = false;
	json_array_foreach(json_object_get(json, "keys"), i, key) {
		const char *named = json_string_value(json_object_get(key, "label"));

		*ret_named = *ret_named || (named != NULL && strcmp(named, label) == 0);
	}
	json_decref(json);
	return REASON_OK;
}
