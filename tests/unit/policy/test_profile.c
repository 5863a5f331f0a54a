/* test_profile.c - profiles from JSON: the shipped ones load, and every wrong key is explained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "profile.h"

static const char *const issuers[] = { "attested", "unattested", "idevid", "rigs", NULL };

/* A whole profile that loads; each case below changes one thing. */
static const char base[] =
	"{ 'family': 'device', 'issuer': 'attested', 'enrol': { 'who': ['rig'], 'evidence': true },"
	"  'reenrol': { 'who': ['device'], 'new_key': 'evidence', 'same_key': true },"
	"  'level': 'native', 'subject': { 'CN': '{element}', 'serialNumber': '{element}' },"
	"  'keys': ['ec-p256'], 'validity': '5y', 'key_usage': ['digitalSignature'], 'eku': ['clientAuth'],"
	"  'nonce': { 'lifetime': '10m' }, 'stamp': true }";
/* The same without evidence. */
static const char plain[] =
	"{ 'issuer': 'unattested', 'enrol': { 'who': ['user'], 'evidence': false }, 'level': 'none',"
	"  'subject': { 'CN': '{name}', 'serialNumber': '{name}' }, 'keys': ['ec-p256'],"
	"  'validity': '1y', 'key_usage': ['digitalSignature'], 'eku': [] }";

/* JSON with ' for ". */
static json_t *json(const char *text)
{
	char *copy = strdup(text);
	json_t *value;

	for (char *at = copy; *at != '\0'; at++)
		if (*at == '\'')
			*at = '"';
	value = json_loads(copy, JSON_DECODE_ANY, NULL);
	assert_non_null(value);
	free(copy);
	return value;
}

/* `change` is merged over the base, one level deep; null takes a key away. */
static enum reason parse_changed(const char *start, const char *change, struct profile **ret_profile, struct fault *f)
{
	json_t *profile = json(start), *changes = json(change), *value;
	const char *key;
	enum reason reason;
	char *text;

	json_object_foreach(changes, key, value) {
		if (json_is_null(value))
			json_object_del(profile, key);
		else
			json_object_set(profile, key, value);
	}
	text = json_dumps(profile, 0);
	reason = profile_parse("label.json", BLOB_STR(text), issuers, ret_profile, f);
	free(text);
	json_decref(profile);
	json_decref(changes);
	return reason;
}

static void accepts(const char *start, const char *change)
{
	struct profile *profile = NULL;
	struct fault f = { 0 };

	if (parse_changed(start, change, &profile, &f) != REASON_OK)
		fail_msg("%s: %s", change, f.detail);
	profile_free(profile);
}

/* Refused as configuration, with a text that names the file, the key and what `says` says. */
static void refuses(const char *start, const char *change, const char *key, const char *says)
{
	struct profile *profile = NULL;
	struct fault f = { 0 };

	assert_int_equal(parse_changed(start, change, &profile, &f), REASON_CONFIG);
	assert_null(profile);
	if (strncmp(f.detail, "label.json: ", 12) != 0 || strstr(f.detail, key) == NULL ||
	    strstr(f.detail, says) == NULL)
		fail_msg("%s: says \"%s\", expected %s and \"%s\"", change, f.detail, key, says);
}

static void reads_every_key(void **state)
{
	struct profile *p = NULL;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(
		parse_changed(base,
			      "{ 'san': [{ 'uri': 'urn:e:{element}' }, { 'dns': '{element}.example' },"
			      "  { 'hardwareModuleName': { 'hwType': '1.2.3', 'serial': '{element}' } }],"
			      "  'unit_serial': { 'pattern': 'urn:u:{unit_serial}', 'format': '[A-Z0-9-]{4,8}' },"
			      "  'keys': ['ec-p384', 'rsa-3072'], 'validity': '90d',"
			      "  'key_usage': ['digitalSignature', 'keyAgreement'], 'eku': ['clientAuth', '1.2.3.4'] }",
			      &p, &f),
		REASON_OK);
	assert_string_equal(p->label, "label");
	assert_string_equal(p->family, "device");
	assert_string_equal(p->issuer, "attested");
	assert_int_equal(p->enrol.who, WHO(WHO_RIG));
	assert_true(p->enrol.evidence);
	assert_int_equal(p->reenrol.who, WHO(WHO_DEVICE));
	assert_int_equal(p->reenrol.new_key, NEW_KEY_EVIDENCE);
	assert_int_equal(p->level, LEVEL_NATIVE);
	assert_int_equal(p->n_subject, 2);
	assert_int_equal(p->subject[0].type, OID_AT_CN);
	assert_int_equal(p->n_sans, 4); /* the unit serial's form is one of them */
	assert_int_equal(p->san[3].type, SAN_URI);
	assert_true(p->has_unit);
	assert_int_equal(p->key[0].type, KEY_EC_P384);
	assert_int_equal(p->key[1].bits, 3072);
	assert_int_equal(p->validity_s, 90 * 86400);
	assert_int_equal(p->key_usage, KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT);
	assert_int_equal(p->n_ekus, 2);
	assert_int_equal(p->nonce_lifetime_s, 600);
	assert_true(p->stamp);
	assert_true(p->csrattrs.len > 0);
	profile_free(p);
}

