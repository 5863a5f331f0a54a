/* mosquitto_clients.c - see mosquitto_clients.h. */
#include "mosquitto_clients.h"

#include <stdlib.h>
#include <string.h>

static size_t bucket_of(const struct mosquitto *is)
{
	return (uintptr_t)is / 64 % CLIENT_BUCKETS;
}

void client_free(struct client *client)
{
	if (client != NULL)
		free(client->id);
	free(client);
}

static bool issuer_of(const X509 *cert, uint8_t out[REVOKED_NAME_BYTES])
{
	return X509_NAME_digest(X509_get_issuer_name(cert), EVP_sha256(), out, NULL) == 1;
}

struct client *client_new(const struct mosquitto *is, const char *id, const X509 *cert)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->is = is;
	client->id = strdup(id);
	if (client->id != NULL && issuer_of(cert, client->issuer) &&
	    revoked_serial(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), client->serial))
		return client;
	client_free(client);
	return NULL;
}

void client_serial(const struct client *client, char out[CLIENT_SERIAL_CHARS + 1])
{
	static const char digits[] = "0123456789ABCDEF";
	size_t from = 0, n = 0;

	while (from < REVOKED_SERIAL_BYTES - 1 && client->serial[from] == 0)
		from++;
	for (; from < REVOKED_SERIAL_BYTES; from++) {
		out[n++] = digits[client->serial[from] >> 4];
		out[n++] = digits[client->serial[from] & 15];
	}
	out[n] = '\0';
}

void clients_put(struct clients *clients, struct client *client)
{
	struct client **at = &clients->bucket[bucket_of(client->is)];

	clients_drop(clients, client->is);
	client->next = *at;
	*at = client;
}

bool clients_has(const struct clients *clients, const struct mosquitto *is)
{
	const struct client *client = clients->bucket[bucket_of(is)];

	while (client != NULL && client->is != is)
		client = client->next;
	return client != NULL;
}

void clients_drop(struct clients *clients, const struct mosquitto *is)
{
	struct client **at = &clients->bucket[bucket_of(is)], *gone;

	while (*at != NULL && (*at)->is != is)
		at = &(*at)->next;
	gone = *at;
	if (gone == NULL)
		return;
	*at = gone->next;
	client_free(gone);
}

struct client *clients_take(struct clients *clients, bool (*is)(const struct client *client, void *user), void *user)
{
	for (size_t i = 0; i < CLIENT_BUCKETS; i++) {
		for (struct client **at = &clients->bucket[i]; *at != NULL; at = &(*at)->next) {
			struct client *client = *at;

			if (!is(client, user))
				continue;
			*at = client->next;
			return client;
		}
	}
	return NULL;
}

void clients_done(struct clients *clients)
{
	for (size_t i = 0; i < CLIENT_BUCKETS; i++) {
		while (clients->bucket[i] != NULL) {
			struct client *client = clients->bucket[i];

			clients->bucket[i] = client->next;
			client_free(client);
		}
	}
}
