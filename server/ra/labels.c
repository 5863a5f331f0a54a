/*
 * labels.c - see labels.h.
 */
#include "ra/labels.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert.h"
#include "http/body.h"
#include "issuer.h"
#include "pkcs7.h"

#define LABELS_MAX 64
#define ROOTS_MAX 4 /* while the root changes: old and new, each signed by itself and by the other */

struct labels {
	size_t n;
	struct label label[LABELS_MAX];
	const struct label *by_default;
};

/* While the cached bytes are made: every CA certificate that can be in them. */
struct ca_certs {
	size_t n_roots;
	struct buf root[ROOTS_MAX];
	size_t n;
	const char *name[LIMIT_ISSUERS];
	enum issuer_use use[LIMIT_ISSUERS];
	struct issuer *issuer[LIMIT_ISSUERS];
};

static void ca_certs_done(struct ca_certs *certs)
{
	for (size_t i = 0; i < certs->n_roots; i++)
		buf_done(&certs->root[i]);
	for (size_t i = 0; i < certs->n; i++)
		issuer_free(certs->issuer[i]);
}

void labels_free(struct labels *labels)
{
	if (labels == NULL)
		return;
	for (size_t i = 0; i < labels->n; i++) {
		buf_done(&labels->label[i].cacerts);
		buf_done(&labels->label[i].csrattrs);
	}
	free(labels);
}

AUTO_FREE(struct labels, labels_freep, labels_free)

/* The next certificate of a PEM file, as DER; false at its end. */
static bool next_pem(FILE *file, struct buf *ret_der, enum reason *ret_reason, struct fault *f)
{
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len = 0;
	bool found = PEM_read(file, &name, &header, &der, &len) == 1;

	if (found && strcmp(name, PEM_STRING_X509) == 0)
		*ret_reason = buf_copy(BLOB(der, (size_t)len), ret_der, f);
	else if (found)
		*ret_reason = fault_set(f, REASON_CONFIG, "root: \"%.40s\" is no certificate", name);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return found;
}

static bool signs_itself(const struct cert *cert)
{
	return blob_equal(cert->issuer, cert->subject) && (cert->aki.len == 0 || blob_equal(cert->aki, cert->ski));
}

/*
 * Those that another key signed go before those that sign themselves: OpenSSL takes the first issuer that fits and does
 * not come back for the next one. A root keeps its name when its key changes, so names alone do not tell.
 */
static enum reason add_root(struct ca_certs *certs, struct buf der, const char *path, struct fault *f)
{
	struct cert cert;
	size_t at = 0;

	if (cert_parse(buf_blob(&der), &cert, f) != REASON_OK || certs->n_roots == ROOTS_MAX) {
		buf_done(&der);
		return fault_set(f, REASON_CONFIG, "root: %s holds what is no certificate, or more than %d", path,
				 ROOTS_MAX);
	}
	if (signs_itself(&cert))
		at = certs->n_roots;
	memmove(&certs->root[at + 1], &certs->root[at], (certs->n_roots - at) * sizeof(der));
	certs->root[at] = der;
	certs->n_roots++;
	return REASON_OK;
}

static enum reason read_roots(const char *path, struct ca_certs *certs, struct fault *f)
{
	FILE *file = fopen(path, "r");
	enum reason reason = REASON_OK;
	struct buf der;

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "root: cannot read %s", path);
	while (reason == REASON_OK && next_pem(file, &der, &reason, f))
		if (reason == REASON_OK)
			reason = add_root(certs, der, path, f);
	fclose(file);
	ERR_clear_error(); /* the file's end is one */
	if (reason == REASON_OK && certs->n_roots == 0)
		return fault_set(f, REASON_CONFIG, "root: %s holds no PEM certificate", path);
	return reason;
}

static enum reason ca_certs_open(const struct config *config, struct ca_certs *certs, struct fault *f)
{
	TRY(read_roots(config->root, certs, f));
	for (size_t i = 0; i < config->n_issuers; i++) {
		TRY(issuer_open(&config->issuer[i], NULL, &certs->issuer[i], f));
		certs->name[i] = config->issuer[i].name;
		certs->use[i] = config->issuer[i].use;
		certs->n++;
	}
	return REASON_OK;
}

static const struct issuer *issuer_of(const struct ca_certs *certs, const char *name)
{
	for (size_t i = 0; i < certs->n; i++)
		if (strcmp(certs->name[i], name) == 0)
			return certs->issuer[i];
	return NULL;
}

static bool used_by_any(const struct labels *labels, const char *issuer)
{
	for (size_t i = 0; i < labels->n; i++)
		if (strcmp(labels->label[i].facts.issuer, issuer) == 0)
			return true;
	return false;
}

