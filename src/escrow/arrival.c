/* The steps that all arrivals of an import share. */
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>

enum error arrival_new(size_t size, struct escrow *escrow, const struct actor *actor,
		       const char *udid, struct arrival **out)
{
	struct arrival *arrival = calloc(1, size);
	if (!arrival)
		return fail(ERR_MEMORY, "out of memory");
	arrival->escrow = escrow;
	arrival->actor = actor;
	snprintf(arrival->udid, sizeof arrival->udid, "%s", udid);
	*out = arrival;
	return OK;
}

const char *arrival_udid(const struct arrival *arrival)
{
	return arrival->udid;
}

bool arrival_assumes(const struct arrival *arrival)
{
	return arrival->assumes;
}

/* A batch that can't be committed is run again: what the first run said of it doesn't count. */
static enum error apply(struct tx *tx, void *context)
{
	struct arrival *arrival = context;
	arrival->arrived = (struct arrived){.token_tag = arrival->arrived.token_tag};
	return arrival->apply(tx, arrival);
}

enum error arrival_begin(struct arrival *arrival)
{
	if (!arrival->apply)
		return OK;
	return store_change_begin(arrival->escrow->store, apply, arrival, &arrival->change);
}

enum error arrival_finish(struct arrival *arrival, struct arrived *out)
{
	enum error result = OK;
	if (arrival->change)
		result = store_change_wait(arrival->change);
	arrival->change = NULL;
	*out = arrival->arrived;
	return result;
}

void arrival_free(struct arrival *arrival)
{
	if (!arrival)
		return;
	if (arrival->change)
		(void)store_change_wait(arrival->change);
	if (arrival->release)
		arrival->release(arrival);
	free(arrival);
}
