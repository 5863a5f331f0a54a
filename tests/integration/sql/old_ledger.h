/*
 * old_ledger.h - what an assayd of an earlier day wrote, through the ledger's functions of that version of the schema.
 */
#ifndef ASSAY_TEST_OLD_LEDGER_H
#define ASSAY_TEST_OLD_LEDGER_H

#include "fixture.h"

#define OLD_NODE "n1"

/* What a version wrote, by its rows' fates. */
struct past {
	struct request plain, full, renewal, gone, held, left;
	char certificate[600]; /* of plain, in hex, as that version gave it */
};
/* Over the connection of assay_ca, in several commits; asserts that all of it was written. first_of_all: the policy
 * that they name, too. */
void old_write(struct world *world, PGconn *ca, struct past *p, int version, bool first_of_all);

#endif
