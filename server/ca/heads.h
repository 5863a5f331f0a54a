/*
 * heads.h - signed heads: where every chain of the ledger stands, signed through the token and carried outside.
 *
 * A chain proves nothing to somebody who is given all of it anew. Whoever has kept a head can show that the rows before
 * it were there: hence a head is made from time to time (heads.interval, if anything but heads moved; once an hour if
 * nothing did), signed with a key of its own (heads.key: ECDSA over P-256 with SHA-256), and exported. It has a station
 * of its own behind a lane of weight 1, so that it holds up nothing, and a ledger stream of its own, "heads".
 *
 * A head is one line of JSON, the same wherever it goes (file, syslog, the admin API, a webhook):
 *
 *   {"head":HEAD,"signature":"BASE64"}
 *
 * HEAD is the text that is signed, byte for byte, itself an object with exactly these members in this order:
 *
 *   {"assay_head":1,                     version
 *    "node":"n1","number":7,             whose head, counted by node from 1
 *    "at":"2026-11-21T09:00:00.000000Z", the database's clock
 *    "previous":"HEX",                   SHA-256 of HEAD of this node's signed head before; zeros for the first. A
 * number that is left out was intended and never signed
 *    "intents":{"certificates":n,"crls":n,"ocsp":n,"responders":n,"heads":n},
 *                                        how many signatures the ledger has an intent for, of all nodes, since the key
 *                                        ceremony, this head not among them. The token cannot have made more without a
 *                                        breach of the ca; it may have made fewer, for an intent may never be signed.
 * Keys of the ceremony itself (CA certificates, first operators) are in its transcript
 *    "token":{"since":TIME,"signatures":n},
 *                                        what this node's process has itself got from the token since it started
 *    "revocations":n,                    the newest revocation's number
 *    "positions":[["node","stream",seq,"HEX"],...]}
 *                                        the newest row of every stream, of all nodes: its number and its hash. One
 * moment: the counts are those of the rows up to here
 *
 * With openssl alone, of a line in FILE:
 *   sed 's/^{"head":\(.*\),"signature":"[^"]*"}$/\1/' FILE | tr -d '\n' > text
 *   sed 's/.*,"signature":"\([^"]*\)"}$/\1/' FILE | base64 -d > signature
 *   openssl x509 -in ca/heads.pem -noout -pubkey > key
 *   openssl dgst -sha256 -verify key -signature signature text
 *
 * Threads: the station's one thread, but for what says otherwise.
 */
#ifndef ASSAY_CA_HEADS_H
#define ASSAY_CA_HEADS_H

#include "ca/ca.h"

#define HEADS_AGE_S 3600     /* the oldest that the last head becomes while nothing moves */
#define HEADS_LATE_BEATS 5   /* intervals without a head that was due, or with one that could not be exported, and */
#define HEADS_LATE_LEAST_S 5 /* so much on top: then it is said */

/* Nothing is opened, and *ret_desk stays NULL, when the configuration names no key for heads. */
MUST_CHECK enum reason heads_open(struct ca *ca, struct heads_desk **ret_desk, struct fault *f);
void heads_close(struct heads_desk *desk); /* accepts NULL */
/* keys.c's: the token is there, or goes, while nobody signs. */
MUST_CHECK enum reason heads_attach(struct ca *ca, struct fault *f);
void heads_detach(struct heads_desk *desk); /* accepts NULL */
/* The news' thread: starts the next head when it is time, and says if one is overdue. */
void heads_nudge(struct ca *ca);
/* The sign station's: makes the signature, into issue->made. */
MUST_CHECK enum reason heads_sign(struct ca *ca, struct issue *issue, unsigned slot, struct fault *f);
void station_heads(void *role, unsigned thread, struct job **batch, size_t n);

#endif
