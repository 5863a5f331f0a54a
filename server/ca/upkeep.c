/*
 * upkeep.c - what the ca does for itself from time to time: the listeners' TLS certificates are renewed when the last
 * third of their life has begun, and keys of requesters that others followed are retired.
 *
 * The ca looks at the files that the configuration names, and nobody asks it to: a role that was taken over has no say
 * in what is certified. Only a certificate that this ca's own issuer for services has signed is renewed, to the same
 * key and the same names, which are copied from it; the new file takes the old one's place by renaming, chain and mode
 * as they were, and the role whose it is reads it by itself (reload.h). The present one stays good meanwhile. A
 * certificate that somebody revoked, or that others issued, stays as it is: the metric and /readyz say how long.
 *
 * Claims make this repeatable: whatever went wrong after the certificate was made, the next look gets the same one.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "ca/operate.h"
#include "ca/services.h"
#include "observe/log.h"

#define LOOK_S 5  /* at most; sooner when a certificate's last third begins */
#define AGAIN_S 5 /* what failed is tried again */
#define FILE_MAX (64 * 1024)
#define N_FILES 2

struct own_file {
	const char *key; /* of the configuration */
	const char *path;
	enum metric_gauge left;
	int64_t due_s; /* when to renew; INT64_MAX: it is not ours */
	bool failed;
};

struct upkeep {
	struct ca *ca;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool stop, answered;
	struct fault fault;
	struct buf certificate;
	struct own_file file[N_FILES]; /* the thread's */
};

/* A certificate file as it is: the leaf, and the text behind it, which is kept. */
struct present {
	struct buf text, der;
	size_t rest; /* where the text behind the leaf begins */
	struct cert cert;
	struct issuer *issuer; /* NULL: not ours */
};

static void present_done(struct present *present)
{
	buf_done(&present->text);
	buf_done(&present->der);
}

static void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}

static enum reason read_text(const char *path, struct buf *ret_text, struct fault *f)
{
	FILE *file = fopen(path, "re");
	size_t n;

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "cannot read %s: %s", path, strerror(errno));
	if (buf_reserve(ret_text, FILE_MAX, f) != REASON_OK) {
		fclose(file);
		return f->reason;
	}
	n = fread(ret_text->ptr, 1, FILE_MAX, file);
	fclose(file);
	ret_text->len = n;
	return n > 0 && n < FILE_MAX ? REASON_OK : fault_set(f, REASON_CONFIG, "%s: no PEM file", path);
}

static enum reason read_leaf(const char *path, struct present *present, struct fault *f)
{
	AUTO(bio_freep) BIO *bio = BIO_new_mem_buf(present->text.ptr, (int)present->text.len);
	unsigned char *der = NULL;
	long len;
	enum reason reason;

	if (bio == NULL || PEM_bytes_read_bio(&der, &len, NULL, PEM_STRING_X509, bio, NULL, NULL) != 1)
		return fault_set(f, REASON_CONFIG, "%s: no PEM certificate in it", path);
	reason = buf_copy(BLOB(der, (size_t)len), &present->der, f);
	OPENSSL_free(der);
	present->rest = present->text.len - (size_t)BIO_pending(bio);
	return reason;
}

/* Of this ca's making, for a TLS server, and renewable. */
static struct issuer *issuer_of(const struct ca *ca, const struct cert *cert)
{
	for (size_t i = 0; i < ca->n_issuers; i++)
		if (ca->config->issuer[i].use == ISSUER_SERVICES && cert_has_eku(cert, OID_KP_SERVER_AUTH) &&
		    cert->serial.len <= LIMIT_SERIAL_BYTES && issuer_signed(ca->issuer[i], cert))
			return ca->issuer[i];
	return NULL;
}

static enum reason look_at(const struct ca *ca, const char *path, struct present *present, struct fault *f)
{
	TRY(read_text(path, &present->text, f));
	TRY(read_leaf(path, present, f));
	TRY(cert_parse(buf_blob(&present->der), &present->cert, f));
	present->issuer = issuer_of(ca, &present->cert);
	return REASON_OK;
}

