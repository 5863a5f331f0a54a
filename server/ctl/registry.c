/* registry.c - assayctl requester list|register|retire. */
#include <getopt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

int verb_requester_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct column columns[] = {
		{ "KIND", "kind" },   { "NAME", "name" }, { "ACTIVE", "active" },   { "LABELS", "labels" },
		{ "NAMES", "names" }, { "SINCE", "at" },  { "UNTIL", "not_after" }, { "PUBLIC KEY", "spki_hash" },
	};
	json_t *rows;

	(void)argv;
	if (argc != 1)
		return usage_of("requester", "list");
	rows = api_pages(ctl, "requesters", "requesters", "after", 1000000);
	return show_answer(ctl, rows, rows, columns, sizeof(columns) / sizeof(columns[0]));
}

bool cert_spki_hash(const char *path, char hex[65])
{
	BIO *file = small_open(path);
	X509 *cert = file == NULL ? NULL : PEM_read_bio_X509(file, NULL, NULL, NULL);
	unsigned char *spki = NULL, hash[32];
	int len = cert == NULL ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
	bool ok = len > 0 && EVP_Digest(spki, (size_t)len, hash, NULL, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; ok && i < sizeof(hash); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	OPENSSL_free(spki);
	X509_free(cert);
	BIO_free(file);
	return ok || fail("%s: no PEM certificate can be read there", path) == 0;
}

/* What has been done, and the number under which the ledger has it. Consumes answer; NULL: told. */
static int show_action(const struct ctl *ctl, json_t *answer, const char *done)
{
	if (answer == NULL)
		return 1;
	if (ctl->json)
		show_json(answer);
	else
		(void)printf("%s, action %s\n", done, text_at(answer, "action"));
	json_decref(answer);
	return 0;
}

int verb_requester_register(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{ "kind", required_argument, NULL, 0 },   { "name", required_argument, NULL, 0 },
		{ "names", required_argument, NULL, 0 },  { "labels", required_argument, NULL, 0 },
		{ "note", required_argument, NULL, 0 },   { "spki-hash", required_argument, NULL, 'h' },
		{ "cert", required_argument, NULL, 'c' }, { 0 },
	};
	json_t *body = json_object();
	char hex[65];
	int c, at;

	while ((c = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (c == '?' || (c == 'c' && !cert_spki_hash(optarg, hex))) {
			json_decref(body);
			return c == '?' ? usage_of("requester", "register") : 1;
		}
		(void)json_object_set_new(body, c == 0 ? options[at].name : "spki_hash",
					  json_string(c == 'c' ? hex : optarg));
	}
	return show_action(ctl, api_post(ctl, "requesters", body), "registered");
}

int verb_requester_retire(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = { { "note", required_argument, NULL, 'n' },
						 { "cert", required_argument, NULL, 'c' },
						 { "reason", required_argument, NULL, 'r' },
						 { 0 } };
	const char *note = NULL, *hash = NULL, *reason = NULL;
	char hex[65], path[API_PATH];
	json_t *body;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			note = optarg;
		else if (c == 'r')
			reason = optarg;
		else if (c == 'c' && cert_spki_hash(optarg, hex))
			hash = hex;
		else
			return c == 'c' ? 1 : usage_of("requester", "retire");
	}
	if (hash == NULL && optind + 1 == argc)
		hash = argv[optind++];
	if (note == NULL || hash == NULL || optind != argc)
		return usage_of("requester", "retire");
	if (!api_path(ctl, path, "requesters/", hash, "/retire"))
		return 1;
	body = json_pack("{s:s, s:s*}", "note", note, "reason", reason);
	return show_action(ctl, api_post(ctl, path, body), "retired");
}
