#ifndef ESCROW_COUNT_H
#define ESCROW_COUNT_H

#include "census.h"
#include "store.h"

#include <stdbool.h>

/* How old a token is that was escrowed then; TIME_UNKNOWN: nobody knows. */
enum token_age census_age(int64_t escrowed_at, int64_t now);

/*
 * Has it been enrolled for over OVERDUE_DAYS, could have a token, and has none? Its last enrolment counts;
 * where none is known, when it first came.
 */
bool census_is_overdue(const struct device *, int64_t now);

/*
 * Counts devices one by one; a table of a fixed size. ERR_MEMORY. Freed with count_free(), which takes
 * NULL.
 */
struct count;
enum error count_new(int64_t now, struct count **);
void count_free(struct count *);
/* One more: store_each_counted, the count is its context. */
void count_add(void *count, const struct device *, const struct facts *);
void count_finish(const struct count *, struct census *out);

/* All that there are in a view. */
enum error census_take(struct tx *, int64_t now, struct census *out);

#endif
