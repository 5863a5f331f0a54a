/*
 * mosquitto_clients.h - who is connected with a certificate: its issuer and serial beside mosquitto's client.
 *
 * Owns:    the clients in the table. All zeros is an empty table.
 * Threads: one.
 */
#ifndef ASSAY_MOSQUITTO_CLIENTS_H
#define ASSAY_MOSQUITTO_CLIENTS_H

#include <openssl/x509.h>

#include "revoked_list.h"

#define CLIENT_BUCKETS 4096
#define CLIENT_SERIAL_CHARS (2 * REVOKED_SERIAL_BYTES)

struct mosquitto;

struct client {
	struct client *next;
	const struct mosquitto *is; /* never looked into: it may be gone */
	char *id;
	uint8_t issuer[REVOKED_NAME_BYTES];
	uint8_t serial[REVOKED_SERIAL_BYTES];
};

struct clients {
	struct client *bucket[CLIENT_BUCKETS];
};

/* NULL: no memory, or a serial that no certificate should have. */
struct client *client_new(const struct mosquitto *is, const char *id, const X509 *cert);
void client_free(struct client *client);                                            /* accepts NULL */
void client_serial(const struct client *client, char out[CLIENT_SERIAL_CHARS + 1]); /* as openssl prints it */

/* In the place of a client of before at the same address, whose end mosquitto did not tell. Consumes it. */
void clients_put(struct clients *clients, struct client *client);
bool clients_has(const struct clients *clients, const struct mosquitto *is);
void clients_drop(struct clients *clients, const struct mosquitto *is);
/* One of which is() is true, taken out of the table; NULL: there is none. */
struct client *clients_take(struct clients *clients, bool (*is)(const struct client *client, void *user), void *user);
void clients_done(struct clients *clients);

#endif
