#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

/* What each of many operations took. A zeroed struct has none. */
struct samples {
	uint32_t *took; /* ns */
	size_t count, room;
};

/* Monotonic, in ns. */
int64_t samples_now(void);
/* -1: out of memory. */
int samples_add(struct samples *, int64_t took);
int samples_add_all(struct samples *, const struct samples *);
void samples_free(struct samples *);

/*
 * Prints a line: `done` in a second, of `seconds` that all took; the median and the 99th percentile
 * in ns; how many samples. Sorts them.
 */
void samples_print(struct samples *, double done, double seconds);

#endif
