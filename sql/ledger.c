/* ledger.c - opening and closing; see ledger.h. Batches are in intend.c and record.c, what is read in view.c. */
#include "ledger.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

/* Chain names stand in file names and in exports: letters, digits, hyphen, dot, underscore. */
static bool is_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && strchr("-._", name[i]) == NULL)
			return false;
	return len >= 1 && len <= CHAIN_NAME_CHARS && name[0] != '.';
}

AUTO_FREE(struct ledger, ledger_freep, ledger_close)

static enum reason add_track(struct ledger *ledger, const struct ledger_options *options, const char *stream,
			     struct fault *f)
{
	struct track *track = &ledger->track[ledger->n_tracks];

	assert(is_name(stream));
	strcpy(track->stream, stream);
	TRY(anchor_open(options->anchor_dir, stream, &track->anchor, &track->position, f));
	ledger->n_tracks++;
	return REASON_OK;
}

static enum reason open_tracks(const struct ledger_options *options, const char *const *streams, size_t n,
			       struct ledger **ret_ledger, struct fault *f)
{
	AUTO(ledger_freep) struct ledger *ledger = calloc(1, sizeof(*ledger));
	PQconninfoOption *parsed;

	if (ledger == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct ledger");
	if (!is_name(options->node))
		return fault_set(f, REASON_CONFIG, "node: 1 to %d of A-Z a-z 0-9 . _ -, given \"%.64s\"",
				 CHAIN_NAME_CHARS, options->node);
	if (strcmp(options->node, "owner") == 0)
		return fault_set(f, REASON_CONFIG,
				 "node: \"owner\" is the name of what is done by hand; choose another");
	parsed = PQconninfoParse(options->conninfo, NULL);
	if (parsed == NULL) /* what is wrong may be the password: do not repeat it */
		return fault_set(f, REASON_CONFIG,
				 "ledger.writer: not a libpq connection string (host=... dbname=... user=...)");
	PQconninfoFree(parsed);
	ledger->conninfo = strdup(options->conninfo);
	if (ledger->conninfo == NULL)
		return fault_set(f, REASON_NO_MEMORY, "conninfo");
	strcpy(ledger->node, options->node);
	ledger->retry_window_s = options->retry_window_s;
	for (size_t i = 0; i < n; i++)
		TRY(add_track(ledger, options, streams[i], f));
	*ret_ledger = TAKE(ledger);
	return REASON_OK;
}

enum reason ledger_open(const struct ledger_options *options, const char *stream, struct ledger **ret_ledger,
			struct fault *f)
{
	return open_tracks(options, &stream, 1, ret_ledger, f);
}

enum reason ledger_open_line(const struct ledger_options *options, struct ledger **ret_ledger, struct fault *f)
{
	static const char *const streams[] = { "intend", "record" };

	return open_tracks(options, streams, 2, ret_ledger, f);
}

void ledger_close(struct ledger *ledger)
{
	if (ledger == NULL)
		return;
	session_close(ledger);
	for (size_t i = 0; i < ledger->n_tracks; i++)
		anchor_close(&ledger->track[i].anchor);
	free(ledger->lost);
	free(ledger->conninfo);
	free(ledger);
}

enum reason ledger_ready(struct ledger *ledger, struct fault *f)
{
	return session_ready(ledger, f);
}

uint64_t ledger_missing_row(const struct ledger *ledger)
{
	return ledger->missing_row;
}
