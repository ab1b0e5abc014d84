#ifndef ESCROWFS_SEAL_ALGORITHMS_H
#define ESCROWFS_SEAL_ALGORITHMS_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

/*
 * The algorithms that every seal, opening and line of the trail begins with, of OpenSSL's default provider.
 * To begin one by its name, OpenSSL goes through all the names that it knows: they are looked up once.
 */
struct algorithms {
	EVP_MD *sha256;
	EVP_MAC_CTX *hmac; /* with SHA-256 and without a key: for copies */
	EVP_CIPHER *gcm;   /* AES-256 */
	EVP_CIPHER *wrap;  /* AES-256 key wrap (RFC 3394) */
	EVP_KDF *x963;
};

/* For all threads; they stay. NULL: there is too little memory just now. */
const struct algorithms *algorithms(void);

#endif
