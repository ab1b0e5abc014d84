/*
 * Sealing: CMS AuthEnvelopedData, as envelope.c draws it.
 *
 * Every seal has a content key and a nonce of its own, and that key once for each recipient: for an EC
 * key by ECDH with an ephemeral one, for an RSA key by OAEP. OpenSSL's CMS writes it; its defaults for
 * hashes are older than SHA-256 and not used. `openssl cms -decrypt` opens it with any recipient's key.
 *
 * MUST: a seal is made to every recipient, or not at all. (test: seal_needs_recipients)
 * MUST: what OpenSSL made without memory for all of it is no seal. (test: scarce_escrow)
 */
#include "seal/envelope.h"
#include "seal/inside.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <limits.h>

static bool add_recipient(CMS_ContentInfo *cms, X509 *certificate)
{
	CMS_RecipientInfo *recipient =
		CMS_add1_recipient(cms, certificate, NULL, NULL, CMS_KEY_PARAM);
	EVP_PKEY_CTX *ctx = recipient ? CMS_RecipientInfo_get0_pkey_ctx(recipient) : NULL;
	if (!ctx)
		return false;
	/* The key wrap is AES-256, as the content's cipher is. */
	if (CMS_RecipientInfo_type(recipient) == CMS_RECIPINFO_AGREE)
		return EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, EVP_sha256()) > 0;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0;
}

/* Enciphers straight from the caller's memory: CMS_final() would copy the plaintext to its buffers. */
static bool add_content(CMS_ContentInfo *cms, const void *content, size_t len)
{
	SCOPED(scoped_bio_chain) BIO *bio = CMS_dataInit(cms, NULL);
	return bio && (!len || BIO_write(bio, content, (int)len) == (int)len) &&
	       BIO_flush(bio) > 0 && CMS_dataFinal(cms, bio) > 0;
}

static enum error encode(CMS_ContentInfo *cms, struct bytes *blob)
{
	unsigned char *der = NULL;
	int len = i2d_CMS_ContentInfo(cms, &der);
	if (len <= 0)
		return fail(ERR_MEMORY, "a seal can't be encoded (%s)", openssl_reason());
	enum error added = bytes_add(blob, der, (size_t)len);
	OPENSSL_free(der);
	return added;
}

/*
 * OpenSSL's CMS can come out of a malloc(3) that failed with a success and a part that nobody opens. What
 * it wrote must have the shape that opening wants; and openssl_verdict() knows more.
 */
static enum error look_over(const struct bytes *blob, int count, size_t len)
{
	struct envelope envelope;
	struct envelope_recipient part;
	if (envelope_read(blob->data, blob->len, &envelope) || envelope.ciphertext.left != len)
		return fail(ERR_MEMORY, "a seal came out in pieces: is there memory enough?");
	for (; count && envelope.recipients.left; count--)
		if (envelope_next(&envelope.recipients, &part) || !part.key.left)
			break;
	return count || envelope.recipients.left
		       ? fail(ERR_MEMORY, "a seal came out with a part that opens for nobody: is "
					  "there memory enough?")
		       : OK;
}

static enum error seal(const struct recipients *recipients, const void *content, size_t len,
		       struct bytes *blob)
{
	if (len > INT_MAX)
		return fail(ERR_INVALID, "nothing as large as %zu bytes is sealed", len);
	int count = recipients_count(recipients);
	if (!count)
		return fail(ERR_INVALID,
			    "there is no recipient to seal to: the store has no certificates");
	SCOPED(scoped_cms)
	CMS_ContentInfo *cms =
		CMS_AuthEnvelopedData_create_ex(EVP_aes_256_gcm(), NULL, PUBLIC_PROPERTIES);
	if (!cms || !CMS_set_detached(cms, 0))
		return fail(ERR_MEMORY, "a seal can't be started (%s)", openssl_reason());
	for (int i = 0; i < count; i++)
		if (!add_recipient(cms, sk_X509_value(recipients->certificates, i)))
			return fail(ERR_INVALID,
				    "recipient %d (`escrowfs status` lists them) can't be sealed "
				    "to (%s)",
				    i + 1, openssl_reason());
	if (!add_content(cms, content, len))
		return fail(ERR_MEMORY, "a seal can't be made (%s)", openssl_reason());
	TRY(encode(cms, blob));
	return look_over(blob, count, len);
}

enum error seal_close(const struct recipients *recipients, const void *content, size_t len,
		      struct bytes *blob)
{
	openssl_forget();
	*blob = (struct bytes){0};
	enum error result = seal(recipients, content, len, blob);
	secret_wipe_stack();
	return openssl_verdict(result);
}
