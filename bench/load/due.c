/*
 * due.c - see due.h.
 */
#include "due.h"

bool due_init(struct due *due, size_t cap)
{
	*due = (struct due){ .entry = calloc(cap, sizeof(*due->entry)), .cap = cap };
	return due->entry != NULL;
}

void due_done(struct due *due)
{
	free(due->entry);
	*due = (struct due){ 0 };
}

static void swap(struct due *due, size_t a, size_t b)
{
	struct due_entry kept = due->entry[a];

	due->entry[a] = due->entry[b];
	due->entry[b] = kept;
}

void due_add(struct due *due, int64_t at_ns, void *who)
{
	size_t i = due->n++;

	due->entry[i] = (struct due_entry){ at_ns, who };
	for (; i > 0 && due->entry[(i - 1) / 2].at_ns > due->entry[i].at_ns; i = (i - 1) / 2)
		swap(due, i, (i - 1) / 2);
}

void *due_take(struct due *due, int64_t now_ns)
{
	void *who;

	if (due->n == 0 || due->entry[0].at_ns > now_ns)
		return NULL;
	who = due->entry[0].who;
	due->entry[0] = due->entry[--due->n];
	for (size_t i = 0;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < due->n && due->entry[child + 1].at_ns < due->entry[child].at_ns)
			child++;
		if (child >= due->n || due->entry[i].at_ns <= due->entry[child].at_ns)
			return who;
		swap(due, i, child);
		i = child;
	}
}

int due_timeout_ms(const struct due *due, int64_t now_ns)
{
	int64_t left_ns;

	if (due->n == 0)
		return -1;
	left_ns = due->entry[0].at_ns - now_ns;
	return left_ns <= 0 ? 0 : left_ns > 60000000000LL ? 60000 : (int)((left_ns + 999999) / 1000000);
}
