/*
 * quote_make.h - a secure element's side for tests: a vendor chain, quotes, bundles.
 *
 * The CBOR is put together here octet by octet and knows nothing of the reader it tests, so that every malformed
 * form can be made too. A quote is made as a list of encoded claims that a test may change before it is signed.
 */
#ifndef ASSAY_TEST_QUOTE_MAKE_H
#define ASSAY_TEST_QUOTE_MAKE_H

#include "make.h"
#include "oid.h"

#define KP_QUOTE "1.2.840.113556.1.8000.2554.41601.63272.62968.18038.45442.3653042.8531877.2.1"
#define QUOTE_OID "1.2.840.113556.1.8000.2554.41601.63272.62968.18038.45442.3653042.8531877.1.1"

/* --- CBOR, appended to a buffer --- */
void put_head(struct buf *out, unsigned major, uint64_t value); /* shortest form */
void put_int(struct buf *out, int64_t value);
void put_bytes(struct buf *out, struct blob bytes);
void put_text(struct buf *out, const char *text);
void put_raw(struct buf *out, struct blob bytes);

/* --- a quote --- */
enum { CLAIM_CNF, CLAIM_NONCE, CLAIM_UEID, CLAIM_PROFILE, CLAIM_FLAGS, CLAIM_EXTRA, CLAIM_SLOTS };
struct quote_make {
	struct buf claim[CLAIM_SLOTS]; /* key and value, encoded; in this order; empty ones are left out */
	size_t count;                  /* in the map's head; 0: as many as there are */
	struct buf header;             /* the protected header's content */
	struct buf unprotected;        /* encoded */
	struct buf after;              /* behind the COSE_Sign1 */
	uint64_t tag;
};
void quote_start(struct quote_make *quote, EVP_PKEY *device_key, struct blob ueid, struct blob nonce, uint64_t flags);
void quote_header(struct quote_make *quote, int64_t alg);
void quote_done(struct quote_make *quote);
/* One claim anew: key and encoded value. */
void quote_claim(struct quote_make *quote, unsigned slot, int64_t key, const struct buf *value);
struct buf quote_payload(const struct quote_make *quote);
/* The COSE_Sign1; md_name for the signature. `signer` NULL: 64 zero bytes. */
struct buf quote_sign(const struct quote_make *quote, EVP_PKEY *signer, const char *md_name);
/* COSE_Key of an EC key. */
struct buf cose_key(const struct pubkey *key);

/* The key that is quoted, P-256: a group's fixtures. */
extern EVP_PKEY *quote_device;
int quote_device_make(void **state);
int quote_device_free(void **state);

/* --- bundles --- */
struct buf bundle_statement(const char *oid, struct blob stmt); /* SEQUENCE { oid, stmt } */
struct buf bundle_of(const struct blob *statements, size_t n_statements, const struct blob *certs, size_t n_certs);
/* One quote with its certificates. */
struct buf bundle_of_quote(struct blob cose, const struct blob *certs, size_t n_certs);

/* --- a vendor: root, batch CA (pathLen 0), chip --- */
struct vendor {
	EVP_PKEY *root_key, *batch_key, *chip_key;
	X509 *root, *batch, *chip;
	struct buf root_der, batch_der, chip_der;
};
struct vendor_make {
	enum key_type chip_key;             /* KEY_NONE: P-256 */
	struct make_cert root, batch, chip; /* what differs from the ordinary; names, keys and CA bits are filled in */
	const char *chip_eku;               /* NULL: assay.2.1; "": none */
	bool chip_is_ca;
};
void vendor_make(struct vendor *vendor, const struct vendor_make *spec, const char *chip_serial);
void vendor_done(struct vendor *vendor);

#endif