/* The issuer first, for some clients take the first certificate for it. */
static enum reason make_cacerts(const struct labels *labels, const struct ca_certs *certs, struct label *label,
				struct fault *f)
{
	const struct issuer *own = issuer_of(certs, label->facts.issuer);
	struct blob list[LIMIT_ISSUERS + ROOTS_MAX];
	AUTO(buf_done) struct buf der = { 0 };
	size_t n = 0;

	if (own == NULL)
		return fault_set(f, REASON_CONFIG, "profile \"%s\": issuer \"%s\" is not among \"issuers\"",
				 label->facts.label, label->facts.issuer);
	list[n++] = issuer_der(own);
	for (size_t i = 0; i < certs->n_roots; i++)
		list[n++] = buf_blob(&certs->root[i]);
	for (size_t i = 0; i < certs->n; i++)
		if (certs->issuer[i] != own && certs->use[i] == ISSUER_DEVICES && used_by_any(labels, certs->name[i]))
			list[n++] = issuer_der(certs->issuer[i]);
	TRY(pkcs7_certs_only(list, n, &der, f));
	return body_base64(buf_blob(&der), &label->cacerts, f);
}

static enum reason find_default(const struct config *config, struct labels *labels, struct fault *f)
{
	const char *name = config->est.default_label;

	if (name == NULL && labels->n > 1)
		return fault_set(f, REASON_CONFIG,
				 "est.default_label is missing: which of the %zu profiles answers paths "
				 "without a label?",
				 labels->n);
	labels->by_default = name == NULL ? &labels->label[0] : label_find(labels, name);
	if (labels->by_default == NULL)
		return fault_set(f, REASON_CONFIG,
				 "est.default_label is \"%.40s\", which is none of the profiles in %.80s", name,
				 config->profiles);
	return REASON_OK;
}

enum reason labels_open(const struct config *config, const struct policy *policy, struct labels **ret_labels,
			struct fault *f)
{
	AUTO(labels_freep) struct labels *labels = calloc(1, sizeof(*labels));
	AUTO(ca_certs_done) struct ca_certs certs = { 0 };
	const struct profile *profiles[LABELS_MAX];

	if (labels == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct labels");
	TRY(ca_certs_open(config, &certs, f));
	labels->n = policy_profiles(policy, profiles, LABELS_MAX);
	if (labels->n == 0 || labels->n > LABELS_MAX) {
		size_t found = labels->n;

		labels->n = 0;
		return fault_set(f, REASON_CONFIG, "profiles: %zu in %.80s, must be 1 to %d", found, config->profiles,
				 LABELS_MAX);
	}
	for (size_t i = 0; i < labels->n; i++) {
		labels->label[i].profile = profiles[i];
		profile_facts(profiles[i], &labels->label[i].facts);
		TRY(config_profile_fits(config, labels->label[i].facts.label, labels->label[i].facts.issuer,
					labels->label[i].facts.rigs, labels->label[i].facts.crl, f));
	}
	for (size_t i = 0; i < labels->n; i++) {
		struct label *label = &labels->label[i];

		TRY(make_cacerts(labels, &certs, label, f));
		if (label->facts.csrattrs.len > 0)
			TRY(body_base64(label->facts.csrattrs, &label->csrattrs, f));
	}
	TRY(find_default(config, labels, f));
	*ret_labels = TAKE(labels);
	return REASON_OK;
}

const struct label *label_find(const struct labels *labels, const char *name)
{
	if (name[0] == '\0')
		return labels->by_default;
	for (size_t i = 0; i < labels->n; i++)
		if (strcmp(labels->label[i].facts.label, name) == 0)
			return &labels->label[i];
	return NULL;
}

static enum reason append_file(const char *path, struct buf *text, struct fault *f)
{
	FILE *file = fopen(path, "r");
	uint8_t piece[4096];
	enum reason reason = REASON_OK;
	size_t n;

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "issuer certificate: cannot read %s", path);
	while (reason == REASON_OK && (n = fread(piece, 1, sizeof(piece), file)) > 0)
		reason = buf_append(text, BLOB(piece, n), f);
	fclose(file);
	return reason == REASON_OK ? buf_append(text, BLOB_STR("\n"), f) : reason;
}

enum reason labels_issuers_pem(const struct config *config, struct buf *ret_pem, struct fault *f)
{
	AUTO(buf_done) struct buf pem = { 0 };

	for (size_t i = 0; i < config->n_issuers; i++)
		if (config->issuer[i].use == ISSUER_DEVICES)
			TRY(append_file(config->issuer[i].certificate, &pem, f));
	*ret_pem = pem;
	pem = (struct buf){ 0 };
	return REASON_OK;
}
