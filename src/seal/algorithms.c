#include "seal/algorithms.h"

#include "seal/inside.h"

static struct algorithms known;
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool complete;

/* What an earlier call has found stays. */
static bool look_up(void)
{
	if (!known.sha256)
		known.sha256 = EVP_MD_fetch(NULL, "SHA256", PUBLIC_PROPERTIES);
	if (!known.hmac)
		known.hmac = EVP_MAC_fetch(NULL, "HMAC", PUBLIC_PROPERTIES);
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
	openssl_forget();
	return algorithms() ? OK
			    : fail(ERR_MEMORY,
				   "OpenSSL lacks an algorithm, or there is no memory for it (%s)",
				   openssl_reason());
}
