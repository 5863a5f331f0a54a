/*
 * soft_store.c - a software element in a folder: element.json, key.pem, cert.pem, and what is being made beside them.
 *
 *   element.json   ueid, attestation key and certificates: what the factory gave it
 *   key-new.pem    NEXT's key, until it is activated
 *   cert-new.pem   NEXT's certificate, imported and not yet proved
 *   key.pem, cert.pem          CURRENT
 *   key-old.pem, cert-old.pem  what CURRENT was before, kept
 *
 * The certificate is renamed before the key: a folder whose cert.pem fits key-new.pem was interrupted in between,
 * and soft_load() finishes it.
 */
#include "soft.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void auto_bio(BIO **bio)
{
	BIO_free_all(*bio);
}

static void auto_json(json_t **json)
{
	json_decref(*json);
}

/* PEM texts in memory: keys go through BIO_s_secmem, which wipes. */
static bool write_bio(const struct soft *soft, const char *name, BIO *bio, struct trouble *t)
{
	char path[4096];
	char *text;
	long len = BIO_get_mem_data(bio, &text);

	return path_join(soft->folder, name, path, t) && file_write(path, text, (size_t)len, t);
}

static bool store_key(const struct soft *soft, const char *name, const EVP_PKEY *key, struct trouble *t)
{
	AUTO(auto_bio) BIO *bio = BIO_new(BIO_s_secmem());

	if (bio == NULL || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return trouble_openssl(t, name);
	return write_bio(soft, name, bio, t);
}

bool soft_store_key(const struct soft *soft, struct trouble *t)
{
	return soft->folder == NULL || store_key(soft, "key-new.pem", soft->slot[ELEMENT_NEXT].key, t);
}

bool soft_store_certificate(const struct soft *soft, struct trouble *t)
{
	AUTO(auto_bio) BIO *bio = BIO_new(BIO_s_mem());

	if (soft->folder == NULL)
		return true;
	if (bio == NULL || PEM_write_bio_X509(bio, soft->slot[ELEMENT_NEXT].cert) != 1)
		return trouble_openssl(t, "cert-new.pem");
	return write_bio(soft, "cert-new.pem", bio, t);
}

/* Moves one file over another; a missing source is well only where `may_lack`. */
static bool move(const char *folder, const char *from, const char *to, bool may_lack, struct trouble *t)
{
	char a[4096], b[4096];

	if (!path_join(folder, from, a, t) || !path_join(folder, to, b, t))
		return false;
	if (rename(a, b) == 0 || (may_lack && errno == ENOENT))
		return true;
	return trouble_set(t, "%s: cannot be renamed to %s: %s", a, to, strerror(errno));
}

/* A second name for the file, so that the first can be replaced in one step. */
static bool keep_old(const char *folder, const char *name, const char *old, struct trouble *t)
{
	char a[4096], b[4096];

	if (!path_join(folder, name, a, t) || !path_join(folder, old, b, t))
		return false;
	if (unlink(b) != 0 && errno != ENOENT)
		return trouble_set(t, "%s: cannot be replaced: %s", b, strerror(errno));
	if (link(a, b) == 0 || errno == ENOENT)
		return true;
	return trouble_set(t, "%s: cannot be kept as %s: %s", a, old, strerror(errno));
}

static bool activate_key(const char *folder, struct trouble *t)
{
	return keep_old(folder, "key.pem", "key-old.pem", t) && move(folder, "key-new.pem", "key.pem", false, t);
}

bool soft_store_activate(const struct soft *soft, bool new_key, struct trouble *t)
{
	if (soft->folder == NULL)
		return true;
	return keep_old(soft->folder, "cert.pem", "cert-old.pem", t) &&
	       move(soft->folder, "cert-new.pem", "cert.pem", false, t) && (!new_key || activate_key(soft->folder, t));
}

static bool pem_member(json_t *object, const char *name, BIO *bio)
{
	char *text;
	long len = BIO_get_mem_data(bio, &text);

	return json_object_set_new(object, name, json_stringn(text, (size_t)len)) == 0;
}

static bool put_attestation(json_t *object, const struct soft *soft)
{
	AUTO(auto_bio) BIO *key = BIO_new(BIO_s_secmem());
	AUTO(auto_bio) BIO *cert = BIO_new(BIO_s_mem());
	AUTO(auto_bio) BIO *batch = BIO_new(BIO_s_mem());

	return key != NULL && cert != NULL && batch != NULL &&
	       PEM_write_bio_PrivateKey(key, soft->attestation_key, NULL, NULL, 0, NULL, NULL) == 1 &&
	       PEM_write_bio_X509(cert, soft->attestation_cert) == 1 &&
	       PEM_write_bio_X509(batch, soft->batch_ca) == 1 && pem_member(object, "attestation_key", key) &&
	       pem_member(object, "attestation_certificate", cert) && pem_member(object, "batch_ca", batch);
}

bool soft_store_element(struct soft *soft, const char *parent, struct trouble *t)
{
	char folder[4096], path[4096];
	AUTO(auto_json) json_t *object = json_pack("{s:s, s:s}", "element", "software", "ueid", soft->base.id);
	AUTO(auto_free) char *text = NULL;

	if (!path_join(parent, soft->base.id, folder, t) || !path_join(folder, "element.json", path, t))
		return false;
	if (mkdir(folder, 0700) != 0)
		return trouble_set(t, "%s: cannot be made: %s", folder, strerror(errno));
	soft->folder = strdup(folder);
	if (object != NULL && (soft->attestation_key == NULL || put_attestation(object, soft)))
		text = json_dumps(object, JSON_INDENT(2));
	if (soft->folder == NULL || text == NULL)
		return trouble_set(t, "%s: cannot be composed", path);
	return file_write(path, text, strlen(text), t);
}

/* Absent is well: *ret_file stays NULL. */
static bool open_pem(const char *folder, const char *name, char path[4096], FILE **ret_file, struct trouble *t)
{
	if (!path_join(folder, name, path, t))
		return false;
	*ret_file = fopen(path, "re");
	return *ret_file != NULL || errno == ENOENT || trouble_set(t, "%s: cannot read: %s", path, strerror(errno));
}

/* Absent is well: *ret_key stays NULL. */
static bool load_key(const char *folder, const char *name, EVP_PKEY **ret_key, struct trouble *t)
{
	char path[4096];
	AUTO(auto_file) FILE *file = NULL;

	if (!open_pem(folder, name, path, &file, t))
		return false;
	if (file == NULL)
		return true;
	*ret_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	return *ret_key != NULL || trouble_openssl(t, path);
}

static bool load_cert(const char *folder, const char *name, X509 **ret_cert, struct trouble *t)
{
	char path[4096];
	AUTO(auto_file) FILE *file = NULL;

	if (!open_pem(folder, name, path, &file, t))
		return false;
	if (file == NULL)
		return true;
	*ret_cert = PEM_read_X509(file, NULL, NULL, NULL);
	return *ret_cert != NULL || trouble_openssl(t, path);
}

static bool fits(const X509 *cert, const EVP_PKEY *key)
{
	return cert != NULL && key != NULL && EVP_PKEY_eq(X509_get0_pubkey(cert), key) == 1;
}

static bool load_slots(struct soft *soft, struct trouble *t)
{
	struct soft_slot *current = &soft->slot[ELEMENT_CURRENT], *next = &soft->slot[ELEMENT_NEXT];

	if (!load_key(soft->folder, "key.pem", &current->key, t) ||
	    !load_cert(soft->folder, "cert.pem", &current->cert, t) ||
	    !load_key(soft->folder, "key-new.pem", &next->key, t))
		return false;
	if (current->cert == NULL || fits(current->cert, current->key))
		return true;
	if (!fits(current->cert, next->key))
		return trouble_set(t, "%s: cert.pem is not for key.pem", soft->folder);
	EVP_PKEY_free(current->key); /* the interrupted activation: see above */
	current->key = TAKE(next->key);
	return activate_key(soft->folder, t);
}

static bool parse_ueid(struct soft *soft, const char *text)
{
	char again[2 * SOFT_UEID_BYTES + 1];

	if (text == NULL || strlen(text) != sizeof(again) - 1)
		return false;
	for (size_t i = 0; i < SOFT_UEID_BYTES; i++) {
		unsigned byte;

		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		soft->ueid[i] = (uint8_t)byte;
	}
	hex_encode(soft->ueid, SOFT_UEID_BYTES, again);
	memcpy(soft->base.id, again, sizeof(again));
	return strcmp(again, text) == 0;
}

static bool parse_attestation(struct soft *soft, const json_t *object)
{
	const char *key_text = json_string_value(json_object_get(object, "attestation_key"));
	const char *cert_text = json_string_value(json_object_get(object, "attestation_certificate"));
	const char *batch_text = json_string_value(json_object_get(object, "batch_ca"));
	AUTO(auto_bio) BIO *key = BIO_new_mem_buf(key_text == NULL ? "" : key_text, -1);
	AUTO(auto_bio) BIO *cert = BIO_new_mem_buf(cert_text == NULL ? "" : cert_text, -1);
	AUTO(auto_bio) BIO *batch = BIO_new_mem_buf(batch_text == NULL ? "" : batch_text, -1);

	if (key_text == NULL && cert_text == NULL && batch_text == NULL)
		return true; /* an element of older days */
	soft->attestation_key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
	soft->attestation_cert = PEM_read_bio_X509(cert, NULL, NULL, NULL);
	soft->batch_ca = PEM_read_bio_X509(batch, NULL, NULL, NULL);
	return soft->batch_ca != NULL && fits(soft->attestation_cert, soft->attestation_key);
}

bool soft_load(const char *folder, struct element **ret_element, struct trouble *t)
{
	char path[4096];
	AUTO(auto_soft) struct soft *soft = soft_new();
	AUTO(bytes_done) struct bytes text = { 0 };
	AUTO(auto_json) json_t *object = NULL;

	if (soft == NULL || (soft->folder = strdup(folder)) == NULL)
		return trouble_set(t, "not enough memory");
	if (!path_join(folder, "element.json", path, t) || !file_read(path, &text, t))
		return false;
	object = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (!parse_ueid(soft, json_string_value(json_object_get(object, "ueid"))) || !parse_attestation(soft, object))
		return trouble_set(t, "%s: not an element's file", path);
	if (!load_slots(soft, t))
		return false;
	*ret_element = &TAKE(soft)->base;
	return true;
}
