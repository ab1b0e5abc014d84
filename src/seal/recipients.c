/* The certificates to which tokens are sealed. */
#include "seal/inside.h"

#include "text.h"

#include <openssl/x509v3.h>

#include <limits.h>
#include <stdlib.h>
#include <time.h>

/* Bits of security (NIST SP 800-57): those of RSA-2048 and P-224. */
#define WEAKEST 112

enum error recipients_new(struct recipients **out)
{
	*out = calloc(1, sizeof **out);
	if (*out)
		(*out)->certificates = sk_X509_new_null();
	if (!*out || !(*out)->certificates) {
		recipients_scoped(out);
		return fail(ERR_MEMORY, "out of memory");
	}
	return OK;
}

void recipients_free(struct recipients *recipients)
{
	if (!recipients)
		return;
	sk_X509_pop_free(recipients->certificates, X509_free);
	free(recipients);
}

void recipients_scoped(struct recipients **recipients)
{
	recipients_free(*recipients);
	*recipients = NULL;
}

/* A key that a seal can be made to. */
static enum error check_key(const X509 *certificate)
{
	const EVP_PKEY *key = X509_get0_pubkey(certificate);
	if (!key || !(EVP_PKEY_is_a(key, "EC") || EVP_PKEY_is_a(key, "RSA")))
		return fail(ERR_INVALID,
			    "the certificate's key is neither EC nor RSA: nothing can be sealed "
			    "to it; give a certificate of a P-256 or an RSA key");
	if (EVP_PKEY_get_security_bits(key) < WEAKEST)
		return fail(ERR_INVALID,
			    "the certificate's key is too weak (%d bits of security, at least %d "
			    "are needed): give one of a P-256 or an RSA-3072 key",
			    EVP_PKEY_get_security_bits(key), WEAKEST);
	return OK;
}

enum error recipients_add(struct recipients *recipients, const uint8_t *der, size_t len)
{
	openssl_forget();
	const unsigned char *at = der;
	SCOPED(scoped_certificate) X509 *certificate = X509_new_ex(NULL, PUBLIC_PROPERTIES);
	if (!certificate)
		return fail(ERR_MEMORY, "out of memory");
	if (len > LONG_MAX || !d2i_X509(&certificate, &at, (long)len) || at != der + len)
		return fail(ERR_INVALID, "a recipient is no X.509 certificate in DER (%s)",
			    openssl_reason());
	TRY(check_key(certificate));
	/* Fills in what OpenSSL would otherwise work out when the first threads need it. */
	X509_check_purpose(certificate, -1, 0);
	if (!sk_X509_push(recipients->certificates, certificate))
		return fail(ERR_MEMORY, "out of memory");
	certificate = NULL;
	openssl_forget();
	return OK;
}

int recipients_beyond(const struct recipients *these, const struct recipients *those)
{
	for (int i = 0; i < recipients_count(these); i++) {
		const X509 *one = sk_X509_value(these->certificates, i);
		int j = recipients_count(those) - 1;
		while (j >= 0 && X509_cmp(one, sk_X509_value(those->certificates, j)) != 0)
			j--;
		if (j < 0)
			return i;
	}
	return -1;
}

int recipients_count(const struct recipients *recipients)
{
	return sk_X509_num(recipients->certificates);
}

/* ASN.1 times go to the year 9999, ours to 2262. */
static bool time_of(const ASN1_TIME *time, int64_t *at)
{
	struct tm parts;
	if (!ASN1_TIME_to_tm(time, &parts))
		return false;
	int64_t seconds = timegm(&parts);
	if (__builtin_mul_overflow(seconds, INT64_C(1000000000), at))
		*at = seconds < 0 ? INT64_MIN : INT64_MAX;
	return true;
}

enum error recipients_about(const struct recipients *recipients, int i, char fingerprint[static 65],
			    int64_t *expires_at)
{
	if (i < 0 || i >= recipients_count(recipients))
		return fail(ERR_NOT_FOUND, "there is no recipient %d", i);
	const X509 *certificate = sk_X509_value(recipients->certificates, i);
	uint8_t digest[SEAL_DIGEST];
	if (!X509_digest(certificate, EVP_sha256(), digest, NULL) ||
	    !time_of(X509_get0_notAfter(certificate), expires_at))
		return fail(ERR_INVALID, "recipient %d has a certificate that can't be read (%s)",
			    i, openssl_reason());
	hex_write(digest, sizeof digest, fingerprint);
	return OK;
}
