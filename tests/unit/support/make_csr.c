/*
 * make_csr.c - PKCS#10 requests put together field by field, so that a test can have any of them wrong: see make.h.
 */
#include "make.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "der.h"
#include "derw.h"

#define ROOM 65536

static struct buf finish(struct derw *w, uint8_t *room)
{
	struct buf b = { 0 };

	if (w->full || buf_copy(derw_blob(w), &b, NULL) != REASON_OK)
		make_die("does not fit");
	free(room);
	return b;
}

static uint8_t *begin(struct derw *w)
{
	uint8_t *room = malloc(ROOM);

	if (room == NULL)
		make_die("memory");
	*w = derw_over(room, ROOM);
	return room;
}

struct buf make_element(unsigned tag, struct blob content)
{
	struct derw w;
	uint8_t *room = begin(&w);

	derw_put(&w, tag, content);
	return finish(&w, room);
}

static void put_oid(struct derw *w, const char *dotted)
{
	struct oid oid;

	if (!oid_parse(dotted, &oid))
		make_die(dotted);
	derw_oid(w, &oid);
}

struct buf make_attribute(const char *dotted, const struct blob *values, size_t n)
{
	struct derw w;
	uint8_t *room = begin(&w);

	for (size_t i = n; i > 0; i--)
		derw_raw(&w, values[i - 1]);
	derw_wrap(&w, DER_SET, w.end);
	put_oid(&w, dotted);
	derw_wrap(&w, DER_SEQUENCE, w.end);
	return finish(&w, room);
}

struct buf make_extensions(const struct make_ext *ext)
{
	STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
	struct buf b = { 0 };
	uint8_t *der = NULL;
	X509V3_CTX ctx;
	int len;

	X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
	for (size_t i = 0; i < MAKE_EXTS && ext[i].oid != NULL; i++) {
		X509_EXTENSION *one = X509V3_EXT_nconf(NULL, &ctx, ext[i].oid, ext[i].value);

		if (one == NULL || sk_X509_EXTENSION_push(list, one) <= 0)
			make_die(ext[i].oid);
	}
	len = i2d_X509_EXTENSIONS(list, &der);
	if (len < 0 || buf_copy(BLOB(der, (size_t)len), &b, NULL) != REASON_OK)
		make_die("extensions");
	OPENSSL_free(der);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return b;
}

/* DER order of a SET OF: by encoding. */
static int by_encoding(const void *a, const void *b)
{
	const struct blob *x = a, *y = b;
	size_t common = x->len < y->len ? x->len : y->len;
	int order = memcmp(x->ptr, y->ptr, common);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void put_attributes(struct derw *w, const struct make_csr *spec, struct blob ext_request)
{
	struct blob all[9];
	const uint8_t *mark = derw_mark(w);
	size_t n = 0;

	while (n < 8 && spec->attributes[n].ptr != NULL) {
		all[n] = spec->attributes[n];
		n++;
	}
	if (ext_request.ptr != NULL)
		all[n++] = ext_request;
	if (!spec->unsorted)
		qsort(all, n, sizeof(all[0]), by_encoding);
	while (n > 0)
		derw_raw(w, all[--n]);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), mark);
}

static void put_info(struct derw *w, const struct make_csr *spec)
{
	AUTO(buf_done) struct buf name = make_name(spec->cn, spec->serial_number);
	AUTO(buf_done) struct buf spki = make_spki(spec->key);
	AUTO(buf_done) struct buf extensions = { 0 }, request = { 0 };
	const uint8_t *mark = derw_mark(w);

	if (spec->ext[0].oid != NULL) {
		extensions = make_extensions(spec->ext);
		request = make_attribute("1.2.840.113549.1.9.14", &(struct blob){ extensions.ptr, extensions.len }, 1);
	}
	put_attributes(w, spec, buf_blob(&request));
	derw_raw(w, buf_blob(&spki));
	derw_raw(w, spec->subject.ptr != NULL ? spec->subject : buf_blob(&name));
	derw_uint(w, DER_INTEGER, spec->version);
	derw_wrap(w, DER_SEQUENCE, mark);
}

/* The OID that fits key and digest. */
static const char *fitting(EVP_PKEY *key, const char *md_name)
{
	static const char *const table[][3] = {
		{ "SHA256", "1.2.840.10045.4.3.2", "1.2.840.113549.1.1.11" },
		{ "SHA384", "1.2.840.10045.4.3.3", "1.2.840.113549.1.1.12" },
		{ "SHA512", "1.2.840.10045.4.3.4", "1.2.840.113549.1.1.13" },
		{ "SHA1", "1.2.840.10045.4.1", "1.2.840.113549.1.1.5" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(table[i][0], md_name) == 0)
			return table[i][EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? 2 : 1];
	}
	make_die(md_name);
}

static void put_algorithm(struct derw *w, const struct make_csr *spec, const char *md_name)
{
	bool rsa = EVP_PKEY_get_base_id(spec->key) == EVP_PKEY_RSA;
	const uint8_t *mark = derw_mark(w);

	if (spec->algorithm != NULL || rsa != spec->null_parameters)
		derw_put(w, DER_NULL, BLOB(NULL, 0));
	put_oid(w, spec->algorithm != NULL ? spec->algorithm : fitting(spec->key, md_name));
	derw_wrap(w, DER_SEQUENCE, mark);
}

struct buf make_csr(const struct make_csr *spec)
{
	const char *md_name = spec->md_name != NULL ? spec->md_name : "SHA256";
	AUTO(buf_done) struct buf info = { 0 }, signature = { 0 };
	struct derw w;
	uint8_t *room = begin(&w);

	put_info(&w, spec);
	info = finish(&w, room);
	signature = make_signature(spec->key, md_name, spec->wrong_signature ? BLOB("other", 5) : buf_blob(&info));
	room = begin(&w);
	derw_bits(&w, buf_blob(&signature));
	put_algorithm(&w, spec, md_name);
	derw_raw(&w, buf_blob(&info));
	derw_wrap(&w, DER_SEQUENCE, w.end);
	return finish(&w, room);
}
