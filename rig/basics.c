/*
 * basics.c - failure texts, bytes, encodings and files of the rig.
 */
#include "basics.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1024L * 1024L) /* keys, certificates and element files are a few KiB */

bool trouble_set(struct trouble *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(t->text, sizeof(t->text), fmt, args);
	va_end(args);
	return false;
}

bool trouble_openssl(struct trouble *t, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *why = code == 0 ? NULL : ERR_reason_error_string(code);

	(void)trouble_set(t, "%s: %s", what, why == NULL ? "OpenSSL gives no reason" : why);
	ERR_clear_error();
	return false;
}

bool bytes_copy(const void *ptr, size_t len, struct bytes *ret_bytes)
{
	uint8_t *copy = malloc(len + 1);

	if (copy == NULL)
		return false;
	if (len > 0)
		memcpy(copy, ptr, len);
	copy[len] = 0;
	*ret_bytes = (struct bytes){ copy, len };
	return true;
}

void bytes_done(struct bytes *bytes)
{
	if (bytes->ptr != NULL)
		OPENSSL_cleanse(bytes->ptr, bytes->len);
	free(bytes->ptr);
	*bytes = (struct bytes){ NULL, 0 };
}

void hex_encode(const void *ptr, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = ptr;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
}

char *base64_encode(const void *ptr, size_t len)
{
	char *text = malloc((len + 2) / 3 * 4 + 1);

	if (text != NULL)
		(void)EVP_EncodeBlock((unsigned char *)text, ptr, (int)len);
	return text;
}

/* The characters of text without white space, room for two of padding; EVP_DecodeBlock wants them so. */
static char *squeeze(const char *text, size_t len, size_t *ret_len)
{
	char *out = malloc(len + 3);
	size_t n = 0;

	for (size_t i = 0; out != NULL && i < len; i++)
		if (strchr(" \t\r\n", text[i]) == NULL)
			out[n++] = text[i];
	*ret_len = n;
	return out;
}

static bool decode_block(const char *block, size_t len, struct bytes *ret_bytes)
{
	size_t pad = 0;
	uint8_t *out;
	int n;

	if (len == 0)
		return bytes_copy("", 0, ret_bytes);
	if (len % 4 != 0 || len > FILE_BYTES_MAX)
		return false;
	while (pad < 2 && block[len - 1 - pad] == '=')
		pad++;
	if (memchr(block, '=', len - pad) != NULL)
		return false;
	out = malloc(len / 4 * 3 + 1);
	if (out == NULL)
		return false;
	n = EVP_DecodeBlock(out, (const unsigned char *)block, (int)len);
	if (n < 0 || (size_t)n < pad) {
		free(out);
		return false;
	}
	*ret_bytes = (struct bytes){ out, (size_t)n - pad };
	out[ret_bytes->len] = 0;
	return true;
}

bool base64_decode(const char *text, size_t len, struct bytes *ret_bytes)
{
	size_t n;
	AUTO(auto_free) char *block = squeeze(text, len, &n);

	return block != NULL && decode_block(block, n, ret_bytes);
}

bool base64url_decode(const char *text, struct bytes *ret_bytes)
{
	size_t n = strlen(text);
	AUTO(auto_free) char *block = malloc(n + 3);

	if (block == NULL || strpbrk(text, "+/= \t\r\n") != NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		block[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
	while (n % 4 == 2 || n % 4 == 3)
		block[n++] = '=';
	return decode_block(block, n, ret_bytes);
}

double clock_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

bool path_join(const char *folder, const char *name, char out[4096], struct trouble *t)
{
	int n = snprintf(out, 4096, "%s/%s", folder, name);

	if (n < 0 || n >= 4096)
		return trouble_set(t, "%s: path is too long", folder);
	return true;
}

static bool write_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

bool file_write(const char *path, const void *ptr, size_t len, struct trouble *t)
{
	char temporary[4096];
	int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	int fd = n < 0 || (size_t)n >= sizeof(temporary) ? -1 : mkstemp(temporary); /* 0600 */
	bool ok;

	if (fd < 0)
		return trouble_set(t, "%s: cannot write: %s", path, strerror(errno));
	ok = write_all(fd, ptr, len);
	ok = close(fd) == 0 && ok;
	if (ok && rename(temporary, path) == 0)
		return true;
	(void)trouble_set(t, "%s: cannot write: %s", path, strerror(errno));
	(void)unlink(temporary);
	return false;
}

bool file_read(const char *path, struct bytes *ret_bytes, struct trouble *t)
{
	AUTO(auto_file) FILE *file = fopen(path, "re");
	struct stat st;
	uint8_t *buffer;
	size_t n;

	if (file == NULL || fstat(fileno(file), &st) != 0)
		return trouble_set(t, "%s: cannot read: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX)
		return trouble_set(t, "%s: not a regular file of at most 1 MiB", path);
	buffer = malloc((size_t)st.st_size + 1);
	if (buffer == NULL)
		return trouble_set(t, "%s: not enough memory", path);
	n = fread(buffer, 1, (size_t)st.st_size, file);
	if (ferror(file)) {
		free(buffer);
		return trouble_set(t, "%s: cannot read: %s", path, strerror(errno));
	}
	buffer[n] = 0;
	*ret_bytes = (struct bytes){ buffer, n };
	return true;
}
