/* main.c - assayctl's verbs, help and environment; see ctl.h. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

#define SELECT_HELP                                                                                                    \
	"  --serial HEX           one certificate, its serial as openssl prints it\n"                                  \
	"  --device HEX           all of a device, by its hash in the ledger\n"                                        \
	"  --element HEX          all of a secure element, by its id\n"                                                \
	"  --key-hash HEX         all over one key, by the SHA-256 of its SubjectPublicKeyInfo\n"                      \
	"  --batch-ca HEX|FILE    all elements that a CA of their vendor certified: its certificate in PEM, or the\n"  \
	"                         SHA-256 of its SubjectPublicKeyInfo; certificates from before it was on record\n"    \
	"                         are counted, not selected\n"                                                         \
	"  --rig NAME, --order NAME, --profile NAME\n"                                                                 \
	"  --issued-between FROM,UNTIL    times as 2026-11-01T00:00:00Z\n"                                             \
	"  --file FILE            serials, one a line; - is standard input\n"                                          \
	"  --note TEXT            why: goes into the record\n"                                                         \
	"  --yes                  do it; without, only what would happen is shown\n"

const struct verb verbs[] = {
	{ "status", NULL, "", "where the ledger stands", "", verb_status },
	{ "cert", "list",
	  "[--device HEX] [--requester R] [--profile P] [--issuer I] [--from T] [--until T] [--limit N]",
	  "certificates, newest first", "  example: assayctl cert list --requester rig:rig-1 --limit 100\n",
	  verb_cert_list },
	{ "cert", "show", "SERIAL", "one certificate and where it came from", "", verb_cert_show },
	{ "cert", "pem", "SERIAL", "the certificate itself",
	  "  example: assayctl cert pem 0100... | openssl x509 -text\n", verb_cert_pem },
	{ "device", "show", "HASH|ELEMENT", "a device with its whole history", "", verb_device_show },
	{ "revoke", NULL, "SELECTION --reason REASON --note WHY [--yes]", "revoke or hold certificates",
	  SELECT_HELP "  --reason R             keyCompromise, superseded, cessationOfOperation, privilegeWithdrawn,\n"
		      "                         affiliationChanged, unspecified; certificateHold holds\n"
		      "  example: assayctl revoke --rig rig-7 --reason privilegeWithdrawn --note 'rig stolen' --yes\n",
	  verb_revoke },
	{ "release", NULL, "SELECTION --note WHY [--yes]", "end holds", SELECT_HELP, verb_release },
	{ "requester", "list", "", "rigs, registration authorities, operators and auditors", "", verb_requester_list },
	{ "requester", "register",
	  "--kind KIND --name NAME (--cert FILE | --spki-hash HEX) [--names PATTERN] [--labels L] --note WHY",
	  "give a key rights", "  KIND: rig, ra, operator, auditor, administrator\n", verb_requester_register },
	{ "requester", "enrol",
	  "NAME --kind KIND (--csr FILE | --new-key FILE) [--out FILE] [--names PATTERN] [--labels L] [--note WHY]",
	  "give a key rights and a certificate",
	  "  KIND: operator, auditor, administrator, rig. --csr: a request (PKCS#10, PEM) made by who keeps the key; "
	  "its\n"
	  "  names are not looked at. --new-key: the key is made here, mode 0600. The same call again gives the same.\n"
	  "  example: assayctl requester enrol alice --kind operator --csr alice.csr --out alice.pem\n"
	  "  example: assayctl requester enrol rig-7 --kind rig --new-key rig-7.key --out rig-7.pem\n",
	  verb_requester_enrol },
	{ "renew", NULL, "[--new-key FILE --out FILE]", "the next certificate of whoever calls",
	  "  In place of ASSAY_OPERATOR_CERT. --new-key: for a key made here; the present one keeps its rights until "
	  "its\n"
	  "  certificate ends. Other verbs renew by themselves, same key, when the last third of the certificate's "
	  "life\n"
	  "  has begun; ASSAY_RENEW=off in the environment stops that.\n"
	  "  example: assayctl renew --new-key new.key --out new.pem\n",
	  verb_renew },
	{ "requester", "retire", "(SPKI-HASH | --cert FILE) --note WHY [--reason R]",
	  "take a key's rights and certificates away",
	  "  Also of the keys that it was renewed to or from. --reason: as revoke takes it; cessationOfOperation if "
	  "left "
	  "out.\n",
	  verb_requester_retire },
	{ "crl", "publish", "[--issuer NAME]", "sign the CRLs of an issuer, or of all, anew",
	  "  They are published by themselves after each revocation and long before they run out: this is for when "
	  "somebody\n"
	  "  wants to see it done. Answers with the numbers of this node's lists.\n",
	  verb_crl_publish },
	{ "audit", "heads", "[--signed [--after NODE/NUMBER]]", "where each chain stands now, to be kept elsewhere",
	  "  Keep them off the machine, and often: they are what shows later that nothing was cut off or made anew.\n"
	  "  --signed: the heads that the token signed, the newest of each node, or all after one (NODE/0: from the "
	  "first).\n"
	  "  example, every hour: assayctl audit heads --signed >> /mnt/auditor/heads.jsonl\n",
	  verb_audit_heads },
	{ "audit", "post", "URL --state FILE [--cacert FILE] [--header-file FILE]",
	  "send signed heads to a URL, each once and in order",
	  "  An HTTP POST a head, its line as the body; 2xx takes it. FILE notes what has been taken; the first time "
	  "it begins\n"
	  "  with the newest. --header-file: header lines, as for a token of authorization. Run it by a timer, with "
	  "an\n"
	  "  auditor's certificate (deploy/systemd/assay-heads.timer).\n"
	  "  example: assayctl audit post https://keeper.example/heads --state /var/lib/assay-heads/sent\n",
	  verb_audit_post },
	{ "audit", "export", "FILE", "take home every chained row of the ledger",
	  "  Everything up to now, through the admin API, as JSON lines; an auditor's certificate is enough.\n",
	  verb_audit_export },
	{ "audit", "verify", "FILE [--heads FILE]... [--heads-key FILE] [--save-heads FILE]",
	  "check an export, with no trust in who keeps the ledger",
	  "  Finds rows that were altered, dropped, added or reordered, and heads that were forged, and names them. "
	  "--heads:\n"
	  "  signed heads that were kept elsewhere (heads.file, syslog, audit heads --signed), or what "
	  "an\n"
	  "  earlier --save-heads kept; without it nobody can show that the end was not cut off. --heads-key: "
	  "certificate or\n"
	  "  public key of the key that signs heads, from where you trust it (a home's ca/heads.pem). Needs no "
	  "server.\n"
	  "  example: assayctl audit verify ledger.jsonl --heads kept.jsonl --heads-key heads.pem\n",
	  verb_audit_verify },
	{ "audit", "walk", "SERIAL --export FILE [--heads FILE]... [--heads-key FILE] [--cas FILE] [--vendors FILE]",
	  "from a certificate back to the ceremony and the vendor's root",
	  "  Verifies the export, then each link anew. --cas: issuing CAs and root, PEM; --vendors: the element's\n"
	  "  vendor's root, PEM: bring them from where you trust them. Needs no server.\n"
	  "  example: assayctl audit walk 0100... --export ledger.jsonl --heads kept.heads --cas cas.pem --vendors "
	  "acme.pem\n",
	  verb_audit_walk },
	{ "audit", "proof", "SERIAL --export FILE --cas FILE --out FILE [--heads FILE]",
	  "the walk of one certificate as one self-contained file",
	  "  With the newest signed head that covers it, out of --heads or else out of the export.\n"
	  "  Certificate, evidence, earlier certificates of the device, ceremonies, and the way of each row's hash to "
	  "its\n"
	  "  commit and on to the newest head: for somebody who shall not have the whole ledger. JSON; needs no "
	  "server.\n",
	  verb_audit_proof },
	{ "actions", NULL, "[--who WHO] [--limit N]", "what operators did, newest first", "", verb_actions },
};
const size_t n_verbs = sizeof(verbs) / sizeof(verbs[0]);

static void describe(FILE *out, const struct verb *verb)
{
	(void)fprintf(out, "usage: assayctl [--json] %s%s%s %s\n\n%s\n%s%s", verb->group, verb->name == NULL ? "" : " ",
		      verb->name == NULL ? "" : verb->name, verb->arguments, verb->what,
		      verb->help[0] == '\0' ? "" : "\n", verb->help);
}

static bool is_help(const char *argument)
{
	return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

static bool is_group(const char *name)
{
	for (size_t i = 0; i < n_verbs; i++)
		if (strcmp(verbs[i].group, name) == 0)
			return true;
	return false;
}

/* All verbs, or those of one group. */
static void usage(FILE *out, const char *group)
{
	(void)fputs("usage: assayctl [--json] VERB ...      (assayctl VERB --help tells more)\n\n", out);
	for (size_t i = 0; i < n_verbs; i++)
		if (group == NULL || strcmp(verbs[i].group, group) == 0)
			(void)fprintf(out, "  %-10s %-9s %s\n", verbs[i].group,
				      verbs[i].name == NULL ? "" : verbs[i].name, verbs[i].what);
	(void)fputs(
		"\nReads ASSAY_ADMIN_URL, ASSAY_CACERT, ASSAY_OPERATOR_CERT and ASSAY_OPERATOR_KEY (source a home's "
		"env).\n"
		"--json prints what the API says, for programs. Whatever revokes is a dry run until --yes is there.\n",
		out);
}

