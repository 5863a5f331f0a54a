/*
 * est.c - what goes over the wire. A table says how each operation looks; est_send() is the same for all.
 */
#include "est.h"

#include <curl/curl.h>
#include <jansson.h>
#include <openssl/pkcs7.h>
#include <openssl/ssl.h>
#include <string.h>
#include <strings.h>

#define BODY_BYTES_MAX (1024UL * 1024UL) /* /cacerts with every CA of a large house is under 100 KiB */
#define CONNECT_TIMEOUT_MS 10000L

static const struct operation {
	const char *path;
	const char *sends; /* media type; NULL: a GET */
	const char *takes;
	bool base64;
} operations[EST_OPERATION_COUNT] = {
	[EST_CACERTS] = { "cacerts", NULL, "application/pkcs7-mime", true },
	[EST_NONCE] = { "nonce", NULL, "application/est-attestation-freshness+json", false },
	[EST_ENROL] = { "simpleenroll", "application/pkcs10", "application/pkcs7-mime", true },
	[EST_REENROL] = { "simplereenroll", "application/pkcs10", "application/pkcs7-mime", true },
};

struct est {
	CURL *curl;
	char *base; /* ends in /.well-known/est */
	X509 *cert; /* borrowed */
	EVP_PKEY *key;
	struct curl_slist *headers;
	struct bytes body;
	char error[CURL_ERROR_SIZE];
};

void est_close(struct est *est)
{
	if (est == NULL)
		return;
	curl_easy_cleanup(est->curl);
	curl_slist_free_all(est->headers);
	bytes_done(&est->body);
	free(est->base);
	free(est);
}

static void auto_est(struct est **est)
{
	est_close(*est);
}

/* curl's callback for what comes in: refuses more than BODY_BYTES_MAX. */
static size_t take_body(char *ptr, size_t size, size_t n, void *user)
{
	struct est *est = user;
	size_t add = size * n;
	uint8_t *grown;

	if (est->body.len + add > BODY_BYTES_MAX)
		return 0;
	grown = realloc(est->body.ptr, est->body.len + add + 1);
	if (grown == NULL)
		return 0;
	memcpy(grown + est->body.len, ptr, add);
	est->body = (struct bytes){ grown, est->body.len + add };
	grown[est->body.len] = 0;
	return add;
}

/* A device's key may live in an element: OpenSSL gets the handle, libcurl needs no file. */
static CURLcode use_device(CURL *curl, void *ssl_ctx, void *user)
{
	const struct est *est = user;

	(void)curl;
	return SSL_CTX_use_certificate(ssl_ctx, est->cert) == 1 && SSL_CTX_use_PrivateKey(ssl_ctx, est->key) == 1
		       ? CURLE_OK
		       : CURLE_SSL_CERTPROBLEM;
}

static bool set_identity(struct est *est, const struct est_options *o)
{
	CURL *c = est->curl;

	est->cert = o->cert;
	est->key = o->key;
	return (o->cert_file == NULL || (curl_easy_setopt(c, CURLOPT_SSLCERT, o->cert_file) == CURLE_OK &&
					 curl_easy_setopt(c, CURLOPT_SSLKEY, o->key_file) == CURLE_OK)) &&
	       (o->cert == NULL || (curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, use_device) == CURLE_OK &&
				    curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, est) == CURLE_OK)) &&
	       (o->userpass == NULL || (curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK &&
					curl_easy_setopt(c, CURLOPT_USERPWD, o->userpass) == CURLE_OK));
}

/* Sessions are resumed and connections kept by themselves, for as long as this handle lives. */
static bool set_connection(struct est *est, const struct est_options *o)
{
	CURL *c = est->curl;

	return curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_CAINFO, o->cacert) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, o->timeout_ms) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_ERRORBUFFER, est->error) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_WRITEDATA, est) == CURLE_OK;
}

static char *base_url(const char *url)
{
	static const char well_known[] = "/.well-known/est";
	size_t len = strlen(url);
	char *base = NULL;

	while (len > 0 && url[len - 1] == '/')
		len--;
	if (len >= sizeof(well_known) - 1 &&
	    strncmp(url + len - (sizeof(well_known) - 1), well_known, sizeof(well_known) - 1) == 0)
		len -= sizeof(well_known) - 1;
	return asprintf(&base, "%.*s%s", (int)len, url, well_known) < 0 ? NULL : base;
}

