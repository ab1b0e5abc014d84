#ifndef ESCROW_HOLDINGS_H
#define ESCROW_HOLDINGS_H

#include "error.h"
#include "escrow.h"

#include <stddef.h>
#include <stdint.h>

/*
 * A part of the secure heap that open descriptors may hold between two calls: messages that aren't whole
 * have one, tokens that were retrieved another, and nobody gets at the rest by leaving things open. One
 * process may have half of it. A fixed table: the processes that it has no place for have one together.
 *
 * MUST: one process can't take what the others need. (test: one_holds_half)
 */
struct holdings;

/* `all`: bytes of the part; 0: nothing is limited. */
enum error holdings_new(size_t all, struct holdings **);
void holdings_free(struct holdings *); /* takes NULL */

/*
 * From now on the descriptor holds so many bytes, 0 for none. More than before is put on the account of
 * `actor`, if that may have as much: ERR_MEMORY, and the holding as it was.
 */
enum error holdings_set(struct holdings *, struct holding *, const struct actor *, size_t bytes);

#endif
