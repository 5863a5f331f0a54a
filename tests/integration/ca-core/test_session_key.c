/*
 * test_session_key.c - do copies of keys, in a session of a real SoftHSM, sign like the keys, keep what the keys keep,
 * and stop when the keys are gone?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "session_key.h"
#include "softhsm.h"

#define SESSIONS 20 /* two lists of slots */
#define KEYS 3

static const char *const keys[KEYS] = { "p256", "p384", "rsa" };
static const struct blob message = { (const uint8_t *)"tbs", 3 };

static struct hsm *open_with(const char *module, bool session_keys)
{
	struct hsm_options options = softhsm_options(SESSIONS);
	struct fault fault = { 0 };
	struct hsm *hsm;

	options.module = module;
	options.session_keys = session_keys;
	if (hsm_open(&options, &hsm, &fault) != REASON_OK)
		fail_msg("hsm_open: %s", fault.detail);
	return hsm;
}

static const struct hsm_key *key_of(struct hsm *hsm, const char *label)
{
	const struct hsm_key *key;
	struct fault fault = { 0 };

	if (hsm_key(hsm, label, &key, &fault) != REASON_OK)
		fail_msg("%s: %s", label, fault.detail);
	return key;
}

static bool signs(const struct hsm_key *key, unsigned slot)
{
	uint8_t sig[LIMIT_SIGNATURE_BYTES];
	size_t len;

	return hsm_sign(key, slot, message, sig, &len, NULL) == REASON_OK && softhsm_verifies(key, message, sig, len);
}

struct signer {
	const struct hsm_key *key;
	unsigned slot, good;
};

static void *sign_for_many_looks(void *arg)
{
	struct signer *signer = arg;
	int64_t end_us = clock_mono_us() + 4 * SESSION_KEY_LOOK_US;

	do {
		if (!signs(signer->key, signer->slot))
			return NULL;
		signer->good++;
	} while (clock_mono_us() < end_us);
	return signer;
}

static void signs_with_copies_of_every_key_type_in_every_session(void **state)
{
	struct hsm *hsm = open_with(SOFTHSM_MODULE, true);
	struct signer signer[SESSIONS];
	pthread_t thread[SESSIONS];

	(void)state;
	for (unsigned i = 0; i < SESSIONS; i++) {
		signer[i] = (struct signer){ .slot = i, .key = key_of(hsm, keys[i % KEYS]) };
		assert_int_equal(pthread_create(&thread[i], NULL, sign_for_many_looks, &signer[i]), 0);
	}
	for (unsigned i = 0; i < SESSIONS; i++) {
		void *well;

		pthread_join(thread[i], &well);
		if (well == NULL)
			fail_msg("session %u: signature %u", i, signer[i].good);
	}
	hsm_close(hsm);
}

/* Private keys of the sessions (or of the token) as another session of the same process sees them. */
static CK_ULONG find_private(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, CK_BBOOL in_token,
			     CK_OBJECT_HANDLE found[8])
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_TOKEN, &in_token, sizeof(in_token) } };
	CK_ULONG n;

	assert_int_equal(p11->C_FindObjectsInit(session, wanted, 2), CKR_OK);
	assert_int_equal(p11->C_FindObjects(session, found, 8, &n), CKR_OK);
	assert_int_equal(p11->C_FindObjectsFinal(session), CKR_OK);
	return n;
}

static CK_BBOOL is(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL value = 99;
	CK_ATTRIBUTE wanted = { type, &value, sizeof(value) };

	assert_int_equal(p11->C_GetAttributeValue(session, key, &wanted, 1), CKR_OK);
	return value;
}

static void assert_closed(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	static const struct {
		CK_ATTRIBUTE_TYPE type;
		CK_BBOOL value;
	} expected[] = { { CKA_PRIVATE, 1 },     { CKA_SENSITIVE, 1 }, { CKA_ALWAYS_SENSITIVE, 1 },
			 { CKA_EXTRACTABLE, 0 }, { CKA_SIGN, 1 },      { CKA_NEVER_EXTRACTABLE, 1 },
			 { CKA_DECRYPT, 0 },     { CKA_UNWRAP, 0 },    { CKA_DERIVE, 0 } };
	uint8_t room[1024];
	CK_ATTRIBUTE secret[] = { { CKA_VALUE, room, sizeof(room) }, { CKA_PRIVATE_EXPONENT, room, sizeof(room) } };

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(is(p11, session, key, expected[i].type), expected[i].value);
	for (size_t i = 0; i < 2; i++)
		assert_int_not_equal(p11->C_GetAttributeValue(session, key, &secret[i], 1), CKR_OK);
}

/* A session beside those of an hsm that is open and logged in. */
struct beside {
	void *library;
	CK_FUNCTION_LIST *p11;
	CK_SESSION_HANDLE session;
};

static struct beside open_beside(void)
{
	struct beside b = { .library = dlopen(SOFTHSM_MODULE, RTLD_NOW) };
	CK_C_GetFunctionList get = (CK_C_GetFunctionList)(uintptr_t)dlsym(b.library, "C_GetFunctionList");
	CK_SLOT_ID slots[8];
	CK_ULONG n = 8;

	assert_int_equal(get(&b.p11), CKR_OK);
	assert_int_equal(b.p11->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
	assert_int_equal(b.p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &b.session),
			 CKR_OK);
	return b;
}

static void close_beside(struct beside *b)
{
	b->p11->C_CloseSession(b->session);
	dlclose(b->library);
}

