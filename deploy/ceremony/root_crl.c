/* root_crl.c - the root's CRL, signed where its key is; see ceremony.h. */
#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ceremony.h"
#include "home.h"
#include "issuer.h"
#include "steps.h"

#define CRL_FOLDER "crl"
#define CRL_FILE "crl/root-%013llu.pem" /* the number in it: names in order are CRLs in order */
#define REASON_CA_COMPROMISE 2          /* RFC 5280 section 5.3.1 */
#define DAY_S 86400

AUTO_FREE(struct issuer, issuer_freep, issuer_free)

struct root_crl {
	struct revoked_entry revoked[2 * SPEC_ISSUERS_MAX];
	size_t n;
	unsigned long long number;
};

static void crl_freep(X509_CRL **crl)
{
	X509_CRL_free(*crl);
}

static void dir_close(DIR **dir)
{
	if (*dir != NULL)
		(void)closedir(*dir);
}

static void file_close(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

/* The last one's number; 0 if there was none. */
static enum reason last_number(const char *home, unsigned long long *ret_number, struct fault *f)
{
	char path[HOME_PATH_BYTES];
	AUTO(dir_close) DIR *dir = NULL;
	const struct dirent *entry;
	unsigned long long number;

	TRY(home_path(home, CRL_FOLDER, path, f));
	*ret_number = 0;
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (sscanf(entry->d_name, "root-%llu.pem", &number) == 1 && number > *ret_number)
			*ret_number = number;
	}
	return REASON_OK;
}

static enum reason add(struct root_crl *list, const ASN1_INTEGER *serial, uint8_t reason, int64_t at_s, struct fault *f)
{
	struct revoked_entry *entry = &list->revoked[list->n];
	const int len = ASN1_STRING_length(serial);

	for (size_t i = 0; i < list->n; i++) {
		if (list->revoked[i].serial_len == len &&
		    memcmp(list->revoked[i].serial, ASN1_STRING_get0_data(serial), (size_t)len) == 0)
			return REASON_OK;
	}
	if (len < 1 || len > LIMIT_SERIAL_BYTES || list->n == sizeof(list->revoked) / sizeof(list->revoked[0]))
		return fault_set(f, REASON_CONFIG, "the root's CRL holds up to %zu serials of up to %d octets",
				 sizeof(list->revoked) / sizeof(list->revoked[0]), LIMIT_SERIAL_BYTES);
	memcpy(entry->serial, ASN1_STRING_get0_data(serial), (size_t)len);
	entry->serial_len = (uint8_t)len;
	entry->reason = reason;
	entry->at_s = at_s;
	list->n++;
	return REASON_OK;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
	struct tm tm = { 0 };

	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Who was revoked once stays on every later list. */
static enum reason carry_over(const char *home, struct root_crl *list, struct fault *f)
{
	char name[64], path[HOME_PATH_BYTES];
	AUTO(file_close) FILE *file = NULL;
	AUTO(crl_freep) X509_CRL *last = NULL;

	TRY(last_number(home, &list->number, f));
	if (list->number == 0)
		return REASON_OK;
	snprintf(name, sizeof(name), CRL_FILE, list->number);
	TRY(home_path(home, name, path, f));
	file = fopen(path, "re");
	last = file == NULL ? NULL : PEM_read_X509_CRL(file, NULL, NULL, NULL);
	if (last == NULL)
		return fault_set(f, REASON_CONFIG, "%s: cannot be read; it says who is revoked already", path);
	for (int i = 0; i < sk_X509_REVOKED_num(X509_CRL_get_REVOKED(last)); i++) {
		const X509_REVOKED *one = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(last), i);

		TRY(add(list, X509_REVOKED_get0_serialNumber(one), REASON_CA_COMPROMISE,
			seconds_of(X509_REVOKED_get0_revocationDate(one)), f));
	}
	return REASON_OK;
}

/* The issuing CA's certificate is in the home of the machine that certified it. */
static enum reason revoke(const struct ceremony *c, const char *name, struct root_crl *list, struct fault *f)
{
	char file[LIMIT_PROFILE_CHARS + 16], path[HOME_PATH_BYTES];
	AUTO(file_close) FILE *in = NULL;
	X509 *x;
	enum reason reason;

