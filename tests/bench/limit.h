#ifndef ESCROWFS_BENCH_LIMIT_H
#define ESCROWFS_BENCH_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What emptyfs does besides where it is `limitfs` (limitfs.c), the parts of an escrow, or of a retrieval, or
 * `lookfs` (lookfs.c), what has to be looked up to be shown. They are weak: where they aren't linked they are
 * NULL, and the floor is as empty as ever. But for the first two they are called from any thread.
 */

/* What stands on the command line, and what security.json says: 0, or it has said what is wrong. */
int limit_prepare(char **what, int count, const char *security) __attribute__((weak));
/* There is no thread yet: false ends it. */
bool limit_mounted(void) __attribute__((weak));

/* A token was written, or opened: false when that went wrong. */
bool limit_escrow(void) __attribute__((weak));
bool limit_retrieval(void) __attribute__((weak));

/* The number of a device, from 256 up; 0: there is none. */
uint64_t limit_device(const char *name) __attribute__((weak));
/* Devices by number, until `each` has enough. */
typedef bool limit_each(void *context, const char *name, uint64_t id);
void limit_names(uint64_t after, limit_each *, void *) __attribute__((weak));
/* A file of its is looked up: false, as below, when that went wrong. */
bool limit_attributes(uint64_t id) __attribute__((weak));
/* Its security.json is read, or where it is sealed, its token. */
bool limit_security(uint64_t id) __attribute__((weak));
bool limit_seal(uint64_t id) __attribute__((weak));

void limit_free(void) __attribute__((weak));

#endif
