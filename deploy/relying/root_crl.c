/*
 * root_crl.c - see agent.h: the root's own CRL. It comes over no feed: somebody makes it where the root's key is, and
 * puts it here. A new one is noticed while the agent runs, a broken one is not taken, and the end is said before it
 * comes, for nginx lets nobody in without it.
 */
#include "agent.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX (1024UL * 1024)
#define LOOK_MS 1000
#define WARN_S (14 * 86400) /* unless told otherwise; it takes people, and a token out of a safe */
#define WARN_PART 3         /* ... and not before the last third of its time */

/* One of the file: the root's, or that of another CA of the chain. */
static bool take_one(const struct agent *agent, X509_STORE *store, X509_CRL *crl, struct root_crl *out, bool *is_roots,
		     struct why *why)
{
	int64_t this_s, next_s;

	if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(agent->root)) == 0) {
		if (X509_CRL_verify(crl, X509_get0_pubkey(agent->root)) != 1)
			return why_set(why, "its signature is not the root's");
		*is_roots = true;
	}
	if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
		return why_set(why, "it is a delta, not a complete list");
	if (!crl_time(X509_CRL_get0_lastUpdate(crl), &this_s) || !crl_time(X509_CRL_get0_nextUpdate(crl), &next_s))
		return why_set(why, "it has no thisUpdate or nextUpdate");
	if (out->next_s == 0 || next_s < out->next_s) {
		out->this_s = this_s;
		out->next_s = next_s;
	}
	return X509_STORE_add_crl(store, crl) == 1 || why_set(why, "no memory");
}

