/*
 * board.c - see board.h. The rig's library builds one request over a nonce of our own; where that nonce, the quote's
 * payload and its signature lie in it is then looked up.
 */
#include "board.h"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "est.h"
#include "request.h"
#include "soft.h"

#define QUOTE_SIGNATURE 64

/* COSE_Sign1 with ES256 as the software element writes it: tag, array of four, protected header, empty header. */
static const uint8_t cose_head[] = { 0xd2, 0x84, 0x43, 0xa1, 0x01, 0x26, 0xa0 };
/* What its signature is over: ["Signature1", protected header, "", payload] (RFC 9052 section 4.4), up to the payload.
 */
static const uint8_t signed_head[] = { 0x84, 0x6a, 'S', 'i',  'g',  'n',  'a',  't', 'u',
				       'r',  'e',  '1', 0x43, 0xa1, 0x01, 0x26, 0x40 };

void board_done(struct board *board)
{
	if (board->element != NULL)
		board->element->ops->close(board->element);
	X509_free(board->cert);
	EVP_PKEY_free(board->key);
	free(board->der);
	free(board->renewal);
	*board = (struct board){ 0 };
}

static bool find(const struct board *board, size_t from, const void *what, size_t len, size_t *ret_at)
{
	const uint8_t *at = memmem(board->der + from, board->der_len - from, what, len);

	if (at == NULL)
		return false;
	*ret_at = (size_t)(at - board->der);
	return true;
}

/* SEQUENCE { info, algorithm, signature }, all lengths in two bytes: cut before the signature. */
static bool cut(struct board *board)
{
	const uint8_t *der = board->der;

	if (board->der_len < 300 || der[0] != 0x30 || der[1] != 0x82 || der[4] != 0x30 || der[5] != 0x82)
		return false;
	board->info_len = 4 + ((size_t)der[6] << 8 | der[7]);
	if (4 + board->info_len + 2 > board->der_len)
		return false;
	board->der_len = 4 + board->info_len + 2 + der[4 + board->info_len + 1];
	return true;
}

/* The payload with its CBOR length before it; the quote's signature is the last thing in the statement. */
static bool locate(struct board *board, const struct element_evidence *evidence, const uint8_t *nonce, size_t nonce_len)
{
	size_t stmt_at, head_at;

	if (!find(board, 0, evidence->stmt.ptr, evidence->stmt.len, &stmt_at) ||
	    !find(board, stmt_at, cose_head, sizeof(cose_head), &head_at) ||
	    !find(board, head_at, nonce, nonce_len, &board->nonce_at))
		return false;
	board->nonce_len = nonce_len;
	board->quote_at = stmt_at + evidence->stmt.len - QUOTE_SIGNATURE;
	board->payload_at = head_at + sizeof(cose_head);
	board->payload_len = board->quote_at - 2 - board->payload_at; /* 58 40 before the signature */
	return board->der[board->quote_at - 2] == 0x58 && board->der[board->quote_at - 1] == QUOTE_SIGNATURE;
}

bool board_shape(struct board *board, struct element *element, size_t nonce_len, struct trouble *t)
{
	uint8_t nonce[BOARD_NONCE_MAX];
	struct bytes der = { 0 };
	AUTO(element_evidence_done) struct element_evidence evidence = { 0 };
	struct request request = { .evidence = &evidence };

	if (nonce_len > sizeof(nonce) || RAND_bytes(nonce, (int)nonce_len) != 1)
		return trouble_set(t, "a nonce of %zu bytes is too long", nonce_len);
	if (!element->ops->attest(element, nonce, nonce_len, &evidence, t) ||
	    !request_build(element, &request, &der, t))
		return false;
	board->der = der.ptr;
	board->der_len = der.len;
	return (der.len < BOARD_DER_MAX && cut(board) && locate(board, &evidence, nonce, nonce_len)) ||
	       trouble_set(t, "the rig's library writes requests in another form than the driver knows");
}

static bool sign_quote(const struct board *board, struct presign_room *room, uint8_t *der)
{
	uint8_t message[sizeof(signed_head) + BOARD_DER_MAX], digest[SHA256_DIGEST_LENGTH];

	memcpy(message, signed_head, sizeof(signed_head));
	memcpy(message + sizeof(signed_head), der + board->payload_at, board->payload_len);
	SHA256(message, sizeof(signed_head) + board->payload_len, digest);
	return presign_finish(room, &board->of_quote, digest, der + board->quote_at);
}

/* Appends the BIT STRING and corrects the outer length; returns the whole's length, 0 for trouble. */
static size_t sign_request(const struct board *board, struct presign_room *room, uint8_t *der)
{
	uint8_t digest[SHA256_DIGEST_LENGTH], raw[2 * PRESIGN_BYTES];
	uint8_t *bits = der + board->der_len;
	size_t len, content;

	SHA256(der + 4, board->info_len, digest);
	if (!presign_finish(room, &board->of_request, digest, raw))
		return 0;
	len = presign_der(raw, bits + 3);
	bits[0] = 0x03;
	bits[1] = (uint8_t)(len + 1);
	bits[2] = 0;
	content = board->der_len - 4 + 3 + len;
	der[2] = (uint8_t)(content >> 8);
	der[3] = (uint8_t)content;
	return 4 + content;
}

size_t board_request(const struct board *board, struct presign_room *room, const uint8_t *nonce, size_t nonce_len,
		     char *out, size_t cap)
{
	uint8_t der[BOARD_DER_MAX + 3 + PRESIGN_DER_MAX];
	size_t len;

	if (nonce_len != board->nonce_len)
		return 0;
	memcpy(der, board->der, board->der_len);
	memcpy(der + board->nonce_at, nonce, nonce_len);
	len = sign_quote(board, room, der) ? sign_request(board, room, der) : 0;
	if (len == 0 || (len + 2) / 3 * 4 + 1 > cap)
		return 0;
	return (size_t)EVP_EncodeBlock((unsigned char *)out, der, (int)len);
}

bool board_receive(struct board *board, const char *reply, size_t len, struct trouble *t)
{
	AUTO(bytes_done) struct bytes der = { 0 };
	AUTO(bytes_done) struct bytes cert = { 0 };
	AUTO(auto_x509_list) STACK_OF(X509) *certs = NULL;
	int n;

	if (!base64_decode(reply, len, &der) || !est_certs(&der, &certs, t))
		return trouble_set(t, "the reply is not base64 of a certs-only PKCS#7");
	n = i2d_X509(sk_X509_value(certs, 0), &cert.ptr);
	cert.len = n > 0 ? (size_t)n : 0;
	return board->element->ops->import_certificate(board->element, cert.ptr, cert.len, t);
}

bool board_prepare_renewal(struct board *board, struct trouble *t)
{
	struct element *element = board->element;
	const struct soft *soft = (const struct soft *)element;
	struct request request = { 0 };
	AUTO(bytes_done) struct bytes der = { 0 };

	if (!element->ops->activate(element, t) || !element->ops->keep_keypair(element, t) ||
	    !request_build(element, &request, &der, t))
		return false;
	board->cert = soft->slot[ELEMENT_CURRENT].cert;
	board->renewal = base64_encode(der.ptr, der.len);
	if (board->renewal == NULL || X509_up_ref(board->cert) != 1)
		return trouble_set(t, "not enough memory");
	return element->ops->tls_key(element, &board->key, t);
}