static void copies_keep_what_keys_keep_and_end_with_the_token(void **state)
{
	CK_OBJECT_HANDLE found[8];

	(void)state;
	for (int copies = 1; copies >= 0; copies--) {
		struct hsm *hsm = open_with(SOFTHSM_MODULE, copies == 1);
		struct beside b = open_beside();

		for (size_t i = 0; i < KEYS; i++)
			assert_true(signs(key_of(hsm, keys[i]), 0));
		assert_int_equal(find_private(b.p11, b.session, CK_TRUE, found), KEYS);
		assert_int_equal(find_private(b.p11, b.session, CK_FALSE, found), copies == 1 ? KEYS : 0);
		for (CK_ULONG i = 0; copies == 1 && i < KEYS; i++)
			assert_closed(b.p11, b.session, found[i]);
		close_beside(&b);
		hsm_close(hsm);
	}
}

/* It would be a matter of luck which of them signs. */
static void of_two_keys_with_one_label_none_signs(void **state)
{
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE same[] = { { CKA_TOKEN, &yes, sizeof(yes) }, { CKA_LABEL, (void *)(uintptr_t) "p256", 4 } };
	CK_OBJECT_HANDLE found[8], second;

	(void)state;
	for (int copies = 1; copies >= 0; copies--) {
		struct hsm *hsm = open_with(SOFTHSM_MODULE, copies == 1);
		struct beside b = open_beside();
		const struct hsm_key *key = NULL;
		struct fault fault = { 0 };

		find_private(b.p11, b.session, CK_TRUE, found);
		assert_int_equal(b.p11->C_CopyObject(b.session, found[0], same, 2, &second), CKR_OK);
		assert_int_equal(find_private(b.p11, b.session, CK_TRUE, found), KEYS + 1);
		assert_int_equal(hsm_key(hsm, "p256", &key, &fault), REASON_TOKEN_AWAY);
		assert_non_null(strstr(fault.detail, "'p256'"));
		assert_int_equal(b.p11->C_DestroyObject(b.session, second), CKR_OK);
		close_beside(&b);
		hsm_close(hsm);
		hsm = open_with(SOFTHSM_MODULE, copies == 1); /* libp11 forgets no key that it has seen */
		assert_true(signs(key_of(hsm, "p256"), 0));
		hsm_close(hsm);
	}
}

static void says_which_key_is_not_there(void **state)
{
	struct hsm *hsm = open_with(SOFTHSM_MODULE, true);
	const struct hsm_key *key = NULL;
	struct fault fault = { 0 };

	(void)state;
	assert_int_equal(hsm_key(hsm, "nobody's", &key, &fault), REASON_TOKEN_AWAY);
	assert_non_null(strstr(fault.detail, "'nobody's'"));
	assert_null(key);
	assert_true(signs(key_of(hsm, "p256"), 0));
	hsm_close(hsm);
}

#define MODE_NO_COPIES 7 /* of tests/fault/shim/p11_shim.c */

static void a_token_that_makes_no_copies_is_told_of_with_its_remedy(void **state)
{
	const uint64_t words[8] = { MODE_NO_COPIES };
	struct hsm *hsm;
	const struct hsm_key *key = NULL;
	struct fault fault = { 0 };
	char control[96];
	int fd;

	(void)state;
	snprintf(control, sizeof(control), "%s/control", softhsm.dir);
	fd = open(control, O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(fd, words, sizeof(words)), sizeof(words));
	close(fd);
	setenv("ASSAY_SHIM_MODULE", SOFTHSM_MODULE, 1);
	setenv("ASSAY_SHIM_CONTROL", control, 1);
	hsm = open_with(SHIM_MODULE, true);
	assert_int_equal(hsm_key(hsm, "p256", &key, &fault), REASON_CONFIG);
	assert_non_null(strstr(fault.detail, "token.session_keys"));
	assert_non_null(strstr(fault.detail, "CKR 0x1b"));
	assert_null(key);
	hsm_close(hsm);
}

/* Last, for it takes the token away. */
static void a_key_that_is_gone_signs_no_longer_than_it_says(void **state)
{
	struct hsm *hsm = open_with(SOFTHSM_MODULE, true);
	const struct hsm_key *key = key_of(hsm, "p256");
	uint8_t sig[LIMIT_SIGNATURE_BYTES];
	char from[96], to[96];
	struct fault fault = { 0 };
	enum reason reason;
	int64_t gone_us, before_us;
	size_t len;

	(void)state;
	snprintf(from, sizeof(from), "%s/token", softhsm.dir);
	snprintf(to, sizeof(to), "%s/away", softhsm.dir);
	assert_true(signs(key, 0));
	assert_int_equal(rename(from, to), 0);
	gone_us = clock_mono_us();
	do {
		before_us = clock_mono_us();
		reason = hsm_sign(key, 1, message, sig, &len, &fault);
	} while (before_us - gone_us < SESSION_KEY_LOOK_US);
	assert_int_equal(reason, REASON_TOKEN_AWAY);
	assert_non_null(strstr(fault.detail, "'p256'"));
	assert_int_equal(hsm_sign(key, 0, message, sig, &len, &fault), REASON_TOKEN_AWAY);
	assert_int_equal(rename(to, from), 0);
	hsm_close(hsm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_with_copies_of_every_key_type_in_every_session),
		cmocka_unit_test(copies_keep_what_keys_keep_and_end_with_the_token),
		cmocka_unit_test(of_two_keys_with_one_label_none_signs),
		cmocka_unit_test(says_which_key_is_not_there),
		cmocka_unit_test(a_token_that_makes_no_copies_is_told_of_with_its_remedy),
		cmocka_unit_test(a_key_that_is_gone_signs_no_longer_than_it_says),
	};

	int missing = softhsm_missing();

	return missing != 0 ? missing : cmocka_run_group_tests(tests, softhsm_setup, softhsm_teardown);
}
