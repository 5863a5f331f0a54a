/* decide_support.c - see decide_support.h. */
#include "decide_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "make.h"

static char dir[64];
static char files[16][96];
static size_t n_files;

void scene_profile(const char *label, const char *json)
{
	FILE *file;

	if (n_files == 0) {
		snprintf(dir, sizeof(dir), "/tmp/assay-decide-XXXXXX");
		assert_non_null(mkdtemp(dir));
	}
	snprintf(files[n_files], sizeof(files[0]), "%s/%s.json", dir, label);
	file = fopen(files[n_files++], "w");
	assert_non_null(file);
	for (; *json != '\0'; json++)
		fputc(*json == '\'' ? '"' : *json, file);
	fclose(file);
}

int scene_remove_profiles(void **state)
{
	(void)state;
	while (n_files > 0)
		unlink(files[--n_files]);
	rmdir(dir);
	return 0;
}

/* Keys are made once: generation is slow, and the tests only compare them. */
static struct pubkey some_key(enum key_type type)
{
	EVP_PKEY *key = make_key(type);
	struct pubkey pubkey = make_pubkey(key);

	EVP_PKEY_free(key);
	return pubkey;
}

struct blob scene_keep(struct scene *scene, struct buf der)
{
	assert_true(scene->n_kept < 32);
	scene->kept[scene->n_kept] = der;
	return buf_blob(&scene->kept[scene->n_kept++]);
}

struct blob scene_name(struct scene *scene, const char *cn, const char *serial_number)
{
	return scene_keep(scene, make_name(cn, serial_number));
}

static struct buf join(struct buf a, struct buf b)
{
	if (buf_append(&a, buf_blob(&b), NULL) != REASON_OK)
		make_die("memory");
	buf_done(&b);
	return a;
}

static struct buf wrap(unsigned tag, struct buf content)
{
	struct buf out = make_element(tag, buf_blob(&content));

	buf_done(&content);
	return out;
}

static struct buf element_of_oid(enum oid_id id)
{
	return make_element(0x06, BLOB(oid_of(id)->bytes, oid_of(id)->len));
}

static struct buf hw_module(enum oid_id type, const char *hex)
{
	uint8_t serial[64];
	size_t len;

	assert_true(text_unhex(hex, strlen(hex), serial, sizeof(serial), &len));
	return wrap(0xa0,
		    join(element_of_oid(OID_ON_HW_MODULE),
			 wrap(0xa0, wrap(0x30, join(element_of_oid(type), make_element(0x04, BLOB(serial, len)))))));
}

static struct buf general_name(const char *spec)
{
	const char *value = strchr(spec, ':') + 1;

	if (strncmp(spec, "uri:", 4) == 0)
		return make_element(0x86, BLOB_STR(value));
	if (strncmp(spec, "dns:", 4) == 0)
		return make_element(0x82, BLOB_STR(value));
	if (strncmp(spec, "email:", 6) == 0)
		return make_element(0x81, BLOB_STR(value));
	return hw_module(strncmp(spec, "hw:", 3) == 0 ? OID_ASSAY_HW_TYPE : OID_EC_P256, value);
}

struct blob scene_san(struct scene *scene, ...)
{
	struct buf names = { 0 };
	const char *spec;
	va_list ap;

	va_start(ap, scene);
	while ((spec = va_arg(ap, const char *)) != NULL)
		names = join(names, general_name(spec));
	va_end(ap);
	return scene_keep(scene, wrap(0x30, names));
}

void scene_who(struct scene *scene, enum requester_kind kind, const char *names)
{
	scene->who = (struct requester){ .kind = kind };
	snprintf(scene->who.id, sizeof(scene->who.id), "%s:test", requester_kind_name(kind));
	snprintf(scene->who.names, sizeof(scene->who.names), "%s", names);
	if (kind == WHO_DEVICE)
		scene->who.cert = &scene->cert;
}

static void fill_verdict(struct verdict *verdict, const struct pubkey *key)
{
	*verdict = (struct verdict){ .format = "assay.1.1", .level = LEVEL_NATIVE, .key = *key, .has_freshness = true };
	strcpy(verdict->device.format, "assay.1.1");
	memset(verdict->device.vendor_root, 7, 32);
	for (uint8_t i = 0; i < 16; i++)
		verdict->device.element[i] = (uint8_t)(i + 1);
	verdict->device.element_len = 16;
	verdict->nonce_len = 16;
	memset(verdict->nonce, 9, 16);
}

