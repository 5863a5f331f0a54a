/* failing_tls.c - GnuTLS's and libmicrohttpd's calls that fail on purpose, see failing.h. */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "failing_call.h"

/* clang-format off */
FAILS(int, GNUTLS_E_FILE_ERROR, gnutls_load_file, (const char *path, gnutls_datum_t *data), (path, data))
FAILS(int, GNUTLS_E_MEMORY_ERROR, gnutls_hkdf_extract, (gnutls_mac_algorithm_t mac, const gnutls_datum_t *key, const gnutls_datum_t *salt, void *out), (mac, key, salt, out))
FAILS(int, GNUTLS_E_MEMORY_ERROR, gnutls_hkdf_expand, (gnutls_mac_algorithm_t mac, const gnutls_datum_t *key, const gnutls_datum_t *info, void *out, size_t len), (mac, key, info, out, len))
FAILS(int, GNUTLS_E_MEMORY_ERROR, gnutls_certificate_allocate_credentials, (gnutls_certificate_credentials_t *c), (c))
FAILS(int, GNUTLS_E_MEMORY_ERROR, gnutls_certificate_set_x509_key_mem, (gnutls_certificate_credentials_t c, const gnutls_datum_t *cert, const gnutls_datum_t *key, gnutls_x509_crt_fmt_t type), (c, cert, key, type))
FAILS(int, GNUTLS_E_RANDOM_FAILED, gnutls_session_ticket_key_generate, (gnutls_datum_t *key), (key))
FAILS(int, GNUTLS_E_MEMORY_ERROR, gnutls_session_ticket_enable_server, (gnutls_session_t s, const gnutls_datum_t *key), (s, key))
FAILS(int, GNUTLS_E_MEMORY_ERROR, gnutls_alpn_set_protocols, (gnutls_session_t s, const gnutls_datum_t *list, unsigned n, unsigned flags), (s, list, n, flags))
FAILS(int, GNUTLS_E_MEMORY_ERROR, gnutls_credentials_set, (gnutls_session_t s, gnutls_credentials_type_t type, void *c), (s, type, c))
FAILS(int, GNUTLS_E_MEMORY_ERROR, gnutls_session_channel_binding, (gnutls_session_t s, gnutls_channel_binding_t type, gnutls_datum_t *out), (s, type, out))
/* clang-format on */
