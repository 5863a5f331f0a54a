/*
 * channel.h - frames between the roles, over Unix sockets.
 *
 * The ca listens on <run_dir>/ca-<role>.sock, one socket for each of ra, va and admin, and checks the peer's user
 * with SO_PEERCRED; what a role may ask follows from the socket it came in on. The others connect, and connect again
 * by themselves, at most every 100 ms.
 *
 * Frame: u32 length of what follows (at most LIMIT_FRAME_BYTES towards the ca, LIMIT_FRAME_OWN_BYTES from it), u8
 * version 1, u8 type, u64 id, body; integers are big endian, texts and bytes have a u32 length before them. A malformed
 * frame ends the connection.
 *
 * Owns:     sockets and threads.
 * Threads:  one reading thread a connection; sends may come from any thread and leave in batches (one writev for all
 *           that waits).
 */
#ifndef ASSAY_CHANNEL_H
#define ASSAY_CHANNEL_H

#include <sys/types.h>

#include "base/blob.h"
#include "grant.h"

enum frame_type {
	FRAME_ENROL = 1,    /* ra -> ca: a grant */
	FRAME_ENROLLED = 2, /* ca -> ra: u8 repeated, serial, certificate DER */
	FRAME_REFUSED = 3,  /* ca -> any: reason's name, detail */
	FRAME_VIEW = 4,     /* ca -> all: revocations and requesters since the last, at least every 200 ms */
	FRAME_CRL_ASK = 5,  /* va -> ca: issuer name */
	FRAME_CRL = 6,      /* ca -> va: issuer name, number, CRL DER */
	FRAME_POLICY = 7,   /* ra -> ca: hash and description of the policy it loaded */
	FRAME_OPERATE = 8,  /* admin -> ca: struct operate, see operate.h */
	FRAME_OPERATED = 9, /* ca -> admin: struct operated */
	FRAME_OCSP_ASK = 12, /* va -> ca: certificates to tell the state of, see status_frames.h */
	FRAME_OCSP = 13,     /* ca -> va: the answer, signed */
};

struct frame {
	enum frame_type type;
	uint64_t id; /* of the question; answers carry the same */
	struct blob body;
};

/* Bodies: bounds-checked reading and writing; a reader that ran over stays failed and gives zeros. */
struct pack_reader {
	struct blob left;
	bool failed;
};
uint8_t pack_get_u8(struct pack_reader *r);
uint32_t pack_get_u32(struct pack_reader *r);
uint64_t pack_get_u64(struct pack_reader *r);
struct blob pack_get_bytes(struct pack_reader *r);
/* Into a fixed array with NUL; fails if too long or if it contains a NUL. */
void pack_get_text(struct pack_reader *r, char *out, size_t out_len);
MUST_CHECK bool pack_done(const struct pack_reader *r); /* nothing failed and nothing is left */

MUST_CHECK enum reason pack_u8(struct buf *b, uint8_t v, struct fault *f);
MUST_CHECK enum reason pack_u32(struct buf *b, uint32_t v, struct fault *f);
MUST_CHECK enum reason pack_u64(struct buf *b, uint64_t v, struct fault *f);
MUST_CHECK enum reason pack_bytes(struct buf *b, struct blob v, struct fault *f);
MUST_CHECK enum reason pack_text(struct buf *b, const char *v, struct fault *f);

/* A public key as its parts; KEY_EC_P256 to KEY_RSA, no check of the numbers (pubkey_check). */
MUST_CHECK enum reason pack_key(struct buf *b, const struct pubkey *key, struct fault *f);
void pack_get_key(struct pack_reader *r, struct pubkey *ret_key);

/* A grant as a body; decoding checks every range and is what hostile frames of a breached ra meet. */
MUST_CHECK enum reason grant_encode(const struct grant *grant, struct buf *ret_body, struct fault *f);
MUST_CHECK enum reason grant_decode(struct blob body, struct grant **ret_grant, struct fault *f);

struct channel; /* one connection */

struct channel_events {
	void (*up)(void *user, struct channel *channel);                               /* may be NULL */
	void (*frame)(void *user, struct channel *channel, const struct frame *frame); /* on the reading thread */
	void (*down)(void *user, struct channel *channel); /* after it no frame comes; may be NULL */
};

/* Copies the frame into the connection's queue; false when it is down or its queue (64 MiB) is full. */
MUST_CHECK bool channel_send(struct channel *channel, enum frame_type type, uint64_t id, struct blob body);
/* The same in two steps, for a batch: put as many as there are, then flush, which writes what the socket takes at once
 * and leaves the rest to the writing thread. What has been put without a flush waits for the next. */
MUST_CHECK bool channel_put(struct channel *channel, enum frame_type type, uint64_t id, struct blob body);
void channel_flush(struct channel *channel);
/* Bytes that have been put and not written yet. */
size_t channel_waiting(struct channel *channel);
/* Connections given to a thread that outlives `down` are kept by reference. */
struct channel *channel_ref(struct channel *channel);
void channel_unref(struct channel *channel); /* accepts NULL */
/* Ends the connection at once; `down` follows on its reading thread. For a peer that asks what it may not. */
void channel_end(struct channel *channel);

struct channel_server;
MUST_CHECK enum reason channel_listen(const char *path, uid_t peer_uid, const struct channel_events *events, void *user,
				      struct channel_server **ret_server, struct fault *f);
/* Writes out what waits on every connection, then ends them. Accepts NULL. */
void channel_server_close(struct channel_server *server);

struct channel_client; /* connects and reconnects */
MUST_CHECK enum reason channel_connect(const char *path, const struct channel_events *events, void *user,
				       struct channel_client **ret_client, struct fault *f);
/* The connection if it is up, else NULL; a reference the caller drops. It is given out once `up` has returned, so that
 * what `up` sends goes first. */
struct channel *channel_client_get(struct channel_client *client);
void channel_client_close(struct channel_client *client); /* accepts NULL */

#endif
