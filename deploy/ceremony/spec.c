/* spec.c - see spec.h. */
#include "spec.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "quorum.h"

#define YEAR_S (365 * 86400)

void spec_free(struct spec *spec)
{
	if (spec == NULL)
		return;
	json_decref(spec->json);
	free(spec);
}

static enum reason read_file(const char *path, struct spec *spec, struct fault *f)
{
	char text[64 * 1024]; /* a spec with every array full is under 16 KiB */
	FILE *file = fopen(path, "re");
	json_error_t error;
	size_t len;

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "%s: %m", path);
	len = fread(text, 1, sizeof(text), file);
	fclose(file);
	if (len == sizeof(text))
		return fault_set(f, REASON_CONFIG, "%s: longer than %zu bytes", path, sizeof(text) - 1);
	SHA256((const unsigned char *)text, len, spec->sha256);
	spec->json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (spec->json == NULL)
		return fault_set(f, REASON_CONFIG, "%s:%d: %s", path, error.line, error.text);
	return REASON_OK;
}

static const struct {
	const char *name;
	enum key_type type;
	unsigned rsa_bits;
} key_types[] = {
	{ "ec-p256", KEY_EC_P256, 0 }, { "ec-p384", KEY_EC_P384, 0 }, { "rsa-2048", KEY_RSA, 2048 },
	{ "rsa-3072", KEY_RSA, 3072 }, { "rsa-4096", KEY_RSA, 4096 },
};

static enum reason read_key_type(const char *text, struct spec_ca *ca, struct fault *f)
{
	for (size_t i = 0; i < sizeof(key_types) / sizeof(key_types[0]); i++) {
		if (strcmp(text, key_types[i].name) == 0) {
			ca->type = key_types[i].type;
			ca->rsa_bits = key_types[i].rsa_bits;
			return REASON_OK;
		}
	}
	return fault_set(f, REASON_CONFIG, "%s: key '%s': allowed: ec-p256, ec-p384, rsa-2048, rsa-3072, rsa-4096",
			 ca->name, text);
}

static enum reason read_validity(const char *what, const char *text, int64_t *ret_s, struct fault *f)
{
	char *unit;
	long n;

	if (strcmp(text, "none") == 0) {
		*ret_s = SPEC_NO_EXPIRY;
		return REASON_OK;
	}
	n = strtol(text, &unit, 10);
	if (n < 1 || n > 36500 || (strcmp(unit, "d") != 0 && strcmp(unit, "y") != 0) || (*unit == 'y' && n > 100))
		return fault_set(f, REASON_CONFIG, "%s: validity '%s': allowed: 1d to 36500d, 1y to 100y, none", what,
				 text);
	*ret_s = (int64_t)n * (*unit == 'y' ? YEAR_S : 86400);
	return REASON_OK;
}

/* Files stay inside the home, names can be file names. */
static enum reason check_path(const char *path, struct fault *f)
{
	if (path[0] == '\0' || path[0] == '/' || strstr(path, "..") != NULL)
		return fault_set(f, REASON_CONFIG, "file '%s': allowed: a path below the home, without '..'", path);
	return REASON_OK;
}

static enum reason check_name(const char *name, struct fault *f)
{
	size_t len = strlen(name);

	if (len == 0 || len > LIMIT_PROFILE_CHARS || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		return fault_set(f, REASON_CONFIG, "name '%s': allowed: 1 to %d of a-z, 0-9 and '-'", name,
				 LIMIT_PROFILE_CHARS);
	return REASON_OK;
}

static enum reason check_cn(const char *cn, struct fault *f)
{
	size_t len = strlen(cn);

	for (size_t i = 0; i < len; i++) {
		if (cn[i] < 0x20 || cn[i] > 0x7e)
			return fault_set(f, REASON_CONFIG, "cn '%s': allowed: printable ASCII", cn);
	}
	if (len == 0 || len > LIMIT_NAME_CHARS)
		return fault_set(f, REASON_CONFIG, "cn '%s': allowed: 1 to %d characters", cn, LIMIT_NAME_CHARS);
	return REASON_OK;
}

static bool outlives(int64_t validity_s, int64_t issuer_s)
{
	return issuer_s != SPEC_NO_EXPIRY && (validity_s == SPEC_NO_EXPIRY || validity_s > issuer_s);
}

static enum reason read_ca(json_t *object, struct spec *spec, struct fault *f)
{
	struct spec_ca *ca = &spec->ca[spec->n_cas];
	const char *key, *validity;
	json_error_t error;