static const struct verb *find(const char *group, const char *name)
{
	for (size_t i = 0; i < n_verbs; i++)
		if (strcmp(verbs[i].group, group) == 0 &&
		    (verbs[i].name == NULL || (name != NULL && strcmp(verbs[i].name, name) == 0)))
			return &verbs[i];
	return NULL;
}

int usage_of(const char *group, const char *name)
{
	const struct verb *verb = find(group, name);

	if (verb != NULL)
		describe(stderr, verb);
	return 2;
}

static bool environment(struct ctl *ctl)
{
	const struct {
		const char *name, **value;
	} needed[] = {
		{ "ASSAY_ADMIN_URL", &ctl->url },
		{ "ASSAY_CACERT", &ctl->cacert },
		{ "ASSAY_OPERATOR_CERT", &ctl->cert },
		{ "ASSAY_OPERATOR_KEY", &ctl->key },
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		*needed[i].value = getenv(needed[i].name);
		if (*needed[i].value == NULL || **needed[i].value == '\0')
			return fail("%s is not set: source a home's env, as in: . .assay/env", needed[i].name) == 0;
	}
	return true;
}

/* An auditor checks at home, with no server and no certificate. */
static bool offline(const struct verb *verb)
{
	return verb->run == verb_audit_verify || verb->run == verb_audit_walk || verb->run == verb_audit_proof;
}

