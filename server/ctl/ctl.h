/*
 * ctl.h - assayctl: the operator's command. Everything goes through the admin API; nothing here knows the ledger.
 *
 * Files: main.c (verbs), api.c (one HTTPS connection), show.c (tables and JSON), cert.c, revoke.c, registry.c, enrol.c,
 * crl.c, audit*.c (a file for each group of verbs; audit.h), progress.c, files.c (what a user names).
 *
 * Threads: one.
 * Exit:    0 done; 1 refused or not reachable; 2 usage.
 */
#ifndef ASSAY_CTL_H
#define ASSAY_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "files.h"

struct api; /* a connection to the admin API */

struct ctl {
	const char *url, *cacert, *cert,
		*key; /* ASSAY_ADMIN_URL, ASSAY_CACERT, ASSAY_OPERATOR_CERT, ASSAY_OPERATOR_KEY */
	bool json;    /* --json: what the API said, for programs */
	bool quiet;   /* api.c says nothing of refusals */
	bool colour;  /* standard output is a terminal that knows colours */
	struct api *api;
};

/* api.c: the parsed answer, the caller's to free; on failure it has been told to the user and the result is NULL. */
bool api_connect(struct ctl *ctl);
void api_disconnect(struct ctl *ctl);
json_t *api_get(struct ctl *ctl, const char *path);
json_t *api_post(struct ctl *ctl, const char *path, json_t *body); /* consumes body */
char *api_text(struct ctl *ctl, const char *path);                 /* an answer that is no JSON; free() it */
char *api_escape(struct ctl *ctl, const char *text);               /* for a query; free() it */

#define API_PATH 1024
/* A path with `segment` escaped in its middle; false: told, it is too long. */
bool api_path(struct ctl *ctl, char path[API_PATH], const char *before, const char *segment, const char *after);
/* Pages until `wanted` rows are there or no more come: the rows of all of them. */
json_t *api_pages(struct ctl *ctl, const char *path, const char *rows_key, const char *cursor, long wanted);

/* show.c */
struct column {
	const char *title, *key; /* of the object in each row; "a.b" goes one deeper */
};
void show_table(const struct ctl *ctl, const json_t *rows, const struct column *columns, size_t n);
void show_fields(const struct ctl *ctl, const json_t *object, const struct column *fields, size_t n);
void show_json(const json_t *value);
/* A verb's end: its answer, consumed, or of that the rows as a table; NULL: what went wrong is told already. Gives the
 * exit status. */
int show_answer(const struct ctl *ctl, json_t *answer, const json_t *rows, const struct column *columns, size_t n);
const char *text_at(const json_t *object, const char *key); /* "" if absent; numbers and truth values as text */

/* One verb: its own options are read by it. argv[0] is the verb's name as typed. */
struct verb {
	const char *group, *name; /* "cert", "list"; name NULL: the group is the verb */
	const char *arguments, *what, *help;
	int (*run)(struct ctl *ctl, int argc, char **argv);
};
extern const struct verb verbs[];
extern const size_t n_verbs;
int usage_of(const char *group, const char *name); /* prints it on standard error and is 2 */

/* registry.c: SHA-256 of the SubjectPublicKeyInfo of a PEM certificate, as registry and ledger name keys; false: told.
 */
bool cert_spki_hash(const char *path, char hex[65]);

/* enrol.c: after a command that went well, when the last third of our own certificate has begun; ASSAY_RENEW=off:
 * never. */
void renew_in_time(struct ctl *ctl);

int verb_cert_list(struct ctl *ctl, int argc, char **argv);
int verb_cert_show(struct ctl *ctl, int argc, char **argv);
int verb_cert_pem(struct ctl *ctl, int argc, char **argv);
int verb_device_show(struct ctl *ctl, int argc, char **argv);
int verb_revoke(struct ctl *ctl, int argc, char **argv);
int verb_release(struct ctl *ctl, int argc, char **argv);
int verb_requester_list(struct ctl *ctl, int argc, char **argv);
int verb_requester_register(struct ctl *ctl, int argc, char **argv);
int verb_requester_enrol(struct ctl *ctl, int argc, char **argv);
int verb_renew(struct ctl *ctl, int argc, char **argv);
int verb_requester_retire(struct ctl *ctl, int argc, char **argv);
int verb_actions(struct ctl *ctl, int argc, char **argv);
int verb_audit_export(struct ctl *ctl, int argc, char **argv);
int verb_audit_walk(struct ctl *ctl, int argc, char **argv);
int verb_audit_proof(struct ctl *ctl, int argc, char **argv);
int verb_audit_heads(struct ctl *ctl, int argc, char **argv);
int verb_audit_post(struct ctl *ctl, int argc, char **argv);
int heads_print(struct ctl *ctl, const char *after); /* audit_post.c */
int verb_crl_publish(struct ctl *ctl, int argc, char **argv);
int verb_audit_verify(struct ctl *ctl, int argc, char **argv);
int verb_status(struct ctl *ctl, int argc, char **argv);

#endif
