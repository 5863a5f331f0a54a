/*
 * board.h - one device of the load: minted, its request all but finished before the clock starts.
 *
 * What depends on the server's nonce is a hole of 16 bytes, a hash and the second half of two signatures
 * (presign.h); everything else of the CSR is there. What the server receives is an ordinary attested request.
 *
 * Owns:     board_done().
 * Threads:  one at a time.
 */
#ifndef BENCH_BOARD_H
#define BENCH_BOARD_H

#include "element.h"
#include "presign.h"

#define BOARD_NONCE_MAX 64
#define BOARD_DER_MAX 4096

struct board {
	uint8_t *der; /* the request up to its signature */
	size_t der_len, info_len, nonce_at, nonce_len, payload_at, payload_len, quote_at;
	struct presigned of_request, of_quote;
	struct element *element; /* only where it is needed later */
	X509 *cert;              /* from board_receive() */
	EVP_PKEY *key;
	char *renewal; /* base64 */
};

/* The request of an element with a key, but for what depends on the server's nonce. */
MUST_CHECK bool board_shape(struct board *board, struct element *element, size_t nonce_len, struct trouble *t);
void board_done(struct board *board);

/* The request for that nonce, base64, at out; 0 when it does not fit or the nonce has another length. Once a board. */
size_t board_request(const struct board *board, struct presign_room *room, const uint8_t *nonce, size_t nonce_len,
		     char *out, size_t cap);

/* Of a board whose element was kept: the reply's certificate is for its key; then it is in the element. */
MUST_CHECK bool board_receive(struct board *board, const char *reply, size_t len, struct trouble *t);
/* Then: a renewal with the same key, and what a TLS client needs, as the device itself will send it. */
MUST_CHECK bool board_prepare_renewal(struct board *board, struct trouble *t);

#endif