static void keeps_the_order_of_the_subject(void **state)
{
	struct profile *p = NULL;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(
		parse_changed(base,
			      "{ 'subject': { 'O': 'Example', 'serialNumber': '{element}', 'C': 'DE', 'OU': 'x',"
			      "  'CN': '{element}' } }",
			      &p, &f),
		REASON_OK);
	assert_int_equal(p->subject[0].type, OID_AT_ORG);
	assert_int_equal(p->subject[1].type, OID_AT_SERIAL_NUMBER);
	assert_int_equal(p->subject[2].type, OID_AT_COUNTRY);
	assert_int_equal(p->subject[3].type, OID_AT_ORG_UNIT);
	assert_int_equal(p->subject[4].type, OID_AT_CN);
	profile_free(p);
}

static void the_family_is_the_label_unless_named(void **state)
{
	struct profile *p = NULL;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(parse_changed(plain, "{}", &p, &f), REASON_OK);
	assert_string_equal(p->family, "label");
	profile_free(p);
}

static void validity_none_is_no_expiry(void **state)
{
	struct profile *p = NULL;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(parse_changed(base, "{ 'validity': 'none' }", &p, &f), REASON_OK);
	assert_int_equal(p->validity_s, 0);
	profile_free(p);
}

static void explains_a_value_that_is_not_allowed(void **state)
{
	static const struct {
		const char *change, *key, *says;
	} cases[] = {
		{ "{ 'colour': 'red' }", "colour", "unknown key; allowed: family issuer" },
		{ "{ 'enrol': { 'who': ['rig'], 'evidence': true, 'x': 1 } }", "enrol.x", "unknown key" },
		{ "{ 'issuer': null }", "issuer", "missing" },
		{ "{ 'issuer': 'gold' }", "issuer", "allowed: attested unattested idevid rigs; given: \"gold\"" },
		{ "{ 'enrol': { 'who': ['rigs'], 'evidence': true } }", "enrol.who", "given: \"rigs\"" },
		{ "{ 'enrol': { 'who': 'rig', 'evidence': true } }", "enrol.who", "a list; given: \"rig\"" },
		{ "{ 'enrol': { 'who': ['rig'] } }", "enrol.evidence", "missing" },
		{ "{ 'enrol': { 'who': ['rig'], 'evidence': 'yes' } }", "enrol.evidence",
		  "true, false; given: \"yes\"" },
		{ "{ 'reenrol': { 'who': ['ra'], 'new_key': 'no', 'same_key': true } }", "reenrol.who",
		  "allowed: device" },
		{ "{ 'reenrol': { 'who': ['device'], 'new_key': 'maybe', 'same_key': true } }", "reenrol.new_key",
		  "allowed: evidence free no; given: \"maybe\"" },
		{ "{ 'reenrol': { 'who': ['device'], 'new_key': 'no', 'same_key': true, 'expired_grace': 'long' } }",
		  "reenrol.expired_grace", "given: \"long\"" },
		{ "{ 'level': 'platinum' }", "level", "none vouched provisioned native; given: \"platinum\"" },
		{ "{ 'level': 3 }", "level", "given: 3" },
		{ "{ 'subject': [] }", "subject", "an object" },
		{ "{ 'subject': {} }", "subject", "1 to 8 attributes" },
		{ "{ 'subject': { 'CN': '{element}', 'serialNumber': '{element}', 'DC': 'x' } }", "subject",
		  "given: \"DC\"" },
		{ "{ 'subject': { 'CN': '{elem}', 'serialNumber': '{element}' } }", "subject", "given: \"{elem}\"" },
		{ "{ 'san': [{ 'ip': '10.0.0.1' }] }", "san.ip", "unknown key; allowed: uri dns hardwareModuleName" },
		{ "{ 'san': [{ 'uri': 'urn:a', 'dns': 'b' }] }", "san", "objects with one of" },
		{ "{ 'san': [{ 'hardwareModuleName': { 'hwType': 'x', 'serial': '{element}' } }] }",
		  "san.hardwareModuleName.hwType", "given: \"x\"" },
		{ "{ 'unit_serial': { 'pattern': 'urn:u:', 'format': '[0-9]+' } }", "unit_serial.pattern",
		  "{unit_serial} once" },
		{ "{ 'unit_serial': { 'pattern': 'urn:{unit_serial}:{unit_serial}', 'format': '[0-9]+' } }",
		  "unit_serial.pattern", "{unit_serial} once" },
		{ "{ 'unit_serial': { 'pattern': 'urn:{unit_serial}', 'format': '[0-9' } }", "unit_serial.format",
		  "[classes] and {counts}" },
		{ "{ 'unit_serial': { 'pattern': 'urn:{unit_serial}', 'format': '(a|b)+' } }", "unit_serial.format",
		  "(a|b)+" },
		{ "{ 'unit_serial': { 'pattern': 'urn:{unit_serial}', 'format': 'a{60}{60}{60}' } }",
		  "unit_serial.format", "a{60}" },
		{ "{ 'unit_serial': { 'pattern': 'urn:{unit_serial}', 'format': 'a{1,65}' } }", "unit_serial.format",
		  "a{1,65}" },
		{ "{ 'keys': [] }", "keys", "a list of ec-p256" },
		{ "{ 'keys': ['ec-p521'] }", "keys", "allowed: ec-p256 ec-p384 rsa-2048 rsa-3072; given: \"ec-p521\"" },
		{ "{ 'validity': 'ninety' }", "validity", "given: \"ninety\"" },
		{ "{ 'validity': '0d' }", "validity", "above zero" },
		{ "{ 'validity': '101y' }", "validity", "at most \"100y\"" },
		{ "{ 'validity': 5 }", "validity", "given: 5" },
		{ "{ 'key_usage': ['keyCertSign'] }", "key_usage", "given: \"keyCertSign\"" },
		{ "{ 'key_usage': ['cRLSign'] }", "key_usage", "given: \"cRLSign\"" },
		{ "{ 'eku': ['clientauth'] }", "eku", "given: \"clientauth\"" },
		{ "{ 'nonce': { 'lifetime': '0s' } }", "nonce.lifetime", "\"1s\" to \"1d\"; given: \"0s\"" },
		{ "{ 'nonce': { 'lifetime': '3d' } }", "nonce.lifetime", "given: \"3d\"" },
		{ "{ 'stamp': 1 }", "stamp", "true, false; given: 1" },
		{ "{ 'binding': 'code' }", "binding", "given: \"code\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refuses(base, cases[i].change, cases[i].key, cases[i].says);
}

static void explains_what_does_not_go_together(void **state)
{
	static const struct {
		const char *start, *change, *key, *says;
	} cases[] = {
		{ base, "{ 'enrol': null, 'reenrol': null, 'subject': null, 'nonce': null }", "enrol",
		  "lets anybody in" },
		{ base, "{ 'level': 'none', 'stamp': false }", "level", "with evidence asked for" },
		{ base, "{ 'reenrol': { 'who': ['device'], 'new_key': 'free', 'same_key': true } }", "level",
		  "would lower it" },
		{ base, "{ 'reenrol': { 'who': ['device'], 'new_key': 'no', 'same_key': false } }", "reenrol",
		  "neither a new key" },
		{ base, "{ 'reenrol': { 'who': ['device', 'rig'], 'new_key': 'no', 'same_key': true } }", "reenrol",
		  "a label of their own" },
		{ base, "{ 'reenrol': { 'who': ['rig'], 'new_key': 'no', 'same_key': true } }", "reenrol",
		  "nobody enrols" },
		{ base,
		  "{ 'enrol': null, 'subject': null, 'nonce': null, 'level': 'none', 'stamp': false,"
		  "  'reenrol': { 'who': ['rig'], 'new_key': 'free', 'same_key': true } }",
		  "reenrol", "\"new_key\": \"no\"" },
		{ plain, "{ 'level': 'vouched' }", "level", "takes no evidence" },
		{ plain, "{ 'enrol': { 'who': ['vendor'], 'evidence': false } }", "enrol", "vendor and device take" },
		{ plain, "{ 'enrol': { 'who': ['device'], 'evidence': false } }", "enrol", "vendor and device take" },
		{ base, "{ 'subject': null }", "subject", "CN and serialNumber" },
		{ base, "{ 'subject': { 'CN': '{element}' } }", "subject", "CN and serialNumber" },
		{ plain, "{ 'subject': { 'serialNumber': '{name}' } }", "subject", "CN and serialNumber" },
		{ base, "{ 'subject': { 'CN': 'device', 'serialNumber': '{element}' } }", "subject", "the same name" },
		{ base, "{ 'subject': { 'CN': 'a b {element}', 'serialNumber': '{element}' } }", "subject",
		  "CN allows" },
		{ base,
		  "{ 'subject': { 'CN': 'a234567890123456789012345678901234567890123456789012345678901234{element}',"
		  "  'serialNumber': '{element}' } }",
		  "subject", "longer than 64" },
		{ base, "{ 'subject': { 'CN': '{element}', 'serialNumber': '{element}', 'C': 'Germany' } }", "subject",
		  "two letters" },
		{ base, "{ 'subject': { 'CN': '{name}', 'serialNumber': '{element}' } }", "subject", "use {element}" },
		{ plain, "{ 'subject': { 'CN': '{element}', 'serialNumber': '{name}' } }", "subject", "use {name}" },
		{ plain, "{ 'subject': { 'CN': '{name}', 'serialNumber': '{unit_serial}' } }", "subject",
		  "needs the key unit_serial" },
		{ base, "{ 'san': [{ 'uri': '{element}' }] }", "san", "scheme" },
		{ base, "{ 'key_usage': [] }", "key_usage", "at least one" },
		{ base, "{ 'key_usage': ['digitalSignature', 'keyEncipherment'] }", "key_usage", "RFC 8813" },
		{ base, "{ 'eku': ['cmcRA'] }", "eku", "not for devices" },
		{ base, "{ 'eku': ['OCSPSigning'] }", "eku", "not for devices" },
		{ base, "{ 'eku': ['1.3.6.1.5.5.7.3.27'] }", "eku", "not for devices" },
		{ base, "{ 'eku': ['anyExtendedKeyUsage'] }", "eku", "not for devices" },
		{ base, "{ 'eku': ['assay.2.1'] }", "eku", "not for devices" },
		{ plain, "{ 'nonce': { 'lifetime': '10m' } }", "nonce", "none is asked for" },
		{ plain, "{ 'stamp': true }", "stamp", "no attestation result" },
		{ base, "{ 'enrol': null }", "subject", "names without enrol" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refuses(cases[i].start, cases[i].change, cases[i].key, cases[i].says);
}

static void accepts_what_goes_together(void **state)
{
	(void)state;
	accepts(base, "{}");
	accepts(plain, "{}");
	accepts(base, "{ 'key_usage': ['digitalSignature', 'keyEncipherment'], 'keys': ['rsa-2048'] }");
	accepts(base, "{ 'enrol': null, 'subject': null }");
	accepts(base, "{ 'reenrol': null }");
	accepts(plain, "{ 'subject': { 'CN': '{name}' } }");
	accepts(plain, "{ 'enrol': { 'who': ['user', 'ra', 'rig'], 'evidence': false } }");
	accepts(base, "{ 'enrol': { 'who': ['vendor', 'device', 'user'], 'evidence': true } }");
	accepts(base, "{ 'subject': { 'CN': '{unit_serial}', 'serialNumber': '{element}' },"
		      "  'unit_serial': { 'pattern': 'urn:u:{unit_serial}', 'format': '[0-9]{4}' } }");
}

static void refuses_text_that_is_not_one_json_object(void **state)
{
	static const char *const texts[] = { "", "[]", "{", "{} {}", "{\"issuer\":\"a\",\"issuer\":\"b\"}", "\"x\"" };
	struct profile *profile = NULL;
	struct fault f;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(profile_parse("label.json", BLOB_STR(texts[i]), issuers, &profile, &f), REASON_CONFIG);
	assert_null(profile);
}

static void refuses_a_label_that_is_an_operation_or_not_a_label(void **state)
{
	static const char *const files[] = { "cacerts.json",
					     "simpleenroll.json",
					     "simplereenroll.json",
					     "fullcmc.json",
					     "serverkeygen.json",
					     "csrattrs.json",
					     "nonce.json",
					     "renewal-info.json",
					     "Line.json",
					     "a.b.json",
					     ".json",
					     "a/b.json",
					     "line.txt",
					     "a23456789012345678901234567890123.json" };
	struct profile *profile = NULL;
	struct fault f;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_int_equal(profile_parse(files[i], BLOB_STR("{}"), issuers, &profile, &f), REASON_CONFIG);
		assert_non_null(strstr(f.detail, "file name"));
	}
}

static void loads_the_shipped_profiles(void **state)
{
	const struct profile *all[8];
	struct policy *policy = NULL;
	struct profile_facts facts;
	struct fault f = { 0 };

	(void)state;
	if (policy_load("deploy/profiles", NULL, issuers, &policy, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	assert_int_equal(policy_profiles(policy, all, 8), 5);
	profile_facts(all[0], &facts);
	assert_string_equal(facts.label, "field"); /* by name */
	profile_facts(policy_profile(policy, "line"), &facts);
	assert_string_equal(facts.family, "device");
	assert_string_equal(facts.issuer, "attested");
	assert_true(facts.evidence);
	assert_false(facts.basic);
	assert_false(facts.vendor_clients);
	assert_int_equal(facts.nonce_lifetime_s, 600);
	assert_true(facts.csrattrs.len > 0);
	profile_facts(policy_profile(policy, "unattested"), &facts);
	assert_true(facts.basic);
	assert_false(facts.evidence);
	assert_int_equal(facts.nonce_lifetime_s, 0);
	assert_int_equal(policy_profile(policy, "idevid")->validity_s, 0);
	assert_int_equal(policy_profile(policy, "field")->enrol.who, 0);
	assert_null(policy_profile(policy, "other"));
	policy_free(policy);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	for (; *text != '\0'; text++)
		fputc(*text == '\'' ? '"' : *text, file);
	fclose(file);
}

static void remove_file(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static void load_hash(const char *dir, uint8_t hash[32])
{
	struct policy *policy = NULL;
	struct fault f = { 0 };

	if (policy_load(dir, NULL, issuers, &policy, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	policy_hash(policy, hash);
	policy_free(policy);
}

static void the_hash_changes_with_any_byte_and_any_name(void **state)
{
	char dir[] = "/tmp/assay-policy-XXXXXX", changed[sizeof(plain)];
	uint8_t first[32], second[32];

	(void)state;
	assert_non_null(mkdtemp(dir));
	write_file(dir, "one.json", plain);
	load_hash(dir, first);
	load_hash(dir, second);
	assert_memory_equal(first, second, 32);
	write_file(dir, "README", "not a profile");
	load_hash(dir, second);
	assert_memory_equal(first, second, 32);

	memcpy(changed, plain, sizeof(plain)); /* " }" becomes "} " */
	changed[strlen(plain) - 1] = ' ';
	changed[strlen(plain) - 2] = '}';
	write_file(dir, "one.json", changed);
	load_hash(dir, second);
	assert_memory_not_equal(first, second, 32);

	remove_file(dir, "one.json");
	write_file(dir, "two.json", plain);
	load_hash(dir, second);
	assert_memory_not_equal(first, second, 32);

	write_file(dir, "two.json", plain);
	write_file(dir, "one.json", plain);
	load_hash(dir, first);
	assert_memory_not_equal(first, second, 32);
	remove_file(dir, "one.json");
	remove_file(dir, "two.json");
	remove_file(dir, "README");
	assert_int_equal(rmdir(dir), 0);
}

static void refuses_a_folder_without_profiles(void **state)
{
	struct policy *policy = NULL;
	struct fault f = { 0 };
	char dir[] = "/tmp/assay-policy-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(policy_load(dir, NULL, issuers, &policy, &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "no .json file"));
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(policy_load(dir, NULL, issuers, &policy, &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "No such file"));
	assert_null(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_key),
		cmocka_unit_test(keeps_the_order_of_the_subject),
		cmocka_unit_test(the_family_is_the_label_unless_named),
		cmocka_unit_test(validity_none_is_no_expiry),
		cmocka_unit_test(explains_a_value_that_is_not_allowed),
		cmocka_unit_test(explains_what_does_not_go_together),
		cmocka_unit_test(accepts_what_goes_together),
		cmocka_unit_test(refuses_text_that_is_not_one_json_object),
		cmocka_unit_test(refuses_a_label_that_is_an_operation_or_not_a_label),
		cmocka_unit_test(loads_the_shipped_profiles),
		cmocka_unit_test(the_hash_changes_with_any_byte_and_any_name),
		cmocka_unit_test(refuses_a_folder_without_profiles),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
