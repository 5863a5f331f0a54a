/* test_mint.c - are the load's devices, copies for the most part, each a device of its own whose evidence holds? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "mint.h"

#define DEVICES 9
#define NONCE_BYTES 16

struct world {
	char folder[64], cert[80], key[80];
	EVP_PKEY *vendor;
};

static void write_pem(const char *path, const EVP_PKEY *key, const X509 *cert)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(cert != NULL ? PEM_write_X509(file, cert)
				      : PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL),
			 1);
	assert_int_equal(fclose(file), 0);
}

/* A vendor's batch CA in a folder. */
static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	X509 *cert = X509_new();

	strcpy(w->folder, "/tmp/assay-mint-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	(void)snprintf(w->cert, sizeof(w->cert), "%s/batch-ca.pem", w->folder);
	(void)snprintf(w->key, sizeof(w->key), "%s/batch-ca.key", w->folder);
	w->vendor = EVP_EC_gen("P-256");
	assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
						    (const unsigned char *)"batch", -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(cert, X509_get_subject_name(cert)), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 86400));
	assert_int_equal(X509_set_pubkey(cert, w->vendor), 1);
	X509_EXTENSION *id = X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_key_identifier, "00112233");
	assert_int_equal(X509_add_ext(cert, id, -1), 1);
	X509_EXTENSION_free(id);
	assert_int_not_equal(X509_sign(cert, w->vendor, EVP_sha256()), 0);
	write_pem(w->cert, NULL, cert);
	write_pem(w->key, w->vendor, NULL);
	X509_free(cert);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	(void)unlink(w->cert);
	(void)unlink(w->key);
	(void)rmdir(w->folder);
	EVP_PKEY_free(w->vendor);
	free(w);
	return 0;
}

/* The chip's certificate, which stands somewhere in the request. */
static X509 *chip_in(const uint8_t *der, size_t len, EVP_PKEY *vendor)
{
	for (size_t i = 4; i + 300 < len; i++) {
		const uint8_t *at = der + i;
		X509 *cert = at[0] == 0x30 && at[1] == 0x82 ? d2i_X509(NULL, &at, (long)(len - i)) : NULL;

		if (cert != NULL && X509_verify(cert, vendor) == 1)
			return cert;
		X509_free(cert);
	}
	return NULL;
}

/* Gives the chip's certificate; the request's own signature holds. */
static X509 *look_at(struct board *board, struct presign_room *room, EVP_PKEY *vendor)
{
	uint8_t nonce[NONCE_BYTES], der[2 * BOARD_DER_MAX];
	char text[3 * BOARD_DER_MAX];
	const uint8_t *at = der;
	size_t len;
	int der_len;

	assert_int_equal(RAND_bytes(nonce, sizeof(nonce)), 1);
	len = board_request(board, room, nonce, sizeof(nonce), text, sizeof(text));
	assert_int_not_equal(len, 0);
	der_len = EVP_DecodeBlock(der, (const unsigned char *)text, (int)len);
	assert_true(der_len > 0);
	X509_REQ *req = d2i_X509_REQ(NULL, &at, der_len);
	assert_non_null(req);
	assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
	X509_REQ_free(req);
	assert_non_null(memmem(der, (size_t)der_len, nonce, sizeof(nonce)));
	X509 *chip = chip_in(der, (size_t)der_len, vendor);
	assert_non_null(chip);
	return chip;
}

static void test_each_is_a_device_of_its_own(void **state)
{
	struct world *w = *state;
	struct mint_plan plan = { .vendor = w->folder, .nonce_len = NONCE_BYTES, .keep_every = 4 };
	struct board boards[DEVICES] = { 0 };
	struct presign_room *room = NULL;
	struct trouble t = { 0 };
	X509 *chip[DEVICES];

	if (!mint(&plan, boards, DEVICES, 2, &t))
		fail_msg("%s", t.text);
	assert_true(presign_room_new(&room, &t));
	for (int i = 0; i < DEVICES; i++) {
		assert_int_equal(boards[i].element != NULL, i % 4 == 0);
		chip[i] = look_at(&boards[i], room, w->vendor);
		for (int k = 0; k < i; k++) {
			assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(chip[i]), X509_get0_pubkey(chip[k])), 0);
			assert_int_not_equal(
				X509_NAME_cmp(X509_get_subject_name(chip[i]), X509_get_subject_name(chip[k])), 0);
			assert_int_not_equal(
				ASN1_INTEGER_cmp(X509_get0_serialNumber(chip[i]), X509_get0_serialNumber(chip[k])), 0);
		}
	}
	for (int i = 0; i < DEVICES; i++) {
		X509_free(chip[i]);
		board_done(&boards[i]);
	}
	presign_room_free(room);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_is_a_device_of_its_own) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
