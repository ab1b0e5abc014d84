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
	/* What the caller had open: closed when ready, for somebody may wait for its end. */
	fd_set inherited;
};

/*
 * Forks. In the child: true. In the parent, once the child is ready or has ended: false, and
 * *status is what to exit with; the child has said on standard error what was wrong.
 */
bool background_start(struct background *, int *status);

/*
 * The child is ready: lets the parent go, and leaves its terminal, directory and standard
 * streams.
 */
void background_ready(struct background *);

#endif
