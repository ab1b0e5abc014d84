#ifndef SOURCES_KINDS_H
#define SOURCES_KINDS_H

#include "sources/intake.h"

#include <stdbool.h>

/*
 * The kinds of sources. A directory is asked for by its path, a file by its first bytes; the first
 * kind in the table of kinds.c that says yes reads it.
 */

/* Files are told by as many bytes at the most. */
#define HEAD_MAX 4096

struct source_kind {
	const char *name; /* "a sealed tree" */
	/* Is the directory at `path` one of these? It is then read whole, and not descended into. */
	bool (*tells_directory)(const char *path);
	enum error (*read_directory)(struct intake *, const char *path);
	/* Does a file that starts so belong to the store whose directories lie beside it, and has
	 * nothing for an escrow? */
	bool (*passes_file)(const uint8_t *head, size_t len);
	/* Is a file that starts so one of these? */
	bool (*tells_file)(const uint8_t *head, size_t len);
	/* `fd` is at its start; `seen_at`: when it was written, 0 for a pipe. */
	enum error (*read_file)(struct intake *, int fd, const char *name, int64_t seen_at);
};

extern const struct source_kind source_tree, source_nanomdm, source_nanomdm_kv, source_csv,
	source_stream;

/* The kind of a directory, or NULL: what is in it is looked at one by one. */
const struct source_kind *kind_of_directory(const char *path);
/* The kind of a file; a stream of messages when nothing else claims it. */
const struct source_kind *kind_of_file(const uint8_t *head, size_t len);

/*
 * Reads what is in a directory that is of no kind itself: first the directories of a kind, as they
 * come, then the rest in the order of names.
 */
enum error walk_directory(struct intake *, const char *path);

#endif
