#include "seal/algorithms.h"

#include "seal/inside.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

static struct algorithms known;
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool complete;

static EVP_MAC_CTX *begin_hmac(void)
{
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", PUBLIC_PROPERTIES);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	if (ctx && EVP_MAC_CTX_set_params(ctx, parameters) > 0)
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

/* What an earlier call has found stays. */
static bool look_up(void)
{
	if (!known.sha256)
		known.sha256 = EVP_MD_fetch(NULL, "SHA256", PUBLIC_PROPERTIES);
	if (!known.hmac)
		known.hmac = begin_hmac();
	if (!known.gcm)
		known.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", PUBLIC_PROPERTIES);
	if (!known.wrap)
		known.wrap = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", PUBLIC_PROPERTIES);
	if (!known.x963)
		known.x963 = EVP_KDF_fetch(NULL, "X963KDF", PUBLIC_PROPERTIES);
	return known.sha256 && known.hmac && known.gcm && known.wrap && known.x963;
}

const struct algorithms *algorithms(void)
{
	if (atomic_load(&complete))
		return &known;
	pthread_mutex_lock(&looking);
	bool found = look_up();
	pthread_mutex_unlock(&looking);
	if (found)
		atomic_store(&complete, true);
	return found ? &known : NULL;
}

enum error seal_prepare(void)
{
	return algorithms() ? OK : fail(ERR_MEMORY, "out of memory");
}
