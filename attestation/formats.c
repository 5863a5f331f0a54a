/* formats.c - every evidence format that Assay reads, one line each. */
#include "format.h"

const struct format *const formats[] = {
	&format_quote,
};
const size_t n_formats = sizeof(formats) / sizeof(formats[0]);
