/*
 * The seal: CMS AuthEnvelopedData, AES-256-GCM.
 *
 * Every seal has a content key of its own, and that key once for each recipient: for an EC key by
 * ephemeral ECDH (X9.63 KDF with SHA-256, AES-256 key wrap), for an RSA key by OAEP with SHA-256.
 * The standard's own defaults are older, and `openssl cms -decrypt` reads all of them by itself.
 *
 * Whose seal is it? CMS names each recipient by its certificate's issuer and serial number. Where we
 * know our certificate, that decides, and what then doesn't open is damaged. Where we don't (a bare
 * key in a token), each part that this kind of key could open is tried: key wrap and OAEP say by
 * themselves whether a key fits. PKCS #1 v1.5 doesn't, safely, and is refused: telling "not ours" from
 * "damaged" would make an oracle of it.
 *
 * MUST: no byte of plaintext leaves before its tag is verified. (test: open_refuses_flipped_bit)
 * MUST: plaintext goes to secure memory only; what OpenSSL leaves on the stack is wiped.
 *       (test: open_gives_secret)
 * MUST: a recipient of PKCS #1 v1.5 is refused. (test: open_refuses_pkcs1)
 */
#include "seal/inside.h"
#include "seal/shape.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <limits.h>
#include <stdbool.h>

/* ---- closing ---- */

/* SHA-256 wherever the recipient's kind of key asks for a hash. */
static bool add_recipient(CMS_ContentInfo *cms, X509 *certificate)
{
	CMS_RecipientInfo *recipient =
		CMS_add1_recipient(cms, certificate, NULL, NULL, CMS_KEY_PARAM);
	EVP_PKEY_CTX *ctx = recipient ? CMS_RecipientInfo_get0_pkey_ctx(recipient) : NULL;
	if (!ctx)
		return false;
	if (CMS_RecipientInfo_type(recipient) == CMS_RECIPINFO_AGREE)
		return EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, EVP_sha256()) > 0;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0;
}

/* Encrypts straight from the caller's memory, so that no copy of the plaintext is made. */
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

static enum error close_seal(const struct recipients *recipients, const void *content, size_t len,
			     struct bytes *blob)
{
	if (len > INT_MAX)
		return fail(ERR_INVALID, "nothing as large as %zu bytes is sealed", len);
	int count = recipients_count(recipients);
	if (!count)
		return fail(ERR_INVALID,
			    "there is no recipient to seal to: the store has no certificates");
	SCOPED(scoped_cms) CMS_ContentInfo *cms = CMS_AuthEnvelopedData_create(EVP_aes_256_gcm());
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
	return encode(cms, blob);
}

enum error seal_close(const struct recipients *recipients, const void *content, size_t len,
		      struct bytes *blob)
{
	openssl_forget();
	*blob = (struct bytes){0};
	enum error result = close_seal(recipients, content, len, blob);
	secret_wipe_stack();
	return result;
}

/* ---- opening ---- */

/* What trying one recipient's part of a seal came to. */
enum attempt { NOT_OURS, OPENED, DAMAGED };

static bool oaep(CMS_RecipientInfo *recipient)
{
	X509_ALGOR *algorithm = NULL;
	return CMS_RecipientInfo_ktri_get0_algs(recipient, NULL, NULL, &algorithm) &&
	       OBJ_obj2nid(algorithm->algorithm) == NID_rsaesOaep;
}

static enum attempt try_transport(CMS_ContentInfo *cms, CMS_RecipientInfo *recipient,
				  const struct seal_key *key, bool by_certificate)
{
	if (!EVP_PKEY_is_a(key->key, "RSA"))
		return NOT_OURS;
	if (by_certificate && CMS_RecipientInfo_ktri_cert_cmp(recipient, key->certificate) != 0)
		return NOT_OURS;
	enum attempt failed = by_certificate ? DAMAGED : NOT_OURS;
	if (!oaep(recipient) || !EVP_PKEY_up_ref(key->key))
		return failed;
	if (!CMS_RecipientInfo_set0_pkey(recipient, key->key)) {
		EVP_PKEY_free(key->key);
		return failed;
	}
	return CMS_RecipientInfo_decrypt(cms, recipient) > 0 ? OPENED : failed;
}

