/* The store's log, while sealed mounts keep it from being emptied: when to say that it is large. */
#include "growth.h"

#include "inside.h"
#include "log.h"

bool growth_warns(uint64_t size, uint64_t *warned)
{
	uint64_t before = *warned, limit = GROWTH_LIMIT;
	if (size < GROWTH_LIMIT) {
		*warned = 0;
		return false;
	}
	while (limit <= size / 2)
		limit *= 2;
	if (limit > before)
		*warned = limit;
	return limit > before;
}

void growth_look(struct escrow *escrow)
{
	struct store_space space;
	if (escrow->mode != ESCROW_SERVE || store_space(escrow->store, &space) ||
	    !growth_warns(space.log, &escrow->log_warned))
		return;
	log_say(LOG_LEVEL_WARNING,
		"%s: the store's log has grown to %llu MiB, and can't be emptied while a sealed "
		"mount is there: unmount those that no backup uses any more "
		"(`findmnt -t fuse.escrowfs -O ro` lists them)",
		escrow->path, (unsigned long long)(space.log >> 20));
}
