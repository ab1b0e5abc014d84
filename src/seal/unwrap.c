/*
 * The content key, out of one recipient's part of a seal.
 *
 * OpenSSL's CMS could do that, but asks more of a private key than hardware gives: the KDF with the
 * ECDH, in one operation of the key's provider. Here the provider is asked for the bare operation, ECDH
 * or OAEP, which all of them have, and the rest is done beside it. What doesn't belong to the key fails
 * by itself: AES key wrap and OAEP both have a check.
 *
 * MUST: shared secret, wrapping key and content key are in secure memory, and wiped on every way out.
 *       (test: open_gives_secret)
 */
#include "seal/unwrap.h"

#include "seal/algorithms.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <string.h>

#define KEY_WRAP 8 /* bytes that AES key wrap adds (RFC 3394) */

static enum error not_opened(void)
{
	return fail(ERR_BAD_SEAL, "a recipient's part of the seal doesn't open (%s)",
		    openssl_reason());
}

static enum error not_worked(const char *what)
{
	return fail(ERR_NO_KEY,
		    "%s doesn't work with this private key (%s): if it is in hardware, see that "
		    "its provider works",
		    what, openssl_reason());
}

/* ---- EC ---- */

/*
 * A key without a point, on the curve of ours. It is made once: by name it takes OpenSSL four times as
 * long as to copy it.
 */
enum error unwrap_prepare(struct seal_key *key)
{
	char curve[64];
	if (!EVP_PKEY_is_a(key->key, "EC") ||
	    !EVP_PKEY_get_group_name(key->key, curve, sizeof curve, NULL))
		return OK;
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
		OSSL_PARAM_construct_end(),
	};
	SCOPED(scoped_pkey_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", PUBLIC_PROPERTIES);
	BIGNUM *cofactor = NULL;
	if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key->curve, EVP_PKEY_KEY_PARAMETERS, parameters) <= 0 ||
	    EVP_PKEY_get_bn_param(key->curve, OSSL_PKEY_PARAM_EC_COFACTOR, &cofactor) <= 0)
		return fail(ERR_NO_KEY, "OpenSSL's default provider doesn't know the curve %s (%s)",
			    curve, openssl_reason());
	key->prime_order = BN_is_one(cofactor);
	BN_free(cofactor);
	return OK;
}

/*
 * The sender's ephemeral key is the peer. In a group of prime order to be on the curve, and not infinity
 * (a single octet: SEC 1, 2.3.3), is enough of a check (SP 800-56A, 5.6.2.3.4). OpenSSL takes no other
 * points; its full check multiplies by the order too, a third of all of opening.
 */
static bool set_peer(const struct seal_key *key, EVP_PKEY_CTX *ctx, const struct der *point)
{
	SCOPED(scoped_pkey) EVP_PKEY *ephemeral = EVP_PKEY_new();
	if (!ephemeral || point->left == 1 ||
	    EVP_PKEY_copy_parameters(ephemeral, key->curve) <= 0 ||
	    EVP_PKEY_set1_encoded_public_key(ephemeral, point->at, point->left) <= 0)
		return false;
	return EVP_PKEY_derive_set_peer_ex(ctx, ephemeral, !key->prime_order) > 0;
}

/* ECDH: the x coordinate, as long as the curve's field. */
static enum error agree(const struct seal_key *key, const struct der *point, struct secret *shared)
{
	size_t field = ((size_t)EVP_PKEY_get_bits(key->key) + 7) / 8, len = field;
	TRY(secret_new(field, shared));
	SCOPED(scoped_pkey_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, key->properties);
	if (!ctx || EVP_PKEY_derive_init(ctx) <= 0)
		return not_worked("ECDH");
	if (!key->curve || !set_peer(key, ctx, point))
		return not_opened();
	if (EVP_PKEY_derive(ctx, shared->data, &len) <= 0 || len > field)
		return not_worked("ECDH");
	/* Some hardware leaves leading zeros out. */
	memmove(shared->data + field - len, shared->data, len);
	memset(shared->data, 0, field - len);
	shared->len = field;
	return OK;
}

/* The X9.63 KDF's other input: what the key is for (RFC 5753, section 7.2). The caller frees. */
static int shared_info(const struct der *wrap, unsigned char **out)
{
	const unsigned char *at = wrap->at;
	X509_ALGOR *algorithm = d2i_X509_ALGOR(NULL, &at, (long)wrap->left);
	int len = algorithm ? CMS_SharedInfo_encode(out, algorithm, NULL, CONTENT_KEY) : -1;
	X509_ALGOR_free(algorithm);
	return len;
}

