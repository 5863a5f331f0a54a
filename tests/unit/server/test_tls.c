/* test_tls.c - do sessions resume where tickets are shared, and only there, and only as long as tls.h says? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <cmocka.h>

#include "http/tls.h"

#define PATH_LEN 64
static char folder[] = "/tmp/assay-test-tls-XXXXXX";
static time_t shift_s; /* how far the library's clock is put on */

static time_t shifted_time(time_t *out)
{
	struct timespec now;
	time_t t;

	clock_gettime(CLOCK_REALTIME, &now);
	t = now.tv_sec + shift_s;
	if (out != NULL)
		*out = t;
	return t;
}

static const char *path_of(const char *name, char path[PATH_LEN])
{
	snprintf(path, PATH_LEN, "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const void *bytes, size_t len)
{
	char path[PATH_LEN];
	FILE *file = fopen(path_of(name, path), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* A self-signed certificate and its key. */
static int setup(void **state)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t cert;
	gnutls_datum_t pem;
	time_t now = time(NULL);

	(void)state;
	assert_non_null(mkdtemp(folder));
	gnutls_global_set_time_function(shifted_time);
	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(
		gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		0);
	assert_int_equal(gnutls_x509_crt_init(&cert), 0);
	gnutls_x509_crt_set_version(cert, 3);
	gnutls_x509_crt_set_serial(cert, "\x01", 1);
	gnutls_x509_crt_set_activation_time(cert, now - 60);
	gnutls_x509_crt_set_expiration_time(cert, now + 86400);
	gnutls_x509_crt_set_dn(cert, "CN=localhost", NULL);
	gnutls_x509_crt_set_key(cert, key);
	assert_int_equal(gnutls_x509_crt_sign2(cert, cert, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &pem), 0);
	write_file("cert.pem", pem.data, pem.size);
	gnutls_free(pem.data);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), 0);
	write_file("key.pem", pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(cert);
	gnutls_x509_privkey_deinit(key);
	write_file("one", "0123456789abcdef0123456789abcdef", 32);
	write_file("other", "fedcba9876543210fedcba9876543210", 32);
	write_file("short", "0123456789abcdef0123456789abcde", 31);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "cert.pem", "key.pem", "one", "other", "short" };
	char path[PATH_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i], path));
	return rmdir(folder);
}

/* secret NULL: the process's own */
static struct tls *server_new(const char *secret)
{
	char cert[PATH_LEN], key[PATH_LEN], path[PATH_LEN];
	struct tls *tls = NULL;
	struct fault f;

