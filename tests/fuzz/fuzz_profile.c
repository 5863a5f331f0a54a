/* fuzz_profile.c - a profile file: an operator's mistakes, never a crash. */
#include <assert.h>

#include "profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const issuers[] = { "attested", "unattested", "idevid", NULL };
	struct profile *profile = NULL;
	struct fault f = { 0 };
	static bool ready;

	if (!ready)
		oid_init();
	ready = true;
	if (profile_parse("fuzz.json", BLOB(data, len), issuers, &profile, &f) == REASON_OK) {
		assert(profile->n_keys > 0 && profile->key_usage != 0 && profile->n_sans <= LIMIT_SANS);
		assert(profile->enrol.who == 0 || profile->n_subject >= (profile->enrol.evidence ? 2U : 1U));
	} else {
		assert(profile == NULL && f.detail[0] != '\0');
	}
	profile_free(profile);
	return 0;
}