struct scene *scene_open(void)
{
	static const char *const issuers[] = { "attested", "unattested", "idevid", "rigs", NULL };
	static const uint8_t serial[] = { 1, 2, 3, 4 };
	static const uint8_t bundle[] = { 0x30, 0x00 };
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	if (policy_load(dir, NULL, issuers, &scene->policy, &scene->f) != REASON_OK)
		fail_msg("%s", scene->f.detail);
	scene_who(scene, WHO_RIG, "");
	scene->csr.key = some_key(KEY_EC_P256);
	scene->csr.subject = scene_name(scene, NULL, NULL);
	scene->csr.evidence = BLOB_OF(bundle);
	fill_verdict(&scene->verdict, &scene->csr.key);
	scene->cert.serial = BLOB_OF(serial);
	scene->cert.key = some_key(KEY_EC_P256);
	scene->cert.subject = scene_name(scene, ELEMENT_HEX, ELEMENT_HEX);
	scene->cert.san = scene_san(scene, "uri:urn:e:" ELEMENT_HEX, "dns:a.example", NULL);
	scene->ask = (struct ask){ .who = &scene->who, .csr = &scene->csr, .verdict = &scene->verdict };
	return scene;
}

int scene_setup(void **state)
{
	*state = scene_open();
	return 0;
}

int scene_teardown(void **state)
{
	struct scene *scene = *state;

	grant_free(scene->grant);
	policy_free(scene->policy);
	for (size_t i = 0; i < scene->n_kept; i++)
		buf_done(&scene->kept[i]);
	free(scene);
	return 0;
}

enum reason scene_decide(struct scene *scene, const char *label, enum est_op op)
{
	const struct profile *profile = policy_profile(scene->policy, label);

	assert_non_null(profile);
	grant_free(scene->grant);
	scene->grant = NULL;
	scene->ask.op = op;
	return policy_decide(scene->policy, profile, &scene->ask, &scene->grant, &scene->f);
}

#define WITH_EVIDENCE(who)                                                                                             \
	"'enrol': { 'who': [" who "], 'evidence': true }, 'key_usage': ['digitalSignature'], 'eku': ['clientAuth'],"
#define ELEMENT_SUBJECT "'subject': { 'CN': '{element}', 'serialNumber': '{element}', 'O': 'Example' },"

int scene_enrol_profiles(void **state)
{
	(void)state;
	scene_profile("line", "{ 'family': 'device', 'issuer': 'attested', 'level': 'native', " WITH_EVIDENCE("'rig'")
				      ELEMENT_SUBJECT
		      "'keys': ['ec-p256'], 'validity': '5y', 'nonce': { 'lifetime': '10m' }, 'stamp': true }");
	scene_profile("names", "{ 'issuer': 'attested', 'level': 'provisioned', " WITH_EVIDENCE("'rig', 'ra', 'device'")
				       ELEMENT_SUBJECT
		      "'keys': ['ec-p256', 'rsa-2048'], 'validity': '1y', 'san': ["
		      "{ 'uri': 'urn:e:{format}:{element}' }, { 'dns': '{element}.devices.example' },"
		      "{ 'hardwareModuleName': { 'hwType': 'assay.5.1', 'serial': '{element}' } }] }");
	scene_profile("prefixed", "{ 'issuer': 'attested', 'level': 'native', " WITH_EVIDENCE(
					  "'rig'") "'subject': { 'CN': 'dev-{element}', 'serialNumber': '{element}' }, "
						   "'keys': ['ec-p256'], 'validity': '1y' }");
	scene_profile("unit", "{ 'issuer': 'attested', 'level': 'native', " WITH_EVIDENCE(
				      "'rig'") "'subject': { 'CN': '{unit_serial}', 'serialNumber': '{element}' }, "
					       "'keys': ['ec-p256'],"
					       "'validity': '1y', 'unit_serial': { 'pattern': 'urn:u:{unit_serial}', "
					       "'format': '[A-Z0-9-]{4,10}' } }");
	scene_profile(
		"unattested",
		"{ 'issuer': 'unattested', 'level': 'none', 'enrol': { 'who': ['user', 'ra'], 'evidence': false },"
		"'subject': { 'CN': '{name}', 'serialNumber': '{name}' }, 'keys': ['ec-p256'], 'validity': '1y',"
		"'key_usage': ['digitalSignature'], 'eku': ['clientAuth'] }");
	scene_profile(
		"bench",
		"{ 'issuer': 'unattested', 'level': 'none', 'enrol': { 'who': ['rig'], 'evidence': false },"
		"'subject': { 'CN': '{unit_serial}', 'serialNumber': '{name}' }, 'keys': ['ec-p256'], 'validity': '1y',"
		"'unit_serial': { 'pattern': 'urn:u:{unit_serial}', 'format': '[0-9]{4}' },"
		"'key_usage': ['digitalSignature'], 'eku': [] }");
	scene_profile("field",
		      "{ 'family': 'device', 'issuer': 'attested', 'level': 'native', 'keys': ['ec-p256'],"
		      "'reenrol': { 'who': ['device'], 'new_key': 'evidence', 'same_key': true }, 'validity': '5y',"
		      "'key_usage': ['digitalSignature'], 'eku': [], 'nonce': { 'lifetime': '10m' } }");
	return 0;
}
