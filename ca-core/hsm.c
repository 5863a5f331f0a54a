/*
 * hsm.c - see hsm.h.
 *
 * libp11 keeps a pool of at most 16 sessions in each list of slots that it was asked for, so there is one list for
 * every 16 signatures at once. Every slot of ours has an EVP_PKEY_CTX of its own per key, made when the key is looked
 * up: a signature then is one digest, one C_SignInit and one C_Sign.
 *
 * libp11 keeps a copy of the PIN for itself, for children of fork(); the copy made here is wiped.
 */
#include "hsm.h"

#include <assert.h>
#include <libp11.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session_key.h"
#include "tbs.h"

#define SESSIONS_MAX 64
#define SESSIONS_PER_LIST 16 /* fixed in libp11 */
#define LISTS_MAX (SESSIONS_MAX / SESSIONS_PER_LIST)
#define PIN_BYTES 256 /* PKCS#11 names no bound; tokens take 4 to 64 or so */

struct hsm_key {
	struct hsm_key *next;
	char *label;
	struct pubkey public;
	enum sig_alg alg;
	unsigned sessions;
	EVP_PKEY *private[LISTS_MAX];
	EVP_PKEY_CTX *session[SESSIONS_MAX];
	struct session_key *copy; /* borrowed; what signs. NULL: the key as it lies in the token */
};

struct slot_list {
	PKCS11_SLOT *slots;
	unsigned n;
	PKCS11_SLOT *ours; /* the one with our token */
};

struct hsm {
	PKCS11_CTX *ctx;
	bool loaded;
	char *token_label;
	unsigned sessions, n_lists;
	struct slot_list list[LISTS_MAX];
	struct session_keys *copies; /* NULL: keys sign as they lie in the token */
	struct hsm_key *keys;
};

/* What libp11 left in OpenSSL's queue: the PIN's own errors are told apart, for they must never be met twice. */
static enum reason token_fault(struct fault *f, const char *what)
{
	unsigned long error = ERR_peek_last_error();
	unsigned long ckr = (unsigned long)ERR_GET_REASON(error);
	const char *text = ERR_reason_error_string(error);
	bool pin = ckr == CKR_PIN_INCORRECT || ckr == CKR_PIN_LOCKED || ckr == CKR_PIN_EXPIRED ||
		   ckr == CKR_PIN_INVALID || ckr == CKR_PIN_LEN_RANGE;

	ERR_clear_error();
	return fault_set(f, pin ? REASON_TOKEN_PIN : REASON_TOKEN_AWAY, "%s: %s (CKR 0x%lx)", what,
			 text != NULL ? text : "no reason given", ckr);
}

static void key_free(struct hsm_key *key)
{
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		EVP_PKEY_CTX_free(key->session[i]);
	for (unsigned i = 0; i < LISTS_MAX; i++)
		EVP_PKEY_free(key->private[i]);
	free(key->label);
	free(key);
}
AUTO_FREE(struct hsm_key, key_freep, key_free)

void hsm_close(struct hsm *hsm)
{
	if (hsm == NULL)
		return;
	while (hsm->keys != NULL) {
		struct hsm_key *key = hsm->keys;

		hsm->keys = key->next;
		key_free(key);
	}
	session_keys_close(hsm->copies);
	for (unsigned i = 0; i < hsm->n_lists; i++)
		PKCS11_release_all_slots(hsm->ctx, hsm->list[i].slots, hsm->list[i].n);
	if (hsm->loaded)
		PKCS11_CTX_unload(hsm->ctx);
	if (hsm->ctx != NULL)
		PKCS11_CTX_free(hsm->ctx);
	free(hsm->token_label);
	free(hsm);
	ERR_clear_error();
}
AUTO_FREE(struct hsm, hsm_closep, hsm_close)

static PKCS11_SLOT *find_token(const struct slot_list *list, const char *label)
{
	for (unsigned i = 0; i < list->n; i++) {
		const PKCS11_TOKEN *token = list->slots[i].token;

		if (token != NULL && token->initialized && token->label != NULL && strcmp(token->label, label) == 0)
			return &list->slots[i];
	}
	return NULL;
}

/*
 * One more list of slots, logged in. The first gets its first session by itself, for in libp11 a C_OpenSession that
 * fails while none is out waits for ever; PKCS11_open_session() reports the failure, but closes every session of the
 * token first, so that it cannot be used for later lists.
 */
