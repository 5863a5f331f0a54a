/*
 * outputs.c - see agent.h: the files that others read, and nginx, which has to be told.
 *
 * nginx reads CRLs when it starts and when it is told to. A reload costs it new workers and ends idle connections, so
 * it is told at once when somebody is revoked or released, and within LAZY_MS when lists are merely newer.
 */
#include "agent.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELOAD_GAP_MS 500 /* between two reloads, however many revocations come */
#define LAZY_MS 2000
#define RETRY_MS 1000
#define PID_BYTES_MAX 32

static void path_of(const struct agent *agent, const char *name, const char *suffix, char out[PATH_CHARS])
{
	snprintf(out, PATH_CHARS, "%s/%s%s", agent->options->state, name, suffix);
}

static const char *crl_suffix(bool delta)
{
	return delta ? "-delta.crl" : ".crl";
}

/* For assay_mosquitto.so */

static bool write_revoked(const struct agent *agent, struct why *why)
{
	uint8_t head[REVOKED_HEAD_BYTES_MAX];
	struct bytes pieces[1 + ISSUERS_MAX];
	struct revoked_list list = { .n = agent->n };
	char path[PATH_CHARS];

	for (size_t i = 0; i < agent->n; i++) {
		const struct issuer *issuer = &agent->issuer[i];

		memcpy(list.issuer[i].name, issuer->name_hash, REVOKED_NAME_BYTES);
		list.issuer[i].number = REVOKED_WHOLE;
		pieces[1 + i] = (struct bytes){ 0 };
		if (issuer->revoked)
			continue;
		list.issuer[i].good_until_s = issuer_good_until_s(issuer);
		list.issuer[i].number = issuer_number(issuer);
		list.issuer[i].n = issuer->effective.n;
		pieces[1 + i] = (struct bytes){ issuer->effective.ptr, issuer->effective.n * REVOKED_SERIAL_BYTES };
	}
	pieces[0] = (struct bytes){ head, revoked_list_head(&list, head) };
	path_of(agent, "revoked", "", path);
	return file_replace(path, pieces, 1 + agent->n, false, why);
}

/* For nginx */

static bool bio_replace(BIO *bio, const char *path, struct why *why)
{
	char *text = NULL;
	long len = bio == NULL ? 0 : BIO_get_mem_data(bio, &text);

	return file_replace(path, &(struct bytes){ (uint8_t *)text, (size_t)len }, 1, false, why);
}

static bool add_root_crl(const struct agent *agent, BIO *bio, struct why *why)
{
	const struct bytes *pem = &agent->root_crl.pem;

	return pem->len == 0 || BIO_write(bio, pem->ptr, (int)pem->len) == (int)pem->len || why_set(why, "no memory");
}

/* nginx asks for a CRL of every CA of the chain: before all are here there is no file, and nginx lets nobody in. Of a
 * CA that the root has revoked it needs none. */
static bool write_bundle(const struct agent *agent, struct why *why)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char path[PATH_CHARS];
	bool done = bio != NULL, complete = true;

	for (size_t i = 0; i < agent->n; i++)
		complete = complete && (agent->issuer[i].complete.der.len > 0 || agent->issuer[i].revoked);
	for (size_t i = 0; complete && done && i < agent->n; i++) {
		const struct bytes *der = &agent->issuer[i].complete.der;

		done = der->len == 0 || PEM_write_bio(bio, PEM_STRING_X509_CRL, "", der->ptr, (long)der->len) > 0;
	}
	if (!done)
		(void)why_set(why, "no memory");
	path_of(agent, "crl.pem", "", path);
	if (done && complete)
		done = add_root_crl(agent, bio, why) && bio_replace(bio, path, why);
	BIO_free(bio);
	return done;
}

static void print_serial(BIO *bio, const uint8_t *serial)
{
	size_t i = 0;

	while (i < REVOKED_SERIAL_BYTES - 1 && serial[i] == 0)
		i++;
	for (; i < REVOKED_SERIAL_BYTES; i++)
		BIO_printf(bio, "%02X", serial[i]);
	BIO_puts(bio, " 1;\n");
}

/* Who is revoked since the complete list that nginx has: few, and there before a long complete list is. */
static bool write_map(const struct agent *agent, struct why *why)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char path[PATH_CHARS];
	bool done;

	for (size_t i = 0; bio != NULL && i < agent->n; i++) {
		const struct issuer *issuer = &agent->issuer[i];

		for (size_t k = 0; k < issuer->delta.revoked.n; k++) {
			const uint8_t *serial = issuer->delta.revoked.ptr + k * REVOKED_SERIAL_BYTES;

			if (serials_have(&issuer->effective, serial) &&
			    !serials_have(&issuer->complete.revoked, serial))
				print_serial(bio, serial);
		}
	}
	path_of(agent, "revoked.map", "", path);
	done = bio != NULL ? bio_replace(bio, path, why) : why_set(why, "no memory");
	BIO_free(bio);
	return done;
}

static bool signal_nginx(const char *pid_file, struct why *why)
{
	struct bytes text = { 0 };
	bool missing;
	long pid;

	if (!file_read(pid_file, PID_BYTES_MAX, &text, &missing, why))
		return false;
	text.ptr[text.len] = '\0'; /* there is room: files.c */
	pid = strtol((const char *)text.ptr, NULL, 10);
	bytes_free(&text);
	if (pid <= 1)
		return why_set(why, "%s: no process id", pid_file);
	return kill((pid_t)pid, SIGHUP) == 0 || why_set(why, "%s: process %ld: %m", pid_file, pid);
}

