/* fuzz_head.c - a line that says it is a signed head of a ledger: whole and of its types, or none. */
#include <assert.h>
#include <string.h>

#include "head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *line = len > 0 ? (const char *)data : "";
	struct head head;

	if (!head_parse(line, len, &head))
		return 0;
	assert(head_is_line(line, len) && head.text >= line && head.text + head.len < line + len);
	assert(head.number > 0 && strlen(head.previous) == 2 * HEAD_HASH && head.signature_len > 0 &&
	       head.signature_len <= HEAD_SIGNATURE_MAX && json_is_array(head.positions));
	assert(head_intents(&head, "certificates") >= -1 && head_intents(&head, "nothing") == -1);
	head_done(&head);
	return 0;
}
