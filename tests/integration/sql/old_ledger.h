/*
 * old_ledger.h - intents and signatures as an assayd of an earlier day wrote them, through the ledger's functions of
 * that version of the schema.
 */
#ifndef ASSAY_TEST_OLD_LEDGER_H
#define ASSAY_TEST_OLD_LEDGER_H

#include "fixture.h"

#define OLD_NODE "n1"

/* One commit each, over the connection of assay_ca; asserts that all of it was written. Sorted by the caller. */
void old_policy(PGconn *ca, const struct request *r); /* the one that it names */
void old_intend(PGconn *ca, int version, struct request *const *r, size_t n);
void old_record(PGconn *ca, struct request *const *r, size_t n);

#endif