	for (size_t i = 1; i < c->spec->n_cas; i++) {
		if (strcmp(c->spec->ca[i].name, name) != 0)
			continue;
		ceremony_ca_file(&c->spec->ca[i], file, sizeof(file));
		TRY(home_path(c->home, file, path, f));
		in = fopen(path, "re");
		x = in == NULL ? NULL : PEM_read_X509(in, NULL, NULL, NULL);
		if (x == NULL)
			return fault_set(f, REASON_CONFIG, "%s: no certificate of %s", path, name);
		reason = add(list, X509_get0_serialNumber(x), REASON_CA_COMPROMISE, c->now_s, f);
		X509_free(x);
		printf("revoked: issuing CA %s\n", name);
		return reason;
	}
	return fault_set(f, REASON_CONFIG, "'%s' is no issuer of the spec", name);
}

static enum reason sign_list(struct ceremony *c, const struct root_crl *list, unsigned days, struct buf *ret_der,
			     struct fault *f)
{
	AUTO(issuer_freep) struct issuer *root = NULL;
	AUTO(buf_done) struct buf tbs = { 0 };
	AUTO(buf_done) struct buf tail = { 0 };
	char file[LIMIT_PROFILE_CHARS + 16], path[HOME_PATH_BYTES];
	const struct crl_scope complete = { .kind = CRL_COMPLETE };

	ceremony_ca_file(&c->spec->ca[0], file, sizeof(file));
	TRY(home_path(c->home, file, path, f));
	TRY(issuer_open(&(struct issuer_options){ .name = c->spec->ca[0].name,
						  .certificate = path,
						  .key_label = c->spec->ca[0].name,
						  .hourly_max = 1 },
			c->hsm, &root, f));
	TRY(issuer_build_crl(root, &complete, list->number, c->now_s, c->now_s + (int64_t)days * DAY_S, list->revoked,
			     list->n, &tbs, f));
	TRY(issuer_sign(root, 0, buf_blob(&tbs), &tail, f));
	return signed_assemble(buf_blob(&tbs), buf_blob(&tail), ret_der, f);
}

static enum reason write_list(const char *home, const char *name, const char *out, struct blob der, struct fault *f)
{
	BIO *pem = BIO_new(BIO_s_mem());
	const char *slash = strrchr(out, '/');
	char folder[HOME_PATH_BYTES], *text;
	enum reason reason = REASON_NO_MEMORY;
	long len;

	snprintf(folder, sizeof(folder), "%.*s", slash == NULL ? 1 : (int)(slash - out), slash == NULL ? "." : out);
	if (pem != NULL && PEM_write_bio(pem, PEM_STRING_X509_CRL, "", der.ptr, (long)der.len) > 0 &&
	    (len = BIO_get_mem_data(pem, &text)) > 0) {
		reason = home_write_public(home, name, BLOB(text, (size_t)len), f);
		if (reason == REASON_OK)
			reason = home_write_public(folder, slash == NULL ? out : slash + 1, BLOB(text, (size_t)len), f);
	}
	BIO_free(pem);
	return reason;
}

enum reason ceremony_crl(const struct spec *spec, const char *home, const char *module, const char *revoked,
			 unsigned days, const char *out, struct fault *f)
{
	const struct spec_token *token = spec->root_token.module != NULL ? &spec->root_token : &spec->token;
	AUTO(ceremony_done)
	struct ceremony c = { .spec = spec, .token = token, .end = 1, .home = home, .now_s = clock_wall_s() };
	AUTO(buf_done) struct buf der = { 0 };
	struct root_crl list = { 0 };
	char name[64];

	c.module = module != NULL ? module : token->module;
	TRY(transcript_new(spec, &c.transcript, f));
	TRY(ceremony_open_keys(&c, f));
	TRY(carry_over(home, &list, f));
	if (revoked != NULL)
		TRY(revoke(&c, revoked, &list, f));
	list.number =
		(unsigned long long)c.now_s * 1000 > list.number ? (unsigned long long)c.now_s * 1000 : list.number + 1;
	TRY(sign_list(&c, &list, days, &der, f));
	snprintf(name, sizeof(name), CRL_FILE, list.number);
	TRY(write_list(home, name, out, buf_blob(&der), f));
	printf("CRL %s (also %s/%s): number %llu, %zu revoked, good for %u days\n", out, home, name, list.number,
	       list.n, days);
	return REASON_OK;
}
