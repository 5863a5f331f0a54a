/*
 * mint_copy.h - a device's request as a form: where element id, keys, chip certificate and its signature stand in it.
 *
 * Threads:  a form is read only once it is found; a room belongs to one thread.
 */
#ifndef BENCH_MINT_COPY_H
#define BENCH_MINT_COPY_H

#include "board.h"
#include "soft.h"

enum form_field {
	FORM_KEY_X, /* of the request's key: in the request and in the quote */
	FORM_KEY_Y,
	FORM_CHIP_POINT, /* the attestation key in the chip's certificate */
	FORM_CHIP_KEY_ID,
	FORM_CHIP_SERIAL,
	FORM_CHIP_SIGNATURE,
	FORM_UEID,
	FORM_UEID_TEXT,
	FORM_FIELDS
};

#define FORM_PLACES 4

struct form {
	struct board board; /* borrowed but for its signatures */
	struct form_place {
		size_t len, n, at[FORM_PLACES];
	} place[FORM_FIELDS];
	size_t tbs_at, tbs_len;        /* of the chip's certificate, what its signature is over */
	struct presign_key vendor_key; /* what signs it */
};

/* Finds the places in the request of an element. False without trouble's text: this one's signature is not as long as
 * half of all are; try another. */
MUST_CHECK bool form_find(const struct board *board, const struct soft *soft, const EVP_PKEY *vendor_key,
			  struct form *ret_form, struct trouble *t);
/* Another device. */
MUST_CHECK bool form_fill(const struct form *form, struct presign_room *room, struct board *ret_board,
			  struct trouble *t);

#endif
