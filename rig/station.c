/*
 * station.c - the steps as a table, walked in order; the first that fails ends the board, and the log says so.
 */
#include "station.h"

#include <jansson.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#include "persist.h"
#include "request.h"

#define CHALLENGE_BYTES 32
#define OWN_NONCE_BYTES 32 /* for a label that asks for none: a quote has one all the same */
#define NONCE_ATTEMPTS 3   /* a nonce that went stale while a board waited is replaced, but not for ever */

const char *const step_names[STEP_COUNT] = { "power_up", "generate_attest", "forward", "receive",
					     "import",   "challenge",       "prove",   "log" };

/* One board in the fixture. */
struct board {
	struct station *station;
	const struct plan *plan;
	size_t index;
	struct element *element;
	struct est *est; /* borrowed from the station, or own_est */
	struct est *own_est;
	X509 *previous; /* re-enrolment: the certificate in use */
	EVP_PKEY *previous_key;
	struct bytes csr;
	struct est_reply reply;
	X509 *cert; /* what came */
	uint8_t challenge[CHALLENGE_BYTES];
	struct bytes response;
	struct outcome *outcome;
};

static void board_done(struct board *b)
{
	est_close(b->own_est);
	X509_free(b->previous);
	EVP_PKEY_free(b->previous_key);
	bytes_done(&b->csr);
	est_reply_done(&b->reply);
	X509_free(b->cert);
	bytes_done(&b->response);
	auto_element(&b->element);
}

struct est_options plan_connection(const struct plan *plan)
{
	return (struct est_options){ .url = plan->url,
				     .cacert = plan->cacert,
				     .cert_file = plan->rig_cert,
				     .key_file = plan->rig_cert == NULL ? NULL : plan->rig_key,
				     .userpass = plan->userpass,
				     .timeout_ms = plan->timeout_ms };
}

static X509 *parse_cert(const struct bytes *der)
{
	const uint8_t *p = der->ptr;

	return d2i_X509(NULL, &p, (long)der->len);
}

/* A device speaks for itself: its own connection, its own certificate, a key that stays in its element. */
static bool connect_device(struct board *b, struct trouble *t)
{
	struct est_options options = plan_connection(b->plan);
	AUTO(bytes_done) struct bytes der = { 0 };

	if (!b->element->ops->get_certificate(b->element, ELEMENT_CURRENT, &der, t) ||
	    !b->element->ops->tls_key(b->element, &b->previous_key, t))
		return false;
	b->previous = parse_cert(&der);
	if (b->previous == NULL)
		return trouble_openssl(t, "the certificate in the element");
	options.cert_file = options.key_file = options.userpass = NULL;
	options.cert = b->previous;
	options.key = b->previous_key;
	if (!est_open(&options, &b->own_est, t))
		return false;
	b->est = b->own_est;
	return true;
}

static bool power_up(struct board *b, struct trouble *t)
{
	const struct plan *plan = b->plan;
	bool ok = plan->folders != NULL ? soft_load(plan->folders[b->index], &b->element, t)
					: soft_mint(&plan->element, &b->element, t);

	if (!ok || !b->element->ops->power_up(b->element, t))
		return false;
	memcpy(b->outcome->id, b->element->id, sizeof(b->outcome->id));
	b->est = b->station->est;
	return plan->kind == PLAN_ENROL || connect_device(b, t);
}

/* What the server said, for the operator; and its name for it, for programs. */
static bool refused(struct board *b, const struct est_reply *reply, const char *what, struct trouble *t)
{
	memcpy(b->outcome->reason, reply->reason, sizeof(b->outcome->reason));
	return trouble_set(t, "%s: %s", what, reply->text);
}

static bool ask_nonce(struct board *b, struct bytes *ret_nonce, struct trouble *t)
{
	AUTO(est_reply_done) struct est_reply reply = { 0 };
	uint8_t own[OWN_NONCE_BYTES];

	est_persist(b->est, b->plan->label, EST_NONCE, NULL, b->plan->patience_s, &b->outcome->retries, &reply);
	if (reply.outcome != EST_DONE)
		return refused(b, &reply, "nonce", t);
	if (!est_nonce(&reply.body, ret_nonce, t))
		return false;
	if (ret_nonce->len > 0)
		return true;
	bytes_done(ret_nonce);
	return (RAND_bytes(own, sizeof(own)) == 1 && bytes_copy(own, sizeof(own), ret_nonce)) ||
	       trouble_set(t, "no random numbers");
}

static bool wants_evidence(const struct plan *plan)
{
	return plan->kind == PLAN_ENROL ? plan->attested : plan->new_key;
}

