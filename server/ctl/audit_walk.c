/*
 * audit_walk.c - assayctl audit walk: from one certificate back to the ceremony and to the vendor's root; see audit.h.
 *
 * Nothing is believed: the export is verified first, then each link is checked with the certificates that the auditor
 * brings along. A link for which something was not brought is said to be open, not taken for good.
 */
#include <getopt.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit.h"
#include "base/text.h"
#include "ceremony/quorum.h"
#include "cert.h"
#include "ctl.h"
#include "evidence.h"
#include "issuer.h"

#define EPOCH_2000_S 946684800LL
#define GENERATIONS_MAX 1000 /* re-enrolments that are followed back */

struct walk {
	const char *vendors; /* PEM file; NULL: none brought */
	STACK_OF(X509) * cas;
	FILE *export;
	json_t *steps;
	unsigned wrong, open;
};

enum link { HOLDS, OPEN, WRONG };

static void step(struct walk *w, enum link link, const char *what, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void step(struct walk *w, enum link link, const char *what, const char *format, ...)
{
	static const char *const names[] = { "holds", "open", "WRONG" };
	char text[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	audit_printable(text);
	w->wrong += link == WRONG;
	w->open += link == OPEN;
	if (json_array_append_new(
		    w->steps, json_pack("{s:s, s:s, s:s}", "link", what, "state", names[link], "detail", text)) != 0)
		w->wrong += (unsigned)fail("short of memory: a link of the walk is not shown");
}

static const char *text_of(const json_t *row, const char *column)
{
	return audit_text(audit_row_table(row), row, column);
}

static int64_t time_of(const json_t *row, const char *column)
{
	return audit_number(audit_row_table(row), row, column) / 1000000 + EPOCH_2000_S;
}

static const char *shown(int64_t unix_s)
{
	static char text[32];
	time_t t = (time_t)unix_s;
	struct tm tm;

	return gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0 ? text : "?";
}

static bool bytes_of(const json_t *row, const char *column, struct buf *out)
{
	const char *hex = text_of(row, column);
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len + 1);
	struct fault f;
	bool ok = bytes != NULL && audit_unhex(hex, bytes, len) && buf_append(out, BLOB(bytes, len), &f) == REASON_OK;

	free(bytes);
	return ok;
}

/* The certificate itself, from the intent and its signature. */
static bool certificate(const json_t *intent, const json_t *signature, struct buf *ret_der)
{
	AUTO(buf_done) struct buf tbs = { 0 }, tail = { 0 };
	struct fault f;

	return bytes_of(intent, "tbs", &tbs) && bytes_of(signature, "tail", &tail) &&
	       signed_assemble(buf_blob(&tbs), buf_blob(&tail), ret_der, &f) == REASON_OK;
}

static STACK_OF(X509) * read_cas(const char *path)
{
	STACK_OF(X509) *cas = sk_X509_new_null();
	BIO *file = path == NULL ? NULL : small_open(path);
	X509 *x;

	while (cas != NULL && file != NULL && (x = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL)
		if (sk_X509_push(cas, x) == 0)
			X509_free(x);
	BIO_free(file);
	return cas;
}

static X509 *issuer_of(const struct walk *w, X509 *x)
{
	for (int i = 0; i < sk_X509_num(w->cas); i++)
		if (X509_NAME_cmp(X509_get_subject_name(sk_X509_value(w->cas, i)), X509_get_issuer_name(x)) == 0 &&
		    X509_verify(x, X509_get0_pubkey(sk_X509_value(w->cas, i))) == 1)
			return sk_X509_value(w->cas, i);
	return NULL;
}

/* Does a transcript name a CA certificate of this hash? */
static bool transcript_has(const json_t *transcript, const char *hash)
{
	size_t i;
	json_t *cert;

	json_array_foreach(json_object_get(transcript, "certificates"), i, cert)
		if (strcmp(text_at(cert, "sha256"), hash) == 0)
			return true;
	return false;
}

/* Who stands for a ceremony: the quorum that the transcript asks for has to have signed it. */
static void walk_quorum(struct walk *w, const struct quorum *q, const char *what, const char *hash)
{
	const char *date = text_at(q->transcript, "date");

	if (q->needed == 0)
		step(w, HOLDS, "ceremony",
		     "the %s was made in the ceremony of %s by %s; no custodians' signatures; transcript %s", what,
		     date, q->names, hash);
	else if (q->signed_by < q->needed)
		step(w, WRONG, "ceremony",
		     "the %s was made in the ceremony of %s, signed by %u of %u custodians; its quorum is %u", what,
		     date, q->signed_by, q->of, q->needed);
	else
		step(w, HOLDS, "ceremony",
		     "the %s was made in the ceremony of %s, signed by %s (%u of %u custodians, quorum %u); transcript "
		     "%s",
		     what, date, q->names, q->signed_by, q->of, q->needed, hash);
}

/* The ceremony that made a certificate: signed before unsigned, if a transcript is on record both ways. */
static void walk_ceremony(struct walk *w, X509 *ca, const char *what)
{
	char hash[2 * AUDIT_HASH + 1] = "", ledger_hash[2 * AUDIT_HASH + 1] = "";
	uint8_t digest[AUDIT_HASH];
	struct quorum best = { 0 };
	json_t *row;

	if (X509_digest(ca, EVP_sha256(), digest, NULL) == 1)
		text_hex(BLOB_OF(digest), hash, sizeof(hash));
	for (unsigned n = 0; (row = audit_find(w->export, "ceremony", NULL, NULL, n)) != NULL; n++) {
		struct fault f = { 0 };
		struct quorum q = { 0 };
		const char *text = text_of(row, "transcript");

		if (strstr(text, hash) == NULL)
			; /* speaks of other things */
		else if (quorum_read(text, &q, &f) != REASON_OK)
			step(w, WRONG, "ceremony", "transcript %s: %s", text_of(row, "hash"), f.detail);
		else if (transcript_has(q.transcript, hash) &&
			 (best.transcript == NULL || q.signed_by > best.signed_by)) {
			quorum_done(&best);
			best = q;
			q.transcript = NULL;
			(void)snprintf(ledger_hash, sizeof(ledger_hash), "%s", text_of(row, "hash"));
		}
		quorum_done(&q);
		json_decref(row);
	}
	if (best.transcript == NULL)
		step(w, WRONG, "ceremony", "no ceremony on record made the %s (SHA-256 %s)", what, hash);
	else
		walk_quorum(w, &best, what, ledger_hash);
	quorum_done(&best);
}

/* From the certificate up to a root that was brought, and each CA to its ceremony. */
static void walk_issuer(struct walk *w, X509 *x, const json_t *intent)
{
	char name[256];
	X509 *issuer = issuer_of(w, x), *root = issuer;

	if (sk_X509_num(w->cas) <= 0) {
		step(w, OPEN, "issuing CA", "%s: bring its certificate and the root's with --cas",
		     text_of(intent, "issuer"));
		return;
	}
	if (issuer == NULL) {
		step(w, WRONG, "issuing CA", "none of the certificates brought signed this one");
		return;
	}
	(void)X509_NAME_oneline(X509_get_subject_name(issuer), name, sizeof(name));
	step(w, HOLDS, "issuing CA", "signed by %s", name);
	walk_ceremony(w, issuer, "issuing CA");
	for (int depth = 0; root != NULL && X509_self_signed(root, 1) != 1 && depth < 4; depth++)
		root = issuer_of(w, root);
	if (root == NULL || X509_self_signed(root, 1) != 1) {
		step(w, OPEN, "root", "the root's certificate was not brought");
		return;
	}
	(void)X509_NAME_oneline(X509_get_subject_name(root), name, sizeof(name));
	step(w, HOLDS, "root", "%s, as it was brought", name);
	if (root != issuer)
		walk_ceremony(w, root, "root");
}

/* Reads the evidence anew, as at enrolment, with the vendor's root that was brought. */
static enum reason assess(const struct walk *w, const json_t *intent, struct blob bundle, struct blob der,
			  struct verdict *ret_verdict, struct fault *f)
{
	const struct vendor_options options = { text_of(intent, "evidence_format"), "brought", w->vendors };
	AUTO(vendors_freep) struct vendors *vendors = NULL;
	AUTO(evidence_freep) struct evidence *evidence = evidence_new();
	struct claims *claims = calloc(1, sizeof(*claims));
	enum reason reason;
	struct cert cert;

	if (evidence == NULL || claims == NULL) {
		free(claims);
		return fault_set(f, REASON_NO_MEMORY, "evidence");
	}
	reason = cert_parse(der, &cert, f);
	if (reason == REASON_OK)
		reason = vendors_open(&options, 1, &vendors, f);
	if (reason == REASON_OK)
		reason = evidence_assess(evidence, vendors, bundle, &cert.key, time_of(intent, "at"), claims,
					 ret_verdict, f);
	if (reason == REASON_OK) {
		claims_check(&claims, 1, f);
		reason = f->reason;
	}
	free(claims);
	return reason;
}

static bool same_hex(struct blob bytes, const char *hex)
{
	char text[2 * LIMIT_ELEMENT_BYTES + 2];

	if (2 * bytes.len + 1 > sizeof(text))
		return false;
	text_hex(bytes, text, sizeof(text));
	return strcmp(text, hex) == 0;
}

/* Certificates from before it was recorded have it in their evidence alone. */
static void walk_batch_ca(struct walk *w, const json_t *intent, struct blob hash)
{
	char text[2 * AUDIT_HASH + 1];

	text_hex(hash, text, sizeof(text));
	if (text_of(intent, "batch_ca")[0] == '\0')
		step(w, HOLDS, "batch CA", "key SHA-256 %s, by the evidence; not on record of its own", text);
	else if (strcmp(text, text_of(intent, "batch_ca")) == 0)
		step(w, HOLDS, "batch CA", "key SHA-256 %s", text);
	else
		step(w, WRONG, "batch CA", "key SHA-256 %s by the evidence, %s on record", text,
		     text_of(intent, "batch_ca"));
}

static void walk_evidence(struct walk *w, const json_t *intent, struct blob der)
{
	AUTO(buf_done) struct buf bundle = { 0 };
	struct fault f = { 0 };
	struct verdict v;

	if (text_of(intent, "evidence")[0] == '\0') {
		step(w, audit_number(audit_row_table(intent), intent, "level") == 0 ? HOLDS : WRONG, "evidence",
		     "none: the level on record is %lld",
		     (long long)audit_number(audit_row_table(intent), intent, "level"));
	} else if (w->vendors == NULL) {
		step(w, OPEN, "evidence", "%s of element %s: bring the vendor's root with --vendors",
		     text_of(intent, "evidence_format"), text_of(intent, "element"));
	} else if (!bytes_of(intent, "evidence", &bundle) ||
		   assess(w, intent, buf_blob(&bundle), der, &v, &f) != REASON_OK) {
		step(w, WRONG, "evidence", "does not verify: %s %s", reason_info(f.reason)->name, f.detail);
	} else if (!same_hex(BLOB(v.device.element, v.device.element_len), text_of(intent, "element")) ||
		   !same_hex(BLOB_OF(v.device.vendor_root), text_of(intent, "vendor_root")) ||
		   !same_hex(BLOB(v.nonce, v.nonce_len), text_of(intent, "nonce")) ||
		   (int64_t)v.level != audit_number(audit_row_table(intent), intent, "level")) {
		step(w, WRONG, "evidence", "speaks of another element, root, nonce or level than the intent");
	} else {
		step(w, HOLDS, "evidence",
		     "%s: the element's signature over this certificate's key and the nonce verifies", v.format);
		step(w, HOLDS, "element", "%s", text_of(intent, "element"));
		walk_batch_ca(w, intent, BLOB_OF(v.batch_ca_hash));
		step(w, HOLDS, "vendor root", "the one that was brought, key SHA-256 %s",
		     text_of(intent, "vendor_root"));
	}
}

static void walk_revocation(struct walk *w, const char *serial)
{
	json_t *row = NULL, *next;
	unsigned n = 0;

	for (; (next = audit_find(w->export, "revocation", "serial", serial, n)) != NULL; n++) {
		json_decref(row);
		row = next;
	}
	if (row == NULL)
		step(w, HOLDS, "status", "never revoked up to this export");
	else
		step(w, HOLDS, "status", "revocation %lld of %s: reason %lld, by %s",
		     (long long)audit_number(audit_row_table(row), row, "number"), shown(time_of(row, "at")),
		     (long long)audit_number(audit_row_table(row), row, "reason"), text_of(row, "who"));
	json_decref(row);
}

/* verify has compared the serial; who follows the ledger's columns from here on has to know that they say the same. */
static bool has_key(struct blob der, const char *key_hash)
{
	uint8_t hash[AUDIT_HASH];
	struct cert cert;
	struct fault f;

	if (cert_parse(der, &cert, &f) != REASON_OK)
		return false;
	pubkey_hash(&cert.key, hash);
	return same_hex(BLOB_OF(hash), key_hash);
}

/* One certificate: intent, signature, issuer. False when it cannot be followed further. */
static bool walk_certificate(struct walk *w, const json_t *intent, struct buf *ret_der)
{
	const char *serial = text_of(intent, "serial");
	json_t *signature = audit_find(w->export, "signature", "serial", serial, 0);
	json_t *policy = audit_find(w->export, "policy", "hash", text_of(intent, "policy_hash"), 0);
	bool ok = signature != NULL && certificate(intent, signature, ret_der);
	const uint8_t *p = ret_der->ptr;
	X509 *x = ok ? d2i_X509(NULL, &p, (long)ret_der->len) : NULL;

	step(w, HOLDS, "intent", "serial %s, %s at %s for %s under profile %s; policy: %s", serial,
	     text_of(intent, "previous")[0] == '\0' ? "enrolled" : "re-enrolled", shown(time_of(intent, "at")),
	     text_of(intent, "requester"), text_of(intent, "profile"),
	     policy == NULL ? "not on record" : text_of(policy, "what"));
	if (signature == NULL)
		step(w, OPEN, "certificate", "was never signed");
	else if (x == NULL)
		step(w, WRONG, "certificate", "intent and signature make no certificate");
	else if (!has_key(buf_blob(ret_der), text_of(intent, "key_hash")))
		step(w, WRONG, "certificate", "was made for another key than the one on record");
	else
		walk_issuer(w, x, intent);
	X509_free(x);
	json_decref(policy);
	json_decref(signature);
	return ok;
}

/* The certificate before, and the old key's word for the new one where it was given. */
static void walk_continuity(struct walk *w, const json_t *intent, const json_t *previous)
{
	AUTO(buf_done) struct buf der = { 0 }, word = { 0 };
	const char *serial = text_of(previous, "serial"), *key = text_of(intent, "key_hash");
	const bool same = strcmp(text_of(previous, "key_hash"), key) == 0;
	json_t *signature = audit_find(w->export, "signature", "serial", serial, 0);

	if (strcmp(text_of(previous, "device"), text_of(intent, "device")) != 0)
		step(w, WRONG, "continuity", "the previous certificate belongs to another device");
	else if (audit_number(audit_row_table(previous), previous, "at") >=
		 audit_number(audit_row_table(intent), intent, "at"))
		step(w, WRONG, "continuity", "the previous certificate %s is no earlier one", serial);
	else if (text_of(intent, "continuity")[0] == '\0')
		step(w, HOLDS, "continuity", "the device presented certificate %s, %s", serial,
		     same ? "with the same key" : "and gave a new key");
	else if (signature == NULL || !certificate(previous, signature, &der) ||
		 !bytes_of(intent, "continuity", &word) ||
		 !audit_continuity_holds(buf_blob(&der), serial, key, buf_blob(&word)))
		step(w, WRONG, "continuity", "the signature for the new key is not by the key of certificate %s",
		     serial);
	else
		step(w, HOLDS, "continuity", "the key of certificate %s signed for the new one", serial);
	json_decref(signature);
}

/* Back through the re-enrolments to the one whose evidence counts; further where an old key signed for a new one. */
static void walk_back(struct walk *w, json_t *intent)
{
	for (unsigned n = 0;; n++) {
		AUTO(buf_done) struct buf der = { 0 };
		const bool evidence = text_of(intent, "evidence")[0] != '\0',
			   first = text_of(intent, "previous")[0] == '\0';
		json_t *previous;

		if (!walk_certificate(w, intent, &der))
			break;
		if (evidence || first)
			walk_evidence(w, intent, buf_blob(&der));
		if (first || (evidence && text_of(intent, "continuity")[0] == '\0'))
			break;
		if (n == GENERATIONS_MAX) {
			step(w, OPEN, "continuity", "more than %d generations: walk on from certificate %s",
			     GENERATIONS_MAX, text_of(intent, "previous"));
			break;
		}
		previous = audit_find(w->export, "issuance", "serial", text_of(intent, "previous"), 0);
		if (previous == NULL) {
			step(w, WRONG, "continuity", "the previous certificate %s is not on record",
			     text_of(intent, "previous"));
			break;
		}
		walk_continuity(w, intent, previous);
		json_decref(intent);
		intent = previous;
	}
	json_decref(intent);
}

static void tell(const struct ctl *ctl, const struct walk *w)
{
	size_t i;
	json_t *one;

	if (ctl->json) {
		json_t *all = json_pack("{s:b, s:b, s:O}", "ok", w->wrong == 0, "complete",
					w->open == 0 && w->wrong == 0, "walk", w->steps);

		show_json(all);
		json_decref(all);
		return;
	}
	json_array_foreach(w->steps, i, one)
		(void)printf("  %-5s  %-11s  %s\n", text_at(one, "state"), text_at(one, "link"),
			     text_at(one, "detail"));
	(void)printf("%s\n", w->wrong > 0  ? "The walk does NOT hold."
			     : w->open > 0 ? "What was walked holds; links are open."
					   : "The walk holds from end to end.");
}

static void walk(struct walk *w, const char *path, const struct outside *outside, const char *serial)
{
	json_t *said = audit_check(path, outside);
	json_t *intent = audit_find(w->export, "issuance", "serial", serial, 0);

	if (said == NULL || !json_is_true(json_object_get(said, "ok")))
		step(w, WRONG, "ledger", "the export does not verify: see assayctl audit verify");
	else if (json_array_size(json_object_get(said, "unproven")) > 0)
		step(w, OPEN, "ledger", "%s rows verified; %s", text_at(said, "rows"),
		     json_string_value(json_array_get(json_object_get(said, "unproven"), 0)));
	else
		step(w, HOLDS, "ledger", "%s rows verified, up to heads kept elsewhere", text_at(said, "rows"));
	json_decref(said);
	if (intent == NULL) {
		step(w, WRONG, "intent", "serial %s is not in this export", serial);
		return;
	}
	walk_revocation(w, serial);
	walk_back(w, intent);
}

/* As openssl prints it, with or without colons, in either case, to how it stands in the ledger. */
bool audit_serial(const char *text, char out[AUDIT_SERIAL_CHARS])
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == ':')
			continue;
		if (n + 1 == AUDIT_SERIAL_CHARS || strchr("0123456789abcdefABCDEF", *text) == NULL)
			return false;
		out[n++] = *text >= 'A' && *text <= 'F' ? (char)(*text - 'A' + 'a') : *text;
	}
	out[n] = '\0';
	return n > 0 && n % 2 == 0;
}

