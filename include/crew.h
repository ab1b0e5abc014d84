#ifndef ESCROWFS_CREW_H
#define ESCROWFS_CREW_H

/*
 * Many hands: work that is the same for each of a number of things, on all processors. For what
 * costs tens of microseconds a thing or more, as sealing does.
 */

typedef void crew_work(void *context, int i);

/*
 * Calls work(context, i) for each i from 0 to count - 1, in any order, from several threads at
 * once, and returns when all are done. Sentences of fail() are a thread's: work keeps what it has
 * to say. Where no thread can be had this one does it alone.
 */
void crew_run(int count, crew_work *work, void *context);

#endif
