#include "seal/openssl.h"

#include <openssl/err.h>

#include <stdbool.h>

static _Thread_local bool lacked_memory;

/* Empties this thread's queue. Returns the newest of it. */
static unsigned long take_errors(void)
{
	unsigned long error, last = 0;
	while ((error = ERR_get_error()) != 0) {
		last = error;
		lacked_memory |= ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
	}
	return last;
}

const char *openssl_reason(void)
{
	const char *reason = ERR_reason_error_string(take_errors());
	return reason ? reason : "no reason given";
}

void openssl_forget(void)
{
	ERR_clear_error();
	lacked_memory = false;
}

enum error openssl_verdict(enum error result)
{
	(void)take_errors();
	bool lacked = lacked_memory;
	lacked_memory = false;
	return lacked ? fail(ERR_MEMORY, "out of memory") : result;
}

enum error openssl_certificate_der(const X509 *certificate, struct bytes *der)
{
	*der = (struct bytes){0};
	unsigned char *encoded = NULL;
	int len = i2d_X509(certificate, &encoded);
	if (len <= 0)
		return fail(ERR_MEMORY, "a certificate can't be encoded (%s)", openssl_reason());
	enum error added = bytes_add(der, encoded, (size_t)len);
	OPENSSL_free(encoded);
	return added;
}

/* OpenSSL's own functions that free take NULL. */

void scoped_bio(BIO **bio)
{
	BIO_free(*bio);
}

void scoped_bio_chain(BIO **bio)
{
	BIO_free_all(*bio);
}

void scoped_certificate(X509 **certificate)
{
	X509_free(*certificate);
}

void scoped_cipher_ctx(EVP_CIPHER_CTX **ctx)
{
	EVP_CIPHER_CTX_free(*ctx);
}

void scoped_cms(CMS_ContentInfo **cms)
{
	CMS_ContentInfo_free(*cms);
}

void scoped_mac_ctx(EVP_MAC_CTX **ctx)
{
	EVP_MAC_CTX_free(*ctx);
}

void scoped_md_ctx(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

void scoped_pkcs8(PKCS8_PRIV_KEY_INFO **key)
{
	PKCS8_PRIV_KEY_INFO_free(*key);
}

void scoped_encrypted_pkcs8(X509_SIG **key)
{
	X509_SIG_free(*key);
}

void scoped_pkey(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

void scoped_pkey_ctx(EVP_PKEY_CTX **ctx)
{
	EVP_PKEY_CTX_free(*ctx);
}

void scoped_store(OSSL_STORE_CTX **store)
{
	OSSL_STORE_close(*store);
}

void scoped_store_info(OSSL_STORE_INFO **info)
{
	OSSL_STORE_INFO_free(*info);
}

void scoped_ui_method(UI_METHOD **method)
{
	UI_destroy_method(*method);
}
