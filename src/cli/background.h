#ifndef CLI_BACKGROUND_H
#define CLI_BACKGROUND_H

#include "error.h"

#include <stdbool.h>
#include <sys/select.h>

/*
 * Going on in the background, once what was started is known to work. The process forks first:
 * secure memory and locks on files don't pass to a child, so the child does everything, and its
 * parent stays until the child is ready or has failed.
 */
struct background {
	int parent; /* the pipe to the parent that waits; -1: none waits */
	int null;   /* opened early: a process that is confined can't any more */
	/* What the caller had open: closed by background_leave(), for somebody may wait for its end. */
	fd_set inherited;
};

/*
 * Forks. In the child: true. In the parent, once the child is ready or has ended: false, and
 * *status is what to exit with; the child has said on standard error what was wrong.
 */
bool background_start(struct background *, int *status);

/* That one of what the caller had open is for this process to keep. */
void background_keep(struct background *, int fd);

/*
 * Leaves the terminal, the directory and the standard streams: from now on what is to be said goes to
 * the system's log. Each process that stays does so for itself.
 */
void background_leave(const struct background *);

/* It is for another process to say: the one that was forked from this one, or forked this one. */
void background_forget(struct background *);

/* What was started works: lets the parent go. */
void background_ready(struct background *);

#endif
