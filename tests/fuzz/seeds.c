/*
 * seeds.c - makes the corpora that need keys: evidence under a vendor's root (with the root as vendor-root.pem), chains
 * and the ca's answers. Run by hand when a format changes: fuzz_seeds tests/fuzz tests/vectors; the files are
 * committed.
 */
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "channel/channel.h"
#include "quote_make.h"

#define FROM 1700000000 /* the targets judge at 1750000000 */

#define CHIP_SERIAL "0110200000000000000000000000000000" /* the ueid in hex: without it no evidence is believed */

static const char *out_dir, *vectors_dir;

static void write_file(const char *name, struct blob bytes)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", out_dir, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes.ptr, 1, bytes.len, file) != bytes.len || fclose(file) != 0)
		make_die(path);
}

static void append(struct buf *out, struct blob bytes)
{
	if (buf_append(out, bytes, NULL) != REASON_OK)
		make_die("memory");
}

/* One vendor certificate as DER, whichever of DER and PEM the file has. */
static void append_vector(struct buf *out, const char *name)
{
	char path[4096];
	BIO *bio;
	X509 *x;

	snprintf(path, sizeof(path), "%s/%s", vectors_dir, name);
	bio = BIO_new_file(path, "rb");
	if (bio == NULL)
		make_die(path);
	x = d2i_X509_bio(bio, NULL);
	if (x == NULL && BIO_reset(bio) == 0)
		x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (x == NULL)
		make_die(path);
	AUTO(buf_done) struct buf der = make_der(x);
	append(out, buf_blob(&der));
	X509_free(x);
	BIO_free(bio);
}

static void vendor_chain(const char *name, const char *const *files, size_t n)
{
	AUTO(buf_done) struct buf chain = { 0 };

	for (size_t i = 0; i < n; i++)
		append_vector(&chain, files[i]);
	write_file(name, buf_blob(&chain));
}

static void real_chains(void)
{
	static const char *const microchip[] = { "microchip/x5c_01232b4e0931d16901_0.der",
						 "microchip/x5c_01232b4e0931d16901_1.der",
						 "microchip/crypto_auth_root_ca_002.pem" };
	static const char *const nxp[] = { "nxp-se05x/2A66F1B2.crt", "nxp-se05x/63709315060003.crt",
					   "nxp-se05x/63709315050002.crt" };
	static const char *const infineon[] = { "infineon-trustm/OptigaTrustRsaCA309.crt",
						"infineon-trustm/OptigaRSARootCA2.crt" };

	vendor_chain("corpus/chain/microchip", microchip, 3);
	vendor_chain("corpus/chain/nxp", nxp, 3);
	vendor_chain("corpus/chain/infineon", infineon, 2);
}

static void own_chain(const struct vendor *vendor)
{
	AUTO(buf_done) struct buf chain = { 0 }, shuffled = { 0 };

	append(&chain, buf_blob(&vendor->chip_der));
	append(&chain, buf_blob(&vendor->batch_der));
	append(&chain, buf_blob(&vendor->root_der));
	write_file("corpus/chain/quote-vendor", buf_blob(&chain));
	append(&shuffled, buf_blob(&vendor->chip_der));
	append(&shuffled, buf_blob(&vendor->root_der));
	append(&shuffled, buf_blob(&vendor->batch_der));
	append(&shuffled, buf_blob(&vendor->chip_der));
	append(&shuffled, buf_blob(&vendor->root_der));
	write_file("corpus/chain/shuffled", buf_blob(&shuffled));
}

static void evidence(const struct vendor *vendor, const char *name, EVP_PKEY *device_key, size_t n_certs)
{
	static const uint8_t ueid[17] = { 1, 0x10, 0x20 }, /* CHIP_SERIAL */
		nonce[16] = { 7, 7, 7 };
	struct blob certs[] = { buf_blob(&vendor->chip_der), buf_blob(&vendor->batch_der),
				buf_blob(&vendor->root_der) };
	struct quote_make quote = { 0 };

	quote_start(&quote, device_key, BLOB_OF(ueid), BLOB_OF(nonce), 3);
	AUTO(buf_done) struct buf cose = quote_sign(&quote, vendor->chip_key, "SHA256");
	AUTO(buf_done) struct buf bundle = bundle_of_quote(buf_blob(&cose), certs, n_certs);
	write_file(name, buf_blob(&bundle));
	quote_done(&quote);
}

static void answers(const struct vendor *vendor)
{
	static const uint8_t serial[16] = { 1, 0, 0x50 }, enrolled = 0, refused = 1;
	AUTO(buf_done) struct buf yes = { 0 }, no = { 0 };
	struct fault f;

	append(&yes, BLOB(&enrolled, 1));
	append(&no, BLOB(&refused, 1));
	if (pack_u8(&yes, 0, &f) != REASON_OK || pack_bytes(&yes, BLOB_OF(serial), &f) != REASON_OK ||
	    pack_bytes(&yes, buf_blob(&vendor->chip_der), &f) != REASON_OK ||
	    pack_text(&no, "order_full", &f) != REASON_OK || pack_text(&no, "7 of 7 issued", &f) != REASON_OK)
		make_die("memory");
	write_file("corpus/answer/enrolled", buf_blob(&yes));
	write_file("corpus/answer/enrolled-cut", BLOB(yes.ptr, yes.len - 1));
	write_file("corpus/answer/refused-unknown", buf_blob(&no));
	buf_done(&no);
	append(&no, BLOB(&refused, 1));
	if (pack_text(&no, "hsm_away", &f) != REASON_OK || pack_text(&no, "token is gone", &f) != REASON_OK)
		make_die("memory");
	write_file("corpus/answer/refused", buf_blob(&no));
}

int main(int argc, char **argv)
{
	struct vendor_make spec = { 0 };
	struct vendor vendor;
	EVP_PKEY *device_key;

	if (argc != 3) {
		fprintf(stderr, "usage: %s tests/fuzz tests/vectors\n", argv[0]);
		return 2;
	}
	out_dir = argv[1];
	vectors_dir = argv[2];
	oid_init();
	device_key = make_key(KEY_EC_P256);
	spec.root.not_before_s = spec.batch.not_before_s = spec.chip.not_before_s = FROM;
	spec.root.not_after_s = spec.batch.not_after_s = spec.chip.not_after_s = TIME_NO_EXPIRY;
	vendor_make(&vendor, &spec, CHIP_SERIAL);
	AUTO(buf_done) struct buf pem = make_pem(&vendor.root, 1);
	write_file("vendor-root.pem", buf_blob(&pem));
	evidence(&vendor, "corpus/evidence/whole-chain", device_key, 3);
	evidence(&vendor, "corpus/evidence/without-root", device_key, 2);
	evidence(&vendor, "corpus/evidence/leaf-alone", device_key, 1);
	own_chain(&vendor);
	real_chains();
	answers(&vendor);
	vendor_done(&vendor);
	EVP_PKEY_free(device_key);
	return 0;
}