static bool take_all(const struct agent *agent, X509_STORE *store, BIO *bio, struct root_crl *out, struct why *why)
{
	bool is_roots = false, done = true;
	X509_CRL *crl;

	while (done && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
		done = take_one(agent, store, crl, out, &is_roots, why);
		X509_CRL_free(crl);
	}
	/* what ends the last one is that no other begins */
	if (done && out->next_s != 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		done = why_set(why, "it holds what is no CRL in PEM");
	ERR_clear_error();
	if (done && !is_roots)
		done = why_set(why, out->next_s == 0 ? "no CRL in PEM" : "it has no CRL of the root's");
	return done;
}

/* With the root's CRL an issuing CA that the root has revoked is no issuer any more. */
static X509_STORE *store_new(const struct agent *agent)
{
	X509_STORE *store = X509_STORE_new();

	if (store != NULL && X509_STORE_add_cert(store, agent->root) == 1 &&
	    (agent->options->root_crl == NULL || X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1))
		return store;
	X509_STORE_free(store);
	return NULL;
}

/* A store of its own: what an earlier CRL said, and what came before a break in this one, is of no weight. */
static void use(struct agent *agent, X509_STORE *store, struct root_crl *fresh)
{
	struct root_crl *root_crl = &agent->root_crl;

	X509_STORE_free(agent->store);
	agent->store = store;
	bytes_free(&root_crl->pem);
	root_crl->pem = fresh->pem;
	root_crl->this_s = fresh->this_s;
	root_crl->next_s = fresh->next_s;
	fresh->pem = (struct bytes){ 0 };
}

/* The file as it lies there now; *ret_new: it is another one than before, and good. */
static bool look(struct agent *agent, bool *ret_new, struct why *why)
{
	struct root_crl *root_crl = &agent->root_crl, fresh = { 0 };
	X509_STORE *store;
	struct why inner;
	bool missing, done;
	BIO *bio;

	*ret_new = false;
	if (!file_read(agent->options->root_crl, FILE_BYTES_MAX, &fresh.pem, &missing, why))
		return false;
	if (fresh.pem.len == root_crl->pem.len && root_crl->pem.len > 0 &&
	    memcmp(fresh.pem.ptr, root_crl->pem.ptr, fresh.pem.len) == 0) {
		bytes_free(&fresh.pem);
		return true;
	}
	bio = BIO_new_mem_buf(fresh.pem.ptr, (int)fresh.pem.len);
	store = store_new(agent);
	done = bio == NULL || store == NULL ? why_set(&inner, "no memory")
					    : take_all(agent, store, bio, &fresh, &inner);
	BIO_free(bio);
	if (done) {
		use(agent, store, &fresh);
	} else {
		X509_STORE_free(store);
		(void)why_set(why, "%.128s: %.120s", agent->options->root_crl, inner.text);
	}
	bytes_free(&fresh.pem);
	*ret_new = done;
	return done;
}

bool root_crl_open(struct agent *agent, struct why *why)
{
	bool is_new;

	if (agent->options->root_crl != NULL)
		return look(agent, &is_new, why);
	agent->store = store_new(agent);
	return agent->store != NULL || why_set(why, "no memory");
}

int64_t root_crl_warn_at_s(const struct agent *agent)
{
	const struct root_crl *root_crl = &agent->root_crl;
	int64_t warn_s = agent->options->root_crl_warn_s;

	if (warn_s == 0) {
		warn_s = (root_crl->next_s - root_crl->this_s) / WARN_PART;
		warn_s = warn_s < WARN_S ? warn_s : WARN_S;
	}
	return root_crl->next_s - warn_s;
}

enum root_crl_state root_crl_state(const struct agent *agent, int64_t now_s)
{
	if (agent->options->root_crl == NULL)
		return ROOT_CRL_NONE;
	if (now_s >= agent->root_crl.next_s)
		return ROOT_CRL_ENDED;
	return now_s >= root_crl_warn_at_s(agent) ? ROOT_CRL_CLOSE : ROOT_CRL_GOOD;
}

void root_crl_text(const struct agent *agent, enum root_crl_state state, char *out, size_t len)
{
	const char *file = agent->options->root_crl;
	char when[TIME_CHARS];

	time_text(agent->root_crl.next_s, when);
	if (state == ROOT_CRL_ENDED)
		snprintf(out, len,
			 "the root's CRL (%.200s) ended at %s: nginx lets nobody in, and this agent would not start; "
			 "make the next one with assay-ceremony crl and put it in its place",
			 file, when);
	else if (state == ROOT_CRL_CLOSE)
		snprintf(out, len,
			 "the root's CRL (%.200s) ends at %s, and then nginx lets nobody in: make the next one with "
			 "assay-ceremony crl and put it in its place",
			 file, when);
	else
		snprintf(out, len, "the root's CRL (%.200s) is good until %s", file, when);
}

/* True: another state than the one that was said last. */
static bool say_state(struct agent *agent)
{
	enum root_crl_state state = root_crl_state(agent, clock_s());
	char text[512];

	if (state == agent->root_crl.said)
		return false;
	if (state != ROOT_CRL_GOOD || agent->root_crl.said != ROOT_CRL_NONE) {
		root_crl_text(agent, state, text, sizeof(text));
		say("%s", text);
	}
	agent->root_crl.said = state;
	return true;
}

void root_crl_tick(struct agent *agent)
{
	struct root_crl *root_crl = &agent->root_crl;
	struct why why = { "" };
	bool is_new = false, changed;

	if (agent->options->root_crl == NULL || clock_ms() < root_crl->look_ms)
		return;
	root_crl->look_ms = clock_ms() + LOOK_MS;
	if (!look(agent, &is_new, &why) && strcmp(why.text, root_crl->error) != 0)
		say("%s; the last good one stays in use", why.text);
	changed = is_new || strcmp(why.text, root_crl->error) != 0;
	memcpy(root_crl->error, why.text, sizeof(root_crl->error));
	for (size_t i = 0; is_new && i < agent->n; i++)
		issuer_look_again(agent, &agent->issuer[i]);
	if (is_new)
		outputs_renew(agent);
	changed = say_state(agent) || changed;
	if (changed)
		status_write(agent);
}
