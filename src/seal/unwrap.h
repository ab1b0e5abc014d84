#ifndef ESCROWFS_SEAL_UNWRAP_H
#define ESCROWFS_SEAL_UNWRAP_H

#include "seal/envelope.h"
#include "seal/inside.h"

#define CONTENT_KEY 32

/* Once for each key, before it opens anything: what all seals need of its curve. ERR_NO_KEY. */
enum error unwrap_prepare(struct seal_key *);

/* Can this private key do what opening takes? ERR_NO_KEY. */
enum error unwrap_check(const struct seal_key *);

/*
 * Gets the content key out of a recipient's part with a private key of its kind. ERR_BAD_SEAL: the
 * part is damaged, or for another key; it can't be told which. ERR_NO_KEY: the private key doesn't
 * answer. ERR_MEMORY. The caller frees, also after an error.
 */
enum error unwrap(const struct seal_key *, const struct envelope_recipient *,
		  struct secret *content_key);

#endif