static int run(struct ctl *ctl, const struct verb *verb, int argc, char **argv)
{
	int status;

	for (int i = 1; i < argc; i++)
		if (is_help(argv[i])) {
			describe(stdout, verb);
			return 0;
		}
	if (!offline(verb) && (!environment(ctl) || !api_connect(ctl)))
		return 1;
	status = verb->run(ctl, argc, argv);
	if (status == 0 && !offline(verb) && verb->run != verb_renew)
		renew_in_time(ctl);
	api_disconnect(ctl);
	return fflush(stdout) == 0 ? status : fail("standard output cannot be written");
}

/* --json may stand anywhere; it is taken out. */
static bool take_json(int *argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], "--json") != 0)
			argv[kept++] = argv[i];
	argv[kept] = NULL;
	if (kept == *argc)
		return false;
	*argc = kept;
	return true;
}

/* What was typed, in one line; who typed nothing, or a group alone, is shown what there is. */
static int no_verb(int argc, char **argv)
{
	bool group = argc > 0 && is_group(argv[0]);

	if (argc > (group ? 1 : 0)) {
		(void)fail("'%s%s%s' is no verb; assayctl --help lists them", argv[0], group ? " " : "",
			   group ? argv[1] : "");
		return 2;
	}
	usage(stderr, group ? argv[0] : NULL);
	return 2;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .colour = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL };
	const struct verb *verb;
	int at = 1, skip;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	ctl.json = take_json(&argc, argv);
	if (at < argc && is_help(argv[at])) {
		usage(stdout, NULL);
		return 0;
	}
	verb = at < argc ? find(argv[at], at + 1 < argc ? argv[at + 1] : NULL) : NULL;
	if (verb == NULL && at + 1 < argc && is_help(argv[at + 1]) && is_group(argv[at])) {
		usage(stdout, argv[at]);
		return 0;
	}
	if (verb == NULL)
		return no_verb(argc - at, argv + at);
	skip = verb->name == NULL ? at : at + 1;
	argv[skip] = argv[0]; /* what getopt_long() names itself */
	return run(&ctl, verb, argc - skip, argv + skip);
}
