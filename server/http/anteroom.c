/*
 * anteroom.c - see anteroom.h.
 */
#include "http/anteroom.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "http/acceptor.h"

struct queue {
	struct newcomer *head, **tail;
};

struct anteroom {
	struct anteroom_ways ways;
	struct queue known, strangers;
	unsigned turn;
};

struct anteroom *anteroom_new(const struct anteroom_ways *ways)
{
	struct anteroom *room = calloc(1, sizeof(*room));

	if (room == NULL)
		return NULL;
	room->ways = *ways;
	room->known.tail = &room->known.head;
	room->strangers.tail = &room->strangers.head;
	return room;
}

bool anteroom_enter(struct anteroom *room, int fd, const struct sockaddr *from, socklen_t len, bool known,
		    int64_t now_us)
{
	struct queue *queue = known ? &room->known : &room->strangers;
	struct newcomer *newcomer = calloc(1, sizeof(*newcomer));

	if (newcomer == NULL)
		return false;
	newcomer->fd = fd;
	newcomer->came_us = now_us;
	newcomer->len = len < sizeof(newcomer->from) ? len : (socklen_t)sizeof(newcomer->from);
	memcpy(&newcomer->from, from, newcomer->len);
	*queue->tail = newcomer;
	queue->tail = &newcomer->next;
	return true;
}

static struct newcomer *pop(struct queue *queue)
{
	struct newcomer *newcomer = queue->head;

	if (newcomer == NULL)
		return NULL;
	queue->head = newcomer->next;
	if (queue->head == NULL)
		queue->tail = &queue->head;
	return newcomer;
}

static struct newcomer *next(struct anteroom *room)
{
	bool strangers_turn = ++room->turn % ANTEROOM_TURNS == 0;
	struct newcomer *newcomer = pop(strangers_turn ? &room->strangers : &room->known);

	return newcomer != NULL ? newcomer : pop(strangers_turn ? &room->known : &room->strangers);
}

static bool gone(const struct newcomer *newcomer, int64_t now_us)
{
	struct pollfd look = { .fd = newcomer->fd, .events = POLLRDHUP };

	return now_us - newcomer->came_us > ANTEROOM_PATIENCE_S * INT64_C(1000000) || poll(&look, 1, 0) != 0;
}

bool anteroom_turn(struct anteroom *room, int64_t now_us)
{
	const struct anteroom_ways *ways = &room->ways;
	struct newcomer *newcomer = next(room);

	if (newcomer == NULL)
		return false;
	if (ways->rest == NULL) {
		ways->take(ways->user, newcomer);
	} else if (gone(newcomer, now_us)) {
		ways->leave(ways->user, newcomer);
	} else {
		ways->take(ways->user, newcomer);
		ways->rest(ways->user);
	}
	free(newcomer);
	return room->known.head != NULL || room->strangers.head != NULL;
}

void anteroom_free(struct anteroom *room)
{
	struct newcomer *newcomer;

	if (room == NULL)
		return;
	while ((newcomer = next(room)) != NULL) {
		acceptor_refuse(newcomer->fd);
		free(newcomer);
	}
	free(room);
}