static enum error derive(const struct secret *shared, const struct der *wrap,
			 struct secret *wrapping)
{
	TRY(secret_new(CONTENT_KEY, wrapping));
	unsigned char *info = NULL;
	int info_len = shared_info(wrap, &info);
	if (info_len <= 0)
		return not_opened();
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, shared->data, shared->len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, (size_t)info_len),
		OSSL_PARAM_construct_end(),
	};
	const struct algorithms *known = algorithms();
	EVP_KDF_CTX *ctx = known ? EVP_KDF_CTX_new(known->x963) : NULL;
	if (!ctx) {
		OPENSSL_free(info);
		return fail(ERR_MEMORY, "out of memory");
	}
	if (EVP_KDF_derive(ctx, wrapping->data, CONTENT_KEY, parameters) > 0)
		wrapping->len = CONTENT_KEY;
	EVP_KDF_CTX_free(ctx);
	OPENSSL_free(info);
	return wrapping->len ? OK : not_worked("the X9.63 KDF");
}

/* AES-256 key wrap; its check fails when the key is another's. */
static enum error unwrap_aes(const struct secret *wrapping, const struct der *wrapped,
			     struct secret *content_key)
{
	if (wrapped->left != CONTENT_KEY + KEY_WRAP)
		return not_opened();
	TRY(secret_new(wrapped->left, content_key));
	SCOPED(scoped_cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const struct algorithms *known = algorithms();
	int len = 0;
	if (!ctx || !known)
		return fail(ERR_MEMORY, "out of memory");
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (!EVP_DecryptInit_ex(ctx, known->wrap, NULL, wrapping->data, NULL))
		return not_worked("AES key wrap");
	if (EVP_DecryptUpdate(ctx, content_key->data, &len, wrapped->at, (int)wrapped->left) <= 0 ||
	    len != CONTENT_KEY)
		return not_opened();
	content_key->len = CONTENT_KEY;
	return OK;
}

static enum error unwrap_ec(const struct seal_key *key, const struct envelope_recipient *part,
			    struct secret *content_key)
{
	SCOPED(secret_free) struct secret shared = {0}, wrapping = {0};
	TRY(agree(key, &part->ephemeral, &shared));
	TRY(derive(&shared, &part->wrap, &wrapping));
	return unwrap_aes(&wrapping, &part->key, content_key);
}

/* ---- RSA ---- */

/* MGF1 takes the same hash unless told otherwise. */
static bool start_oaep(EVP_PKEY_CTX *ctx)
{
	return ctx && EVP_PKEY_decrypt_init(ctx) > 0 &&
	       EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0;
}

static enum error unwrap_rsa(const struct seal_key *key, const struct envelope_recipient *part,
			     struct secret *content_key)
{
	size_t len = (size_t)EVP_PKEY_get_size(key->key);
	TRY(secret_new(len, content_key));
	SCOPED(scoped_pkey_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, key->properties);
	if (!start_oaep(ctx))
		return not_worked("OAEP");
	if (EVP_PKEY_decrypt(ctx, content_key->data, &len, part->key.at, part->key.left) <= 0 ||
	    len != CONTENT_KEY)
		return not_opened();
	content_key->len = CONTENT_KEY;
	return OK;
}

enum error unwrap_check(const struct seal_key *key)
{
	SCOPED(scoped_pkey_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, key->properties);
	if (EVP_PKEY_is_a(key->key, "EC")) {
		if (!ctx || EVP_PKEY_derive_init(ctx) <= 0)
			return not_worked("ECDH");
	} else if (EVP_PKEY_is_a(key->key, "RSA")) {
		if (!start_oaep(ctx))
			return not_worked("RSA-OAEP with SHA-256");
	} else {
		return fail(ERR_NO_KEY, "it is neither an EC nor an RSA key");
	}
	return OK;
}

enum error unwrap(const struct seal_key *key, const struct envelope_recipient *part,
		  struct secret *content_key)
{
	if (key->turn)
		pthread_mutex_lock(key->turn);
	enum error result = part->kind == RECIPIENT_EC ? unwrap_ec(key, part, content_key)
						       : unwrap_rsa(key, part, content_key);
	if (key->turn)
		pthread_mutex_unlock(key->turn);
	return result;
}
