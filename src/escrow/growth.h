#ifndef ESCROW_GROWTH_H
#define ESCROW_GROWTH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Sealed mounts hold a point in time: what changes meanwhile gathers in the store's log, which can't
 * be emptied before they end. One that somebody forgot fills the disk in the end; so the serving
 * mount says when the log is large.
 */

/*
 * The first size that is worth a word. Without a sealed mount a log stays at a few MiB, and after
 * one it is cut to 64; a busy hour of a large escrow stays below this.
 */
#define GROWTH_LIMIT (UINT64_C(256) * 1024 * 1024)

/*
 * Is a log of `size` bytes worth a warning now? At the limit, and again at each doubling. `warned` is
 * the caller's to keep, 0 at first: where the last warning stood. Below the limit it begins anew.
 */
bool growth_warns(uint64_t size, uint64_t *warned);

#endif
