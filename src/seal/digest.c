/*
 * Digests, MACs, random numbers: the small words that the escrow needs of the library.
 *
 * MUST: a key that two programs share is used in the secure memory that it lies in. (test: hmac_known)
 */
#include "seal.h"

#include "seal/algorithms.h"
#include "seal/inside.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <limits.h>

enum error seal_digest(const void *bytes, size_t n, uint8_t out[static SEAL_DIGEST])
{
	return seal_digest2(bytes, n, NULL, 0, out);
}

enum error seal_digest2(const void *a, size_t a_len, const void *b, size_t b_len,
			uint8_t out[static SEAL_DIGEST])
{
	SCOPED(scoped_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const struct algorithms *known = algorithms();
	if (!ctx || !known || !EVP_DigestInit_ex(ctx, known->sha256, NULL) ||
	    !EVP_DigestUpdate(ctx, a, a_len) || !EVP_DigestUpdate(ctx, b, b_len) ||
	    !EVP_DigestFinal_ex(ctx, out, NULL))
		return fail(ERR_MEMORY, "no digest could be made (%s)", openssl_reason());
	return OK;
}

static enum error mac(const uint8_t *key, size_t key_len, const void *bytes, size_t n,
		      uint8_t out[static SEAL_DIGEST])
{
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_PROPERTIES,
						 (char[]){PUBLIC_PROPERTIES}, 0),
		OSSL_PARAM_construct_end(),
	};
	const struct algorithms *known = algorithms();
	SCOPED(scoped_mac_ctx) EVP_MAC_CTX *ctx = known ? EVP_MAC_CTX_new(known->hmac) : NULL;
	size_t len;
	if (!ctx || !EVP_MAC_init(ctx, key, key_len, parameters) ||
	    !EVP_MAC_update(ctx, bytes, n) || !EVP_MAC_final(ctx, out, &len, SEAL_DIGEST))
		return fail(ERR_MEMORY, "no MAC could be made (%s)", openssl_reason());
	return OK;
}

enum error seal_mac(const uint8_t key[static 32], const void *bytes, size_t n,
		    uint8_t out[static SEAL_DIGEST])
{
	return mac(key, 32, bytes, n, out);
}

enum error seal_hmac(const struct secret *key, const void *bytes, size_t n,
		     uint8_t out[static SEAL_DIGEST])
{
	return mac(key->data, key->len, bytes, n, out);
}

enum error seal_random(void *out, size_t n)
{
	if (n > INT_MAX || RAND_priv_bytes(out, (int)n) != 1)
		return fail(ERR_IO, "the random number generator doesn't answer (%s)",
			    openssl_reason());
	return OK;
}

bool seal_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}