bool est_open(const struct est_options *options, struct est **ret_est, struct trouble *t)
{
	AUTO(auto_est) struct est *est = calloc(1, sizeof(*est));

	if (est == NULL || (est->curl = curl_easy_init()) == NULL || (est->base = base_url(options->url)) == NULL)
		return trouble_set(t, "not enough memory");
	if (!set_connection(est, options) || !set_identity(est, options))
		return trouble_set(t, "libcurl does not take a setting: is it built with OpenSSL?");
	*ret_est = TAKE(est);
	return true;
}

/* What curl says: whether sending the same again can help, and what an operator should look at. */
static const struct curl_meaning {
	CURLcode code;
	enum est_outcome outcome;
	const char *hint;
} meanings[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, EST_RETRY, "is the host name in --url right?" },
	{ CURLE_COULDNT_CONNECT, EST_RETRY, "is the server running, and --url right?" },
	{ CURLE_OPERATION_TIMEDOUT, EST_RETRY, NULL },
	{ CURLE_SSL_CONNECT_ERROR, EST_RETRY, NULL },
	{ CURLE_GOT_NOTHING, EST_RETRY, NULL },
	{ CURLE_SEND_ERROR, EST_RETRY, NULL },
	{ CURLE_RECV_ERROR, EST_RETRY, NULL },
	{ CURLE_PARTIAL_FILE, EST_RETRY, NULL },
	{ CURLE_WRITE_ERROR, EST_BROKEN, "is this an EST server? its answer is too long" },
	{ CURLE_PEER_FAILED_VERIFICATION, EST_BROKEN,
	  "is --cacert this server's root, and does --url name it as its certificate does?" },
	{ CURLE_SSL_CACERT_BADFILE, EST_BROKEN, "--cacert" },
	{ CURLE_SSL_CERTPROBLEM, EST_BROKEN, "do --rig-cert and --rig-key belong together?" },
};

/* The server speaks, but not EST: sending again would not change it. */
static void broken(struct est_reply *reply, const char *what, const char *detail)
{
	reply->outcome = EST_BROKEN;
	(void)snprintf(reply->text, sizeof(reply->text), "%.100s%s%.200s", what, detail[0] == '\0' ? "" : ": ", detail);
}

static void explain(struct est_reply *reply, CURLcode code, const char *error)
{
	const struct curl_meaning *meaning = NULL;
	const char *says = error[0] == '\0' ? curl_easy_strerror(code) : error;

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].code == code)
			meaning = &meanings[i];
	reply->outcome = meaning == NULL ? EST_BROKEN : meaning->outcome;
	(void)snprintf(reply->text, sizeof(reply->text), "%.200s%s%s", says,
		       meaning == NULL || meaning->hint == NULL ? "" : ": ",
		       meaning == NULL || meaning->hint == NULL ? "" : meaning->hint);
}

/* "... text (reason, request 1a2b)": the reason's name, for the few that a rig acts upon. */
static void find_reason(struct est_reply *reply)
{
	const char *open = strrchr(reply->text, '(');
	size_t len = open == NULL ? 0 : strcspn(open + 1, ",) ");

	if (len == 0 || len >= sizeof(reply->reason) || open[1 + len] != ',')
		return;
	memcpy(reply->reason, open + 1, len);
	reply->reason[len] = '\0';
}

/* The server's own words, on one line and printable: they go to a terminal and a log. */
static void quote_server(const struct est *est, struct est_reply *reply)
{
	int n = snprintf(reply->text, sizeof(reply->text), "%ld ", reply->status);
	size_t at = n > 0 ? (size_t)n : 0;

	for (size_t i = 0; i < est->body.len && at + 1 < sizeof(reply->text); i++) {
		uint8_t c = est->body.ptr[i];

		reply->text[at++] = (char)(c < 0x20 || c >= 0x7f ? ' ' : c);
	}
	while (at > 0 && reply->text[at - 1] == ' ')
		at--;
	reply->text[at] = '\0';
	find_reason(reply);
}

static bool type_is(const char *type, const char *wanted)
{
	size_t len = strlen(wanted);

	return type != NULL && strncasecmp(type, wanted, len) == 0 &&
	       (type[len] == '\0' || strchr("; \t", type[len]) != NULL);
}