/* The CSR around the element's new key, with fresh evidence where the plan has any. */
static bool compose(struct board *b, struct trouble *t)
{
	AUTO(bytes_done) struct bytes nonce = { 0 };
	AUTO(element_evidence_done) struct element_evidence evidence = { 0 };
	char name[128];
	struct request request = { 0 };

	if (wants_evidence(b->plan)) {
		if (!ask_nonce(b, &nonce, t) ||
		    !b->element->ops->attest(b->element, nonce.ptr, nonce.len, &evidence, t))
			return false;
		request.evidence = &evidence;
	} else if (b->plan->kind == PLAN_ENROL) {
		(void)snprintf(name, sizeof(name), "%.30s%.33s", b->plan->name_prefix, b->element->id);
		request.common_name = name;
	}
	if (b->plan->new_key)
		request.previous = b->previous;
	bytes_done(&b->csr);
	return request_build(b->element, &request, &b->csr, t);
}

static bool generate_attest(struct board *b, struct trouble *t)
{
	bool fresh = b->plan->kind == PLAN_ENROL || b->plan->new_key;

	if (!(fresh ? b->element->ops->generate_keypair(b->element, b->plan->key, t)
		    : b->element->ops->keep_keypair(b->element, t)))
		return false;
	return compose(b, t);
}

/* The key is good and the quote too, only its nonce is not: another nonce, another quote, the same key. */
static bool nonce_spent(const struct est_reply *reply)
{
	return strcmp(reply->reason, "nonce_stale") == 0 || strcmp(reply->reason, "nonce_reused") == 0 ||
	       strcmp(reply->reason, "nonce_foreign") == 0;
}

static bool forward(struct board *b, struct trouble *t)
{
	enum est_operation operation = b->plan->kind == PLAN_ENROL ? EST_ENROL : EST_REENROL;

	for (unsigned attempt = 1;; attempt++) {
		est_reply_done(&b->reply);
		est_persist(b->est, b->plan->label, operation, &b->csr, b->plan->patience_s, &b->outcome->retries,
			    &b->reply);
		if (b->reply.outcome == EST_DONE)
			return true;
		if (attempt == NONCE_ATTEMPTS || !wants_evidence(b->plan) || !nonce_spent(&b->reply))
			return refused(b, &b->reply, "enrolment", t);
		b->outcome->retries++;
		if (!compose(b, t))
			return false;
	}
}

static void note_certificate(struct outcome *outcome, const X509 *cert)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	int len = ASN1_STRING_length(serial);

	if (len > 0 && len <= 20)
		hex_encode(ASN1_STRING_get0_data(serial), (size_t)len, outcome->serial);
	(void)X509_NAME_get_text_by_NID(X509_get_issuer_name(cert), NID_commonName, outcome->issuer,
					sizeof(outcome->issuer));
}

/* RFC 7030 section 4.2.3: exactly the one certificate; and it must be for the key that was sent. */
static bool receive(struct board *b, struct trouble *t)
{
	AUTO(auto_x509_list) STACK_OF(X509) *certs = NULL;
	AUTO(bytes_done) struct bytes spki = { 0 };
	AUTO(auto_pkey) EVP_PKEY *key = NULL;
	const uint8_t *p;

	if (!est_certs(&b->reply.body, &certs, t) || !b->element->ops->public_key(b->element, ELEMENT_NEXT, &spki, t))
		return false;
	if (sk_X509_num(certs) != 1)
		return trouble_set(t, "the reply has %d certificates instead of one", sk_X509_num(certs));
	p = spki.ptr;
	key = d2i_PUBKEY(NULL, &p, (long)spki.len);
	if (key == NULL || EVP_PKEY_eq(X509_get0_pubkey(sk_X509_value(certs, 0)), key) != 1)
		return trouble_set(t, "the certificate that came is for another key");
	b->cert = sk_X509_shift(certs);
	note_certificate(b->outcome, b->cert);
	return true;
}

static bool import(struct board *b, struct trouble *t)
{
	uint8_t *der = NULL;
	int len = i2d_X509(b->cert, &der);
	struct bytes bytes = { der, len > 0 ? (size_t)len : 0 };
	bool ok = len > 0 ? b->element->ops->import_certificate(b->element, bytes.ptr, bytes.len, t)
			  : trouble_openssl(t, "cannot encode the certificate");

	bytes_done(&bytes);
	return ok;
}

/* From here on the certificate is the one that the element holds, not the one that came. */
static bool challenge(struct board *b, struct trouble *t)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	AUTO(bytes_done) struct bytes der = { 0 };

	if (!b->element->ops->get_certificate(b->element, ELEMENT_NEXT, &der, t))
		return false;
	X509_free(b->cert);
	b->cert = parse_cert(&der);
	if (b->cert == NULL)
		return trouble_openssl(t, "the certificate in the element");
	if (RAND_bytes(b->challenge, CHALLENGE_BYTES) != 1)
		return trouble_openssl(t, "no random numbers");
	(void)SHA256(b->challenge, CHALLENGE_BYTES, digest);
	return b->element->ops->sign(b->element, ELEMENT_NEXT, digest, sizeof(digest), &b->response, t);
}

