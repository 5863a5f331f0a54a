/*
 * believe.c - signatures as a fuzz target of chains takes them, by --wrap=claim_holds: one holds unless its last octet
 * is 0xee. So a changed certificate still leads on to the rules of paths, and an input costs no 48 verifications. Real
 * verification of hostile keys and signatures is fuzz_csr.c's.
 */
#include "claims.h"

bool __wrap_claim_holds(const struct claim *claim);

bool __wrap_claim_holds(const struct claim *claim)
{
	return sig_alg_fits(claim->alg, claim->key->type) && claim->signature.len > 0 &&
	       claim->signature.ptr[claim->signature.len - 1] != 0xee;
}
