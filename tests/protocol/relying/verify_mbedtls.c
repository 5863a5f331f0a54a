/* verify ROOT INTERMEDIATES LEAF: does mbed TLS accept the leaf for client authentication? */
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, int code)
{
	char text[160];

	mbedtls_strerror(code, text, sizeof(text));
	fprintf(stderr, "verify: %s: %s (-0x%x)\n", what, text, (unsigned)-code);
	exit(1);
}

static void load(mbedtls_x509_crt *crt, const char *file)
{
	int code = mbedtls_x509_crt_parse_file(crt, file);

	if (code != 0)
		fail(file, code);
}

int main(int argc, char **argv)
{
	mbedtls_x509_crt root, leaf;
	uint32_t flags = 0;
	int code;

	if (argc != 4)
		return 2;
	mbedtls_x509_crt_init(&root);
	mbedtls_x509_crt_init(&leaf);
	load(&root, argv[1]);
	load(&leaf, argv[3]);
	load(&leaf, argv[2]); /* the rest of the chain follows the leaf */
	code = mbedtls_x509_crt_verify(&leaf, &root, NULL, NULL, &flags, NULL, NULL);
	if (code != 0) {
		fprintf(stderr, "verify: flags 0x%x\n", (unsigned)flags);
		fail(argv[3], code);
	}
	code = mbedtls_x509_crt_check_key_usage(&leaf, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
	if (code != 0)
		fail("key usage", code);
	code = mbedtls_x509_crt_check_extended_key_usage(&leaf, MBEDTLS_OID_CLIENT_AUTH,
							 MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH));
	if (code != 0)
		fail("extended key usage", code);
	mbedtls_x509_crt_free(&leaf);
	mbedtls_x509_crt_free(&root);
	return 0;
}