	if (json_unpack_ex(object, &error, JSON_STRICT, "{s:s, s:s, s:s, s:s}", "name", &ca->name, "key", &key, "cn",
			   &ca->cn, "validity", &validity) != 0)
		return fault_set(f, REASON_CONFIG, "root or issuer %zu: %s", spec->n_cas, error.text);
	TRY(check_name(ca->name, f));
	TRY(check_cn(ca->cn, f));
	TRY(read_key_type(key, ca, f));
	TRY(read_validity(ca->name, validity, &ca->validity_s, f));
	for (size_t i = 0; i < spec->n_cas; i++) {
		if (strcmp(spec->ca[i].name, ca->name) == 0)
			return fault_set(f, REASON_CONFIG, "issuer '%s' is there twice", ca->name);
	}
	if (outlives(ca->validity_s, spec->ca[0].validity_s))
		return fault_set(f, REASON_CONFIG, "issuer '%s' would outlive the root", ca->name);
	spec->n_cas++;
	return REASON_OK;
}

static enum reason find_ca(const struct spec *spec, const char *name, size_t *ret_i, struct fault *f)
{
	for (size_t i = 1; i < spec->n_cas; i++) {
		if (strcmp(spec->ca[i].name, name) == 0) {
			*ret_i = i;
			return REASON_OK;
		}
	}
	return fault_set(f, REASON_CONFIG, "issuer '%s': allowed: the name of one of issuers[]", name);
}

static enum reason read_texts(const char *what, json_t *array, const char **out, size_t cap, size_t *ret_n,
			      struct fault *f)
{
	size_t n = json_array_size(array);

	if (!json_is_array(array) || n > cap)
		return fault_set(f, REASON_CONFIG, "%s: an array of at most %zu texts", what, cap);
	for (size_t i = 0; i < n; i++) {
		out[i] = json_string_value(json_array_get(array, i));
		if (out[i] == NULL)
			return fault_set(f, REASON_CONFIG, "%s: an array of texts", what);
	}
	*ret_n = n;
	return REASON_OK;
}

static enum reason read_ekus(json_t *array, struct spec_end *end, struct fault *f)
{
	const char *name[LIMIT_EKUS];

	TRY(read_texts("eku", array, name, LIMIT_EKUS, &end->n_ekus, f));
	for (size_t i = 0; i < end->n_ekus; i++) {
		if (!oid_by_name(name[i], &end->eku[i]))
			return fault_set(f, REASON_CONFIG,
					 "eku '%s': allowed: serverAuth, clientAuth, cmcRA, ..., or an OID", name[i]);
	}
	return REASON_OK;
}

/* In a file or in the token: exactly one of them. */
static enum reason check_end_key(const struct spec_end *end, struct fault *f)
{
	if ((end->key_file == NULL) == (end->token_key == NULL))
		return fault_set(f, REASON_CONFIG, "certificate '%s': needs key_file or token_key, and not both",
				 end->cn);
	return end->key_file != NULL ? check_path(end->key_file, f) : check_name(end->token_key, f);
}

static enum reason read_end(json_t *object, struct spec *spec, struct fault *f)
{
	struct spec_end *end = &spec->end[spec->n_ends];
	const char *issuer, *validity;
	json_t *eku, *san;
	json_error_t error;
	int chain;

	if (json_unpack_ex(object, &error, JSON_STRICT, "{s:s, s:s, s:s, s?s, s?s, s:b, s:o, s:o, s:s}", "cn", &end->cn,
			   "issuer", &issuer, "file", &end->file, "key_file", &end->key_file, "token_key",
			   &end->token_key, "chain", &chain, "eku", &eku, "san", &san, "validity", &validity) != 0)
		return fault_set(f, REASON_CONFIG, "certificate %zu: %s", spec->n_ends, error.text);
	end->chain = chain != 0;
	TRY(check_cn(end->cn, f));
	TRY(check_path(end->file, f));
	TRY(check_end_key(end, f));
	TRY(find_ca(spec, issuer, &end->issuer, f));
	TRY(read_ekus(eku, end, f));
	TRY(read_texts("san", san, end->san, CA_CERT_SANS, &end->n_sans, f));
	for (size_t i = 0; i < end->n_sans; i++) {
		if (!ca_cert_san_fits(end->san[i]))
			return fault_set(f, REASON_CONFIG, "san '%s': allowed: dns:NAME, ip:ADDRESS", end->san[i]);
	}
	TRY(read_validity(end->cn, validity, &end->validity_s, f));
	if (outlives(end->validity_s, spec->ca[end->issuer].validity_s))
		return fault_set(f, REASON_CONFIG, "certificate '%s' would outlive its issuer", end->cn);
	spec->n_ends++;
	return REASON_OK;
}

static enum reason read_trust(json_t *object, struct spec *spec, struct fault *f)
{
	struct spec_trust *trust = &spec->trust[spec->n_trust];
	const char *issuer[SPEC_ISSUERS_MAX];
	json_t *issuers;
	json_error_t error;

