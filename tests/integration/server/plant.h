/*
 * plant.h - a ca as the other roles meet it: the real binary, a real token, a real ledger, and us on its sockets.
 *
 * A plant is a private PostgreSQL (sql/fixture.h), a home that assay-ceremony made, and `assayd --role ca` in it.
 */
#ifndef ASSAY_TEST_PLANT_H
#define ASSAY_TEST_PLANT_H

#include "fixture.h"

#include <pthread.h>
#include <sys/types.h>
#include <openssl/x509.h>

#include "channel/channel.h"
#include "channel/view.h"
#include "role.h"

#define ANSWERS_MAX 8192

struct answer {
	bool there;
	enum frame_type type;
	struct buf body;
};

/* Us in the place of a role. */
struct peer {
	struct channel_client *client;
	bool announce; /* tell our policy on each connection, as the ra does */
	struct view *view;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned ups, downs;
	struct answer answer[ANSWERS_MAX]; /* by the question's id */
};

struct plant {
	struct world *world;
	char home[128], config[160], log[160];
	pid_t ca; /* what was started; 0: not running */
	X509 *attested;
	uint16_t port[3]; /* EST, admin, status */
};

int plant_setup(void **state); /* cmocka group fixtures */
int plant_teardown(void **state);
/* Both log to plant->log, appended. */
void plant_start(struct plant *plant);     /* the ca alone */
void plant_start_all(struct plant *plant); /* assayd with its four roles; `ca` is the supervisor then */
int plant_wait(struct plant *plant);       /* for its end: the exit status, or 256 + the signal */
int plant_stop(struct plant *plant);       /* asks for an orderly end first */
void plant_kill(struct plant *plant);      /* as a crash would */
bool plant_logged(const struct plant *plant, const char *text);

void peer_open(struct peer *peer, struct plant *plant, enum role role, bool announce);
void peer_close(struct peer *peer);
/* False when the connection is down. The answer to `id` before is forgotten. */
bool peer_send(struct peer *peer, enum frame_type type, uint64_t id, struct blob body);
bool peer_enrol(struct peer *peer, uint64_t id, const struct grant *grant);
/* Until it is there; fails the test after half a minute. */
const struct answer *peer_answer(struct peer *peer, uint64_t id);
bool peer_has(struct peer *peer, uint64_t id);
/* The answer is a refusal for this reason. */
#define assert_refusal(peer, id, expected)                                                                             \
	assert_string_equal(refusal_of(peer_answer(peer, id)), reason_info(expected)->name)
const char *refusal_of(const struct answer *answer); /* its reason's name; "enrolled" if it is none */

struct enrolled {
	bool repeated;
	uint8_t serial[LIMIT_SERIAL_BYTES];
	size_t serial_len;
	struct blob der; /* in the answer */
};
/* The answer as a certificate of the attested issuer, its signature checked; fails the test if it is anything else. */
struct enrolled enrolled_of(const struct plant *plant, const struct answer *answer);

/* A grant as policy would give it for element number n with a new key. */
struct grant *grant_for(unsigned element);
/* The re-enrolment of a certificate; the same key, or a new one. */
struct grant *grant_again(const struct grant *grant, const struct enrolled *previous, bool new_key);
/* Asks until the ca takes it, through restarts and pauses; for 30 s. */
struct enrolled enrol_patiently(struct plant *plant, struct peer *peer, uint64_t id, const struct grant *grant);
void wait_ready(struct plant *plant, struct peer *peer);

#endif