	if (tls_open(path_of("cert.pem", cert), path_of("key.pem", key), &tls, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	if (secret != NULL && tls_share_tickets(tls, path_of(secret, path), &f) != REASON_OK)
		fail_msg("%s", f.detail);
	return tls;
}

struct serving {
	struct tls *tls;
	int fd, error;
};

static void *serve(void *user)
{
	struct serving *serving = user;
	struct tls_keys *keys = NULL;
	unsigned fragment = 0;
	gnutls_session_t s;
	struct fault f;
	char byte;

	gnutls_init(&s, GNUTLS_SERVER);
	gnutls_priority_set_direct(s, tls_priorities(), NULL);
	serving->error = tls_prepare(serving->tls, s, &fragment, &keys, &f) == REASON_OK ? 0 : -1;
	gnutls_transport_set_int(s, serving->fd);
	if (serving->error == 0)
		serving->error = gnutls_handshake(s);
	if (serving->error == 0)
		gnutls_record_send(s, "x", 1);
	(void)gnutls_record_recv(s, &byte, 1);
	gnutls_deinit(s);
	tls_keys_unref(keys);
	close(serving->fd);
	return NULL;
}

/* One connection; takes the session of the last one along and leaves its own. True: it was resumed. */
static bool resumes(struct tls *tls, const char *version, gnutls_datum_t *session)
{
	gnutls_certificate_credentials_t credentials;
	struct serving serving = { .tls = tls };
	char priorities[64], byte;
	gnutls_session_t s;
	pthread_t thread;
	int pair[2];
	bool resumed;
	ssize_t got;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	serving.fd = pair[1];
	assert_int_equal(pthread_create(&thread, NULL, serve, &serving), 0);
	gnutls_certificate_allocate_credentials(&credentials);
	gnutls_init(&s, GNUTLS_CLIENT);
	snprintf(priorities, sizeof(priorities), "NORMAL:-VERS-ALL:+VERS-%s", version);
	assert_int_equal(gnutls_priority_set_direct(s, priorities, NULL), 0);
	gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_db_set_cache_expiration(s, 7 * 86400); /* the server's clock is to decide */
	if (session->data != NULL)
		assert_int_equal(gnutls_session_set_data(s, session->data, session->size), 0);
	gnutls_transport_set_int(s, pair[0]);
	assert_int_equal(gnutls_handshake(s), 0);
	while ((got = gnutls_record_recv(s, &byte, 1)) == GNUTLS_E_AGAIN)
		; /* the ticket comes before the byte */
	assert_int_equal(got, 1);
	resumed = gnutls_session_is_resumed(s) != 0;
	gnutls_free(session->data);
	*session = (gnutls_datum_t){ 0 };
	assert_int_equal(gnutls_session_get_data2(s, session), 0);
	close(pair[0]);
	gnutls_deinit(s);
	pthread_join(thread, NULL);
	assert_int_equal(serving.error, 0);
	gnutls_certificate_free_credentials(credentials);
	return resumed;
}

static const char *const versions[] = { "TLS1.2", "TLS1.3" };

/* What a session made with `first` is worth `later_s` later with `second`. */
static bool carries_over(const char *version, const char *first, const char *second, time_t later_s)
{
	struct tls *one = server_new(first), *two = server_new(second);
	gnutls_datum_t session = { 0 };
	bool resumed;

	assert_false(resumes(one, version, &session));
	shift_s = later_s;
	resumed = resumes(two, version, &session);
	shift_s = 0;
	gnutls_free(session.data);
	tls_free(one);
	tls_free(two);
	return resumed;
}

static void one_secret_carries_sessions_over_restarts_and_nodes(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_true(carries_over(versions[i], "one", "one", 0));
}

static void another_secret_means_a_full_handshake_silently(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_false(carries_over(versions[i], "one", "other", 0));
		assert_false(carries_over(versions[i], "one", NULL, 0));
		assert_false(carries_over(versions[i], NULL, NULL, 0));
	}
}

static void a_ticket_ends_with_its_lifetime(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_true(carries_over(versions[i], "one", "one", TLS_TICKET_LIFETIME_S - 60));
		assert_false(carries_over(versions[i], "one", "one", TLS_TICKET_LIFETIME_S + 60));
		assert_false(carries_over(versions[i], "one", "one", 7 * TLS_TICKET_LIFETIME_S)); /* two key changes */
	}
}

static void a_change_of_key_strands_no_ticket(void **state)
{
	const time_t period_s = 3 * TLS_TICKET_LIFETIME_S;
	time_t now = time(NULL);
	struct tls *tls = server_new("one");

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		gnutls_datum_t session = { 0 };

		shift_s = period_s - now % period_s - 60; /* a minute before */
		assert_false(resumes(tls, versions[i], &session));
		shift_s += 120;
		assert_true(resumes(tls, versions[i], &session));
		gnutls_free(session.data);
	}
	shift_s = 0;
	tls_free(tls);
}

static void a_secret_has_32_bytes(void **state)
{
	struct tls *tls = server_new(NULL);
	char path[PATH_LEN];
	struct fault f;

	(void)state;
	assert_int_equal(tls_share_tickets(tls, path_of("short", path), &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "must have 32 bytes, or as often that, has 31"));
	assert_int_equal(tls_share_tickets(tls, path_of("absent", path), &f), REASON_CONFIG);
	tls_free(tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_secret_carries_sessions_over_restarts_and_nodes),
		cmocka_unit_test(another_secret_means_a_full_handshake_silently),
		cmocka_unit_test(a_ticket_ends_with_its_lifetime),
		cmocka_unit_test(a_change_of_key_strands_no_ticket),
		cmocka_unit_test(a_secret_has_32_bytes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
