/* token.c - see token.h. */
#include "token.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oid.h"

#define SLOTS_MAX 64 /* SoftHSM shows one more than it has tokens; network HSMs a few dozen */

struct token {
	void *library;
	CK_FUNCTION_LIST *p11;
	bool initialised;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session; /* 0: none */
};

static enum reason refuse(struct fault *f, const char *what, CK_RV rv)
{
	bool pin = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED || rv == CKR_PIN_LEN_RANGE ||
		   rv == CKR_PIN_INVALID || rv == CKR_PIN_EXPIRED;

	return fault_set(f, pin ? REASON_TOKEN_PIN : REASON_TOKEN_AWAY, "%s: CKR 0x%lx", what, rv);
}

#define TRY_CK(call, what, f)                                                                                          \
	do {                                                                                                           \
		CK_RV try_rv = (call);                                                                                 \
		if (try_rv != CKR_OK)                                                                                  \
			return refuse(f, what, try_rv);                                                                \
	} while (0)

void token_close(struct token *token)
{
	if (token == NULL)
		return;
	if (token->session != 0)
		token->p11->C_CloseSession(token->session);
	if (token->initialised)
		token->p11->C_Finalize(NULL);
	if (token->library != NULL)
		dlclose(token->library);
	free(token);
}

enum reason token_open(const char *module, struct token **ret_token, struct fault *f)
{
	AUTO(token_closep) struct token *token = calloc(1, sizeof(*token));
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_C_GetFunctionList get_list;

	if (token == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct token");
	token->library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	if (token->library == NULL)
		return fault_set(f, REASON_CONFIG, "PKCS#11 module: %s", dlerror());
	get_list = (CK_C_GetFunctionList)(uintptr_t)dlsym(token->library, "C_GetFunctionList");
	if (get_list == NULL)
		return fault_set(f, REASON_CONFIG, "%s: no C_GetFunctionList: not a PKCS#11 module", module);
	TRY_CK(get_list(&token->p11), "C_GetFunctionList", f);
	TRY_CK(token->p11->C_Initialize(&args), "C_Initialize", f);
	token->initialised = true;
	*ret_token = TAKE(token);
	return REASON_OK;
}

/* PKCS#11 pads its texts with blanks to a fixed length. */
static void unpad(const CK_UTF8CHAR *padded, size_t len, char *out)
{
	while (len > 0 && padded[len - 1] == ' ')
		len--;
	memcpy(out, padded, len);
	out[len] = '\0';
}

static enum reason list_slots(struct token *token, CK_SLOT_ID slots[SLOTS_MAX], CK_ULONG *ret_n, struct fault *f)
{
	*ret_n = SLOTS_MAX;
	TRY_CK(token->p11->C_GetSlotList(CK_TRUE, slots, ret_n), "C_GetSlotList", f);
	return REASON_OK;
}

enum reason token_find(struct token *token, const char *label, bool *ret_found, struct fault *f)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_TOKEN_INFO info;
	CK_ULONG n;
	char text[33];

	TRY(list_slots(token, slots, &n, f));
	for (CK_ULONG i = 0; i < n; i++) {
		if (token->p11->C_GetTokenInfo(slots[i], &info) != CKR_OK || !(info.flags & CKF_TOKEN_INITIALIZED))
			continue;
		unpad(info.label, sizeof(info.label), text);
		if (strcmp(text, label) == 0) {
			token->slot = slots[i];
			*ret_found = true;
			return REASON_OK;
		}
	}
	*ret_found = false;
	return REASON_OK;
}

static enum reason find_blank(struct token *token, CK_SLOT_ID *ret_slot, struct fault *f)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_TOKEN_INFO info;
	CK_ULONG n;

	TRY(list_slots(token, slots, &n, f));
	for (CK_ULONG i = 0; i < n; i++) {
		if (token->p11->C_GetTokenInfo(slots[i], &info) == CKR_OK && !(info.flags & CKF_TOKEN_INITIALIZED)) {
			*ret_slot = slots[i];
			return REASON_OK;
		}
	}
	return fault_set(f, REASON_TOKEN_AWAY, "no slot with a blank token among %lu", n);
}

static enum reason set_pin(struct token *token, const char *so_pin, const char *pin, struct fault *f)
{
	CK_SESSION_HANDLE session;
	CK_RV rv;

	TRY_CK(token->p11->C_OpenSession(token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
	       "C_OpenSession", f);
	rv = token->p11->C_Login(session, CKU_SO, (CK_UTF8CHAR *)(uintptr_t)so_pin, strlen(so_pin));
	if (rv == CKR_OK)
		rv = token->p11->C_InitPIN(session, (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin));
	token->p11->C_CloseSession(session);
	return rv == CKR_OK ? REASON_OK : refuse(f, "C_Login as SO and C_InitPIN", rv);
}

enum reason token_init(struct token *token, const char *label, const char *so_pin, const char *pin, struct fault *f)
{
	CK_UTF8CHAR padded[32];
	CK_SLOT_ID blank;
	bool found;
	size_t len = strlen(label);

