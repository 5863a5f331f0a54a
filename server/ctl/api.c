/* api.c - one HTTPS connection to the admin API; see ctl.h. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

struct api {
	CURL *curl;
	char *body; /* of the answer, with NUL */
	size_t len;
};

static size_t take(char *data, size_t size, size_t n, void *user)
{
	struct api *api = user;
	char *body = realloc(api->body, api->len + size * n + 1);

	if (body == NULL)
		return 0;
	memcpy(body + api->len, data, size * n);
	api->body = body;
	api->len += size * n;
	body[api->len] = '\0';
	return size * n;
}

bool api_connect(struct ctl *ctl)
{
	struct api *api = calloc(1, sizeof(*api));

	if (api == NULL || (api->curl = curl_easy_init()) == NULL) {
		free(api);
		return fail("short of memory") == 0;
	}
	curl_easy_setopt(api->curl, CURLOPT_CAINFO, ctl->cacert);
	curl_easy_setopt(api->curl, CURLOPT_SSLCERT, ctl->cert);
	curl_easy_setopt(api->curl, CURLOPT_SSLKEY, ctl->key);
	curl_easy_setopt(api->curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(api->curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(api->curl, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(api->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(api->curl, CURLOPT_WRITEDATA, api);
	ctl->api = api;
	return true;
}

void api_disconnect(struct ctl *ctl)
{
	if (ctl->api == NULL)
		return;
	curl_easy_cleanup(ctl->api->curl);
	free(ctl->api->body);
	free(ctl->api);
	ctl->api = NULL;
}

char *api_escape(struct ctl *ctl, const char *text)
{
	return curl_easy_escape(ctl->api->curl, text, 0); /* curl_free() is free() */
}

bool api_path(struct ctl *ctl, char path[API_PATH], const char *before, const char *segment, const char *after)
{
	char *escaped = api_escape(ctl, segment);
	int n = escaped == NULL ? -1 : snprintf(path, API_PATH, "%s%s%s", before, escaped, after);

	free(escaped);
	return (n > 0 && n < API_PATH) || fail("\"%.40s...\" is too long", segment) == 0;
}

json_t *api_pages(struct ctl *ctl, const char *path, const char *rows_key, const char *cursor, long wanted)
{
	json_t *all = json_array();
	char next[256] = "";

	while (all != NULL && (long)json_array_size(all) < wanted) {
		long left = wanted - (long)json_array_size(all);
		char url[2048];
		json_t *page;

		(void)snprintf(url, sizeof(url), "%s%climit=%ld%s%s%s%s", path, strchr(path, '?') == NULL ? '?' : '&',
			       left > 500 ? 500 : left, next[0] == '\0' ? "" : "&", next[0] == '\0' ? "" : cursor,
			       next[0] == '\0' ? "" : "=", next);
		page = api_get(ctl, url);
		if (page == NULL) {
			json_decref(all);
			return NULL;
		}
		(void)json_array_extend(all, json_object_get(page, rows_key));
		(void)snprintf(next, sizeof(next), "%s", text_at(page, "next"));
		json_decref(page);
		if (next[0] == '\0')
			break;
	}
	return all;
}

/* What the API says of a refusal, in one line. */
static void tell_refusal(const struct api *api, long status, const char *path)
{
	json_t *said = json_loads(api->body == NULL ? "" : api->body, 0, NULL);
	const char *detail = text_at(said, "detail");

	if (said == NULL)
		(void)fail("%s: HTTP status %ld", path, status);
	else
		(void)fail("%s%s%s (%s, request %s)", text_at(said, "what"), detail[0] == '\0' ? "" : ": ", detail,
			   text_at(said, "reason"), text_at(said, "request"));
	json_decref(said);
}

static bool perform(struct ctl *ctl, const char *path)
{
	struct api *api = ctl->api;
	char url[2048], error[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode code;

	free(api->body);
	api->body = NULL;
	api->len = 0;
	if ((size_t)snprintf(url, sizeof(url), "%s/v1/%s", ctl->url, path) >= sizeof(url))
		return fail("the request is too long") == 0;
	curl_easy_setopt(api->curl, CURLOPT_URL, url);
	curl_easy_setopt(api->curl, CURLOPT_ERRORBUFFER, error);
	code = curl_easy_perform(api->curl);
	curl_easy_setopt(api->curl, CURLOPT_ERRORBUFFER, NULL);
	if (code != CURLE_OK)
		return !ctl->quiet &&
		       fail("%s: %s", ctl->url, error[0] == '\0' ? curl_easy_strerror(code) : error) == 0;
	curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		return true;
	if (!ctl->quiet)
		tell_refusal(api, status, path);
	return false;
}

static json_t *parsed(struct ctl *ctl, const char *path)
{
	json_error_t error;
	json_t *value;

	if (!perform(ctl, path))
		return NULL;
	value = json_loads(ctl->api->body == NULL ? "" : ctl->api->body, 0, &error);
	if (value == NULL)
		(void)fail("%s: the answer is no JSON: %s", path, error.text);
	return value;
}

json_t *api_get(struct ctl *ctl, const char *path)
{
	curl_easy_setopt(ctl->api->curl, CURLOPT_HTTPGET, 1L);
	return parsed(ctl, path);
}

char *api_text(struct ctl *ctl, const char *path)
{
	curl_easy_setopt(ctl->api->curl, CURLOPT_HTTPGET, 1L);
	return perform(ctl, path) && ctl->api->body != NULL ? strdup(ctl->api->body) : NULL;
}

json_t *api_post(struct ctl *ctl, const char *path, json_t *body)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	char *text = json_dumps(body, JSON_COMPACT);
	json_t *value = NULL;

	if (text != NULL && headers != NULL) {
		curl_easy_setopt(ctl->api->curl, CURLOPT_COPYPOSTFIELDS, text);
		curl_easy_setopt(ctl->api->curl, CURLOPT_HTTPHEADER, headers);
		value = parsed(ctl, path);
		curl_easy_setopt(ctl->api->curl, CURLOPT_HTTPHEADER, NULL);
	}
	curl_slist_free_all(headers);
	free(text);
	json_decref(body);
	return value;
}
