/*
 * issuer_fixture.h - an issuing CA with its key in memory, and a grant that it would sign.
 */
#ifndef ISSUER_FIXTURE_H
#define ISSUER_FIXTURE_H

#include <openssl/x509.h>

#include "ca_cert.h"
#include "issuer.h"

#define FIXTURE_NOW_S INT64_C(1795219200) /* 2026-11-21 */

struct fixture {
	EVP_PKEY *ca_key;
	struct buf ca_der;
	struct issuer *issuer;
};

/* "attested": a P-256 CA valid for 15 years, levels vouched to native, at most 10 years, 100 an hour. */
void fixture_open(struct fixture *fixture);
/* The same with other bounds; not_after_s may be TIME_NO_EXPIRY. */
void fixture_open_with(struct fixture *fixture, int64_t not_after_s, const struct issuer_options *options);
struct issuer_options fixture_options(void);
void fixture_close(struct fixture *fixture);

/* A fresh key of a device: "P-256", "P-384" or "RSA". */
struct pubkey fixture_key(const char *type);
/* Passes every rule of fixture_open()'s issuer. */
struct grant *fixture_grant(void);

/* One thing broken in a grant that passes, and part of the detail that its refusal must have: no other rule may have
 * refused it. */
struct hostile {
	const char *name;
	void (*change)(struct grant *g);
	const char *detail;
};
/* clang-format off */
#define HOSTILE(change, detail) { #change, change, detail }
/* clang-format on */
void fixture_refuses(const struct hostile *cases, size_t n);
void fixture_takes(void (*const *changes)(struct grant *g), size_t n);

/* TBS, signed with the CA's key in memory: the whole certificate or CRL. */
struct buf fixture_sign(const struct fixture *fixture, struct blob tbs);
X509 *fixture_x509(struct blob der);
/* openssl verify -x509_strict against the CA, at FIXTURE_NOW_S; returns X509_V_OK or the error. */
int fixture_verify(const struct fixture *fixture, X509 *leaf);

#endif
