/*
 * mint_copy.c - see mint_copy.h.
 */
#include "mint_copy.h"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#define SERIAL_BYTES 16
#define SIGNATURE_BYTES 71 /* DER, of half of all P-256 signatures: one of its numbers has the top bit set */
#define CERT_MAX 2048

/* Every place where these bytes stand. */
static bool find_all(const struct board *board, const void *what, size_t len, struct form_place *ret_place)
{
	const uint8_t *from = board->der, *end = board->der + board->der_len, *at;
	struct form_place place = { .len = len };

	while ((at = memmem(from, (size_t)(end - from), what, len)) != NULL && place.n < FORM_PLACES) {
		place.at[place.n++] = (size_t)(at - board->der);
		from = at + len;
	}
	*ret_place = place;
	return place.n > 0 && at == NULL;
}

static bool find_keys(struct form *form, const struct soft *soft, struct trouble *t)
{
	struct presign_key own, chip;
	uint8_t id[SHA_DIGEST_LENGTH];

	if (!presign_key_of(soft->slot[ELEMENT_NEXT].key, &own, t) || !presign_key_of(soft->attestation_key, &chip, t))
		return false;
	SHA1(chip.point, sizeof(chip.point), id); /* RFC 5280 section 4.2.1.2, method 1 */
	return (find_all(&form->board, own.point + 1, PRESIGN_BYTES, &form->place[FORM_KEY_X]) &&
		find_all(&form->board, own.point + 1 + PRESIGN_BYTES, PRESIGN_BYTES, &form->place[FORM_KEY_Y]) &&
		find_all(&form->board, chip.point, sizeof(chip.point), &form->place[FORM_CHIP_POINT]) &&
		find_all(&form->board, id, sizeof(id), &form->place[FORM_CHIP_KEY_ID])) ||
	       trouble_set(t, "the keys are not in the request as the driver knows it");
}

/* Once, whole; its TBS is the first thing in it, with lengths of two bytes. */
static bool find_certificate(struct form *form, X509 *cert)
{
	uint8_t der[CERT_MAX], *end = der;
	int len = i2d_X509(cert, NULL);
	struct form_place place;

	if (len < 300 || len > CERT_MAX || i2d_X509(cert, &end) != len ||
	    !find_all(&form->board, der, (size_t)len, &place) || place.n != 1 || der[4] != 0x30 || der[5] != 0x82)
		return false;
	form->tbs_at = place.at[0] + 4;
	form->tbs_len = 4 + ((size_t)der[6] << 8 | der[7]);
	return true;
}

static bool find_chip(struct form *form, const struct soft *soft, struct trouble *t)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(soft->attestation_cert);
	const ASN1_BIT_STRING *signature;

	X509_get0_signature(&signature, NULL, soft->attestation_cert);
	return (serial->length == SERIAL_BYTES && find_certificate(form, soft->attestation_cert) &&
		find_all(&form->board, serial->data, SERIAL_BYTES, &form->place[FORM_CHIP_SERIAL]) &&
		find_all(&form->board, signature->data, (size_t)signature->length, &form->place[FORM_CHIP_SIGNATURE]) &&
		find_all(&form->board, soft->ueid, sizeof(soft->ueid), &form->place[FORM_UEID]) &&
		find_all(&form->board, soft->base.id, strlen(soft->base.id), &form->place[FORM_UEID_TEXT])) ||
	       trouble_set(t, "the chip's certificate is not in the request as the driver knows it");
}

bool form_find(const struct board *board, const struct soft *soft, const EVP_PKEY *vendor_key, struct form *ret_form,
	       struct trouble *t)
{
	struct form form = { .board = *board };
	const ASN1_BIT_STRING *signature;

	X509_get0_signature(&signature, NULL, soft->attestation_cert);
	t->text[0] = '\0';
	if (signature->length != SIGNATURE_BYTES)
		return false;
	if (!find_keys(&form, soft, t) || !find_chip(&form, soft, t) ||
	    !presign_key_of(vendor_key, &form.vendor_key, t))
		return false;
	*ret_form = form;
	return true;
}

static void put(const struct form *form, enum form_field field, const void *value, uint8_t *der)
{
	const struct form_place *place = &form->place[field];

	for (size_t i = 0; i < place->n; i++)
		memcpy(der + place->at[i], value, place->len);
}

/* An element id of its own, and a serial number for its certificate. */
static bool put_names(const struct form *form, uint8_t *der)
{
	uint8_t ueid[SOFT_UEID_BYTES] = { 1 }, serial[SERIAL_BYTES];
	char text[2 * SOFT_UEID_BYTES + 1];

	if (RAND_bytes(ueid + 1, SOFT_UEID_BYTES - 1) != 1 || RAND_bytes(serial, sizeof(serial)) != 1)
		return false;
	serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40); /* positive, and always as long */
	hex_encode(ueid, sizeof(ueid), text);
	put(form, FORM_UEID, ueid, der);
	put(form, FORM_UEID_TEXT, text, der);
	put(form, FORM_CHIP_SERIAL, serial, der);
	return true;
}

static void put_keys(const struct form *form, const struct presign_key *own, const struct presign_key *chip,
		     uint8_t *der)
{
	uint8_t id[SHA_DIGEST_LENGTH];

	SHA1(chip->point, sizeof(chip->point), id);
	put(form, FORM_KEY_X, own->point + 1, der);
	put(form, FORM_KEY_Y, own->point + 1 + PRESIGN_BYTES, der);
	put(form, FORM_CHIP_POINT, chip->point, der);
	put(form, FORM_CHIP_KEY_ID, id, der);
}

/* As often as it takes for a signature that is as long as the form's: twice on average. */
static bool sign_chip(const struct form *form, struct presign_room *room, uint8_t *der, struct trouble *t)
{
	uint8_t digest[SHA256_DIGEST_LENGTH], raw[2 * PRESIGN_BYTES], signature[PRESIGN_DER_MAX];
	struct presigned half;

	SHA256(der + form->tbs_at, form->tbs_len, digest);
	do {
		if (!presign(room, &form->vendor_key, &half, t))
			return false;
		if (!presign_finish(room, &half, digest, raw))
			return trouble_openssl(t, "cannot sign a chip's certificate");
	} while (presign_der(raw, signature) != SIGNATURE_BYTES);
	put(form, FORM_CHIP_SIGNATURE, signature, der);
	return true;
}

bool form_fill(const struct form *form, struct presign_room *room, struct board *ret_board, struct trouble *t)
{
	struct board board = form->board;
	struct presign_key own, chip;

	if (!presign_key_new(room, &own, t) || !presign_key_new(room, &chip, t) ||
	    !presign(room, &chip, &board.of_quote, t) || !presign(room, &own, &board.of_request, t))
		return false;
	board.element = NULL;
	board.der = malloc(form->board.der_len);
	if (board.der == NULL)
		return trouble_set(t, "not enough memory");
	memcpy(board.der, form->board.der, form->board.der_len);
	put_keys(form, &own, &chip, board.der);
	if (!put_names(form, board.der) || !sign_chip(form, room, board.der, t)) {
		free(board.der);
		return t->text[0] != '\0' || trouble_openssl(t, "no random numbers");
	}
	*ret_board = board;
	return true;
}
