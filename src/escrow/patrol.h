#ifndef ESCROW_PATROL_H
#define ESCROW_PATROL_H

#include "error.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What the mount that serves looks at by itself, a little at each tick, round and round, so that /metrics
 * can tell without anybody waiting for it: the trail's chain, line by line, and which devices are overdue.
 * A tick takes some milliseconds at the most, whatever the store's size; its memory is the same for any.
 *
 * The chain that hangs together says that no line was changed, left out or put between. That it was cut
 * short, or written anew as a whole, shows only if that happened while this mount was there: `escrowfs
 * verify --since` is for that, and finds out much more besides.
 */
struct patrol;

enum error patrol_new(struct patrol **); /* ERR_MEMORY */
void patrol_free(struct patrol *);	 /* takes NULL */

/* A tick's part of it, by one thread. `path`: the store's, for the log; it is told once what is wrong. */
void patrol_step(struct patrol *, struct store *, const char *path);

struct patrol_report {
	int64_t walked_at; /* when the trail was last walked to its end; 0: not yet */
	bool broken;	   /* the last walk, or this one so far, found something */
	int64_t overdue;   /* as of the last round; -1: not counted yet */
};
/* From any thread. */
void patrol_look(const struct patrol *, struct patrol_report *out);

#endif