int verb_audit_walk(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{ "export", required_argument, NULL, 'e' },    { "heads", required_argument, NULL, 'h' },
		{ "heads-key", required_argument, NULL, 'k' }, { "cas", required_argument, NULL, 'c' },
		{ "vendors", required_argument, NULL, 'v' },   { 0 }
	};
	struct outside outside = { 0 };
	const char *file = NULL, *cas = NULL;
	struct walk w = { 0 };
	char serial[AUDIT_SERIAL_CHARS];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?' || (c == 'h' && outside.n == AUDIT_HEADS_MAX))
			return usage_of("audit", "walk");
		*(c == 'e'   ? &file
		  : c == 'h' ? &outside.file[outside.n++]
		  : c == 'k' ? &outside.key
		  : c == 'c' ? &cas
			     : &w.vendors) = optarg;
	}
	if (optind + 1 != argc || file == NULL || !audit_serial(argv[optind], serial))
		return usage_of("audit", "walk");
	oid_init();
	w.export = export_open(file);
	if (w.export == NULL)
		return 1;
	w.steps = json_array();
	w.cas = read_cas(cas);
	if (cas != NULL && sk_X509_num(w.cas) <= 0) {
		w.wrong = (unsigned)fail("%s: no PEM certificate can be read there", cas);
	} else {
		walk(&w, file, &outside, serial);
		tell(ctl, &w);
	}
	sk_X509_pop_free(w.cas, X509_free);
	json_decref(w.steps);
	(void)fclose(w.export);
	return w.wrong > 0 ? 1 : 0;
}
