/*
 * audit_post.c - signed heads carried outside: assayctl audit heads --signed prints them, assayctl audit post sends
 * them to a URL, each once and in order.
 *
 * The sender is no part of the daemon: who opens connections to strangers and reads what they answer has an auditor's
 * certificate, which can change nothing, and neither a key nor a database. A timer runs it (deploy/systemd). What has
 * been taken is noted in a file, "node number" a line; without it it begins with the newest. Nothing of an answer is
 * read but its status.
 */
#include <curl/curl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "head.h"

#define PAGE 200
#define NODES_MAX 64
#define NODE_CHARS 33
#define TIMEOUT_S 30L
#define HEADER_CHARS 4096

/* Heads after a cursor ("node/number"), or the newest of each node; the caller frees. */
static json_t *fetch(struct ctl *ctl, const char *after)
{
	char path[512], *escaped = api_escape(ctl, after == NULL ? "" : after);
	json_t *page = NULL;

	if (escaped != NULL) {
		(void)snprintf(path, sizeof(path), "heads?limit=%d%s%s", PAGE, after == NULL ? "" : "&after=", escaped);
		page = api_get(ctl, path);
	}
	free(escaped);
	return page;
}

int heads_print(struct ctl *ctl, const char *after)
{
	char next[256];
	json_t *page, *line;
	size_t i;

	do {
		page = fetch(ctl, after);
		if (page == NULL)
			return 1;
		json_array_foreach(json_object_get(page, "heads"), i, line)
			(void)puts(json_string_value(line));
		(void)snprintf(next, sizeof(next), "%s", text_at(page, "next"));
		after = next;
		json_decref(page);
	} while (next[0] != '\0');
	return 0;
}

struct sent {
	char node[NODE_CHARS];
	long long number;
};

struct post {
	struct ctl *ctl;
	const char *url, *state;
	CURL *curl;
	size_t n;
	struct sent sent[NODES_MAX];
};

static struct sent *sent_of(struct post *p, const char *node)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->sent[i].node, node) == 0)
			return &p->sent[i];
	return NULL;
}

static struct sent *add(struct post *p, const char *node, long long number)
{
	if (p->n == NODES_MAX)
		return NULL;
	(void)snprintf(p->sent[p->n].node, NODE_CHARS, "%.32s", node);
	p->sent[p->n].number = number;
	return &p->sent[p->n++];
}

static bool read_state(struct post *p)
{
	FILE *file = fopen(p->state, "r");
	char node[NODE_CHARS];
	long long number;

	if (file == NULL)
		return true; /* the first time */
	while (fscanf(file, "%32s %lld", node, &number) == 2)
		if (add(p, node, number) == NULL)
			break;
	(void)fclose(file);
	return true;
}

/* Whole or as it was. */
static bool write_state(const struct post *p)
{
	char partial[4096];
	FILE *file;
	bool ok;

	if ((size_t)snprintf(partial, sizeof(partial), "%s.new", p->state) >= sizeof(partial))
		return fail("%s: the path is too long", p->state) == 0;
	file = fopen(partial, "w");
	if (file == NULL)
		return fail("%s: cannot be written", partial) == 0;
	for (size_t i = 0; i < p->n; i++)
		(void)fprintf(file, "%s %lld\n", p->sent[i].node, p->sent[i].number);
	ok = fflush(file) == 0 && fsync(fileno(file)) == 0;
	ok = fclose(file) == 0 && ok && rename(partial, p->state) == 0;
	return ok ? true : fail("%s: cannot be written", p->state) == 0;
}

static bool send_line(struct post *p, const char *line)
{
	long status = 0;
	CURLcode code;

	curl_easy_setopt(p->curl, CURLOPT_COPYPOSTFIELDS, line);
	code = curl_easy_perform(p->curl);
	if (code != CURLE_OK)
		return fail("%s: %s", p->url, curl_easy_strerror(code)) == 0;
	curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
	return status / 100 == 2 ? true : fail("%s: answered %ld; a head is taken by 2xx", p->url, status) == 0;
}

