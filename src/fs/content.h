#ifndef FS_CONTENT_H
#define FS_CONTENT_H

#include "bytes.h"
#include "error.h"

#include <stdatomic.h>

/*
 * What a file says: made once, read by all descriptors that were opened while it said so. Nothing
 * secret: a token has a place of its own in its handle.
 */
struct content {
	atomic_int users;
	size_t len;
	uint8_t data[];
};

/* A copy, with one user. ERR_MEMORY. */
enum error content_new(const void *, size_t len, struct content **out);
/* One that has the bytes of a text, which is freed. */
enum error content_take(struct bytes *, struct content **out);

struct content *content_hold(struct content *);
/* The last one to drop it frees it. Takes NULL. */
void content_drop(struct content *);
void content_scoped(struct content **); /* for SCOPED */

#endif
