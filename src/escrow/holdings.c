#include "holdings.h"

#include <pthread.h>
#include <stdlib.h>

#define PLACES 64

/* The least that the secure heap gives out for a token, and what a handle costs besides. */
#define LEAST 512

struct holdings {
	pthread_mutex_t mutex;
	size_t each, all; /* limits; 0: none */
	size_t held;
	struct {
		int32_t pid;
		size_t bytes; /* 0: it is free */
	} place[PLACES + 1];  /* the last one is for all who found no place */
};

enum error holdings_new(size_t all, struct holdings **out)
{
	struct holdings *holdings = calloc(1, sizeof *holdings);
	if (!holdings)
		return fail(ERR_MEMORY, "out of memory");
	pthread_mutex_init(&holdings->mutex, NULL);
	holdings->each = all / 2;
	holdings->all = all;
	*out = holdings;
	return OK;
}

void holdings_free(struct holdings *holdings)
{
	if (!holdings)
		return;
	pthread_mutex_destroy(&holdings->mutex);
	free(holdings);
}

/* Where the process's account is, or would be. */
static int find(const struct holdings *holdings, int32_t pid)
{
	int room = PLACES;
	for (int i = 0; i < PLACES; i++) {
		if (holdings->place[i].bytes && holdings->place[i].pid == pid)
			return i;
		if (!holdings->place[i].bytes && room == PLACES)
			room = i;
	}
	return room;
}

static bool may(const struct holdings *holdings, const struct holding *holding, int at,
		size_t bytes)
{
	size_t has = holdings->place[at].bytes - (holding->place == at ? holding->bytes : 0);
	size_t others = holdings->held - holding->bytes;
	return !holdings->each || bytes <= holding->bytes ||
	       (has + bytes <= holdings->each && others + bytes <= holdings->all);
}

enum error holdings_set(struct holdings *holdings, struct holding *holding,
			const struct actor *actor, size_t bytes)
{
	size_t rounded = bytes && bytes < LEAST ? LEAST : bytes;
	if (rounded == holding->bytes)
		return OK;
	pthread_mutex_lock(&holdings->mutex);
	int at = rounded > holding->bytes ? find(holdings, actor->pid) : holding->place;
	bool allowed = may(holdings, holding, at, rounded);
	if (allowed) {
		holdings->place[holding->place].bytes -= holding->bytes;
		if (!holdings->place[at].bytes && rounded > holding->bytes)
			holdings->place[at].pid = actor->pid;
		holdings->place[at].bytes += rounded;
		holdings->held += rounded - holding->bytes;
		*holding = (struct holding){.place = at, .bytes = rounded};
	}
	pthread_mutex_unlock(&holdings->mutex);
	if (!allowed)
		return fail(
			ERR_MEMORY,
			"process %ld has as much open here as one may, %zu KiB of tokens and "
			"unfinished messages (or all have three times that together): close some",
			(long)actor->pid, holdings->each / 1024);
	return OK;
}