	if (len == 0 || len > sizeof(padded))
		return fault_set(f, REASON_CONFIG, "token label '%s': 1 to %zu characters", label, sizeof(padded));
	memset(padded, ' ', sizeof(padded));
	memcpy(padded, label, len);
	TRY(find_blank(token, &blank, f));
	TRY_CK(token->p11->C_InitToken(blank, (CK_UTF8CHAR *)(uintptr_t)so_pin, strlen(so_pin), padded), "C_InitToken",
	       f);
	TRY(token_find(token, label, &found, f)); /* SoftHSM moves it to another slot */
	if (!found)
		return fault_set(f, REASON_TOKEN_AWAY, "token '%s' is not there after C_InitToken", label);
	return set_pin(token, so_pin, pin, f);
}

enum reason token_login(struct token *token, const char *pin, struct fault *f)
{
	TRY_CK(token->p11->C_OpenSession(token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &token->session),
	       "C_OpenSession", f);
	TRY_CK(token->p11->C_Login(token->session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin)), "C_Login", f);
	return REASON_OK;
}

enum reason token_describe(struct token *token, struct token_info *ret_info, struct fault *f)
{
	CK_TOKEN_INFO info;

	TRY_CK(token->p11->C_GetTokenInfo(token->slot, &info), "C_GetTokenInfo", f);
	unpad(info.label, sizeof(info.label), ret_info->label);
	unpad(info.manufacturerID, sizeof(info.manufacturerID), ret_info->manufacturer);
	unpad(info.model, sizeof(info.model), ret_info->model);
	unpad(info.serialNumber, sizeof(info.serialNumber), ret_info->serial);
	return REASON_OK;
}

enum reason token_count_keys(struct token *token, const char *label, unsigned *ret_n, struct fault *f)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE wanted[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_LABEL, (void *)(uintptr_t)label, strlen(label) },
	};
	CK_OBJECT_HANDLE found[8];
	CK_ULONG n = 0;

	TRY_CK(token->p11->C_FindObjectsInit(token->session, wanted, 2), "C_FindObjectsInit", f);
	TRY_CK(token->p11->C_FindObjects(token->session, found, 8, &n), "C_FindObjects", f);
	TRY_CK(token->p11->C_FindObjectsFinal(token->session), "C_FindObjectsFinal", f);
	*ret_n = (unsigned)n;
	return REASON_OK;
}

/* Curve as CKA_EC_PARAMS wants it: the OID, DER. */
static CK_ULONG curve_params(enum key_type type, uint8_t out[16])
{
	const struct oid *oid = oid_of(type == KEY_EC_P256 ? OID_EC_P256 : OID_EC_P384);

	out[0] = 0x06;
	out[1] = oid->len;
	memcpy(out + 2, oid->bytes, oid->len);
	return 2UL + oid->len;
}

#define ATTR(type, value)                                                                                              \
	{                                                                                                              \
		type, &(value), sizeof(value)                                                                          \
	}

enum reason token_generate(struct token *token, const char *label, uint8_t id, enum key_type type, unsigned rsa_bits,
			   struct fault *f)
{
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_MECHANISM mechanism = { type == KEY_RSA ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_ATTRIBUTE name = { CKA_LABEL, (void *)(uintptr_t)label, strlen(label) };
	uint8_t curve[16], exponent[] = { 1, 0, 1 };
	CK_ULONG bits = rsa_bits;
	CK_ATTRIBUTE private[] = {
		name,
		ATTR(CKA_ID, id),
		ATTR(CKA_TOKEN, yes),
		ATTR(CKA_PRIVATE, yes),
		ATTR(CKA_SENSITIVE, yes),
		ATTR(CKA_EXTRACTABLE, no),
		ATTR(CKA_SIGN, yes),
		ATTR(CKA_DECRYPT, no),
		ATTR(CKA_UNWRAP, no),
		ATTR(CKA_DERIVE, no),
	};
	CK_ATTRIBUTE public[9] = {
		name,
		ATTR(CKA_ID, id),
		ATTR(CKA_TOKEN, yes),
		ATTR(CKA_VERIFY, yes),
		ATTR(CKA_ENCRYPT, no),
		ATTR(CKA_WRAP, no),
		ATTR(CKA_DERIVE, no),
	};
	CK_ULONG n_public = 7;
	CK_OBJECT_HANDLE public_key, private_key;
	unsigned taken;

	if (type != KEY_EC_P256 && type != KEY_EC_P384 && (type != KEY_RSA || rsa_bits < LIMIT_RSA_BITS_MIN))
		return fault_set(f, REASON_CONFIG, "key '%s': allowed: ec-p256, ec-p384, rsa from %d bits", label,
				 LIMIT_RSA_BITS_MIN);
	TRY(token_count_keys(token, label, &taken, f));
	if (taken > 0)
		return fault_set(f, REASON_CONFIG, "key '%s' is in the token already", label);
	if (type == KEY_RSA) {
		public[n_public++] = (CK_ATTRIBUTE)ATTR(CKA_MODULUS_BITS, bits);
		public[n_public++] = (CK_ATTRIBUTE)ATTR(CKA_PUBLIC_EXPONENT, exponent);
	} else {
		public[n_public++] = (CK_ATTRIBUTE){ CKA_EC_PARAMS, curve, curve_params(type, curve) };
	}
	TRY_CK(token->p11->C_GenerateKeyPair(token->session, &mechanism, public, n_public, private,
					     sizeof(private) / sizeof(private[0]), &public_key, &private_key),
	       "C_GenerateKeyPair", f);
	return REASON_OK;
}