/* Where the last third begins; certificates of ours begin an hour before they are made. */
static int64_t due(const struct present *present)
{
	const struct cert *cert = &present->cert;
	int64_t life_s = cert->not_after_s - cert->not_before_s;

	if (present->issuer == NULL || cert->not_after_s == TIME_NO_EXPIRY ||
	    issuer_cert(present->issuer)->not_after_s <= cert->not_after_s)
		return INT64_MAX; /* there is nothing to win */
	if (life_s > ISSUER_BACKDATE_S)
		life_s -= ISSUER_BACKDATE_S;
	return cert->not_after_s - life_s / 3;
}

static void told(void *user, struct blob certificate, const struct fault *fault)
{
	struct upkeep *u = user;

	pthread_mutex_lock(&u->lock);
	u->fault = fault == NULL ? (struct fault){ .reason = REASON_OK } : *fault;
	buf_done(&u->certificate);
	if (fault == NULL && buf_copy(certificate, &u->certificate, &u->fault) != REASON_OK)
		u->fault.reason = REASON_NO_MEMORY;
	u->answered = true;
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->lock);
}

/* Every issue is answered, also when the role stops: so is this wait. */
static enum reason wait_answer(struct upkeep *u, struct buf *ret_der, struct fault *f)
{
	pthread_mutex_lock(&u->lock);
	while (!u->answered)
		pthread_cond_wait(&u->changed, &u->lock);
	*f = u->fault;
	if (f->reason == REASON_OK) {
		*ret_der = u->certificate;
		u->certificate = (struct buf){ 0 };
	}
	pthread_mutex_unlock(&u->lock);
	return f->reason;
}

static enum reason issue(struct upkeep *u, const struct present *present, struct buf *ret_der, struct fault *f)
{
	const struct cert *cert = &present->cert;
	AUTO(grant_freep) struct grant *grant = grant_new();
	struct service service = { .cmc_ra = cert_has_eku(cert, OID_KP_CMC_RA), .told = told, .user = u };

	if (grant == NULL)
		return fault_set(f, REASON_NO_MEMORY, "grant");
	grant->kind = GRANT_REENROL;
	grant->key = cert->key;
	grant->previous_len = cert->serial.len;
	memcpy(grant->previous, cert->serial.ptr, cert->serial.len);
	TRY(services_fill(u->ca, SERVICES_TLS, "listener", "ca:upkeep", grant, f));
	TRY(buf_copy(cert->tbs, &service.names_from, f));
	service.grant = TAKE(grant);
	u->answered = false;
	TRY(services_put(u->ca, &service, f));
	return wait_answer(u, ret_der, f);
}

static enum reason write_pem(FILE *file, const char *path, struct blob der, struct blob rest, struct fault *f)
{
	bool ok = PEM_write(file, PEM_STRING_X509, "", der.ptr, (long)der.len) > 0 &&
		  fwrite(rest.ptr, 1, rest.len, file) == rest.len && fflush(file) == 0 && fsync(fileno(file)) == 0;

	return ok ? REASON_OK : fault_set(f, REASON_CONFIG, "cannot write %s: %s", path, strerror(errno));
}

/* Whole or not at all, and readable for whom the old one was. */
static enum reason replace(const char *path, struct blob der, struct blob rest, struct fault *f)
{
	char fresh[4096];
	struct stat st;
	FILE *file;
	enum reason reason;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.%ld.new", path, (long)getpid()) >= sizeof(fresh) ||
	    stat(path, &st) != 0)
		return fault_set(f, REASON_CONFIG, "%s: %s", path, strerror(errno));
	file = fopen(fresh, "we");
	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "cannot write %s: %s; the ca's user has to be able to", fresh,
				 strerror(errno));
	reason = write_pem(file, fresh, der, rest, f);
	if (reason == REASON_OK && fchmod(fileno(file), st.st_mode & 0777) != 0)
		reason = fault_set(f, REASON_CONFIG, "%s: %s", fresh, strerror(errno));
	fclose(file);
	if (reason == REASON_OK && rename(fresh, path) != 0)
		reason = fault_set(f, REASON_CONFIG, "cannot replace %s: %s", path, strerror(errno));
	if (reason != REASON_OK)
		(void)unlink(fresh);
	return reason;
}

static enum reason renew(struct upkeep *u, struct own_file *file, const struct present *present, struct fault *f)
{
	AUTO(buf_done) struct buf der = { 0 };
	struct blob text = buf_blob(&present->text);

