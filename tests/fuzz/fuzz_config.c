/* fuzz_config.c - the configuration file: an operator's typing errors, not an attacker's, but no crash all the same. */
#include <stdlib.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config *config;
	struct fault f = { 0 };

	if (config_parse(BLOB(data, len), "/etc/assay/assay.json", &config, &f) == REASON_OK)
		config_free(config);
	else if (f.detail[0] == '\0')
		abort(); /* an error without a word */
	return 0;
}
