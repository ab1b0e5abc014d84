#ifndef ESCROWFS_SEAL_INSIDE_H
#define ESCROWFS_SEAL_INSIDE_H

#include "seal.h"
#include "seal/openssl.h"

#include <pthread.h>
#include <stdatomic.h>

/* What is behind seal.h's opaque names. Neither changes while several threads use it. */

/*
 * For all that isn't done with a private key in hardware: OpenSSL's own provider, even if others are
 * active and come first.
 */
#define PUBLIC_PROPERTIES "?provider=default"

struct recipients {
	STACK_OF(X509) * certificates;
};

struct seal_key {
	atomic_int holders;
	EVP_PKEY *key;
	EVP_PKEY *curve;  /* its parameters alone, of the default provider; NULL: it isn't EC */
	bool prime_order; /* all points of the curve but infinity have the group's order */
	/* Its certificate: the one beside it, else the recipient that it turned out to be. NULL:
	 * not known. It tells which part of a seal is meant for this key. */
	X509 *certificate;
	/*
	 * The property query (property(7)) that keeps work with this key in its provider. Left to
	 * itself OpenSSL 3.0 hands a key's public half to the default provider's algorithms, which
	 * then miss the private one.
	 */
	char properties[128];
	/*
	 * One thread at a time asks a provider that isn't OpenSSL's own, by whichever key: the TPM's keeps
	 * one command channel, and mixes up what comes back. NULL: any number of threads.
	 */
	pthread_mutex_t *turn;
};

/* Is it the certificate of this private key? */
bool key_fits(const EVP_PKEY *, const X509 *);

#endif