static enum attempt try_agreement(CMS_ContentInfo *cms, CMS_RecipientInfo *recipient,
				  const struct seal_key *key, bool by_certificate)
{
	if (!EVP_PKEY_is_a(key->key, "EC"))
		return NOT_OURS;
	STACK_OF(CMS_RecipientEncryptedKey) *wrapped = CMS_RecipientInfo_kari_get0_reks(recipient);
	enum attempt result = NOT_OURS;
	for (int i = 0; i < sk_CMS_RecipientEncryptedKey_num(wrapped); i++) {
		CMS_RecipientEncryptedKey *one = sk_CMS_RecipientEncryptedKey_value(wrapped, i);
		if (by_certificate &&
		    CMS_RecipientEncryptedKey_cert_cmp(one, key->certificate) != 0)
			continue;
		if (CMS_RecipientInfo_kari_set0_pkey(recipient, key->key) &&
		    CMS_RecipientInfo_kari_decrypt(cms, recipient, one) > 0)
			return OPENED;
		if (by_certificate)
			result = DAMAGED;
	}
	return result;
}

/* Goes over the recipients until one part gives the content key to `cms`. */
static enum attempt try_recipients(CMS_ContentInfo *cms, const struct seal_key *key,
				   bool by_certificate)
{
	STACK_OF(CMS_RecipientInfo) *recipients = CMS_get0_RecipientInfos(cms);
	enum attempt result = NOT_OURS;
	for (int i = 0; i < sk_CMS_RecipientInfo_num(recipients) && result != OPENED; i++) {
		CMS_RecipientInfo *recipient = sk_CMS_RecipientInfo_value(recipients, i);
		enum attempt attempt = NOT_OURS;
		switch (CMS_RecipientInfo_type(recipient)) {
		case CMS_RECIPINFO_TRANS:
			attempt = try_transport(cms, recipient, key, by_certificate);
			break;
		case CMS_RECIPINFO_AGREE:
			attempt = try_agreement(cms, recipient, key, by_certificate);
			break;
		default:
			break;
		}
		if (attempt != NOT_OURS)
			result = attempt;
	}
	return result;
}

static enum error find_content_key(CMS_ContentInfo *cms, const struct seal_key *key)
{
	enum attempt result = key->certificate ? try_recipients(cms, key, true) : NOT_OURS;
	/* The key may have had another certificate when this was sealed. */
	if (result == NOT_OURS)
		result = try_recipients(cms, key, false);
	if (result == DAMAGED)
		return fail(ERR_BAD_SEAL,
			    "the part of the seal that is meant for this key is damaged (%s)",
			    openssl_reason());
	openssl_forget();
	if (result == NOT_OURS)
		return fail(ERR_NO_KEY, "the seal isn't made to this private key: mount with one "
					"of its recipients' (key=URI)");
	return OK;
}

/* Deciphers `size` bytes into `content`, and says whether the tag held. */
static enum error decipher(CMS_ContentInfo *cms, size_t size, struct secret *content)
{
	SCOPED(scoped_bio_chain) BIO *bio = CMS_dataInit(cms, NULL);
	if (!bio)
		return fail(ERR_BAD_SEAL, "the seal can't be read (%s)", openssl_reason());
	/* One byte more than there is, so that the read that ends it has somewhere to go. */
	TRY(secret_new(size + 1, content));
	int n;
	while (content->len <= size && (n = BIO_read(bio, content->data + content->len,
						     (int)(size + 1 - content->len))) > 0)
		content->len += (size_t)n;
	/* The status is the tag's, once the end was read: 1 only if it holds. */
	if (content->len != size || BIO_get_cipher_status(bio) != 1)
		return fail(ERR_BAD_SEAL,
			    "the seal's tag doesn't fit its content: it was damaged or changed");
	return OK;
}

static enum error open_seal(const struct seal_key *key, const void *blob, size_t len,
			    struct secret *content)
{
	size_t size;
	if (len > INT_MAX)
		return fail(ERR_BAD_SEAL, "no seal is as large as %zu bytes", len);
	TRY(seal_shape(blob, len, &size));
	const unsigned char *at = blob;
	SCOPED(scoped_cms) CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)len);
	if (!cms || at != (const unsigned char *)blob + len)
		return fail(ERR_BAD_SEAL, "the seal is damaged (%s)", openssl_reason());
	TRY(find_content_key(cms, key));

	SCOPED(secret_free) struct secret unverified = {0};
	TRY(decipher(cms, size, &unverified));
	secret_move(content, &unverified);
	return OK;
}

enum error seal_open(const struct seal_key *key, const void *blob, size_t len,
		     struct secret *content)
{
	openssl_forget();
	*content = (struct secret){0};
	enum error result = open_seal(key, blob, len, content);
	secret_wipe_stack();
	openssl_forget();
	return result;
}
