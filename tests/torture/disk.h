#ifndef TORTURE_DISK_H
#define TORTURE_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What is shared with whoever tortures (disk.py): the file that ESCROWFS_DISK names, mapped. Without
 * it the disk does as the system's.
 */
enum { DISK_READ = 1, DISK_WRITE = 2, DISK_SYNC = 4, DISK_TRUNCATE = 8 };

struct disk_control {
	/* Faults: of the operations in `operations` so many pass, then so many fail with `error`. */
	atomic_int_fast64_t operations, pass, fail, error;
	atomic_int_fast64_t seen, failed; /* of those operations; of all */
	/* Power: what wasn't synced is kept apart; at the n-th write or sync from now on it goes out. */
	atomic_int_fast64_t keep, cut, seed, is_out;
	atomic_int_fast64_t reads, writes, syncs;
};

extern struct disk_control *disk;

struct platter;

/* ---- power.c: what is lost ---- */

/* The file of that path; one, however many have it open. NULL: no memory. */
struct platter *platter_of(const char *path);
/*
 * Before `len` bytes at `offset` of a file of `size` bytes change: `before` is what is there now (zeros
 * behind its end).
 */
void platter_touch(struct platter *, int64_t offset, const void *before, int64_t len, int64_t size);
/* All of it is on disk, or the file is gone. */
void platter_settle(struct platter *);
/* The power goes out, now: this doesn't return. */
_Noreturn void power_out(void);

#endif