static void reload(struct agent *agent, int64_t now_ms)
{
	struct why why = { "" };

	agent->reload_due = agent->reload_urgent = false;
	agent->reloaded_ms = now_ms;
	if (signal_nginx(agent->options->nginx_pid, &why))
		agent->reloads++;
	else if (strcmp(agent->nginx_error, why.text) != 0)
		say("nginx is not told: %s (a start of nginx reads the files too)", why.text);
	memcpy(agent->nginx_error, why.text, sizeof(agent->nginx_error));
}

static int64_t reload_at_ms(const struct agent *agent)
{
	int64_t at_ms = agent->reload_urgent ? agent->due_since_ms : agent->due_since_ms + LAZY_MS;

	return at_ms < agent->reloaded_ms + RELOAD_GAP_MS ? agent->reloaded_ms + RELOAD_GAP_MS : at_ms;
}

/* All of it */

static bool write_all(struct agent *agent, bool complete, struct why *why)
{
	if (!write_revoked(agent, why))
		return false;
	if (agent->options->nginx_pid == NULL)
		return true;
	return (!complete || write_bundle(agent, why)) && write_map(agent, why);
}

static void write_files(struct agent *agent, bool complete)
{
	struct why why = { "" };

	agent->unwritten = !write_all(agent, complete, &why);
	agent->written_ms = clock_ms();
	if (agent->unwritten && strcmp(why.text, agent->write_error) != 0)
		say("not in force: %s; tried again every second", why.text);
	memcpy(agent->write_error, why.text, sizeof(agent->write_error));
}

static void reload_wanted(struct agent *agent, bool urgent)
{
	if (agent->options->nginx_pid == NULL)
		return;
	if (!agent->reload_due)
		agent->due_since_ms = clock_ms();
	agent->reload_due = true;
	agent->reload_urgent = agent->reload_urgent || urgent;
}

static void save_crl(const struct agent *agent, const struct issuer *issuer, bool delta)
{
	const struct crl *crl = delta ? &issuer->delta : &issuer->complete;
	char path[PATH_CHARS];
	struct why why;

	path_of(agent, issuer->name, crl_suffix(delta), path);
	if (!file_replace(path, &crl->der, 1, true, &why))
		say("not remembered for the next start: %s", why.text);
}

void outputs_apply(struct agent *agent, const struct issuer *issuer, bool delta, bool changed)
{
	write_files(agent, !delta);
	reload_wanted(agent, changed);
	outputs_tick(agent);
	save_crl(agent, issuer, delta); /* what bites comes first */
	if (!delta)
		malloc_trim(0); /* a million entries took 400 MB to read */
}

void outputs_renew(struct agent *agent)
{
	write_files(agent, true);
	reload_wanted(agent, true);
	outputs_tick(agent);
}

void outputs_tick(struct agent *agent)
{
	int64_t now_ms = clock_ms();

	if (agent->unwritten && now_ms - agent->written_ms >= RETRY_MS) {
		write_files(agent, true);
		reload_wanted(agent, true);
	}
	if (agent->reload_due && !agent->unwritten && now_ms >= reload_at_ms(agent)) {
		reload(agent, now_ms);
		status_write(agent);
	}
}

int64_t outputs_wait_ms(const struct agent *agent)
{
	int64_t wait_ms = agent->unwritten || agent->reload_due ? RETRY_MS : INT64_MAX;

	if (agent->reload_due && reload_at_ms(agent) - clock_ms() < wait_ms)
		wait_ms = reload_at_ms(agent) - clock_ms();
	return wait_ms < 1 ? 1 : wait_ms;
}

bool outputs_save_cert(const struct agent *agent, const struct issuer *issuer, const struct bytes *der, struct why *why)
{
	char path[PATH_CHARS];

	path_of(agent, issuer->name, ".cer", path);
	return file_replace(path, der, 1, true, why);
}

static bool load_cert(struct agent *agent, struct issuer *issuer, struct why *why)
{
	struct bytes der = { 0 };
	char path[PATH_CHARS];
	bool missing, done;

	path_of(agent, issuer->name, ".cer", path);
	if (!file_read(path, CERT_BYTES_MAX, &der, &missing, why))
		return missing;
	done = issuer_take_cert(agent, issuer, &der, false, why);
	bytes_free(&der);
	return done;
}

/* The numbers count however old the list is: nothing older is accepted any more. */
static bool load_crl(const struct agent *agent, struct issuer *issuer, bool delta, struct why *why)
{
	struct bytes der = { 0 };
	char path[PATH_CHARS];
	struct why inner;
	bool missing, done;

	path_of(agent, issuer->name, crl_suffix(delta), path);
	if (!file_read(path, CRL_BYTES_MAX, &der, &missing, why))
		return missing;
	done = issuer_take_crl(issuer, &der, delta, 0, &inner) != TAKEN_NOT;
	bytes_free(&der);
	return done || why_set(why, "%.100s: %.140s", path, inner.text);
}

bool outputs_load(struct agent *agent, struct why *why)
{
	for (size_t i = 0; i < agent->n; i++) {
		struct issuer *issuer = &agent->issuer[i];

		if (!load_cert(agent, issuer, why))
			return false;
		if (issuer->cert != NULL &&
		    (!load_crl(agent, issuer, false, why) || !load_crl(agent, issuer, true, why)))
			return false;
	}
	write_files(agent, true);
	reload_wanted(agent, true);
	return true;
}
