/*
 * enrol.c - assayctl requester enrol, assayctl renew: requests made here, certificates fetched; and the renewal of
 * assayctl's own certificate by itself once the last third of its life has begun.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"

#define BACKDATE_S 3600 /* a certificate begins so long before it is made */

/* What is read from a file as it is; NULL: told. */
static char *read_text(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 65537);
	size_t n = file == NULL || text == NULL ? 0 : fread(text, 1, 65536, file);
	int error = file == NULL || ferror(file) ? errno : 0;

	if (file != NULL)
		(void)fclose(file);
	if (error == 0 && n > 0 && n < 65536)
		return text;
	free(text);
	(void)fail("%s: cannot be read: %s", path, error != 0 ? strerror(error) : "no request");
	return NULL;
}

static EVP_PKEY *read_key(const char *path)
{
	FILE *file = fopen(path, "re");
	EVP_PKEY *key = file == NULL ? NULL : PEM_read_PrivateKey(file, NULL, NULL, NULL);

	if (file != NULL)
		(void)fclose(file);
	return key;
}

/* A new P-256 key in a file that was not there, for its owner alone. */
static EVP_PKEY *make_key(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	EVP_PKEY *key;
	bool ok;

	if (file == NULL) {
		(void)fail("%s: cannot be made: %s", path, strerror(errno));
		return NULL;
	}
	key = EVP_EC_gen("P-256");
	ok = key != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
	ok = fclose(file) == 0 && ok;
	if (ok)
		return key;
	EVP_PKEY_free(key);
	(void)unlink(path);
	(void)fail("%s: the key cannot be written", path);
	return NULL;
}

/* PKCS#10 as PEM, the caller's to free; its names are not looked at. NULL when memory is short. */
static char *request_for(EVP_PKEY *key)
{
	X509_REQ *request = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text = NULL;
	long len;

	if (request != NULL && bio != NULL && X509_REQ_set_pubkey(request, key) == 1 &&
	    X509_REQ_sign(request, key, EVP_sha256()) > 0 && PEM_write_bio_X509_REQ(bio, request) == 1) {
		len = BIO_get_mem_data(bio, &data);
		text = strndup(data, (size_t)len);
	}
	BIO_free(bio);
	X509_REQ_free(request);
	return text;
}

/* Whole or not at all; as readable as the old one was. */
static bool write_file(const char *path, const char *text)
{
	char fresh[4096];
	struct stat st;
	FILE *file;
	bool ok;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.%ld.new", path, (long)getpid()) >= sizeof(fresh))
		return false;
	file = fopen(fresh, "we");
	if (file == NULL)
		return false;
	ok = fputs(text, file) >= 0 && fflush(file) == 0 && fsync(fileno(file)) == 0 &&
	     (stat(path, &st) != 0 || fchmod(fileno(file), st.st_mode & 0777) == 0);
	ok = fclose(file) == 0 && ok && rename(fresh, path) == 0;
	if (!ok)
		(void)unlink(fresh);
	return ok;
}

static int show_certificate(const struct ctl *ctl, json_t *answer, const char *out, const char *what)
{
	const char *pem = text_at(answer, "certificate");
	int status = 0;

	if (out != NULL && !write_file(out, pem))
		status = fail("%s: cannot be written: %s; the same call again gives the same certificate", out,
			      strerror(errno));
	if (ctl->json)
		show_json(answer);
	else if (out == NULL)
		(void)fputs(pem, stdout);
	else if (status == 0)
		(void)printf("%s: serial %s, until %s, in %s; action %s\n", what, text_at(answer, "serial"),
			     text_at(answer, "not_after"), out, text_at(answer, "action"));
	json_decref(answer);
	return status;
}

struct enrolling {
	json_t *body;
	const char *csr, *new_key, *out;
};

static bool enrol_option(struct enrolling *e, int c, const char *name, const char *value)
{
	switch (c) {
	case 'c':
		e->csr = value;
		return true;
	case 'k':
		e->new_key = value;
		return true;
	case 'o':
		e->out = value;
		return true;
	case 0:
		return json_object_set_new(e->body, name, json_string(value)) == 0;
	default:
		return false;
	}
}

/* The request that was brought, or one for a key that is made here. */
static char *request_of(const struct enrolling *e)
{
	EVP_PKEY *key;
	char *text;

	if (e->csr != NULL)
		return read_text(e->csr);
	key = make_key(e->new_key);
	text = key == NULL ? NULL : request_for(key);
	EVP_PKEY_free(key);
	return text;
}

