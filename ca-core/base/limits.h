/*
 * limits.h - every fixed limit of Assay, each with its unit and its reason.
 *
 * What an operator may tune is in the configuration (server/config.h); what stands here is a bound that hostile
 * input meets, or the size of an array in a struct.
 */
#ifndef ASSAY_LIMITS_H
#define ASSAY_LIMITS_H

/* HTTP */
#define LIMIT_BODY_BYTES (64 * 1024) /* an RSA-3072 CSR with evidence and a chain of four is under 12 KiB as base64 */
#define LIMIT_BODY_DROPPED_BYTES (16 * 1024 * 1024) /* read and dropped so that the client sees its 413; beyond: cut off */
#define LIMIT_BODY_S 30 /* headers to end of body, and reading the answer; 64 KiB at 20 kbit/s */
#define LIMIT_FIRST_REQUEST_S 15 /* accept to end of headers, and idle time of clients not known yet */
#define LIMIT_LABEL_CHARS 32 /* labels are profile names; long ones are typing errors */
#define LIMIT_AUTH_HEADER_BYTES 512 /* Basic: user and password of 128 each, base64 */

/* PKCS#10, certificates */
#define LIMIT_CSR_BYTES (48 * 1024) /* what LIMIT_BODY_BYTES can hold */
#define LIMIT_CSR_ATTRIBUTES 16 /* known are five; each is compared with all before it */
#define LIMIT_EXTENSIONS 32 /* in one certificate or request; the richest TPM certificates have 14 */
#define LIMIT_CERT_BYTES 8192 /* a vendor's RSA-4096 certificate with every extension is under 3 KiB */
#define LIMIT_NAME_BYTES 1024 /* one Name, DER; ours are under 200 */
#define LIMIT_NAME_ATTRS 8 /* attributes in a subject we parse or build */
#define LIMIT_NAME_CHARS 64 /* X.520 ub-common-name */
#define LIMIT_SANS 8 /* general names in one certificate */
#define LIMIT_SAN_CHARS 255 /* a URI or DNS name; RFC 1035 caps DNS at 255 */
#define LIMIT_SERIAL_BYTES 20 /* RFC 5280 section 4.1.2.2 */
#define LIMIT_EKUS 8 /* purposes in one certificate */
#define LIMIT_OID_BYTES 40 /* content octets; the longest Assay arc is 33 */
#define LIMIT_RSA_BITS_MAX 4096 /* verification cost grows with the square */
#define LIMIT_RSA_BITS_MIN 2048 /* NIST SP 800-131A */
#define LIMIT_PUBKEY_BYTES (LIMIT_RSA_BITS_MAX / 8) /* the modulus; an EC point is 97 at most */
#define LIMIT_SPKI_BYTES (LIMIT_PUBKEY_BYTES + 64) /* its SubjectPublicKeyInfo */
#define LIMIT_SIGNATURE_BYTES (LIMIT_RSA_BITS_MAX / 8)

/* Evidence */
#define LIMIT_BUNDLE_BYTES (32 * 1024) /* one AttestationBundle */
#define LIMIT_QUOTE_BYTES 2048 /* one COSE_Sign1 quote; with every claim at its longest it is under 600 */
#define LIMIT_STATEMENTS 4 /* statements in a bundle */
#define LIMIT_BUNDLE_CERTS 8 /* certificates beside them */
#define LIMIT_CHAIN_DEPTH 5 /* leaf, up to three CAs, root */
#define LIMIT_ELEMENT_BYTES 64 /* an element id; EAT ueids are 33 at most */
#define LIMIT_CLAIMS 24 /* signatures to check for one enrolment: CSR, continuity, statements, chains */
#define LIMIT_CLAIM_KEYS 8 /* issuers' keys kept beside them: one a chain, so statements, TLS client and spare */
#define LIMIT_TRUST_CACHE 4096 /* vendor CA certificates remembered as validated, per trust list */
#define LIMIT_TRUST_LEAVES 2048 /* end certificates whose signature held, 64 bytes each, per trust list; a plant has 200 rigs */

/* Nonces: attestation-freshness-08 allows 8 to 64 bytes */
#define LIMIT_NONCE_BYTES_MIN 8
#define LIMIT_NONCE_BYTES_MAX 64
#define LIMIT_NONCE_OWN_BYTES 16 /* 4 of time and 12 of MAC are the least we give */

/* OCSP */
#define LIMIT_OCSP_REQUEST_BYTES 8192 /* sixteen CertIDs with SHA-512 and a signature */
#define LIMIT_OCSP_IDS 16 /* certificates in one request; RFC 5019 clients send one */
#define LIMIT_OCSP_NONCE_BYTES 128 /* RFC 9654 section 2.1 */

/* Feed of CRLs: who waits holds a suspended connection, whose end is not noticed until it is answered */
#define LIMIT_FEED_WAITERS 256 /* a quarter of the status listener's connections: the rest stays for CRLs and OCSP */
#define LIMIT_FEED_WAITERS_ADDRESS 64 /* of one address: a site behind one router; an agent has two for each issuer */
#define LIMIT_FEED_BYTES (128 * 1024) /* a longer list is fetched from its own place, not given to all waiters at once */

/* What an auditor brings to assayctl: files of anybody's, or what a pipe gives without end */
#define LIMIT_AUDIT_LINE_BYTES (16 * 1024 * 1024) /* one row of an export: evidence is 64 KiB as hex, a transcript more */
#define LIMIT_HEAD_LINE_BYTES (1024 * 1024) /* a signed head: 4,096 positions of 144 bytes each */
#define LIMIT_HEADS_PIPE_BYTES (64 * 1024 * 1024) /* heads from what is no file: a month of one a minute */
#define LIMIT_SMALL_FILE_BYTES (256 * 1024) /* certificates, a key, header lines: a hundred certificates */
#define LIMIT_AUDIT_FINDINGS 10000 /* told one by one: nobody reads more, and a forger's are not to fill the memory */

/* Between the roles */
#define LIMIT_FRAME_BYTES (128 * 1024) /* one grant with its evidence, or 2,000 revocations */
#define LIMIT_FRAME_OWN_BYTES (56 * 1024 * 1024) /* what the ca itself sends: a CRL of 1,000,000 entries */
#ifndef LIMIT_CRL_BYTES /* a test builds a ca that takes little */
#define LIMIT_CRL_BYTES (LIMIT_FRAME_OWN_BYTES - 4096) /* its to-be-signed part, in such a frame with name and signature */
#endif
#define LIMIT_FRAME_QUEUE_BYTES (64 * 1024 * 1024) /* waiting for one peer that does not read */
#define LIMIT_PEERS 8 /* connections on one socket of the ca: one role, and its successors while it is restarted */
#define LIMIT_REQUESTER_CHARS 96 /* "rig:<name>" as the ledger keeps it */
#define LIMIT_PROFILE_CHARS 32
#define LIMIT_ISSUERS 16

/* Not a bound but a size: what glibc keeps at hand for a thread when it is freed. Longer pieces cost four times that. */
#define LIMIT_HEAP_QUICK_BYTES 1032

#endif