/* Sends one and notes it. A node that was not there before begins here. */
static bool deliver(struct post *p, const char *line)
{
	struct head head;
	struct sent *sent;
	bool ok = true;

	if (!head_parse(line, strlen(line), &head))
		return fail("the server gave what is no signed head") == 0;
	sent = sent_of(p, head.node);
	if (sent == NULL)
		sent = add(p, head.node, 0);
	if (sent == NULL) {
		ok = fail("more than %d nodes", NODES_MAX) == 0;
	} else if (head.number > sent->number) {
		ok = send_line(p, line);
		if (ok) {
			sent->number = head.number;
			ok = write_state(p);
		}
	}
	head_done(&head);
	return ok;
}

static bool deliver_page(struct post *p, const char *after, char *next, size_t next_len)
{
	json_t *page = fetch(p->ctl, after), *line;
	bool ok = page != NULL;
	size_t i;

	json_array_foreach(json_object_get(page, "heads"), i, line)
		ok = ok && deliver(p, json_string_value(line));
	(void)snprintf(next, next_len, "%s", ok ? text_at(page, "next") : "");
	json_decref(page);
	return ok;
}

/* What came since, of every node that is known; then the newest of nodes that are not. */
static bool deliver_all(struct post *p)
{
	char next[256];

	for (size_t i = 0; i < p->n; i++) {
		(void)snprintf(next, sizeof(next), "%s/%lld", p->sent[i].node, p->sent[i].number);
		while (next[0] != '\0')
			if (!deliver_page(p, next, next, sizeof(next)))
				return false;
	}
	return deliver_page(p, NULL, next, sizeof(next));
}

static size_t ignore(char *bytes, size_t size, size_t n, void *user)
{
	(void)bytes, (void)user;
	return size * n;
}

/* A line cut in two, or amid a NUL, would be another header than the one that was meant. */
static bool add_headers(const char *path, struct curl_slist **headers)
{
	BIO *file = small_open(path);
	char line[HEADER_CHARS];
	bool ok = file != NULL;
	int len;

	while (ok && (len = BIO_gets(file, line, sizeof(line))) > 0) {
		ok = (len < HEADER_CHARS - 1 || line[len - 1] == '\n') && strlen(line) == (size_t)len;
		line[strcspn(line, "\r\n")] = '\0';
		if (!ok)
			(void)fail("%s: a line is longer than %d bytes, or no text", path, HEADER_CHARS - 2);
		else if (line[0] != '\0')
			*headers = curl_slist_append(*headers, line);
	}
	BIO_free(file);
	return ok;
}

static bool prepare(struct post *p, const char *cacert, struct curl_slist **headers, const char *header_file)
{
	*headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (header_file != NULL && !add_headers(header_file, headers))
		return false;
	p->curl = curl_easy_init();
	if (p->curl == NULL || *headers == NULL)
		return fail("short of memory") == 0;
	curl_easy_setopt(p->curl, CURLOPT_URL, p->url);
	curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, *headers);
	curl_easy_setopt(p->curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, ignore);
	if (cacert != NULL)
		curl_easy_setopt(p->curl, CURLOPT_CAINFO, cacert);
	return true;
}

int verb_audit_post(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = { { "state", required_argument, NULL, 's' },
						 { "cacert", required_argument, NULL, 'c' },
						 { "header-file", required_argument, NULL, 'h' },
						 { 0 } };
	struct post p = { .ctl = ctl };
	struct curl_slist *headers = NULL;
	const char *cacert = NULL, *header_file = NULL;
	bool ok;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return usage_of("audit", "post");
		*(c == 's' ? &p.state : c == 'c' ? &cacert : &header_file) = optarg;
	}
	if (optind + 1 != argc || p.state == NULL)
		return usage_of("audit", "post");
	p.url = argv[optind];
	ok = read_state(&p) && prepare(&p, cacert, &headers, header_file) && deliver_all(&p);
	curl_easy_cleanup(p.curl);
	curl_slist_free_all(headers);
	return ok ? 0 : 1;
}