/* RFC 7030 says success by the status alone; what else comes is refused or to be tried again. */
static void judge(struct est *est, const struct operation *op, struct est_reply *reply)
{
	char *type = NULL;
	curl_off_t wait = 0;

	(void)curl_easy_getinfo(est->curl, CURLINFO_RESPONSE_CODE, &reply->status);
	(void)curl_easy_getinfo(est->curl, CURLINFO_CONTENT_TYPE, &type);
	(void)curl_easy_getinfo(est->curl, CURLINFO_RETRY_AFTER, &wait);
	reply->retry_after_s = (double)wait;
	if (reply->status != 200) {
		quote_server(est, reply);
		reply->outcome = reply->status == 202 || reply->status == 408 || reply->status == 429 ||
						 (reply->status >= 502 && reply->status <= 504)
					 ? EST_RETRY
					 : EST_REFUSED;
	} else if (!type_is(type, op->takes)) {
		broken(reply, "200 with an unexpected Content-Type", type == NULL ? "none" : type);
	} else if (!op->base64) {
		reply->body = est->body;
		est->body = (struct bytes){ 0 };
		reply->outcome = EST_DONE;
	} else if (base64_decode((const char *)est->body.ptr, est->body.len, &reply->body)) {
		reply->outcome = EST_DONE;
	} else {
		broken(reply, "200 with a body that is not base64", "");
	}
}

static bool set_url(struct est *est, const char *label, const struct operation *op)
{
	AUTO(auto_free) char *url = NULL;
	bool labelled = label != NULL && label[0] != '\0';

	return asprintf(&url, "%s%s%s/%s", est->base, labelled ? "/" : "", labelled ? label : "", op->path) >= 0 &&
	       curl_easy_setopt(est->curl, CURLOPT_URL, url) == CURLE_OK;
}

/* `text` must live until the request is over: libcurl does not copy it. */
static bool set_body(struct est *est, const struct operation *op, const char *text)
{
	char type[80];
	struct curl_slist *list;

	curl_slist_free_all(est->headers);
	est->headers = NULL;
	if (op->sends == NULL)
		return curl_easy_setopt(est->curl, CURLOPT_HTTPHEADER, NULL) == CURLE_OK &&
		       curl_easy_setopt(est->curl, CURLOPT_HTTPGET, 1L) == CURLE_OK;
	(void)snprintf(type, sizeof(type), "Content-Type: %s", op->sends);
	est->headers = curl_slist_append(NULL, type);
	list = est->headers == NULL ? NULL : curl_slist_append(est->headers, "Content-Transfer-Encoding: base64");
	return list != NULL && curl_slist_append(list, "Expect:") != NULL && /* saves a round trip */
	       curl_easy_setopt(est->curl, CURLOPT_HTTPHEADER, est->headers) == CURLE_OK &&
	       curl_easy_setopt(est->curl, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(est->curl, CURLOPT_POSTFIELDS, text) == CURLE_OK &&
	       curl_easy_setopt(est->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(text)) == CURLE_OK;
}

void est_send(struct est *est, const char *label, enum est_operation operation, const struct bytes *der,
	      struct est_reply *ret_reply)
{
	const struct operation *op = &operations[operation];
	AUTO(auto_free) char *text = der == NULL ? NULL : base64_encode(der->ptr, der->len);
	struct est_reply reply = { .outcome = EST_BROKEN };
	CURLcode code;

	bytes_done(&est->body);
	est->error[0] = '\0';
	if ((op->sends != NULL && text == NULL) || !set_url(est, label, op) || !set_body(est, op, text))
		code = CURLE_OUT_OF_MEMORY;
	else
		code = curl_easy_perform(est->curl);
	if (code == CURLE_OK)
		judge(est, op, &reply);
	else
		explain(&reply, code, est->error);
	*ret_reply = reply;
}

void est_reply_done(struct est_reply *reply)
{
	bytes_done(&reply->body);
}

bool est_certs(const struct bytes *body, STACK_OF(X509) * *ret_certs, struct trouble *t)
{
	const uint8_t *p = body->ptr;
	PKCS7 *p7 = d2i_PKCS7(NULL, &p, (long)body->len);
	bool whole = p7 != NULL && p == body->ptr + body->len && PKCS7_type_is_signed(p7) && p7->d.sign != NULL;
	STACK_OF(X509) *certs = whole && p7->d.sign->cert != NULL ? X509_chain_up_ref(p7->d.sign->cert) : NULL;

	PKCS7_free(p7);
	if (!whole)
		return trouble_openssl(t, "the reply is not a certs-only PKCS#7");
	if (certs == NULL)
		return trouble_set(t, "the reply has no certificates");
	*ret_certs = certs;
	return true;
}

bool est_nonce(const struct bytes *body, struct bytes *ret_nonce, struct trouble *t)
{
	json_t *object = json_loadb((const char *)body->ptr, body->len, JSON_REJECT_DUPLICATES, NULL);
	const char *text = json_string_value(json_object_get(object, "nonce"));
	bool ok = text != NULL && base64url_decode(text, ret_nonce);

	json_decref(object);
	return ok || trouble_set(t, "the nonce reply is not {\"nonce\":\"<base64url>\"}");
}
