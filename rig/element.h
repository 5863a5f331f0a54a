/*
 * element.h - a secure element as the rig sees it: what a personalisation step asks of it, as a table of functions.
 *
 * se_soft.c implements it in software. A card over PC/SC, an I2C part or a vendor's library is another file with
 * another table; nothing else in the rig changes.
 *
 * An element has two slots. CURRENT holds the key and certificate in use; NEXT those being made. What goes wrong
 * before activate() leaves CURRENT as it was, so that a device is never without the certificate it had.
 *
 * Owns:     close() frees the element. struct element_evidence is owned: element_evidence_done().
 * Threads:  one element belongs to one thread at a time.
 */
#ifndef RIG_ELEMENT_H
#define RIG_ELEMENT_H

#include "basics.h"

enum element_key { ELEMENT_EC_P256, ELEMENT_EC_P384, ELEMENT_RSA_2048, ELEMENT_RSA_3072, ELEMENT_KEY_COUNT };
enum element_slot { ELEMENT_CURRENT, ELEMENT_NEXT };

#define ELEMENT_ID_CHARS 66 /* a ueid of 33 bytes in hex */
#define ELEMENT_CERTS_MAX 4 /* attestation certificate and what leads from it to the vendor's root */
#define ELEMENT_NONCE_MIN 8 /* EAT: nonces are 8 to 64 bytes */
#define ELEMENT_NONCE_MAX 64

/* One AttestationStatement of draft-ietf-lamps-csr-attestation, and the certificates that go with it. */
struct element_evidence {
	const char *type;                     /* OID, dotted, static */
	struct bytes stmt;                    /* DER */
	struct bytes cert[ELEMENT_CERTS_MAX]; /* DER, leaf first */
	size_t n_certs;
};

struct element {
	const struct element_ops *ops;
	char id[ELEMENT_ID_CHARS + 1]; /* lower-case hex of the ueid; valid after power_up */
};

struct element_ops {
	const char *name; /* "software", "pcsc", ... */

	/* Brings the element up and reads its identity. */
	bool (*power_up)(struct element *e, struct trouble *t);
	/*
	 * A new key pair in NEXT, made on the element and never leaving it. An unfinished one of the same kind is kept:
	 * a board that lost power then asks again for the same key and is given the same certificate.
	 */
	bool (*generate_keypair)(struct element *e, enum element_key kind, struct trouble *t);
	/* NEXT takes the key of CURRENT: a renewal. */
	bool (*keep_keypair)(struct element *e, struct trouble *t);
	/* SubjectPublicKeyInfo, DER. */
	bool (*public_key)(struct element *e, enum element_slot slot, struct bytes *ret_spki, struct trouble *t);
	/* The element's own statement that NEXT's key was made in it, with the nonce inside. */
	bool (*attest)(struct element *e, const uint8_t *nonce, size_t nonce_len, struct element_evidence *ret_evidence,
		       struct trouble *t);
	/* Signs a digest of SHA-256 or SHA-384: ECDSA as SEQUENCE { r, s }, RSA as PKCS#1 v1.5. */
	bool (*sign)(struct element *e, enum element_slot slot, const uint8_t *digest, size_t digest_len,
		     struct bytes *ret_signature, struct trouble *t);
	/* Into NEXT; refused if it is not for NEXT's key. */
	bool (*import_certificate)(struct element *e, const uint8_t *der, size_t len, struct trouble *t);
	bool (*get_certificate)(struct element *e, enum element_slot slot, struct bytes *ret_der, struct trouble *t);
	/* NEXT becomes CURRENT; the old certificate is kept aside. */
	bool (*activate)(struct element *e, struct trouble *t);
	/* A handle to CURRENT's key with which OpenSSL does a TLS handshake; a card gives one of its provider. */
	bool (*tls_key)(struct element *e, EVP_PKEY **ret_key, struct trouble *t);
	void (*close)(struct element *e);
};

void element_evidence_done(struct element_evidence *evidence);
static inline void auto_element(struct element **e)
{
	if (*e != NULL)
		(*e)->ops->close(*e);
}

#endif
