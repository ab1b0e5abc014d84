#ifndef SOURCES_INTAKE_H
#define SOURCES_INTAKE_H

#include "sources.h"

#include <stddef.h>

/*
 * The pipeline between readers and the escrow. A reader makes a unit of work of each thing that its
 * source has, and hands it over. Units gather to a batch, which is prepared on all processors, then
 * begun in the order in which it came, and finished while the next one gathers: so one commit of the
 * store's takes hundreds.
 *
 * Two units of one device keep their order. One that relies on what was looked at (arrival_assumes())
 * waits until those of its device that came before are done.
 */

struct unit;

/* What readers have in common with a kind of unit. */
struct unit_kind {
	const char *item; /* what unit.number counts: "message", "line"; NULL */
	/*
	 * Reads and seals: by any thread, several at the same time, perhaps more than once. As
	 * escrow_message_prepare().
	 */
	enum error (*prepare)(struct escrow *, const struct actor *, const struct unit *,
			      bool again, struct arrival **);
	void (*release)(void *work);
};

struct unit {
	const struct unit_kind *kind;
	void *work;	  /* the kind's own; released when the unit is done with */
	size_t size;	  /* how many bytes it holds, about */
	const char *file; /* where it is from; copied */
	int64_t number;	  /* which of the file's it is; 0: all of it */
	const char *udid; /* the device, if the reader knows it; copied; or NULL */
	/*
	 * When it came, later than the one before: what says of itself no time has this one, whichever
	 * thread prepares it first. Set by intake_add().
	 */
	int64_t came;
};

/* Takes a unit over (its work too, also after an error). An error ends the import. */
enum error intake_add(struct intake *, const struct unit *);

/* Refuses what didn't become a unit, with the sentence of fail_why(). `udid` NULL: it names none. */
enum error intake_refuse(struct intake *, const char *file, const char *item, int64_t number,
			 const char *udid, enum error code);

/* A file was begun; and nothing of it could be read: says fail_why(). */
void intake_file(struct intake *);
void intake_unread(struct intake *, const char *file);

/* How many directories, one within the other, are being read, after so many more. */
int intake_descend(struct intake *, int more);

/* How many files were begun, or refused, so far. */
int64_t intake_seen(const struct intake *);

/* No more is to be read. */
bool intake_stopped(const struct intake *);
const volatile sig_atomic_t *intake_stop(const struct intake *);

/* Faults that the next unit would have, too. */
bool intake_is_fatal(enum error);

#endif
