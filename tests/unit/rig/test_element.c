/*
 * test_element.c - does the software element keep what element.h promises, in memory and over a loss of power?
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "folders.h"
#include "make.h"
#include "soft_quote.h"

static const uint8_t nonce[16] = "sixteen bytes!!!";

static struct bytes spki_of(struct element *e, enum element_slot slot)
{
	struct bytes spki = { 0 };
	struct trouble t;

	if (!e->ops->public_key(e, slot, &spki, &t))
		fail_msg("%s", t.text);
	return spki;
}

static bool same_key(struct element *a, enum element_slot slot_a, struct element *b, enum element_slot slot_b)
{
	AUTO(bytes_done) struct bytes x = spki_of(a, slot_a);
	AUTO(bytes_done) struct bytes y = spki_of(b, slot_b);

	return x.len == y.len && memcmp(x.ptr, y.ptr, x.len) == 0;
}

static void import_new(const struct fixture *fixture, struct element *e)
{
	AUTO(auto_x509) X509 *cert = fixture_certify(fixture, e);
	struct buf der = make_der(cert);
	struct trouble t;

	if (!e->ops->import_certificate(e, der.ptr, der.len, &t))
		fail_msg("%s", t.text);
	buf_done(&der);
}

static X509 *parse(const struct bytes *der)
{
	const uint8_t *p = der->ptr;
	X509 *cert = d2i_X509(NULL, &p, (long)der->len);

	assert_non_null(cert);
	return cert;
}

static void attestation_certificate_is_a_leaf_for_quotes_alone(void **state)
{
	struct fixture *fixture = *state;
	AUTO(auto_element) struct element *e = fixture_element(fixture, NULL, ELEMENT_EC_P256);
	AUTO(element_evidence_done) struct element_evidence evidence = { 0 };
	struct trouble t;
	char serial[100], purpose[200];
	EXTENDED_KEY_USAGE *eku;

	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	assert_true(e->ops->attest(e, nonce, sizeof(nonce), &evidence, &t));
	assert_string_equal(evidence.type, ASSAY_OID_QUOTE);
	assert_int_equal(evidence.n_certs, 2);
	AUTO(auto_x509) X509 *leaf = parse(&evidence.cert[0]);
	AUTO(auto_x509) X509 *batch = parse(&evidence.cert[1]);
	assert_int_equal(X509_cmp(batch, fixture->batch_ca), 0);
	assert_int_equal(X509_check_ca(leaf), 0);
	assert_int_equal(X509_get_key_usage(leaf), X509v3_KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(leaf)), 1);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_serialNumber, serial, sizeof(serial)) >
		    0);
	assert_string_equal(serial, e->id);
	assert_true(X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE);
	eku = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
	assert_int_equal(sk_ASN1_OBJECT_num(eku), 1);
	(void)OBJ_obj2txt(purpose, sizeof(purpose), sk_ASN1_OBJECT_value(eku, 0), 1);
	assert_string_equal(purpose, ASSAY_OID_KP_QUOTE);
	EXTENDED_KEY_USAGE_free(eku);
	assert_non_null(X509_get0_subject_key_id(leaf));
	assert_non_null(X509_get0_authority_key_id(leaf));
	assert_true(ASN1_TIME_compare(X509_get0_notAfter(leaf), X509_get0_notAfter(batch)) <= 0);
	assert_int_equal(X509_verify(leaf, fixture->batch_key), 1);
}

static void identities_are_random_ueids(void **state)
{
	AUTO(auto_element) struct element *a = fixture_element(*state, NULL, ELEMENT_EC_P256);
	AUTO(auto_element) struct element *b = fixture_element(*state, NULL, ELEMENT_EC_P256);

	assert_int_equal(strlen(a->id), 34);
	assert_memory_equal(a->id, "01", 2); /* EAT type RAND */
	assert_string_not_equal(a->id, b->id);
}

static void signs_digests_with_every_kind_of_key(void **state)
{
	static const uint8_t message[] = "a message";
	AUTO(auto_element) struct element *e = fixture_element(*state, NULL, ELEMENT_EC_P256);

	for (int kind = 0; kind < ELEMENT_KEY_COUNT; kind++) {
		uint8_t digest[SHA256_DIGEST_LENGTH];
		struct bytes signature = { 0 };
		struct trouble t;
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();

		assert_true(e->ops->generate_keypair(e, (enum element_key)kind, &t));
		struct bytes spki = spki_of(e, ELEMENT_NEXT);
		const uint8_t *p = spki.ptr;
		EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.len);
		(void)SHA256(message, sizeof(message), digest);
		assert_true(e->ops->sign(e, ELEMENT_NEXT, digest, sizeof(digest), &signature, &t));
		assert_int_equal(EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL), 1);
		assert_int_equal(EVP_DigestVerify(ctx, signature.ptr, signature.len, message, sizeof(message)), 1);
		EVP_MD_CTX_free(ctx);
		EVP_PKEY_free(key);
		bytes_done(&signature);
		bytes_done(&spki);
	}
}