	TRY(issue(u, present, &der, f));
	TRY(replace(file->path, buf_blob(&der), BLOB(text.ptr + present->rest, text.len - present->rest), f));
	log_event(LOG_INFO, "tls_renewed", "file", LOG_STR, file->path, NULL);
	return REASON_OK;
}

static enum reason keep_file(struct upkeep *u, struct own_file *file, struct fault *f)
{
	AUTO(present_done) struct present present = { 0 };
	int64_t now_s = clock_wall_s();

	TRY(look_at(u->ca, file->path, &present, f));
	metrics_gauge(u->ca->metrics, file->left, present.cert.not_after_s - now_s);
	file->due_s = due(&present);
	if (now_s < file->due_s)
		return REASON_OK;
	TRY(renew(u, file, &present, f));
	file->due_s = now_s + 1; /* look at the new one */
	return REASON_OK;
}

/* Seconds until the next look. */
static int64_t keep_files(struct upkeep *u)
{
	int64_t now_s = clock_wall_s(), next_s = now_s + LOOK_S;
	bool failed = false;

	for (size_t i = 0; i < N_FILES; i++) {
		struct own_file *file = &u->file[i];
		struct fault f = { 0 };
		bool ok = keep_file(u, file, &f) == REASON_OK;

		if (!ok && f.reason != REASON_STOPPING) {
			if (!file->failed)
				log_event(LOG_ERROR, "tls_not_renewed", "file", LOG_STR, file->path, "reason", LOG_STR,
					  reason_info(f.reason)->name, "detail", LOG_STR, f.detail, NULL);
			file->due_s = now_s + AGAIN_S;
		}
		file->failed = !ok;
		failed |= !ok;
		next_s = file->due_s < next_s ? file->due_s : next_s;
	}
	metrics_gauge(u->ca->metrics, GAUGE_TLS_NOT_RENEWED, failed);
	return next_s > now_s ? next_s - now_s : 1;
}

static bool ready(const struct ca *ca)
{
	return atomic_load(&ca->ledger_ready) && !atomic_load(&ca->token_away);
}

static void *keep(void *user)
{
	struct upkeep *u = user;
	struct timespec until;

	pthread_mutex_lock(&u->lock);
	while (!u->stop) {
		int64_t wait_s = 1;

		pthread_mutex_unlock(&u->lock);
		if (ready(u->ca)) {
			operate_lapse(u->ca->operations);
			wait_s = keep_files(u);
		}
		pthread_mutex_lock(&u->lock);
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += wait_s;
		if (!u->stop)
			(void)pthread_cond_timedwait(&u->changed, &u->lock, &until);
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

static struct upkeep *upkeep_new(struct ca *ca)
{
	struct upkeep *u = calloc(1, sizeof(*u));
	pthread_condattr_t monotonic;

	if (u == NULL)
		return NULL;
	u->ca = ca;
	u->file[0] =
		(struct own_file){ "est.certificate", ca->config->est.certificate, GAUGE_TLS_EST_LEFT_S, 0, false };
	u->file[1] = (struct own_file){ "admin.certificate", ca->config->admin.certificate, GAUGE_TLS_ADMIN_LEFT_S, 0,
					false };
	pthread_mutex_init(&u->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&u->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return u;
}

static void upkeep_free(struct upkeep *u)
{
	buf_done(&u->certificate);
	pthread_mutex_destroy(&u->lock);
	pthread_cond_destroy(&u->changed);
	free(u);
}

enum reason upkeep_open(struct ca *ca, struct upkeep **ret_upkeep, struct fault *f)
{
	struct upkeep *u = upkeep_new(ca);

	if (u == NULL || pthread_create(&u->thread, NULL, keep, u) != 0) {
		if (u != NULL)
			upkeep_free(u);
		return fault_set(f, REASON_NO_MEMORY, "thread of the upkeep");
	}
	*ret_upkeep = u;
	return REASON_OK;
}

void upkeep_close(struct upkeep *u)
{
	if (u == NULL)
		return;
	pthread_mutex_lock(&u->lock);
	u->stop = true;
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->thread, NULL);
	upkeep_free(u);
}
