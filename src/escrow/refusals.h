#ifndef ESCROW_REFUSALS_H
#define ESCROW_REFUSALS_H

#include "error.h"
#include "event.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which refusals were recorded within the last minute, so that a loop that fails a thousand times
 * leaves two lines on the trail: the first, and one that counts the rest. A fixed table: memory
 * doesn't grow with callers.
 */
struct refusals;

/* One refusal, with copies of its texts. */
struct refusal {
	struct actor actor;
	char udid[68];
	char reason[512];
	enum error code;
	int64_t first_at;
	uint32_t repeats;
};

enum error refusals_new(struct refusals **);
void refusals_free(struct refusals *);

/*
 * True when the refusal must be recorded now: nobody with this user, command, device and reason
 * was refused within the last minute. Else it is counted. When a place had to be made, *flush
 * holds a counted one to record (repeats > 0).
 */
bool refusals_first(struct refusals *, const struct refusal *, struct refusal *flush);

/* Takes out one that is over a minute old (all: any) and has repeats. False: none. */
bool refusals_due(struct refusals *, int64_t now, bool all, struct refusal *out);

#endif
