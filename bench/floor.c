/*
 * floor.c - the floor: CPU of exactly the cryptographic operations that one attested enrolment demands, one at a time.
 *
 * CSR signature, quote and chip certificate verified, certificate signed by the bare token (one C_Sign), that
 * signature verified: OpenSSL's EVP with keys at hand and PKCS#11 without any library between. Prints microseconds of
 * CPU for each and their sum as JSON.
 */
#include <dlfcn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERIFICATIONS 4 /* CSR, quote, chip certificate, issued certificate */

static double cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static const char usage[] =
	"usage: assay-floor MODULE PIN_FILE KEY_LABEL ROUNDS\n"
	"\n"
	"Prints what the cryptography of one attested enrolment costs, microseconds of CPU, as JSON: verifications by\n"
	"OpenSSL and a signature by the first token of a PKCS#11 module, the mean of ROUNDS each. bench/run calls it.\n"
	"\n"
	"example, with a quickstart home:\n"
	"  . .assay/env\n"
	"  assay-floor $PKCS11_MODULE $ASSAY_HOME/secrets/pin attested 2000\n";

static void die(const char *what)
{
	fprintf(stderr, "assay-floor: %s\n", what);
	exit(1);
}

/* Of one ECDSA P-256 verification over a message as long as a TBS. */
static double verify_us(unsigned rounds)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t message[600] = { 1 }, sig[80];
	size_t sig_len = sizeof(sig);
	double began;

	if (key == NULL || ctx == NULL || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
	    EVP_DigestSign(ctx, sig, &sig_len, message, sizeof(message)) != 1)
		die("OpenSSL cannot sign");
	began = cpu_us();
	for (unsigned i = 0; i < rounds; i++) {
		EVP_MD_CTX_reset(ctx);
		if (EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
		    EVP_DigestVerify(ctx, sig, sig_len, message, sizeof(message)) != 1)
			die("OpenSSL cannot verify");
	}
	began = cpu_us() - began;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return began / rounds;
}

static CK_FUNCTION_LIST *load_module(const char *path)
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_RV (*get)(CK_FUNCTION_LIST **);
	CK_FUNCTION_LIST *list = NULL;

	if (module == NULL)
		die(dlerror());
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get == NULL || get(&list) != CKR_OK || list->C_Initialize(NULL) != CKR_OK)
		die("the PKCS#11 module does not start");
	return list;
}

static CK_SESSION_HANDLE open_session(CK_FUNCTION_LIST *p11, const char *pin_file)
{
	char pin[256] = "";
	FILE *file = fopen(pin_file, "r");
	CK_SLOT_ID slot[8];
	CK_ULONG n = 8;
	CK_SESSION_HANDLE session;

	if (file == NULL || fgets(pin, sizeof(pin), file) == NULL) {
		fprintf(stderr, "assay-floor: no PIN can be read from %s\n", pin_file);
		exit(1);
	}
	fclose(file);
	pin[strcspn(pin, "\r\n")] = '\0';
	if (p11->C_GetSlotList(CK_TRUE, slot, &n) != CKR_OK || n == 0 ||
	    p11->C_OpenSession(slot[0], CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK ||
	    p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)) != CKR_OK)
		die("no session with the token");
	explicit_bzero(pin, sizeof(pin));
	return session;
}

static CK_OBJECT_HANDLE find_key(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, const char *label)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) },
				  { CKA_LABEL, (void *)(uintptr_t)label, strlen(label) } };
	CK_OBJECT_HANDLE key;
	CK_ULONG n = 0;

	if (p11->C_FindObjectsInit(session, wanted, 2) != CKR_OK ||
	    p11->C_FindObjects(session, &key, 1, &n) != CKR_OK || p11->C_FindObjectsFinal(session) != CKR_OK || n != 1)
		die("no such key in the token");
	return key;
}

static double sign_us(const char *module, const char *pin_file, const char *label, unsigned rounds)
{
	CK_FUNCTION_LIST *p11 = load_module(module);
	CK_SESSION_HANDLE session = open_session(p11, pin_file);
	CK_OBJECT_HANDLE key = find_key(p11, session, label);
	CK_MECHANISM ecdsa = { CKM_ECDSA, NULL, 0 };
	uint8_t message[600] = { 1 }, digest[32], sig[64];
	double began = cpu_us();

	for (unsigned i = 0; i < rounds; i++) {
		CK_ULONG len = sizeof(sig);

		SHA256(message, sizeof(message), digest);
		if (p11->C_SignInit(session, &ecdsa, key) != CKR_OK ||
		    p11->C_Sign(session, digest, sizeof(digest), sig, &len) != CKR_OK)
			die("the token does not sign");
	}
	began = cpu_us() - began;
	p11->C_Finalize(NULL);
	return began / rounds;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
	double verify, sign;

	if (rounds == 0) {
		bool helps = argc == 2 && strcmp(argv[1], "--help") == 0;

		fputs(usage, helps ? stdout : stderr);
		return helps ? 0 : 2;
	}
	verify = verify_us(rounds);
	sign = sign_us(argv[1], argv[2], argv[3], rounds);
	printf("{\"verify_us\":%.2f,\"token_sign_us\":%.2f,\"floor_us\":%.2f}\n", verify, sign,
	       VERIFICATIONS * verify + sign);
	return 0;
}
