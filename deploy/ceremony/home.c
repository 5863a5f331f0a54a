/* home.c - see home.h. */
#include "home.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIN_DIGITS 24 /* 79 bits; digits, for some tokens take nothing else */

static void bio_freep(BIO **bio)
{
	BIO_free_all(*bio);
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

enum reason home_path(const char *home, const char *file, char out[HOME_PATH_BYTES], struct fault *f)
{
	if (snprintf(out, HOME_PATH_BYTES, "%s/%s", home, file) >= HOME_PATH_BYTES)
		return fault_set(f, REASON_CONFIG, "path of %s is too long", file);
	return REASON_OK;
}

bool home_has(const char *home, const char *file)
{
	char path[HOME_PATH_BYTES];

	return home_path(home, file, path, NULL) == REASON_OK && access(path, F_OK) == 0;
}

/* Makes the folders on the way to a file. Secrets are closed to others by their own mode. */
static enum reason make_folders(const char *path, struct fault *f)
{
	char folder[HOME_PATH_BYTES];

	for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		memcpy(folder, path, (size_t)(slash - path));
		folder[slash - path] = '\0';
		if (mkdir(folder, 0755) != 0 && errno != EEXIST)
			return fault_set(f, REASON_CONFIG, "%s: %m", folder);
	}
	return REASON_OK;
}

static enum reason write_all(int fd, struct blob bytes, const char *path, struct fault *f)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.ptr, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_set(f, REASON_CONFIG, "%s: %m", path);
		bytes = BLOB(bytes.ptr + n, bytes.len - (size_t)n);
	}
	if (fsync(fd) != 0)
		return fault_set(f, REASON_CONFIG, "%s: %m", path);
	return REASON_OK;
}

/* Under a name of its own first, then linked to the right one: link() refuses to replace what is there. */
static enum reason write_new(const char *home, const char *file, struct blob bytes, mode_t mode, struct fault *f)
{
	char path[HOME_PATH_BYTES], partial[HOME_PATH_BYTES + 8];
	AUTO(fd_close) int fd = -1;
	enum reason reason;

	TRY(home_path(home, file, path, f));
	TRY(make_folders(path, f));
	snprintf(partial, sizeof(partial), "%s.new", path);
	unlink(partial);
	fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0 || fchmod(fd, mode) != 0)
		return fault_set(f, REASON_CONFIG, "%s: %m", partial);
	reason = write_all(fd, bytes, partial, f);
	if (reason == REASON_OK && link(partial, path) != 0)
		reason = fault_set(f, REASON_CONFIG, "%s: %m", path);
	unlink(partial);
	return reason;
}

enum reason home_write_public(const char *home, const char *file, struct blob bytes, struct fault *f)
{
	return write_new(home, file, bytes, 0644, f);
}

enum reason home_write_secret(const char *home, const char *file, struct blob bytes, struct fault *f)
{
	return write_new(home, file, bytes, 0600, f);
}

enum reason home_write_certs(const char *home, const char *file, const struct blob *ders, size_t n, struct fault *f)
{
	AUTO(bio_freep) BIO *pem = BIO_new(BIO_s_mem());
	char *text;
	long len;

	for (size_t i = 0; pem != NULL && i < n; i++) {
		if (PEM_write_bio(pem, PEM_STRING_X509, "", ders[i].ptr, (long)ders[i].len) <= 0)
			return fault_set(f, REASON_NO_MEMORY, "PEM");
	}
	if (pem == NULL || (len = BIO_get_mem_data(pem, &text)) <= 0)
		return fault_set(f, REASON_NO_MEMORY, "PEM");
	return home_write_public(home, file, BLOB(text, (size_t)len), f);
}

enum reason home_read_cert(const char *home, const char *file, struct buf *ret_der, struct fault *f)
{
	AUTO(bio_freep) BIO *in = NULL;
	char path[HOME_PATH_BYTES], *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	enum reason reason;
	long len;

	TRY(home_path(home, file, path, f));
	in = BIO_new_file(path, "r");
	if (in == NULL || PEM_read_bio(in, &name, &header, &der, &len) != 1)
		return fault_set(f, REASON_CONFIG, "%s: no certificate can be read", path);
	reason = buf_copy(BLOB(der, (size_t)len), ret_der, f);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return reason;
}

enum reason home_write_key(const char *home, const char *file, EVP_PKEY *key, struct fault *f)
{
	AUTO(bio_freep) BIO *pem = BIO_new(BIO_s_secmem());
	char *text;
	long len;

	if (pem == NULL || PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    (len = BIO_get_mem_data(pem, &text)) <= 0)
		return fault_set(f, REASON_NO_MEMORY, "PEM");
	return home_write_secret(home, file, BLOB(text, (size_t)len), f);
}

static enum reason make_pin(const char *home, const char *file, struct fault *f)
{
	uint8_t random[PIN_DIGITS];
	char text[PIN_DIGITS + 1];
	enum reason reason;

	for (size_t i = 0; i < PIN_DIGITS;) {
		if (RAND_bytes(&random[i], 1) != 1)
			return fault_set(f, REASON_INTERNAL, "random numbers");
		if (random[i] >= 250)
			continue; /* digits stay equally likely */
		text[i] = (char)('0' + random[i] % 10);
		i++;
	}
	text[PIN_DIGITS] = '\n';
	reason = home_write_secret(home, file, BLOB_OF(text), f);
	OPENSSL_cleanse(random, sizeof(random));
	OPENSSL_cleanse(text, sizeof(text));
	return reason;
}

enum reason home_pin(const char *home, const char *file, char out[HOME_PIN_BYTES], bool *ret_made, struct fault *f)
{
	char path[HOME_PATH_BYTES];
	AUTO(fd_close) int fd = -1;
	ssize_t n;

	*ret_made = !home_has(home, file);
	if (*ret_made)
		TRY(make_pin(home, file, f));
	TRY(home_path(home, file, path, f));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (n = read(fd, out, HOME_PIN_BYTES - 1)) < 0)
		return fault_set(f, REASON_CONFIG, "%s: %m", path);
	out[n] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	if (strlen(out) < 4)
		return fault_set(f, REASON_CONFIG, "%s: a PIN has at least 4 characters", path);
	return REASON_OK;
}
