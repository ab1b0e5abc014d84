#ifndef ESCROWFS_SEAL_ALGORITHMS_H
#define ESCROWFS_SEAL_ALGORITHMS_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

/*
 * The algorithms that openings, MACs and lines of the trail begin with, of OpenSSL's own provider where it
 * is there. To begin one by its name, OpenSSL goes through all the names that it knows: they are looked up
 * once. (What its CMS begins with, to seal, it looks up by itself, and so does a MAC for its digest.)
 */
struct algorithms {
	EVP_MD *sha256;
	EVP_MAC *hmac;
	EVP_CIPHER *gcm;  /* AES-256 */
	EVP_CIPHER *wrap; /* AES-256 key wrap (RFC 3394) */
	EVP_KDF *x963;
};

/* For all threads; they stay. NULL: there is too little memory just now, or OpenSSL lacks one. */
const struct algorithms *algorithms(void);

#endif
