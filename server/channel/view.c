/*
 * view.c - see view.h. Two open-addressing tables that only grow; a released or deactivated entry stays and says so.
 * When the ca starts again with everything, that is gathered beside the tables in use and swapped in when it is whole,
 * so that no reader ever sees a revoked serial as good in between.
 */
#include "channel/view.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "channel/channel.h"

#define FRESH_US 1000000  /* promise: a view older than a second refuses */
#define REMOVE_FROM_CRL 8 /* RFC 5280 section 5.3.1 */

struct serial_entry {
	uint8_t len; /* 0: free */
	uint8_t serial[LIMIT_SERIAL_BYTES];
	bool revoked;
};

struct requester_entry {
	bool used;
	struct requester_row row;
};

struct tables {
	struct serial_entry *serials;
	size_t serials_cap, n_serials; /* caps are powers of two */
	struct requester_entry *requesters;
	size_t requesters_cap, n_requesters;
};

struct view {
	pthread_rwlock_t lock; /* of everything but fresh_us */
	struct tables used;    /* what readers see */
	struct tables coming;  /* being gathered while `gathering` */
	bool gathering;
	bool lost; /* a frame could not be applied: nothing counts until the ca starts again with everything */
	_Atomic int64_t fresh_us; /* when the last complete frame came; 0: never */
};

struct view *view_new(void)
{
	struct view *view = calloc(1, sizeof(*view));

	if (view != NULL)
		pthread_rwlock_init(&view->lock, NULL);
	return view;
}

static void tables_clear(struct tables *t)
{
	free(t->serials);
	free(t->requesters);
	*t = (struct tables){ 0 };
}

void view_free(struct view *view)
{
	if (view == NULL)
		return;
	pthread_rwlock_destroy(&view->lock);
	tables_clear(&view->used);
	tables_clear(&view->coming);
	free(view);
}

/* FNV-1a; serials and key hashes are made by Assay or are SHA-256, nobody can choose them to collide. */
static size_t hash_of(struct blob bytes)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (size_t i = 0; i < bytes.len; i++)
		h = (h ^ bytes.ptr[i]) * 0x100000001b3U;
	return (size_t)(h ^ h >> 32);
}

/* The entry of this serial, or the free one where it belongs. The table is never full. */
static struct serial_entry *serial_slot(struct serial_entry *table, size_t cap, struct blob serial)
{
	size_t i = hash_of(serial) & (cap - 1);

	while (table[i].len != 0 && !blob_equal(BLOB(table[i].serial, table[i].len), serial))
		i = (i + 1) & (cap - 1);
	return &table[i];
}

static struct requester_entry *requester_slot(struct requester_entry *table, size_t cap, const uint8_t spki_hash[32])
{
	size_t i = hash_of(BLOB(spki_hash, 32)) & (cap - 1);

	while (table[i].used && memcmp(table[i].row.spki_hash, spki_hash, 32) != 0)
		i = (i + 1) & (cap - 1);
	return &table[i];
}

static size_t grown(size_t cap)
{
	return cap == 0 ? 64 : cap * 2;
}

/* Room for one more at a load of at most a half. */
static enum reason serials_room(struct tables *t, struct fault *f)
{
	size_t cap = grown(t->serials_cap);
	struct serial_entry *table;

	if (t->n_serials * 2 < t->serials_cap)
		return REASON_OK;
	table = calloc(cap, sizeof(*table));
	if (table == NULL)
		return fault_set(f, REASON_NO_MEMORY, "view of %zu serials", cap);
	for (size_t i = 0; i < t->serials_cap; i++) {
		const struct serial_entry *e = &t->serials[i];

		if (e->len != 0)
			*serial_slot(table, cap, BLOB(e->serial, e->len)) = *e;
	}
	free(t->serials);
	t->serials = table;
	t->serials_cap = cap;
	return REASON_OK;
}

static enum reason requesters_room(struct tables *t, struct fault *f)
{
	size_t cap = grown(t->requesters_cap);
	struct requester_entry *table;

