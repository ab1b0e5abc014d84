#ifndef ESCROW_LATENCY_H
#define ESCROW_LATENCY_H

#include "bytes.h"
#include "error.h"

#include <stdatomic.h>
#include <stdint.h>

/*
 * How long something takes, as a histogram for Prometheus. Each measurement is two additions without a
 * lock; the memory is this struct's, from zeros. What is read meanwhile may have a measurement's count and
 * lack its time.
 */
#define LATENCY_BOUNDS 13

struct latency {
	atomic_uint_fast64_t count[LATENCY_BOUNDS + 1]; /* up to each bound; the last: over all */
	atomic_uint_fast64_t sum;			/* ns */
};

/* A clock that nobody can set, in ns. */
int64_t latency_clock(void);
/* What began then, by that clock, has ended now. */
void latency_note(struct latency *, int64_t began);
/* It took so many ns. */
void latency_add(struct latency *, int64_t ns);

/* The metric's text. ERR_MEMORY. */
enum error latency_print(const struct latency *, const char *name, const char *help,
			 struct bytes *out);

#endif
