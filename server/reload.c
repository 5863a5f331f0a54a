/* reload.c - see reload.h. */
#include "reload.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "observe/log.h"
#include "role.h"

#define LOOK_MS 1000
#define STAYING (1 + LIMIT_ISSUERS)
#define FNV_START UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

static uint64_t mix(uint64_t sum, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ p[i]) * FNV_PRIME;
	return sum;
}

/* A file that is not there counts too: that it has come or gone is a change. */
static uint64_t mix_file(uint64_t sum, const char *path)
{
	struct stat st;

	sum = mix(sum, path, strlen(path));
	if (stat(path, &st) != 0)
		return sum;
	sum = mix(sum, &st.st_ino, sizeof(st.st_ino));
	sum = mix(sum, &st.st_size, sizeof(st.st_size));
	return mix(sum, &st.st_ctim, sizeof(st.st_ctim)); /* no tool sets this one back */
}

/* Files in a folder come in any order, so their sums are added up. */
static uint64_t mix_path(uint64_t sum, const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	uint64_t all = 0;

	if (dir == NULL)
		return mix_file(sum, path);
	while ((entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);
		char file[4096];

		if (entry->d_name[0] == '.' || len < 5 || strcmp(entry->d_name + len - 5, ".json") != 0)
			continue;
		if (snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < (int)sizeof(file))
			all += mix_file(FNV_START, file);
	}
	closedir(dir);
	return mix(sum, &all, sizeof(all));
}

static uint64_t look(const struct reloading *r)
{
	uint64_t sum = FNV_START;

	for (size_t i = 0; i < r->n; i++)
		if (r->paths[i] != NULL)
			sum = mix_path(sum, r->paths[i]);
	return sum;
}

static void reload(const struct reloading *r, const char *why)
{
	struct fault fault = { 0 };
	enum reason reason = r->reload(r->role, &fault);

	metrics_gauge(r->metrics, GAUGE_RELOAD_REFUSED, reason != REASON_OK);
	if (reason != REASON_OK) {
		log_event(LOG_ERROR, "reload_refused", "why", LOG_STR, why, "reason", LOG_STR,
			  reason_info(fault.reason)->name, "detail", LOG_STR, fault.detail, NULL);
		return;
	}
	atomic_fetch_add_explicit(&r->metrics->gauge[GAUGE_RELOADS], 1, memory_order_relaxed);
	log_event(LOG_INFO, "reloaded", "why", LOG_STR, why, NULL);
}

/* The configuration, then the issuers' certificates where they count. */
static const char *stays(const struct reloading *r, size_t i)
{
	if (i == 0)
		return r->config->path;
	return r->issuers_stay && i <= r->config->n_issuers ? r->config->issuer[i - 1].certificate : NULL;
}

static void look_at_what_stays(const struct reloading *r, uint64_t sums[STAYING], bool tell)
{
	const char *path;

	for (size_t i = 0; (path = stays(r, i)) != NULL; i++) {
		uint64_t sum = mix_file(FNV_START, path);

		if (tell && sum != sums[i])
			log_event(LOG_WARN, "restart_needed", "file", LOG_STR, path, "detail", LOG_STR,
				  "has changed; it is read at the start alone: restart assayd to use it", NULL);
		sums[i] = sum;
	}
}

int role_serve(const struct reloading *r)
{
	uint64_t loaded = look(r), seen = loaded;
	uint64_t staying[STAYING] = { 0 };
	bool asked = false;

	look_at_what_stays(r, staying, false);
	while (role_pause(LOOK_MS, &asked)) {
		uint64_t now = look(r);

		look_at_what_stays(r, staying, true);
		if (r->reload != NULL && (asked || (now != loaded && now == seen))) {
			loaded = now; /* what is refused is tried again when it changes again */
			reload(r, asked ? "SIGHUP" : "a file has changed");
		}
		seen = now;
	}
	return role_status();
}
