/* What becomes of the disk: when to say that the log is large, and that room is short. */
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

/* Once for each level that it sinks to. */
static void look_at_room(struct escrow *escrow, const struct store_space *space)
{
	enum store_room room = store_room(space);
	if (room == ROOM_LOW && escrow->room == ROOM_ENOUGH)
		log_say(LOG_LEVEL_WARNING,
			"%s: the store's disk is nearly full, %llu MiB are left: make room; "
			"without it "
			"nothing can be escrowed, and after some 10,000 retrievals more nothing be "
			"retrieved",
			escrow->path, (unsigned long long)(space->available >> 20));
	else if (room == ROOM_FULL && escrow->room != ROOM_FULL)
		log_say(LOG_LEVEL_ERROR,
			"%s: the store's disk is full: nothing is escrowed any more, and tokens "
			"are "
			"retrieved only as long as the room lasts that was kept back for it, %llu "
			"of "
			"%llu KiB: make room",
			escrow->path, (unsigned long long)(space->kept >> 10),
			(unsigned long long)(space->to_keep >> 10));
	escrow->room = room;
}

void growth_look(struct escrow *escrow)
{
	struct store_space space;
	if (escrow->mode != ESCROW_SERVE || store_space(escrow->store, &space))
		return;
	look_at_room(escrow, &space);
	if (!growth_warns(space.log, &escrow->log_warned))
		return;
	log_say(LOG_LEVEL_WARNING,
		"%s: the store's log has grown to %llu MiB, and can't be emptied while a sealed "
		"mount is there: unmount those that no backup uses any more "
		"(`findmnt -t fuse.escrowfs -O ro` lists them)",
		escrow->path, (unsigned long long)(space.log >> 20));
}