int verb_requester_enrol(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{ "kind", required_argument, NULL, 0 },   { "names", required_argument, NULL, 0 },
		{ "labels", required_argument, NULL, 0 }, { "note", required_argument, NULL, 0 },
		{ "csr", required_argument, NULL, 'c' },  { "new-key", required_argument, NULL, 'k' },
		{ "out", required_argument, NULL, 'o' },  { 0 },
	};
	struct enrolling e = { .body = json_pack("{s:s}", "note", "enrolled") };
	json_t *answer;
	char *csr;
	int c, at;

	while ((c = getopt_long(argc, argv, "", options, &at)) != -1)
		if (!enrol_option(&e, c, options[at].name, optarg))
			break;
	if (c != -1 || optind + 1 != argc || (e.csr == NULL) == (e.new_key == NULL) ||
	    json_object_get(e.body, "kind") == NULL) {
		json_decref(e.body);
		return usage_of("requester", "enrol");
	}
	csr = request_of(&e);
	if (csr == NULL) {
		json_decref(e.body);
		return 1;
	}
	(void)json_object_set_new(e.body, "name", json_string(argv[optind]));
	(void)json_object_set_new(e.body, "csr", json_string(csr));
	free(csr);
	answer = api_post(ctl, "requesters", e.body);
	return answer == NULL ? 1 : show_certificate(ctl, answer, e.out, argv[optind]);
}

static json_t *renew(struct ctl *ctl, EVP_PKEY *key)
{
	char *csr = request_for(key);
	json_t *answer = csr == NULL ? NULL : api_post(ctl, "renewal", json_pack("{s:s}", "csr", csr));

	free(csr);
	return answer;
}

int verb_renew(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = { { "new-key", required_argument, NULL, 'k' },
						 { "out", required_argument, NULL, 'o' },
						 { 0 } };
	struct enrolling e = { 0 };
	EVP_PKEY *key;
	json_t *answer;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!enrol_option(&e, c, NULL, optarg))
			return usage_of("renew", NULL);
	if (optind != argc || (e.new_key != NULL && e.out == NULL))
		return usage_of("renew", NULL);
	key = e.new_key == NULL ? read_key(ctl->key) : make_key(e.new_key);
	if (key == NULL)
		return e.new_key == NULL ? fail("%s: no PEM key can be read there", ctl->key) : 1;
	answer = renew(ctl, key);
	EVP_PKEY_free(key);
	return answer == NULL ? 1 : show_certificate(ctl, answer, e.out == NULL ? ctl->cert : e.out, "renewed");
}

static bool seconds_of(const ASN1_TIME *at, time_t *ret_s)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(at, &tm) != 1)
		return false;
	*ret_s = timegm(&tm);
	return true;
}

/* Whether the last third of its life has begun. */
static bool due(const char *path, time_t *ret_end_s)
{
	FILE *file = fopen(path, "re");
	X509 *cert = file == NULL ? NULL : PEM_read_X509(file, NULL, NULL, NULL);
	time_t begin_s, end_s, life_s;
	bool read = cert != NULL && seconds_of(X509_get0_notBefore(cert), &begin_s) &&
		    seconds_of(X509_get0_notAfter(cert), &end_s);

	X509_free(cert);
	if (file != NULL)
		(void)fclose(file);
	if (!read)
		return false;
	life_s = end_s - begin_s;
	if (life_s > BACKDATE_S)
		life_s -= BACKDATE_S;
	*ret_end_s = end_s;
	return time(NULL) >= end_s - life_s / 3;
}

static bool renewed_in_place(struct ctl *ctl)
{
	EVP_PKEY *key = read_key(ctl->key);
	json_t *answer = key == NULL ? NULL : renew(ctl, key);
	bool ok = answer != NULL && write_file(ctl->cert, text_at(answer, "certificate"));

	EVP_PKEY_free(key);
	if (ok)
		(void)fprintf(stderr, "assayctl: %s was about to end: renewed until %s\n", ctl->cert,
			      text_at(answer, "not_after"));
	json_decref(answer);
	return ok;
}

void renew_in_time(struct ctl *ctl)
{
	const char *wish = getenv("ASSAY_RENEW");
	time_t end_s = 0;
	char end[sizeof("2026-11-21")];
	struct tm tm;

	if ((wish != NULL && strcmp(wish, "off") == 0) || !due(ctl->cert, &end_s))
		return;
	ctl->quiet = true;
	if (!renewed_in_place(ctl)) {
		(void)strftime(end, sizeof(end), "%Y-%m-%d", gmtime_r(&end_s, &tm));
		(void)fail("%s ends on %s and could not be renewed; assayctl renew says why", ctl->cert, end);
	}
	ctl->quiet = false;
}
