#ifndef ESCROWFS_SEAL_ENVELOPE_H
#define ESCROWFS_SEAL_ENVELOPE_H

#include "error.h"
#include "seal/der.h"

#include <openssl/x509.h>

/* The parts of a seal, where they lie in the blob. envelope.c draws them. */

#define ENVELOPE_NONCE 12
#define ENVELOPE_TAG 16

struct envelope {
	struct der recipients; /* envelope_next() goes over them */
	struct der nonce, ciphertext, tag;
};

/* One recipient's part: the content key, enciphered for one certificate's key. */
struct envelope_recipient {
	enum { RECIPIENT_EC, RECIPIENT_RSA } kind;
	struct der identity;  /* issuer and serial number of the certificate, as CMS has them */
	struct der key;	      /* the content key: wrapped (EC), or enciphered with OAEP (RSA) */
	struct der ephemeral; /* EC: the sender's public point */
	struct der wrap;      /* EC: the key wrap's AlgorithmIdentifier, the whole element */
};

/* ERR_BAD_SEAL: the blob has another shape than seals have. `out` points into the blob. */
enum error envelope_read(const void *blob, size_t len, struct envelope *out);

/*
 * Takes the next recipient from `recipients`, which must not be empty. ERR_BAD_SEAL: it is damaged, or
 * of no kind that seals have.
 */
enum error envelope_next(struct der *recipients, struct envelope_recipient *out);

/* Is it the part for the key of this certificate? */
bool envelope_names(const struct envelope_recipient *, const X509 *);

#endif
