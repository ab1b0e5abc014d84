#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "error.h"
#include "escrow.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A directory to which an export is written: the caller's own, nobody else's, and empty. Everything
 * in it is made anew, relative to its descriptor, so that nothing that somebody puts there is
 * written to or followed.
 *
 * MUST: no file is written to that was there before. (test: export.bats, "a directory that")
 * MUST: files are their owner's alone. (test: export.bats, "messages")
 * MUST: nothing is written into the store or a mounted escrow. (test: export.bats, "inside")
 */
struct target {
	const char *path; /* as it was given */
	int fd;
	bool made; /* by us, and nothing is in it yet */
};

/*
 * Makes the directory, mode 0700, or takes one that is there: ERR_INVALID when others may enter
 * it, it is another user's, a link of others leads to it (path.h), or lies inside the
 * store or a mounted escrow; ERR_NOT_EMPTY. Closed
 * with target_close(), which takes away one that was made and is empty still.
 */
enum error target_open(const char *path, const struct escrow *, struct target *out);
void target_close(struct target *);

/*
 * Makes a file, mode 0600, in the directory or in one below it; ERR_EXISTS. `fd` is the
 * caller's. Sentences name the target and `name`.
 */
enum error target_create(const struct target *, int directory, const char *name, int *fd);

/* Writes all of it. ERR_NO_SPACE, ERR_IO. */
enum error target_write(const struct target *, int fd, const char *name, const void *bytes,
			size_t len);

/* Gives a file in the directory its name; ERR_EXISTS: something has it. */
enum error target_rename(const struct target *, const char *from, const char *to);

/* Everything in it is on disk when it returns OK. */
enum error target_sync(struct target *);

/* fail() with what errno says of a name in the target. */
enum error target_fail(const struct target *, const char *name);

#endif
