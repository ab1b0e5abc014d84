#ifndef ESCROWFS_BYTES_H
#define ESCROWFS_BYTES_H

#include "error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes that grow: file contents, blobs, lines. Not for secrets: those are in secret.h.
 * A zeroed struct is an empty one. data[len] is always 0 once anything was added.
 */
struct bytes {
	uint8_t *data;
	size_t len, cap;
};

/* Makes room for n more and a 0 behind them: whoever fills it, adds to len. ERR_MEMORY. */
enum error bytes_reserve(struct bytes *, size_t n);

/* Adds n bytes at the end. ERR_MEMORY. */
enum error bytes_add(struct bytes *, const void *, size_t n);

/* Adds formatted text at the end. ERR_MEMORY. */
enum error bytes_print(struct bytes *, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Frees what it holds and empties it; for SCOPED. */
void bytes_free(struct bytes *);

/*
 * Reads the whole of a file, at most `limit` bytes. Errors name the path: ERR_NOT_FOUND,
 * ERR_ACCESS, ERR_TOO_BIG, ERR_IO, ERR_MEMORY. The caller frees `out`, also after an error.
 */
enum error bytes_read_file(const char *path, size_t limit, struct bytes *out);
/* The same of a regular file that is open, from its start; the descriptor stays where it stands. */
enum error bytes_read_opened(int fd, const char *path, size_t limit, struct bytes *out);

#endif
