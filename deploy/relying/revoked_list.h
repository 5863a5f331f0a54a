/*
 * revoked_list.h - the file by which assay-agent tells programs on its machine what is revoked, made to be mapped and
 * searched where it lies: nothing is read at start, and a million entries (20 MB) cost no program memory of its own.
 *
 * Layout, numbers big-endian:
 *   8   "ASSAYRL1"
 *   4   number of issuers, 1 to REVOKED_ISSUERS_MAX
 *   of each issuer:
 *   32  SHA-256 of its Name, DER
 *   8   Unix time until which this is good: the first nextUpdate of the CRLs behind it
 *   8   the highest CRL number behind it; all ones: its CA is revoked itself, and with it every certificate of it (no
 *       serials then, and good until 0, so that who does not know this takes it for past its time)
 *   8   number of its serials
 *   then each issuer's serials in the same order: ascending, no two equal, 20 bytes each with leading zeros
 * The file ends there. Another version replaces it whole (rename), so that a mapping never changes.
 *
 * Threads: pure.
 */
#ifndef ASSAY_REVOKED_LIST_H
#define ASSAY_REVOKED_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REVOKED_MAGIC "ASSAYRL1"
#define REVOKED_MAGIC_BYTES 8
#define REVOKED_ISSUERS_MAX 16
#define REVOKED_NAME_BYTES 32
#define REVOKED_SERIAL_BYTES 20
#define REVOKED_WHOLE UINT64_MAX
#define REVOKED_ISSUER_BYTES (REVOKED_NAME_BYTES + 8 + 8 + 8)

struct revoked_issuer {
	uint8_t name[REVOKED_NAME_BYTES];
	int64_t good_until_s;
	uint64_t number;
	uint64_t n;
	const uint8_t *serials; /* n * REVOKED_SERIAL_BYTES, borrowed */
};

struct revoked_list {
	size_t n;
	struct revoked_issuer issuer[REVOKED_ISSUERS_MAX];
};

/* Checks sizes, not the order of a million serials: the file is the agent's. False: it is no such file. */
bool revoked_list_open(const uint8_t *bytes, size_t len, struct revoked_list *ret_list);
/* NULL: not an issuer that the agent watches. */
const struct revoked_issuer *revoked_list_issuer(const struct revoked_list *list,
						 const uint8_t name[REVOKED_NAME_BYTES]);
bool revoked_list_has(const struct revoked_issuer *issuer, const uint8_t serial[REVOKED_SERIAL_BYTES]);

/* Leading zeros before a serial as DER or OpenSSL has it; false if it is longer than 20 bytes. */
bool revoked_serial(const uint8_t *bytes, size_t len, uint8_t out[REVOKED_SERIAL_BYTES]);

/* For who writes: everything before the serials; returns its length. */
#define REVOKED_HEAD_BYTES_MAX (REVOKED_MAGIC_BYTES + 4 + REVOKED_ISSUERS_MAX * REVOKED_ISSUER_BYTES)
size_t revoked_list_head(const struct revoked_list *list, uint8_t out[REVOKED_HEAD_BYTES_MAX]);

#endif
