/* fuzz_cert.c - cert_parse() and trust_path(): no crash, what is accepted lies inside, and nothing is trusted. */
#include <stdlib.h>
#include <string.h>

#include "cert.h"
#include "failing.h"
#include "trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A P-256 root made for this file; its private key was thrown away. */
static const char anchor[] = "-----BEGIN CERTIFICATE-----\n"
			     "MIIBbTCCAROgAwIBAgIPQ+qD7byg2omDwHDrT6HvMAoGCCqGSM49BAMCMBYxFDAS\n"
			     "BgNVBAMMC2Z1enogYW5jaG9yMCAXDTIzMTExNDIyMTMyMFoYDzk5OTkxMjMxMjM1\n"
			     "OTU5WjAWMRQwEgYDVQQDDAtmdXp6IGFuY2hvcjBZMBMGByqGSM49AgEGCCqGSM49\n"
			     "AwEHA0IABJj1bkyQSwjKXOxQwEosFv1XYcwWUFEyKk2o4v+Ati1p+tYiow7MVoKM\n"
			     "saRTzxADU0wIISkHy7/Dwv6lES4JF3KjQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYD\n"
			     "VR0PAQH/BAQDAgEGMB0GA1UdDgQWBBRMza0dc5jrsv9zH31G5giP6g8FMDAKBggq\n"
			     "hkjOPQQDAgNIADBFAiEAvRcMBFerK9998cywAmDkq8aDeYGscM0ebls3zGrSUVcC\n"
			     "IBnXzzg0E4ZSZ6uDOSb3qqLrMDhy9+vbFwzRbiSjkcCD\n"
			     "-----END CERTIFICATE-----\n";

static struct trust *anchors(void)
{
	static struct trust *trust;

	oid_init();
	if (trust == NULL && trust_open_pem("fuzz", BLOB(anchor, sizeof(anchor) - 1), &trust, NULL) != REASON_OK)
		abort();
	return trust;
}

static void inside(struct blob whole, struct blob part)
{
	if (part.len > 0 && (part.ptr < whole.ptr || part.ptr + part.len > whole.ptr + whole.len))
		abort();
}

/* The input as leaf and as the certificates beside it: a path may be found only if the claim then fails. */
static void walk(const struct cert *cert, struct blob der)
{
	struct claims claims = { 0 }, *batch = &claims;
	struct blob untrusted[] = { der, der };
	struct trust_path path;
	struct fault verdict;

	if (trust_path(anchors(), cert, untrusted, 2, 1800000000, &claims, &path, NULL) != REASON_OK)
		return;
	claims_check(&batch, 1, &verdict);
	if (verdict.reason == REASON_OK)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct blob der = BLOB(data, len);
	char text[LIMIT_NAME_CHARS + 1];
	struct cert cert;

	oid_init();
	if (cert_parse(der, &cert, NULL) != REASON_OK)
		return 0;
	inside(der, cert.tbs);
	inside(der, cert.serial);
	inside(der, cert.issuer);
	inside(der, cert.subject);
	inside(der, cert.san);
	inside(der, cert.ski);
	inside(der, cert.aki);
	inside(der, cert.signature);
	if (cert.n_ekus > LIMIT_EKUS || (pubkey_check(&cert.key, NULL) != REASON_OK && !failing_happened()) ||
	    name_empty(cert.issuer))
		abort();
	if (name_get(cert.subject, OID_AT_CN, text) && text[0] == '\0')
		abort();
	walk(&cert, der);
	return 0;
}