static enum reason add_list(struct hsm *hsm, const char *pin, struct fault *f)
{
	struct slot_list *list = &hsm->list[hsm->n_lists];

	if (PKCS11_enumerate_slots(hsm->ctx, &list->slots, &list->n) != 0)
		return token_fault(f, "slots cannot be listed");
	hsm->n_lists++;
	list->ours = find_token(list, hsm->token_label);
	if (list->ours == NULL)
		return fault_set(f, REASON_TOKEN_AWAY, "no token '%s' in %u slots", hsm->token_label, list->n);
	if (list->ours->token->userPinLocked)
		return fault_set(f, REASON_TOKEN_PIN, "token '%s': its PIN is locked", hsm->token_label);
	if (hsm->n_lists == 1 && PKCS11_open_session(list->ours, 0) != 0)
		return token_fault(f, "session cannot be opened");
	if (PKCS11_login(list->ours, 0, pin) != 0)
		return token_fault(f, "login");
	return REASON_OK;
}

static enum reason read_pin(const char *path, char pin[PIN_BYTES], struct fault *f)
{
	FILE *file = fopen(path, "re");
	size_t len = 0;

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "PIN file %s: %m", path);
	setvbuf(file, NULL, _IONBF, 0); /* no copy in stdio's buffer */
	len = fread(pin, 1, PIN_BYTES - 1, file);
	fclose(file);
	pin[len] = '\0';
	pin[strcspn(pin, "\r\n")] = '\0';
	if (pin[0] == '\0')
		return fault_set(f, REASON_CONFIG, "PIN file %s: empty", path);
	return REASON_OK;
}

static enum reason login(struct hsm *hsm, const char *pin_file, struct fault *f)
{
	char pin[PIN_BYTES] = "";
	enum reason reason = read_pin(pin_file, pin, f);

	for (unsigned i = 0; reason == REASON_OK && i * SESSIONS_PER_LIST < hsm->sessions; i++)
		reason = add_list(hsm, pin, f);
	OPENSSL_cleanse(pin, sizeof(pin));
	return reason;
}

enum reason hsm_open(const struct hsm_options *options, struct hsm **ret_hsm, struct fault *f)
{
	AUTO(hsm_closep) struct hsm *hsm = calloc(1, sizeof(*hsm));

	if (options->sessions < 1 || options->sessions > SESSIONS_MAX)
		return fault_set(f, REASON_CONFIG, "token sessions: %u; allowed: 1 to %d", options->sessions,
				 SESSIONS_MAX);
	if (hsm == NULL || (hsm->token_label = strdup(options->token_label)) == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct hsm");
	hsm->sessions = options->sessions;
	hsm->ctx = PKCS11_CTX_new();
	if (hsm->ctx == NULL)
		return fault_set(f, REASON_NO_MEMORY, "PKCS#11 context");
	ERR_clear_error();
	if (PKCS11_CTX_load(hsm->ctx, options->module) != 0)
		return token_fault(f, options->module);
	hsm->loaded = true;
	TRY(login(hsm, options->pin_file, f));
	if (options->session_keys)
		TRY(session_keys_open(options->module, PKCS11_get_slotid_from_slot(hsm->list[0].ours), &hsm->copies,
				      f));
	*ret_hsm = TAKE(hsm);
	return REASON_OK;
}

/* The one key with this label; two would make it a matter of luck which one signs. */
static enum reason find_private(PKCS11_TOKEN *token, const char *label, PKCS11_KEY **ret_key, struct fault *f)
{
	PKCS11_KEY *keys, *found = NULL;
	unsigned n, matches = 0;

	if (PKCS11_enumerate_keys(token, &keys, &n) != 0)
		return token_fault(f, "private keys cannot be listed");
	for (unsigned i = 0; i < n; i++) {
		if (keys[i].label != NULL && strcmp(keys[i].label, label) == 0) {
			found = &keys[i];
			matches++;
		}
	}
	if (matches != 1)
		return fault_set(f, REASON_TOKEN_AWAY, "%u private keys '%s' in the token; there must be one", matches,
				 label);
	*ret_key = found;
	return REASON_OK;
}

static enum reason load_private(struct hsm *hsm, struct hsm_key *key, struct fault *f)
{
	const char *label = key->label;
	PKCS11_KEY *object = NULL;

