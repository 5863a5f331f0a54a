/*
 * body.c - see body.h.
 */
#include "http/body.h"

#include <string.h>

#include "base/limits.h"
#include "base/text.h"

#define COLUMNS 64

#define DER_SEQUENCE 0x30 /* also the digit 0, but base64 of a SEQUENCE begins with M */
#define ARMOUR_BEGIN "-----BEGIN "

static const char *const armours[] = { "CERTIFICATE REQUEST-----", "NEW CERTIFICATE REQUEST-----" };

static struct blob skip_space(struct blob text)
{
	while (text.len > 0 && strchr("\r\n\t ", text.ptr[0]) != NULL && text.ptr[0] != '\0')
		text.ptr++, text.len--;
	return text;
}

static bool take(struct blob *text, const char *word)
{
	size_t len = strlen(word);

	if (text->len < len || memcmp(text->ptr, word, len) != 0)
		return false;
	text->ptr += len;
	text->len -= len;
	return true;
}

/* RFC 7468: what stands between the two lines; nothing but white space may follow. */
static enum reason armoured(struct blob text, struct blob *ret_inside, struct fault *f)
{
	for (size_t i = 0; i < sizeof(armours) / sizeof(armours[0]); i++) {
		struct blob rest = text, inside;
		const uint8_t *end;

		if (!take(&rest, armours[i]))
			continue;
		end = memmem(rest.ptr, rest.len, "-----END ", 9);
		if (end == NULL)
			break;
		inside = BLOB(rest.ptr, (size_t)(end - rest.ptr));
		rest = BLOB(end + 9, rest.len - inside.len - 9);
		if (!take(&rest, armours[i]) || skip_space(rest).len != 0)
			break;
		*ret_inside = inside;
		return REASON_OK;
	}
	return fault_set(f, REASON_BASE64, "PEM armour is not that of one certificate request");
}

enum reason body_der(struct blob body, struct buf *ret_der, struct fault *f)
{
	struct blob text = body;

	if (body.len > 0 && body.ptr[0] == DER_SEQUENCE)
		return buf_copy(body, ret_der, f);
	text = skip_space(body);
	if (text.len == 0)
		return fault_set(f, REASON_HTTP_BODY, "empty body");
	if (take(&text, ARMOUR_BEGIN))
		TRY(armoured(text, &text, f));
	return text_unbase64(text, ret_der, f);
}

enum reason body_base64(struct blob der, struct buf *ret_text, struct fault *f)
{
	AUTO(buf_done) struct buf text = { 0 };

	TRY(text_base64(der, &text, f));
	TRY(buf_append(&text, BLOB_STR("\n"), f));
	*ret_text = text;
	text = (struct buf){ 0 };
	return REASON_OK;
}

enum reason body_lines(struct blob line, struct buf *ret_text, struct fault *f)
{
	AUTO(buf_done) struct buf text = { 0 };

	while (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	while (line.len > 0) {
		size_t n = line.len < COLUMNS ? line.len : COLUMNS;

		TRY(buf_append(&text, BLOB(line.ptr, n), f));
		TRY(buf_append(&text, BLOB_STR("\n"), f));
		line.ptr += n;
		line.len -= n;
	}
	*ret_text = text;
	text = (struct buf){ 0 };
	return REASON_OK;
}
