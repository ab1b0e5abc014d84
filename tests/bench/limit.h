#ifndef ESCROWFS_BENCH_LIMIT_H
#define ESCROWFS_BENCH_LIMIT_H

#include <stdbool.h>

/*
 * What emptyfs does besides where it is `limitfs` (limitfs.c): the parts of an escrow, or of a retrieval. They
 * are weak: where they aren't linked they are NULL, and the floor is as empty as ever.
 */

/* escrow|retrieval FILE KEY.pem CERTIFICATE.pem...: 0, or it has said what is wrong. */
int limit_prepare(char **what, int count) __attribute__((weak));
/* A token was written, or opened: false when that went wrong. From any thread. */
bool limit_escrow(void) __attribute__((weak));
bool limit_retrieval(void) __attribute__((weak));
void limit_free(void) __attribute__((weak));

#endif
