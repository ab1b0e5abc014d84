#ifndef ESCROWFS_SOURCES_H
#define ESCROWFS_SOURCES_H

#include "arrival.h"
#include "error.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What an import reads: files, directories and pipes, told apart by what is in them. Each reader
 * takes its source apart into units of work, which go to the escrow many at a time, on all
 * processors; what is in memory at one time doesn't grow with the source. What is refused is named,
 * and the rest goes on.
 */
struct intake;

/* What came of it all so far. */
struct intake_counts {
	int64_t files;			  /* that were read */
	int64_t unread;			  /* of which nothing could be read */
	int64_t units;			  /* messages, rows, devices */
	int64_t effect, nothing, refused; /* of them */
	int64_t devices_new, tokens_new, tokens_past, tokens_same, tokens_unverified, tokens_ended;
};

/* What was refused, and the sentence that says why. */
struct refused {
	const char *file; /* or "standard input" */
	const char *item; /* what the number counts, "message" or "line"; NULL: all of the file */
	int64_t number;
	const char *udid; /* "" when it names none */
	const char *why;
};

struct intake_watch {
	void (*refused)(void *context, const struct refused *);
	void (*progress)(void *context, const struct intake_counts *); /* after each batch */
	void *context;
};

/*
 * `stop`: set by a signal; what was read before goes in. All arguments stay the caller's, and last
 * as long as the intake. Freed with intake_free().
 */
enum error intake_new(struct escrow *, const struct actor *, const struct intake_watch *,
		      const volatile sig_atomic_t *stop, struct intake **);
void intake_free(struct intake *);

/*
 * Takes in a source: a file, a directory, or "-", standard input. Errors are those that the next
 * source would have, too (the store's disk); all others are the watch's.
 */
enum error intake_source(struct intake *, const char *source);

/* Takes in what is still under way. `counts` is set, also after an error. */
enum error intake_end(struct intake *, struct intake_counts *counts);

#endif
