/*
 * fixture.c - makes the scratch vendor with test-support, which is not the rig's own code.
 */
#include "fixture.h"

#include <ftw.h>
#include <openssl/pem.h>
#include <string.h>
#include <unistd.h>

#include "make.h"
#include "oid.h"

static void write_pem(const struct fixture *fixture, const char *name, X509 *cert, EVP_PKEY *key)
{
	char path[4096];
	struct trouble t;
	AUTO(auto_file) FILE *file = NULL;

	if (!path_join(fixture->folder, name, path, &t) || (file = fopen(path, "w")) == NULL)
		make_die(name);
	if ((cert != NULL && PEM_write_X509(file, cert) != 1) ||
	    (key != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1))
		make_die(name);
}

void fixture_init(struct fixture *fixture)
{
	AUTO(make_key_freep) EVP_PKEY *root_key = NULL;
	struct trouble t;

	oid_init();
	*fixture = (struct fixture){ .folder = "/tmp/rig-test.XXXXXX" };
	if (mkdtemp(fixture->folder) == NULL)
		make_die("mkdtemp");
	root_key = make_key(KEY_EC_P384);
	fixture->batch_key = make_key(KEY_EC_P256);
	fixture->root =
		make_cert(&(struct make_cert){ .key = root_key, .cn = "Test vendor root", .ca = true }, NULL, NULL);
	fixture->batch_ca = make_cert(&(struct make_cert){ .key = fixture->batch_key,
							   .cn = "Test batch 7",
							   .ca = true,
							   .has_path_len = true,
							   .path_len = 0 },
				      fixture->root, root_key);
	write_pem(fixture, "root.pem", fixture->root, NULL);
	write_pem(fixture, "batch-ca.pem", fixture->batch_ca, NULL);
	write_pem(fixture, "batch-ca.key", NULL, fixture->batch_key);
	if (!soft_vendor_open(fixture->folder, &fixture->vendor, &t))
		make_die(t.text);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fixture_free(struct fixture *fixture)
{
	(void)nftw(fixture->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	soft_vendor_free(fixture->vendor);
	X509_free(fixture->root);
	X509_free(fixture->batch_ca);
	EVP_PKEY_free(fixture->batch_key);
}

struct element *fixture_element(const struct fixture *fixture, const char *parent, enum element_key attestation_key)
{
	struct soft_options options = { .vendor = fixture->vendor,
					.folder = parent,
					.attestation_key = attestation_key };
	struct element *element = NULL;
	struct trouble t;

	if (!soft_mint(&options, &element, &t) || !element->ops->power_up(element, &t))
		make_die(t.text);
	return element;
}

X509 *fixture_certify(const struct fixture *fixture, struct element *element)
{
	AUTO(bytes_done) struct bytes spki = { 0 };
	AUTO(auto_pkey) EVP_PKEY *key = NULL;
	const uint8_t *p;
	struct trouble t;

	if (!element->ops->public_key(element, ELEMENT_NEXT, &spki, &t))
		make_die(t.text);
	p = spki.ptr;
	key = d2i_PUBKEY(NULL, &p, (long)spki.len);
	return make_cert(&(struct make_cert){ .key = key, .cn = element->id, .eku = "clientAuth" }, fixture->batch_ca,
			 fixture->batch_key);
}

int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture_init(fixture);
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_free(*state);
	free(*state);
	return 0;
}