	if (t->n_requesters * 2 < t->requesters_cap)
		return REASON_OK;
	table = calloc(cap, sizeof(*table));
	if (table == NULL)
		return fault_set(f, REASON_NO_MEMORY, "view of %zu requesters", cap);
	for (size_t i = 0; i < t->requesters_cap; i++)
		if (t->requesters[i].used)
			*requester_slot(table, cap, t->requesters[i].row.spki_hash) = t->requesters[i];
	free(t->requesters);
	t->requesters = table;
	t->requesters_cap = cap;
	return REASON_OK;
}

static enum reason apply_revocation(struct tables *t, struct pack_reader *r, struct fault *f)
{
	struct blob serial = pack_get_bytes(r);
	uint8_t why = pack_get_u8(r);
	char issuer[LIMIT_PROFILE_CHARS + 1];
	struct serial_entry *e;

	pack_get_text(r, issuer, sizeof(issuer));
	if (r->failed || serial.len == 0 || serial.len > LIMIT_SERIAL_BYTES)
		return fault_set(f, REASON_CHANNEL_FRAME, "view: revocation with a serial of %zu bytes", serial.len);
	TRY(serials_room(t, f));
	e = serial_slot(t->serials, t->serials_cap, serial);
	t->n_serials += e->len == 0;
	e->len = (uint8_t)serial.len;
	memcpy(e->serial, serial.ptr, serial.len);
	e->revoked = why != REMOVE_FROM_CRL;
	return REASON_OK;
}

static enum reason apply_requester(struct tables *t, struct pack_reader *r, struct fault *f)
{
	struct requester_row row = { 0 };
	struct requester_entry *e;
	struct blob hash;

	pack_get_text(r, row.name, sizeof(row.name));
	pack_get_text(r, row.kind, sizeof(row.kind));
	pack_get_text(r, row.names, sizeof(row.names));
	pack_get_text(r, row.labels, sizeof(row.labels));
	hash = pack_get_bytes(r);
	row.active = pack_get_u8(r) != 0;
	if (r->failed || hash.len != sizeof(row.spki_hash))
		return fault_set(f, REASON_CHANNEL_FRAME, "view: malformed requester");
	memcpy(row.spki_hash, hash.ptr, hash.len);
	TRY(requesters_room(t, f));
	e = requester_slot(t->requesters, t->requesters_cap, row.spki_hash);
	t->n_requesters += !e->used;
	e->used = true;
	e->row = row;
	return REASON_OK;
}

static enum reason apply_rows(struct tables *t, struct pack_reader *r, bool *ret_more, struct fault *f)
{
	uint32_t n = pack_get_u32(r);

	for (uint32_t i = 0; i < n; i++)
		TRY(apply_revocation(t, r, f));
	n = pack_get_u32(r);
	for (uint32_t i = 0; i < n; i++)
		TRY(apply_requester(t, r, f));
	*ret_more = pack_get_u8(r) != 0;
	if (!pack_done(r))
		return fault_set(f, REASON_CHANNEL_FRAME, "view: frame is truncated or has %zu bytes left over",
				 r->left.len);
	return REASON_OK;
}

static void swap_in(struct view *view)
{
	tables_clear(&view->used);
	view->used = view->coming;
	view->coming = (struct tables){ 0 };
	view->gathering = view->lost = false;
}

static enum reason apply_locked(struct view *view, struct blob body, int64_t now_mono_us, struct fault *f)
{
	struct pack_reader r = { .left = body };
	bool more;

	if (pack_get_u8(&r) != 0) {
		tables_clear(&view->coming);
		view->gathering = true;
	}
	TRY(apply_rows(view->gathering ? &view->coming : &view->used, &r, &more, f));
	if (more)
		return REASON_OK;
	if (view->gathering)
		swap_in(view);
	if (!view->lost)
		atomic_store(&view->fresh_us, now_mono_us);
	return REASON_OK;
}

enum reason view_apply(struct view *view, struct blob body, int64_t now_mono_us, struct fault *f)
{
	enum reason reason;

	pthread_rwlock_wrlock(&view->lock);
	reason = apply_locked(view, body, now_mono_us, f);
	if (reason != REASON_OK) {
		view->lost = true;
		atomic_store(&view->fresh_us, 0);
	}
	pthread_rwlock_unlock(&view->lock);
	return reason;
}

