#ifndef FS_WORKERS_H
#define FS_WORKERS_H

#include "inside.h"

/*
 * The threads that take requests from the kernel and answer them: workers.c says how many, and which
 * of them work at a time.
 */
struct workers;

/*
 * `active`: how many take requests at a time. `ended` is called by each thread that sees the mount
 * end. ERR_INVALID: too many; ERR_MEMORY. Freed with workers_free(), after workers_end().
 */
enum error workers_new(struct fs *, int active, void (*ended)(void), struct workers **);
/* Settles what the kernel and we agree on, on this thread. ERR_IO. */
enum error workers_greet(struct workers *);
/* Then starts those that are needed in any case. ERR_MEMORY. */
enum error workers_start(struct workers *);
/* Returns when all have ended: the session has been told to. */
void workers_end(struct workers *);
void workers_free(struct workers *);

/*
 * A worker calls this before it waits for anything but a lock: another one takes requests meanwhile.
 * The caller goes on when its wait is over, at once, and is done with its request. From other threads
 * it does nothing. `workers` is a struct workers: for escrow_on_wait().
 */
void workers_step_aside(void *workers);
/* How many workers have done so, and aren't done with their request. */
int workers_waiting(const struct workers *);
/* Has this thread done so since it took its request? Then it may have changed something. */
bool workers_aside(void);

#endif
