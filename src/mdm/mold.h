#ifndef ESCROWFS_MDM_MOLD_H
#define ESCROWFS_MDM_MOLD_H

#include "mdm.h"

/*
 * What is sealed, cast instead of written. To write a property list of 300 bytes libplist makes a table
 * of 4,096 places, goes through it, and its free() wipes it: a tenth of what there is to do besides
 * sealing when a fleet moves in. Yet between two messages whose UDIDs are as long and whose tokens are
 * as long, nothing differs but those bytes. So libplist writes one with bytes of no meaning, the mold,
 * and what is cast is a copy of it with a device's own in their places. A token that is cast never
 * lies in libplist's memory.
 *
 * What comes out of a seal is held against the mold likewise: where all but a token is as it is cast for
 * this device, the token is what stands in its place, and needs no parser.
 *
 * A thread has one mold, of the lengths that it had to do with last. It takes no lock and is no secret.
 */

/* What writes a mold: libplist's message with that UDID and token. The caller frees. */
typedef enum error mold_write(const char *udid, const struct secret *token, struct secret *out);

/*
 * The message as `write` would write it, byte for byte; `write` is always the same. Where a mold can't be
 * had (a UDID as short as a word of the message's own, which stands there once then; a token that is
 * short, or long) it writes. The caller frees.
 */
enum error mold_cast(mold_write *write, const char *udid, const struct secret *token,
		     struct secret *out);

/*
 * The token's place in a message that was cast for this UDID; false: nothing is known of one of this length, or
 * it is another's, or wasn't cast.
 */
bool mold_fits(const char *udid, const uint8_t *text, size_t len, const uint8_t **token,
	       size_t *token_len);
/*
 * A message that fitted nothing was read: the second in a row of the same lengths makes the thread's mold one of
 * them. (Lengths that alternate would cost more than they gain.)
 */
void mold_learn(mold_write *write, const char *udid, size_t token_len);

#endif
