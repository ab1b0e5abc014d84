#ifndef SOURCES_MOVING_H
#define SOURCES_MOVING_H

#include "sources/intake.h"

/* A device that moves in from another MDM's store, as a line of a file says it. */
struct moving {
	struct migrant migrant;
	struct secret base64; /* the token, where the source has it so */
	char from[256];	      /* what migrant.from points to */
};

/* ERR_MEMORY. Freed with moving_free(), or handed over. */
enum error moving_new(const char *udid, struct moving **out);
void moving_free(struct moving *);

/* Hands it over, as line `line` of `file`. */
enum error moving_hand_over(struct intake *, struct moving *, const char *file, int64_t line);

#endif
