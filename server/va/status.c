/*
 * status.c - what relying parties fetch over plain HTTP: /ca/<issuer>.cer, and /crl/<issuer>.crl with its delta
 * /crl/<issuer>-delta.crl and its shards /crl/<issuer>/<shard>.crl. Each CRL may be waited for: feed.h.
 *
 * Spec: RFC 5280 sections 4.2.1.13 and 4.2.2.1, RFC 2585 section 4 (media types), RFC 9110 section 13 (conditions).
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/sha.h"
#include "base/text.h"
#include "issuer.h"
#include "va/feed.h"
#include "va/va_ocsp.h"

#define CRL_MAX_AGE_S 60 /* a revocation is to be seen soon, whatever caches stand between */
#define CERTIFICATE_MAX_AGE_S 86400

void etag_of(struct blob bytes, char out[ETAG_CHARS])
{
	uint8_t hash[32];

	sha256(bytes, hash);
	out[0] = '"';
	text_hex(BLOB(hash, 16), out + 1, ETAG_CHARS - 1);
	memcpy(out + ETAG_CHARS - 2, "\"", 2);
}

/* What stands between in "<prefix><name><suffix>"; false if it is something else, or too long for a name of ours. */
static bool name_in(const char *path, const char *prefix, const char *suffix, char out[CRL_NAME_CHARS + 1])
{
	size_t len = strlen(path), before = strlen(prefix), after = strlen(suffix);

	if (len <= before + after || len - before - after > CRL_NAME_CHARS || strncmp(path, prefix, before) != 0 ||
	    strcmp(path + len - after, suffix) != 0)
		return false;
	memcpy(out, path + before, len - before - after);
	out[len - before - after] = '\0';
	return true;
}

static struct status *find_issuer(struct va *va, const char *path)
{
	char name[CRL_NAME_CHARS + 1];

	if (!name_in(path, "/ca/", ".cer", name))
		return NULL;
	for (size_t i = 0; i < va->n; i++)
		if (strcmp(va->status[i].name, name) == 0)
			return &va->status[i];
	return NULL;
}

static struct crl_list *find_list(struct va *va, const char *path)
{
	char name[CRL_NAME_CHARS + 1];
	struct status *s;

	return name_in(path, "/crl/", ".crl", name) ? crl_list_find(va, name, &s) : NULL;
}

static void last_modified(struct reply *reply, int64_t at_s)
{
	time_t t = (time_t)at_s;
	struct tm tm;
	char text[64];

	if (gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
		reply_header(reply, "Last-Modified", "%s", text);
}

/* Validators go with the answer; a client that has these bytes already gets 304 without them. */
static void conditional(struct exchange *x, const char *etag, int64_t modified_s, int max_age_s)
{
	const char *has = exchange_header(x, "If-None-Match");

	reply_header(&x->reply, "ETag", "%s", etag);
	reply_header(&x->reply, "Cache-Control", "public, max-age=%d", max_age_s);
	last_modified(&x->reply, modified_s);
	if (has == NULL || strstr(has, etag) == NULL)
		return;
	buf_done(&x->reply.body);
	x->reply.fixed = (struct blob){ 0 };
	shared_unref(x->reply.shared);
	x->reply.shared = NULL;
	x->reply.type = NULL;
	x->reply.status = 304;
}

static void certificate(struct exchange *x, const struct status *s)
{
	const struct cert *cert = issuer_cert(s->issuer);

	x->reply = reply_fixed("application/pkix-cert", issuer_der(s->issuer));
	conditional(x, s->certificate_etag, cert->not_before_s, CERTIFICATE_MAX_AGE_S);
}

static void crl(struct exchange *x, struct va *va, struct crl_list *list)
{
	struct reply reply = { .type = "application/pkix-crl" };
	char etag[ETAG_CHARS];
	int64_t this_update_s;
	bool too_long;
	struct fault f;

	pthread_mutex_lock(&va->lock);
	too_long = list->too_long;
	memcpy(etag, list->etag, sizeof(etag));
	this_update_s = list->this_update_s;
	if (list->der != NULL)
		reply.shared = shared_ref(list->der); /* a long one is not copied, least of all under the lock */
	pthread_mutex_unlock(&va->lock);
	if (reply.shared == NULL) {
		(void)fault_set(&f, too_long ? REASON_CRL_TOO_LONG : REASON_CA_AWAY, "no CRL \"%s\" yet", list->name);
		exchange_refuse(x, &f);
		return;
	}
	x->reply = reply;
	conditional(x, etag, this_update_s, CRL_MAX_AGE_S);
}

static void status_begin(void *role, struct exchange *x)
{
	struct fault f;

	if (ocsp_path(x->path)) {
		ocsp_begin(role, x);
		return;
	}
	if (x->method == HTTP_GET)
		return;
	(void)fault_set(&f, REASON_HTTP_METHOD, "status takes GET");
	exchange_refuse(x, &f);
	reply_header(&x->reply, "Allow", "%s", http_methods_text(HTTP_GET));
}

static bool status_run(void *role, struct exchange *x)
{
	struct va *va = role;
	struct status *ca = find_issuer(va, x->path);
	struct crl_list *list = find_list(va, x->path);
	struct fault f;

	if (ocsp_path(x->path))
		return ocsp_run(va, x);
	if (feed_path(x->path))
		return feed_run(va, x);
	if (ca != NULL) {
		x->op = "ca";
		x->metric = OP_CA_ISSUERS;
		certificate(x, ca);
	} else if (list != NULL) {
		x->op = "crl";
		x->metric = OP_CRL;
		crl(x, va, list);
	} else {
		(void)fault_set(&f, REASON_STATUS_PATH, "%.128s", x->path);
		exchange_refuse(x, &f);
	}
	x->reply.quiet = true;
	return true;
}

const struct http_app status_app = { .event = "status", .begin = status_begin, .run = status_run };