	if (hsm->copies != NULL) {
		TRY(session_key_copy(hsm->copies, key->label, &key->copy, f));
		label = session_key_label(key->copy);
	}
	for (unsigned i = 0; i < hsm->n_lists; i++) {
		TRY(find_private(hsm->list[i].ours->token, label, &object, f));
		key->private[i] = PKCS11_get_private_key(object);
		if (key->private[i] == NULL)
			return token_fault(f, "private key");
	}
	return REASON_OK;
}

/*
 * libp11 finds the public half for itself, by CKA_ID, when it makes an EVP_PKEY of the private key. (Asked for the
 * public key object, version 0.4.12 never frees it.)
 */
static enum reason load_public(struct hsm_key *key, struct fault *f)
{
	uint8_t *spki = NULL;
	int len = i2d_PUBKEY(key->private[0], &spki);
	enum reason reason =
		len > 0 ? pubkey_parse(BLOB(spki, (size_t)len), &key->public, f) : token_fault(f, "public key");

	OPENSSL_free(spki);
	if (reason != REASON_OK)
		return reason;
	key->alg = tbs_alg_of(&key->public);
	if (key->alg == SIG_NONE)
		return fault_set(f, REASON_CONFIG, "key '%s' is %s; allowed: ec-p256, ec-p384, rsa", key->label,
				 key_type_name(key->public.type));
	return REASON_OK;
}

static const EVP_MD *digest_of(enum sig_alg alg)
{
	return alg == SIG_ECDSA_SHA384 ? EVP_sha384() : EVP_sha256();
}

static enum reason prepare_sessions(struct hsm *hsm, struct hsm_key *key, struct fault *f)
{
	key->sessions = hsm->sessions;
	for (unsigned i = 0; i < hsm->sessions; i++) {
		key->session[i] = EVP_PKEY_CTX_new(key->private[i / SESSIONS_PER_LIST], NULL);
		if (key->session[i] == NULL || EVP_PKEY_sign_init(key->session[i]) != 1 ||
		    EVP_PKEY_CTX_set_signature_md(key->session[i], digest_of(key->alg)) != 1)
			return token_fault(f, "signing cannot be prepared");
	}
	return REASON_OK;
}

enum reason hsm_key(struct hsm *hsm, const char *key_label, const struct hsm_key **ret_key, struct fault *f)
{
	AUTO(key_freep) struct hsm_key *key = NULL;

	for (const struct hsm_key *known = hsm->keys; known != NULL; known = known->next) {
		if (strcmp(known->label, key_label) == 0) {
			*ret_key = known;
			return REASON_OK;
		}
	}
	key = calloc(1, sizeof(*key));
	if (key == NULL || (key->label = strdup(key_label)) == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct hsm_key");
	ERR_clear_error();
	TRY(load_private(hsm, key, f));
	TRY(load_public(key, f));
	TRY(prepare_sessions(hsm, key, f));
	key->next = hsm->keys;
	hsm->keys = key;
	*ret_key = TAKE(key);
	return REASON_OK;
}

const struct pubkey *hsm_key_public(const struct hsm_key *key)
{
	return &key->public;
}

enum sig_alg hsm_key_alg(const struct hsm_key *key)
{
	return key->alg;
}

enum reason hsm_sign(const struct hsm_key *key, unsigned slot, struct blob message, uint8_t sig[LIMIT_SIGNATURE_BYTES],
		     size_t *ret_len, struct fault *f)
{
	uint8_t digest[EVP_MAX_MD_SIZE], made[LIMIT_SIGNATURE_BYTES];
	unsigned digest_len;
	size_t len = sizeof(made);

	assert(slot < key->sessions);
	if (key->copy != NULL && !session_key_there(key->copy))
		return fault_set(f, REASON_TOKEN_AWAY, "key '%s' is no longer in the token", key->label);
	ERR_clear_error();
	if (EVP_Digest(message.ptr, message.len, digest, &digest_len, digest_of(key->alg), NULL) != 1)
		return fault_set(f, REASON_INTERNAL, "digest");
	if (EVP_PKEY_sign(key->session[slot], made, &len, digest, digest_len) != 1)
		return token_fault(f, "signature");
	memcpy(sig, made, len);
	*ret_len = len;
	return REASON_OK;
}
