#ifndef ESCROWFS_SEAL_INSIDE_H
#define ESCROWFS_SEAL_INSIDE_H

#include "seal.h"
#include "seal/openssl.h"

/* What is behind seal.h's opaque names. Neither changes while several threads use it. */

struct recipients {
	STACK_OF(X509) * certificates;
};

struct seal_key {
	EVP_PKEY *key;
	/* Its certificate: the one beside it, else the recipient that it turned out to be. NULL:
	 * not known. It tells which part of a seal is meant for this key. */
	X509 *certificate;
};

/* Is it the certificate of this private key? */
bool key_fits(const EVP_PKEY *, const X509 *);

#endif