	if (json_unpack_ex(object, &error, JSON_STRICT, "{s:s, s:o}", "file", &trust->file, "issuers", &issuers) != 0)
		return fault_set(f, REASON_CONFIG, "trust %zu: %s", spec->n_trust, error.text);
	TRY(check_path(trust->file, f));
	TRY(read_texts("trust issuers", issuers, issuer, SPEC_ISSUERS_MAX, &trust->n, f));
	for (size_t i = 0; i < trust->n; i++)
		TRY(find_ca(spec, issuer[i], &trust->issuer[i], f));
	spec->n_trust++;
	return REASON_OK;
}

static enum reason each(const char *what, json_t *array, size_t cap, struct spec *spec,
			enum reason (*read)(json_t *, struct spec *, struct fault *), struct fault *f)
{
	json_t *object;
	size_t i;

	if (!json_is_array(array) || json_array_size(array) > cap)
		return fault_set(f, REASON_CONFIG, "%s: an array of at most %zu objects", what, cap);
	json_array_foreach(array, i, object)
		TRY(read(object, spec, f));
	return REASON_OK;
}

static enum reason read_token(const char *what, json_t *object, struct spec_token *token, struct fault *f)
{
	json_error_t error;

	if (json_unpack_ex(object, &error, JSON_STRICT, "{s:s, s:s, s:s, s:s}", "module", &token->module, "label",
			   &token->label, "pin_file", &token->pin_file, "so_pin_file", &token->so_pin_file) != 0)
		return fault_set(f, REASON_CONFIG, "%s: %s", what, error.text);
	TRY(check_path(token->pin_file, f));
	return check_path(token->so_pin_file, f);
}

static enum reason read_custodians(struct spec *spec, int quorum, struct fault *f)
{
	size_t n = json_array_size(spec->custodians), i;
	json_t *one;

	if (n == 0 || n > QUORUM_CUSTODIANS_MAX)
		return fault_set(f, REASON_CONFIG, "custodians: an array of 1 to %d", QUORUM_CUSTODIANS_MAX);
	if (quorum < 0 || (size_t)quorum > n)
		return fault_set(f, REASON_CONFIG, "quorum %d; allowed: 1 to %zu, as many as there are custodians",
				 quorum, n);
	spec->quorum = (unsigned)quorum;
	if (quorum > 0)
		return quorum_check_custodians(spec->custodians, f);
	json_array_foreach(spec->custodians, i, one) {
		if (!json_is_string(one))
			return fault_set(f, REASON_CONFIG, "custodians: names, where there is no quorum");
	}
	return REASON_OK;
}

static enum reason read_spec(struct spec *spec, struct fault *f)
{
	json_t *root, *issuers, *ends, *trust, *token, *root_token = NULL;
	json_error_t error;
	int version, vendor = 0, quorum = 0;

	if (json_unpack_ex(spec->json, &error, JSON_STRICT,
			   "{s:i, s:s, s:o, s?i, s:o, s?o, s:s, s?s, s:o, s:o, s:o, s:o, s?b}", "version", &version,
			   "organization", &spec->organization, "custodians", &spec->custodians, "quorum", &quorum,
			   "token", &token, "root_token", &root_token, "nonce_key", &spec->nonce_key, "ocsp_key",
			   &spec->ocsp_key, "root", &root, "issuers", &issuers, "certificates", &ends, "trust", &trust,
			   "software_vendor", &vendor) != 0)
		return fault_set(f, REASON_CONFIG, "%s", error.text);
	if (version != 1)
		return fault_set(f, REASON_CONFIG, "version %d; allowed: 1", version);
	TRY(read_custodians(spec, quorum, f));
	TRY(check_cn(spec->organization, f));
	TRY(read_token("token", token, &spec->token, f));
	if (root_token != NULL)
		TRY(read_token("root_token", root_token, &spec->root_token, f));
	TRY(check_path(spec->nonce_key, f));
	if (spec->ocsp_key != NULL)
		TRY(check_name(spec->ocsp_key, f));
	spec->software_vendor = vendor != 0;
	TRY(read_ca(root, spec, f));
	TRY(each("issuers", issuers, SPEC_ISSUERS_MAX, spec, read_ca, f));
	TRY(each("certificates", ends, SPEC_ENDS_MAX, spec, read_end, f));
	return each("trust", trust, SPEC_TRUST_MAX, spec, read_trust, f);
}

enum reason spec_load(const char *path, struct spec **ret_spec, struct fault *f)
{
	AUTO(spec_freep) struct spec *spec = calloc(1, sizeof(*spec));
	struct fault inner = { 0 };

	if (spec == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct spec");
	TRY(read_file(path, spec, f));
	if (read_spec(spec, &inner) != REASON_OK)
		return fault_set(f, inner.reason, "%s: %.150s", path, inner.detail);
	*ret_spec = TAKE(spec);
	return REASON_OK;
}
