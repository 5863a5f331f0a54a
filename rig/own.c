/* own.c - see own.h. */
#include "own.h"

#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#define BACKDATE_S 3600 /* a certificate begins so long before it is made */

static void auto_request(X509_REQ **request)
{
	X509_REQ_free(*request);
}

static void auto_bio(BIO **bio)
{
	(void)BIO_free(*bio);
}

static void auto_est(struct est **est)
{
	est_close(*est);
}

static bool seconds_of(const ASN1_TIME *at, time_t *ret_s)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(at, &tm) != 1)
		return false;
	*ret_s = timegm(&tm);
	return true;
}

static X509 *read_certificate(const char *path)
{
	AUTO(auto_file) FILE *file = fopen(path, "re");

	return file == NULL ? NULL : PEM_read_X509(file, NULL, NULL, NULL);
}

static bool due(const X509 *cert)
{
	time_t begin_s, end_s, life_s;

	if (cert == NULL || !seconds_of(X509_get0_notBefore(cert), &begin_s) ||
	    !seconds_of(X509_get0_notAfter(cert), &end_s))
		return false;
	life_s = end_s - begin_s;
	if (life_s > BACKDATE_S)
		life_s -= BACKDATE_S;
	return time(NULL) >= end_s - life_s / 3;
}

/* Names are left out: the next certificate has the present one's. */
static bool request_for(const char *key_file, struct bytes *ret_der, struct trouble *t)
{
	AUTO(auto_file) FILE *file = fopen(key_file, "re");
	AUTO(auto_pkey) EVP_PKEY *key = file == NULL ? NULL : PEM_read_PrivateKey(file, NULL, NULL, NULL);
	AUTO(auto_request) X509_REQ *request = X509_REQ_new();
	uint8_t *der = NULL;
	int len;

	if (key == NULL)
		return trouble_set(t, "%s: no PEM key can be read there", key_file);
	if (request == NULL || X509_REQ_set_pubkey(request, key) != 1 ||
	    X509_REQ_sign(request, key, EVP_sha256()) <= 0 || (len = i2d_X509_REQ(request, &der)) <= 0)
		return trouble_openssl(t, "cannot compose the request");
	*ret_der = (struct bytes){ der, (size_t)len };
	return true;
}

/* The one over our key. */
static bool write_own(const struct bytes *body, const X509 *now, const char *path, struct trouble *t)
{
	AUTO(auto_x509_list) STACK_OF(X509) *certs = NULL;
	AUTO(auto_bio) BIO *bio = BIO_new(BIO_s_mem());
	const EVP_PKEY *key = X509_get0_pubkey(now);
	char *text;
	long len;

	if (!est_certs(body, &certs, t))
		return false;
	for (int i = 0; bio != NULL && i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);

		if (EVP_PKEY_eq(X509_get0_pubkey(cert), key) != 1 || PEM_write_bio_X509(bio, cert) != 1)
			continue;
		len = BIO_get_mem_data(bio, &text);
		return file_write(path, text, (size_t)len, t);
	}
	return trouble_set(t, "the answer holds no certificate over the rig's key");
}

static bool renew(const struct est_options *who, const X509 *now, struct trouble *t)
{
	AUTO(auto_est) struct est *est = NULL;
	AUTO(bytes_done) struct bytes der = { 0 };
	struct est_reply reply;
	bool ok;

	if (!request_for(who->key_file, &der, t) || !est_open(who, &est, t))
		return false;
	est_send(est, OWN_LABEL, EST_REENROL, &der, &reply);
	ok = reply.outcome == EST_DONE ? write_own(&reply.body, now, who->cert_file, t)
				       : trouble_set(t, "%.380s", reply.text);
	est_reply_done(&reply);
	return ok;
}

void own_renew(const struct est_options *who)
{
	AUTO(auto_x509) X509 *now = read_certificate(who->cert_file);
	struct trouble t;

	if (!due(now))
		return;
	if (renew(who, now, &t))
		(void)fprintf(stderr, "assay-rig: %s was about to end: renewed\n", who->cert_file);
	else
		(void)fprintf(stderr, "assay-rig: %s is about to end and could not be renewed: %s\n", who->cert_file,
			      t.text);
}