static void refuses_what_it_cannot_do(void **state)
{
	struct fixture *fixture = *state;
	AUTO(auto_element) struct element *e = fixture_element(fixture, NULL, ELEMENT_EC_P256);
	AUTO(auto_element) struct element *other = fixture_element(fixture, NULL, ELEMENT_EC_P256);
	AUTO(auto_element) struct element *old = NULL;
	struct element_evidence evidence = { 0 };
	struct soft_options unattested = { 0 };
	struct bytes out = { 0 };
	uint8_t digest[32] = { 0 };
	struct trouble t;

	assert_false(e->ops->sign(e, ELEMENT_CURRENT, digest, 32, &out, &t));
	assert_false(e->ops->attest(e, nonce, sizeof(nonce), &evidence, &t));
	assert_false(e->ops->activate(e, &t));
	assert_false(e->ops->keep_keypair(e, &t));
	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	assert_false(e->ops->sign(e, ELEMENT_NEXT, digest, 20, &out, &t));
	assert_false(e->ops->attest(e, nonce, 7, &evidence, &t));
	assert_false(e->ops->activate(e, &t));
	assert_true(other->ops->generate_keypair(other, ELEMENT_EC_P256, &t));
	AUTO(auto_x509) X509 *foreign = fixture_certify(fixture, other);
	struct buf der = make_der(foreign);
	assert_false(e->ops->import_certificate(e, der.ptr, der.len, &t));
	assert_false(other->ops->import_certificate(other, der.ptr, der.len - 1, &t));
	buf_done(&der);
	assert_true(soft_mint(&unattested, &old, &t));
	assert_true(old->ops->generate_keypair(old, ELEMENT_EC_P256, &t));
	assert_false(old->ops->attest(old, nonce, sizeof(nonce), &evidence, &t));
}

/* Where the element <id> keeps itself. */
static const char *folder_of(const struct fixture *fixture, const struct element *e, char out[4096])
{
	struct trouble t;

	assert_true(path_join(fixture->folder, e->id, out, &t));
	return out;
}

static bool there(const char *folder, const char *name)
{
	char path[4096];
	struct trouble t;

	assert_true(path_join(folder, name, path, &t));
	return access(path, F_OK) == 0;
}

static void an_unfinished_key_survives_a_loss_of_power(void **state)
{
	struct fixture *fixture = *state;
	AUTO(auto_element) struct element *before = fixture_element(fixture, fixture->folder, ELEMENT_EC_P384);
	AUTO(auto_element) struct element *after = NULL;
	char folder[4096];
	struct trouble t;

	assert_true(before->ops->generate_keypair(before, ELEMENT_EC_P256, &t));
	assert_true(soft_load(folder_of(fixture, before, folder), &after, &t));
	assert_string_equal(after->id, before->id);
	assert_true(after->ops->generate_keypair(after, ELEMENT_EC_P256, &t));
	assert_true(same_key(before, ELEMENT_NEXT, after, ELEMENT_NEXT));
	assert_true(after->ops->generate_keypair(after, ELEMENT_EC_P384, &t));
	assert_false(same_key(before, ELEMENT_NEXT, after, ELEMENT_NEXT));
}

static void a_new_certificate_counts_only_once_activated(void **state)
{
	struct fixture *fixture = *state;
	AUTO(auto_element) struct element *e = fixture_element(fixture, fixture->folder, ELEMENT_EC_P256);
	AUTO(auto_element) struct element *again = NULL;
	char folder[4096];
	struct trouble t;
	struct bytes der = { 0 };

	(void)folder_of(fixture, e, folder);
	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	import_new(fixture, e);
	assert_false(there(folder, "cert.pem"));
	assert_false(e->ops->get_certificate(e, ELEMENT_CURRENT, &der, &t));
	assert_true(e->ops->activate(e, &t));
	assert_true(there(folder, "cert.pem") && there(folder, "key.pem"));
	assert_false(there(folder, "cert-new.pem") || there(folder, "key-new.pem") || there(folder, "cert-old.pem"));
	assert_true(soft_load(folder, &again, &t));
	assert_true(same_key(e, ELEMENT_CURRENT, again, ELEMENT_CURRENT));
}

static void the_old_certificate_is_kept_aside(void **state)
{
	struct fixture *fixture = *state;
	AUTO(auto_element) struct element *e = fixture_element(fixture, fixture->folder, ELEMENT_EC_P256);
	char folder[4096], path[4096];
	struct trouble t;
	struct bytes first = { 0 }, old = { 0 };

	(void)folder_of(fixture, e, folder);
	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	import_new(fixture, e);
	assert_true(e->ops->activate(e, &t));
	assert_true(path_join(folder, "cert.pem", path, &t));
	assert_true(file_read(path, &first, &t));

	assert_true(e->ops->keep_keypair(e, &t));
	import_new(fixture, e);
	assert_true(e->ops->activate(e, &t));
	assert_true(path_join(folder, "cert-old.pem", path, &t));
	assert_true(file_read(path, &old, &t));
	assert_int_equal(first.len, old.len);
	assert_memory_equal(first.ptr, old.ptr, old.len);
	assert_false(there(folder, "key-old.pem")); /* a renewal keeps its key */
	bytes_done(&first);
	bytes_done(&old);
}