static bool possession_proved(const struct board *b)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL &&
		  EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, X509_get0_pubkey(b->cert), NULL) == 1 &&
		  EVP_DigestVerify(ctx, b->response.ptr, b->response.len, b->challenge, CHALLENGE_BYTES) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool path_verified(const struct board *b, struct trouble *t)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = ctx != NULL && X509_STORE_CTX_init(ctx, b->plan->trust, b->cert, b->plan->intermediates) == 1;

	if (ok) {
		X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
		ok = X509_verify_cert(ctx) == 1;
	}
	if (!ok)
		(void)trouble_set(t, "the certificate does not verify with what /cacerts gives: %s",
				  ctx == NULL ? "not enough memory"
					      : X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	return ok;
}

static bool prove(struct board *b, struct trouble *t)
{
	if (!possession_proved(b))
		return trouble_set(t, "the element's signature does not verify with the certificate's key");
	return path_verified(b, t) && b->element->ops->activate(b->element, t);
}

static json_t *times(const struct outcome *outcome)
{
	json_t *ms = json_object();

	for (size_t i = 0; i < STEP_COUNT; i++)
		(void)json_object_set_new(ms, step_names[i],
					  json_real((double)(long)(outcome->ms[i] * 1e3 + 0.5) / 1e3));
	return ms;
}

/* log's own time stands for all but the writing, which cannot be in what is written. */
static char *compose_record(const struct board *b, double begin)
{
	struct outcome *outcome = b->outcome;
	char ts[25], station[16];
	json_t *record;
	char *text;

	mes_timestamp(ts);
	(void)snprintf(station, sizeof(station), "%u", b->station->number);
	record = json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s, s:i}", "ts", ts, "station", station, "order",
			   b->plan->order, "ueid", outcome->id, "result", outcome->ok ? "ok" : "failed", "serial",
			   outcome->serial, "retries", (int)outcome->retries);
	if (record == NULL)
		return NULL;
	(void)json_object_set_new(record, "issuer", json_string(outcome->issuer));
	if (!outcome->ok) {
		(void)json_object_set_new(record, "step", json_string(step_names[outcome->last]));
		(void)json_object_set_new(record, "reason", json_string(outcome->reason));
		(void)json_object_set_new(record, "error", json_string(outcome->trouble.text));
	}
	outcome->ms[STEP_LOG] = clock_ms() - begin;
	(void)json_object_set_new(record, "ms", times(outcome));
	text = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(9)); /* ms to the microsecond */
	json_decref(record);
	return text;
}

static bool log_record(struct board *b, struct trouble *t)
{
	double begin = clock_ms();
	AUTO(auto_free) char *line = NULL;

	if (b->plan->mes == NULL)
		return true;
	line = compose_record(b, begin);
	if (line == NULL)
		return trouble_set(t, "not enough memory for the MES record");
	return mes_append(b->plan->mes, line, t);
}

static bool timed(struct board *b, enum step step, bool (*work)(struct board *, struct trouble *))
{
	double begin = clock_ms();
	bool ok;

	b->outcome->last = step;
	ok = work(b, &b->outcome->trouble);
	b->outcome->ms[step] = clock_ms() - begin;
	return ok;
}

void station_personalise(struct station *station, size_t index, struct outcome *ret_outcome)
{
	static bool (*const steps[STEP_LOG])(struct board *, struct trouble *) = {
		[STEP_POWER_UP] = power_up, [STEP_GENERATE_ATTEST] = generate_attest,
		[STEP_FORWARD] = forward,   [STEP_RECEIVE] = receive,
		[STEP_IMPORT] = import,     [STEP_CHALLENGE] = challenge,
		[STEP_PROVE] = prove,
	};
	AUTO(board_done)
	struct board board = { .station = station, .plan = station->plan, .index = index, .outcome = ret_outcome };
	struct trouble unlogged;
	double begin;

	*ret_outcome = (struct outcome){ .begun = true, .ok = true };
	for (enum step step = STEP_POWER_UP; ret_outcome->ok && step < STEP_LOG; step++)
		ret_outcome->ok = timed(&board, step, steps[step]);

	begin = clock_ms();
	if (!log_record(&board, &unlogged) && ret_outcome->ok) {
		ret_outcome->ok = false;
		ret_outcome->last = STEP_LOG;
		ret_outcome->trouble = unlogged;
	}
	ret_outcome->ms[STEP_LOG] = clock_ms() - begin;
}
