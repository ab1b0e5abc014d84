#ifndef CLI_KEEPER_H
#define CLI_KEEPER_H

#include "error.h"
#include "handover.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Two processes: the child serves and gives up all rights; its parent, the keeper, keeps the one to
 * unmount. The keeper never has a secret: it goes its own way before the first one is there. It passes on
 * what ends the mount (SIGTERM, SIGINT, the end of its terminal), waits for the child, and takes away the
 * dead mount that the child leaves.
 *
 * On SIGHUP it opens the files that the child is to read again, and passes their descriptors on
 * (handover.h). A SIGHUP that the child gets comes to it as well.
 *
 * When the keeper is killed the child ends as if it had been told to, and its mount stays, dead, until
 * the next one takes it over. When the child is killed it stays as well: a place for tokens that is
 * suddenly an ordinary directory would be worse than one that answers ENOTCONN.
 */
struct keeper {
	const char *mountpoint;
	int connection; /* somebody else has mounted, and unmounts; -1: we do */
	/* Called in the keeper: the child serves; is about to read files again; has done so. */
	void (*on_ready)(void *context, enum note);
	void (*on_rereading)(void *context);
	void (*on_reread)(void *context, enum note);
	void *context;
	int end;  /* in the child: hangs up when it is to end */
	int talk; /* in the child: a socket to the keeper */
};

/*
 * Forks. In the child: true, with `end` and `talk`. In the keeper, once the child has ended and what
 * it left is unmounted: false, and *status is what to exit with. The keeper's command line is
 * overwritten, so that ps(1) tells the two apart.
 */
bool keeper_start(struct keeper *, int *status);

#endif