bool view_revocations(struct blob body, void (*each)(void *user, const char *issuer, struct blob serial), void *user,
		      bool *ret_more)
{
	struct pack_reader r = { .left = body };
	char issuer[LIMIT_PROFILE_CHARS + 1];
	uint32_t n;

	(void)pack_get_u8(&r);
	n = pack_get_u32(&r);
	for (uint32_t i = 0; i < n && !r.failed; i++) {
		struct blob serial = pack_get_bytes(&r);

		(void)pack_get_u8(&r);
		pack_get_text(&r, issuer, sizeof(issuer));
		if (!r.failed && serial.len > 0)
			each(user, issuer, serial);
	}
	if (r.failed || body.len == 0)
		return false;
	*ret_more = body.ptr[body.len - 1] != 0;
	return true;
}

static enum reason encode_requester(struct buf *b, const struct requester_row *row, struct fault *f)
{
	TRY(pack_text(b, row->name, f));
	TRY(pack_text(b, row->kind, f));
	TRY(pack_text(b, row->names, f));
	TRY(pack_text(b, row->labels, f));
	TRY(pack_bytes(b, BLOB_OF(row->spki_hash), f));
	return pack_u8(b, row->active, f);
}

enum reason view_encode(const struct ledger_news *news, bool first, struct buf *ret_body, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };

	TRY(pack_u8(&b, first, f));
	TRY(pack_u32(&b, (uint32_t)news->n_revocations, f));
	for (size_t i = 0; i < news->n_revocations; i++) {
		TRY(pack_bytes(&b, BLOB(news->revocation[i].serial, news->revocation[i].serial_len), f));
		TRY(pack_u8(&b, news->revocation[i].reason, f));
		TRY(pack_text(&b, news->revocation[i].issuer, f));
	}
	TRY(pack_u32(&b, (uint32_t)news->n_requesters, f));
	for (size_t i = 0; i < news->n_requesters; i++)
		TRY(encode_requester(&b, &news->requester[i], f));
	TRY(pack_u8(&b, news->more, f));
	*ret_body = b;
	b = (struct buf){ 0 };
	return REASON_OK;
}

void view_mark_first(struct buf *body, bool first)
{
	body->ptr[0] = first;
}

int64_t view_age_us(const struct view *view, int64_t now_mono_us)
{
	int64_t fresh_us = atomic_load(&view->fresh_us);

	return fresh_us == 0 ? INT64_MAX : now_mono_us - fresh_us;
}

static pthread_rwlock_t *lock_of(const struct view *view)
{
	union {
		const struct view *in;
		struct view *out;
	} v = { .in = view };

	return &v.out->lock;
}

enum reason view_fresh(const struct view *view, int64_t now_mono_us, struct fault *f)
{
	int64_t age_us = view_age_us(view, now_mono_us);

	if (age_us == INT64_MAX)
		return fault_set(f, REASON_VIEW_STALE, "the ca has not sent its whole view yet");
	if (age_us > FRESH_US)
		return fault_set(f, REASON_VIEW_STALE, "view is %" PRId64 " ms old", age_us / 1000);
	return REASON_OK;
}

bool view_revoked(const struct view *view, struct blob serial)
{
	bool revoked = false;

	pthread_rwlock_rdlock(lock_of(view));
	if (view->used.serials_cap > 0 && serial.len > 0) {
		const struct serial_entry *e = serial_slot(view->used.serials, view->used.serials_cap, serial);

		revoked = e->len != 0 && e->revoked;
	}
	pthread_rwlock_unlock(lock_of(view));
	return revoked;
}

bool view_requester(const struct view *view, const uint8_t spki_hash[32], struct requester_row *ret_row)
{
	bool found = false;

	pthread_rwlock_rdlock(lock_of(view));
	if (view->used.requesters_cap > 0) {
		const struct requester_entry *e =
			requester_slot(view->used.requesters, view->used.requesters_cap, spki_hash);

		found = e->used;
		if (found)
			*ret_row = e->row;
	}
	pthread_rwlock_unlock(lock_of(view));
	return found;
}
