/* fuzz_users.c - a users file: an operator's mistakes, never a crash, and none without a word. */
#include <assert.h>

#include "users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct users *users = NULL;
	struct fault f = { 0 };

	if (users_parse("users.json", BLOB(data, len), &users, &f) != REASON_OK)
		assert(users == NULL && f.detail[0] != '\0');
	users_free(users);
	return 0;
}
