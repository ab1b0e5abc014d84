#include "refusals.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 64
#define MINUTE INT64_C(60000000000)

struct refusals {
	pthread_mutex_t mutex;
	struct refusal place[PLACES]; /* first_at 0: free */
};

enum error refusals_new(struct refusals **out)
{
	struct refusals *refusals = calloc(1, sizeof *refusals);
	if (!refusals)
		return fail(ERR_MEMORY, "out of memory");
	pthread_mutex_init(&refusals->mutex, NULL);
	*out = refusals;
	return OK;
}

void refusals_free(struct refusals *refusals)
{
	if (!refusals)
		return;
	pthread_mutex_destroy(&refusals->mutex);
	free(refusals);
}

/* One caller is one user and command: a shell's loop makes a new process for each try. */
static bool same(const struct refusal *a, const struct refusal *b)
{
	return a->actor.uid == b->actor.uid && a->code == b->code &&
	       strcmp(a->actor.command, b->actor.command) == 0 && strcmp(a->udid, b->udid) == 0 &&
	       strcmp(a->reason, b->reason) == 0;
}

bool refusals_first(struct refusals *refusals, const struct refusal *refusal, struct refusal *flush)
{
	flush->repeats = 0;
	pthread_mutex_lock(&refusals->mutex);
	struct refusal *oldest = &refusals->place[0];
	bool first = true;
	for (int i = 0; i < PLACES; i++) {
		struct refusal *place = &refusals->place[i];
		if (place->first_at && same(place, refusal) &&
		    refusal->first_at - place->first_at < MINUTE) {
			place->repeats++;
			first = false;
			break;
		}
		if (place->first_at < oldest->first_at)
			oldest = place;
	}
	if (first) {
		*flush = *oldest;
		*oldest = *refusal;
		oldest->repeats = 0;
	}
	pthread_mutex_unlock(&refusals->mutex);
	return first;
}

bool refusals_due(struct refusals *refusals, int64_t now, bool all, struct refusal *out)
{
	bool found = false;
	pthread_mutex_lock(&refusals->mutex);
	for (int i = 0; i < PLACES && !found; i++) {
		struct refusal *place = &refusals->place[i];
		if (!place->first_at || (!all && now - place->first_at < MINUTE))
			continue;
		found = place->repeats > 0;
		if (found)
			*out = *place;
		place->first_at = 0;
	}
	pthread_mutex_unlock(&refusals->mutex);
	return found;
}