/* Power is lost after cert.pem was renamed and before key.pem was. */
static void an_interrupted_activation_is_finished(void **state)
{
	struct fixture *fixture = *state;
	AUTO(auto_element) struct element *e = fixture_element(fixture, fixture->folder, ELEMENT_EC_P256);
	AUTO(auto_element) struct element *after = NULL;
	char folder[4096], new_cert[4096], cert[4096];
	struct trouble t;

	(void)folder_of(fixture, e, folder);
	assert_true(path_join(folder, "cert-new.pem", new_cert, &t) && path_join(folder, "cert.pem", cert, &t));
	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	import_new(fixture, e);
	assert_true(e->ops->activate(e, &t));
	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	import_new(fixture, e);
	assert_int_equal(rename(new_cert, cert), 0);

	assert_true(soft_load(folder, &after, &t));
	assert_true(same_key(after, ELEMENT_CURRENT, e, ELEMENT_NEXT));
	assert_true(there(folder, "key-old.pem"));
	assert_false(there(folder, "key-new.pem"));
}

static void every_file_is_for_its_owner_alone(void **state)
{
	static const char *const names[] = { "element.json", "key.pem", "cert.pem" };
	struct fixture *fixture = *state;
	AUTO(auto_element) struct element *e = fixture_element(fixture, fixture->folder, ELEMENT_EC_P256);
	char folder[4096], path[4096];
	struct trouble t;
	struct stat st;

	(void)folder_of(fixture, e, folder);
	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	import_new(fixture, e);
	assert_true(e->ops->activate(e, &t));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_true(path_join(folder, names[i], path, &t));
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void refuses_a_folder_that_is_not_an_elements(void **state)
{
	struct fixture *fixture = *state;
	AUTO(auto_element) struct element *e = fixture_element(fixture, fixture->folder, ELEMENT_EC_P256);
	static const char *const bad[] = {
		"",   "{",
		"{}", "{\"ueid\":\"01\"}",
		"[]", "{\"ueid\":\"0100000000000000000000000000000000\",\"attestation_key\":\"x\"}"
	};
	char folder[4096], path[4096];
	struct element *none = NULL;
	struct trouble t;

	assert_true(path_join(folder_of(fixture, e, folder), "element.json", path, &t));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(file_write(path, bad[i], strlen(bad[i]), &t));
		assert_false(soft_load(folder, &none, &t));
		assert_non_null(strstr(t.text, "element.json"));
		assert_null(none);
	}
}

static void lists_devices_with_and_without_certificate(void **state)
{
	struct fixture *fixture = *state;
	char parent[4096];
	struct trouble t;
	struct folders with = { 0 }, without = { 0 }, one = { 0 };

	assert_true(path_join(fixture->folder, "devices", parent, &t));
	assert_int_equal(mkdir(parent, 0700), 0);
	for (int i = 0; i < 3; i++) {
		AUTO(auto_element) struct element *e = fixture_element(fixture, parent, ELEMENT_EC_P256);

		assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
		if (i == 0)
			continue;
		import_new(fixture, e);
		assert_true(e->ops->activate(e, &t));
	}
	assert_true(folders_list(parent, FOLDERS_WITH_CERTIFICATE, 0, &with, &t));
	assert_true(folders_list(parent, FOLDERS_WITHOUT, 0, &without, &t));
	assert_true(folders_list(parent, FOLDERS_WITH_CERTIFICATE, 1, &one, &t));
	assert_int_equal(with.n, 2);
	assert_int_equal(without.n, 1);
	assert_int_equal(one.n, 1);
	folders_done(&with);
	folders_done(&without);
	folders_done(&one);
	assert_false(folders_list("/nonexistent", FOLDERS_WITHOUT, 0, &one, &t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attestation_certificate_is_a_leaf_for_quotes_alone),
		cmocka_unit_test(identities_are_random_ueids),
		cmocka_unit_test(signs_digests_with_every_kind_of_key),
		cmocka_unit_test(refuses_what_it_cannot_do),
		cmocka_unit_test(an_unfinished_key_survives_a_loss_of_power),
		cmocka_unit_test(a_new_certificate_counts_only_once_activated),
		cmocka_unit_test(the_old_certificate_is_kept_aside),
		cmocka_unit_test(an_interrupted_activation_is_finished),
		cmocka_unit_test(every_file_is_for_its_owner_alone),
		cmocka_unit_test(refuses_a_folder_that_is_not_an_elements),
		cmocka_unit_test(lists_devices_with_and_without_certificate),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
