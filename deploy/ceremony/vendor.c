/* vendor.c - see vendor.h. */
#include "vendor.h"

#include <stdio.h>

#include "base/clock.h"
#include "home.h"

#define BACKDATE_S 3600

static enum reason make_ca(const struct ca_signer *signer, const struct pubkey *key, const char *cn, int path_len,
			   int64_t now_s, struct buf *ret_der, struct fault *f)
{
	struct ca_cert_ask ask = {
		.n_subject = 2,
		.subject = { { .type = OID_AT_ORG, .value = "Assay software vendor" }, { .type = OID_AT_CN } },
		.key = key,
		.ca = true,
		.path_len = path_len,
		.key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN,
		.not_before_s = now_s - BACKDATE_S,
		.not_after_s = TIME_NO_EXPIRY,
	};

	snprintf(ask.subject[1].value, sizeof(ask.subject[1].value), "%s", cn);
	return ca_cert_issue(signer, &ask, ret_der, f);
}

static enum reason write_vendor(struct transcript *transcript, const char *home, struct blob root, struct blob batch,
				EVP_PKEY *batch_key, struct fault *f)
{
	TRY(home_write_key(home, "vendor/batch-ca.key", batch_key, f));
	TRY(home_write_certs(home, "vendor/root.pem", &root, 1, f));
	TRY(home_write_certs(home, "vendor/batch-ca.pem", &batch, 1, f));
	printf("software vendor: vendor/root.pem, vendor/batch-ca.pem, vendor/batch-ca.key\n");
	TRY(transcript_cert(transcript, "vendor/root.pem", root, f));
	return transcript_cert(transcript, "vendor/batch-ca.pem", batch, f);
}

enum reason vendor_make(struct transcript *transcript, const char *home, int64_t now_s, struct fault *f)
{
	AUTO(evp_pkey_freep) EVP_PKEY *root_key = EVP_EC_gen("P-256");
	AUTO(evp_pkey_freep) EVP_PKEY *batch_key = EVP_EC_gen("P-256");
	AUTO(buf_done) struct buf root = { 0 };
	AUTO(buf_done) struct buf batch = { 0 };
	struct ca_signer signer = { .memory = root_key };
	struct pubkey root_public, batch_public;
	struct cert cert;

	if (root_key == NULL || batch_key == NULL)
		return fault_set(f, REASON_NO_MEMORY, "keys of the software vendor");
	TRY(ca_cert_public(root_key, &root_public, f));
	TRY(ca_cert_public(batch_key, &batch_public, f));
	TRY(make_ca(&signer, &root_public, "Assay software vendor root CA", 1, now_s, &root, f));
	TRY(cert_parse(buf_blob(&root), &cert, f));
	signer.name = cert.subject;
	TRY(make_ca(&signer, &batch_public, "Assay software vendor batch CA 1", 0, now_s, &batch, f));
	return write_vendor(transcript, home, buf_blob(&root), buf_blob(&batch), batch_key, f);
}
