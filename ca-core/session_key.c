/* session_key.c - see session_key.h. */
#include "session_key.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define NOT_THERE 0

struct session_key {
	struct session_key *next;
	struct session_keys *of;
	char *label;
	CK_OBJECT_HANDLE original;
	_Atomic(int64_t) seen_us; /* when the original was last there, or NOT_THERE */
};

struct session_keys {
	void *library;
	CK_FUNCTION_LIST *p11;
	CK_SESSION_HANDLE session; /* 0: none */
	pthread_mutex_t mutex;     /* of the session, which takes one call at a time */
	unsigned copies;
	struct session_key *keys;
};

static void session_key_free(struct session_key *key)
{
	if (key == NULL)
		return;
	free(key->label);
	free(key);
}
AUTO_FREE(struct session_key, session_key_freep, session_key_free)

void session_keys_close(struct session_keys *keys)
{
	if (keys == NULL)
		return;
	while (keys->keys != NULL) {
		struct session_key *key = keys->keys;

		keys->keys = key->next;
		session_key_free(key);
	}
	if (keys->session != 0)
		keys->p11->C_CloseSession(keys->session);
	if (keys->library != NULL)
		dlclose(keys->library);
	pthread_mutex_destroy(&keys->mutex);
	free(keys);
}
AUTO_FREE(struct session_keys, session_keys_closep, session_keys_close)

/* The module that is loaded already: the same functions. */
static enum reason load(struct session_keys *keys, const char *module, struct fault *f)
{
	CK_C_GetFunctionList get_list = NULL;

	keys->library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	if (keys->library != NULL)
		get_list = (CK_C_GetFunctionList)(uintptr_t)dlsym(keys->library, "C_GetFunctionList");
	if (get_list == NULL || get_list(&keys->p11) != CKR_OK)
		return fault_set(f, REASON_TOKEN_AWAY, "%s: no list of functions", module);
	return REASON_OK;
}

enum reason session_keys_open(const char *module, unsigned long slot, struct session_keys **ret_keys, struct fault *f)
{
	AUTO(session_keys_closep) struct session_keys *keys = calloc(1, sizeof(*keys));
	CK_RV rv;

	if (keys == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct session_keys");
	pthread_mutex_init(&keys->mutex, NULL);
	TRY(load(keys, module, f));
	rv = keys->p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &keys->session);
	if (rv != CKR_OK)
		return fault_set(f, REASON_TOKEN_AWAY, "no session for copies of keys (CKR 0x%lx)", rv);
	*ret_keys = TAKE(keys);
	return REASON_OK;
}

static CK_RV find_original(const struct session_keys *keys, const char *label, CK_OBJECT_HANDLE *ret_original)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE wanted[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_LABEL, (void *)(uintptr_t)label, strlen(label) },
	};
	CK_OBJECT_HANDLE found[2];
	CK_ULONG n = 0;
	CK_RV rv = keys->p11->C_FindObjectsInit(keys->session, wanted, 3);

	if (rv != CKR_OK)
		return rv;
	rv = keys->p11->C_FindObjects(keys->session, found, 2, &n);
	keys->p11->C_FindObjectsFinal(keys->session);
	if (rv != CKR_OK || n != 1)
		return rv != CKR_OK ? rv : CKR_KEY_HANDLE_INVALID;
	*ret_original = found[0];
	return CKR_OK;
}

static CK_RV copy_original(const struct session_key *key)
{
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE other[] = {
		{ CKA_TOKEN, &no, sizeof(no) },
		{ CKA_LABEL, key->label, strlen(key->label) },
	};
	CK_OBJECT_HANDLE copy;

	return key->of->p11->C_CopyObject(key->of->session, key->original, other, 2, &copy);
}

/* What a token answers that makes no copies; anything else may be gone the next time. */
static bool makes_none(CK_RV rv)
{
	static const CK_RV answers[] = { CKR_ACTION_PROHIBITED,      CKR_FUNCTION_NOT_SUPPORTED,
					 CKR_TEMPLATE_INCONSISTENT,  CKR_ATTRIBUTE_READ_ONLY,
					 CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID,
					 CKR_SESSION_READ_ONLY };

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (rv == answers[i])
			return true;
	return false;
}

enum reason session_key_copy(struct session_keys *keys, const char *label, struct session_key **ret_key,
			     struct fault *f)
{
	AUTO(session_key_freep) struct session_key *key = calloc(1, sizeof(*key));
	bool found;
	CK_RV rv;

	/* counted, for a copy that was of no use in the end is there until its session ends */
	if (key == NULL || asprintf(&key->label, "%s, copy %u in session", label, ++keys->copies) < 0)
		return fault_set(f, REASON_NO_MEMORY, "struct session_key");
	key->of = keys;
	pthread_mutex_lock(&keys->mutex);
	rv = find_original(keys, label, &key->original);
	found = rv == CKR_OK;
	if (found)
		rv = copy_original(key);
	pthread_mutex_unlock(&keys->mutex);
	if (found && makes_none(rv))
		return fault_set(f, REASON_CONFIG,
				 "token.session_keys is true, but the token makes no copy of '%s' (CKR 0x%lx): "
				 "with false it signs with the key as it lies there",
				 label, rv);
	if (rv != CKR_OK)
		return fault_set(f, REASON_TOKEN_AWAY, "the one private key '%s' is not %s (CKR 0x%lx)", label,
				 found ? "copied" : "found", rv);
	atomic_store(&key->seen_us, clock_mono_us());
	key->next = keys->keys;
	*ret_key = keys->keys = TAKE(key);
	return REASON_OK;
}

const char *session_key_label(const struct session_key *key)
{
	return key->label;
}

static bool look(const struct session_key *key)
{
	struct session_keys *keys = key->of;
	CK_ATTRIBUTE id = { CKA_ID, NULL, 0 }; /* asks for its length alone */
	CK_RV rv;

	pthread_mutex_lock(&keys->mutex);
	rv = keys->p11->C_GetAttributeValue(keys->session, key->original, &id, 1);
	pthread_mutex_unlock(&keys->mutex);
	return rv == CKR_OK;
}

bool session_key_there(struct session_key *key)
{
	int64_t now_us = clock_mono_us(), seen_us = atomic_load(&key->seen_us);

	if (now_us - seen_us < SESSION_KEY_LOOK_US)
		return true;
	/* one looks for all, who go on meanwhile; once it was not there each looks for himself */
	if (seen_us != NOT_THERE && !atomic_compare_exchange_strong(&key->seen_us, &seen_us, now_us))
		return true;
	if (!look(key)) {
		atomic_store(&key->seen_us, NOT_THERE);
		return false;
	}
	atomic_store(&key->seen_us, now_us);
	return true;
}
