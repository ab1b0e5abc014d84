/*
 * Certificates. To escrowfs they are no more than a recipient's public key with a name, so that CMS
 * can say whom a seal is for: nobody checks who signed them.
 */
#include "certificate.h"

#include "path.h"
#include "seal/inside.h"
#include "seal/keyfile.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <limits.h>
#include <time.h>

#define LIFETIME_DAYS 3652 /* ten years */
#define CERTIFICATE_FILE_MAX (1024 * 1024)

/* 127 random bits: positive, and at most 16 bytes in DER. */
static bool set_serial(X509 *certificate)
{
	unsigned char bytes[16];
	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
	BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
	bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return set;
}

static bool set_names(X509 *certificate, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
					  (const unsigned char *)name, -1, -1, 0) &&
	       X509_set_issuer_name(certificate, subject);
}

static bool set_times(X509 *certificate)
{
	time_t now = time(NULL);
	return X509_time_adj_ex(X509_getm_notBefore(certificate), 0, 0, &now) &&
	       X509_time_adj_ex(X509_getm_notAfter(certificate), LIFETIME_DAYS, 0, &now);
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool added = extension && X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return added;
}

static bool sign(X509 *certificate, EVP_PKEY *key, const char *properties)
{
	SCOPED(scoped_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	return ctx && EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, properties, key, NULL) > 0 &&
	       X509_sign_ctx(certificate, ctx) > 0;
}

/*
 * Hardware may hold a key to decipher only. Its certificate is signed with a key that is made for
 * that and not kept, and says so.
 */
static bool sign_instead(X509 *certificate)
{
	SCOPED(scoped_pkey)
	EVP_PKEY *signer = EVP_PKEY_Q_keygen(NULL, PUBLIC_PROPERTIES, "EC", "P-256");
	X509_NAME *issuer = X509_get_issuer_name(certificate);
	return signer &&
	       X509_NAME_add_entry_by_NID(issuer, NID_organizationalUnitName, MBSTRING_UTF8,
					  (const unsigned char *)"signed with a key not kept", -1,
					  -1, 0) &&
	       sign(certificate, signer, PUBLIC_PROPERTIES);
}

enum error certificate_make(EVP_PKEY *key, const char *properties, const char *name, X509 **out)
{
	const char *usage =
		EVP_PKEY_is_a(key, "RSA") ? "critical,keyEncipherment" : "critical,keyAgreement";
	SCOPED(scoped_certificate) X509 *certificate = X509_new();
	if (!certificate || !X509_set_version(certificate, X509_VERSION_3) ||
	    !set_serial(certificate) || !set_names(certificate, name) || !set_times(certificate) ||
	    !X509_set_pubkey(certificate, key) ||
	    !add_extension(certificate, NID_key_usage, usage) ||
	    !add_extension(certificate, NID_subject_key_identifier, "hash"))
		return fail(ERR_INVALID, "no certificate can be made for this key (%s)",
			    openssl_reason());
	if (!sign(certificate, key, properties) && !sign_instead(certificate))
		return fail(ERR_INVALID, "no certificate can be signed for this key (%s)",
			    openssl_reason());
	*out = certificate;
	certificate = NULL;
	return OK;
}

enum error seal_key_certificate(const struct seal_key *key, const char *name,
				struct bytes *certificate)
{
	openssl_forget();
	*certificate = (struct bytes){0};
	if (key->certificate)
		return openssl_certificate_der(key->certificate, certificate);
	SCOPED(scoped_certificate) X509 *made = NULL;
	TRY(certificate_make(key->key, key->properties, name, &made));
	return openssl_certificate_der(made, certificate);
}

/* No terminal is ever asked. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return -1;
}

enum error seal_certificate_read(const char *path, struct bytes *certificate)
{
	openssl_forget();
	*certificate = (struct bytes){0};
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(bytes_read_file(path, CERTIFICATE_FILE_MAX, &text));
	SCOPED(scoped_bio) BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
	if (!bio)
		return fail(ERR_MEMORY, "out of memory");
	SCOPED(scoped_certificate) X509 *found = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	const unsigned char *at = text.data;
	if (!found)
		found = d2i_X509(NULL, &at, (long)text.len);
	if (!found)
		return fail(ERR_INVALID, "%s: no X.509 certificate in it, PEM or DER (%s)", path,
			    openssl_reason());
	openssl_forget();
	return openssl_certificate_der(found, certificate);
}

enum error seal_certificate_digest(const void *pem, size_t len, uint8_t out[static SEAL_DIGEST])
{
	openssl_forget();
	SCOPED(scoped_bio) BIO *bio = len > INT_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
	if (!bio)
		return fail(ERR_MEMORY, "out of memory");
	SCOPED(scoped_certificate) X509 *found = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	if (!found)
		return fail(ERR_INVALID, "no X.509 certificate in PEM (%s)", openssl_reason());
	SCOPED(bytes_free) struct bytes der = {0};
	TRY(openssl_certificate_der(found, &der));
	return seal_digest(der.data, der.len, out);
}

static enum error add_found(struct recipients *recipients, const X509 *certificate)
{
	SCOPED(bytes_free) struct bytes der = {0};
	TRY(openssl_certificate_der(certificate, &der));
	return recipients_add(recipients, der.data, der.len);
}

static enum error read_all(BIO *bio, struct recipients *recipients)
{
	for (;;) {
		SCOPED(scoped_certificate)
		X509 *found = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
		if (!found)
			break;
		TRY(add_found(recipients, found));
	}
	/* That nothing more begins is how it ends. */
	bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	if (!end || !recipients_count(recipients))
		return fail(ERR_INVALID, "no whole X.509 certificate in PEM (%s)",
			    openssl_reason());
	openssl_forget();
	return OK;
}

static enum error recipients_of(const char *path, const struct bytes *text, struct recipients **out)
{
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	TRY(recipients_new(&recipients));
	SCOPED(scoped_bio) BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);
	if (!bio)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = read_all(bio, recipients);
	if (result)
		return fail(result, "%s: %s", path, fail_why());
	*out = recipients;
	recipients = NULL;
	return OK;
}

static enum error outside(bool is_inside, const char *path, const char *store)
{
	if (!is_inside)
		return OK;
	return fail(ERR_INVALID,
		    "%s: it lies inside the store %s: whoever changes the one could change "
		    "the other; move it elsewhere",
		    path, store);
}

enum error recipients_read(const char *path, const char *outside_of, struct recipients **out)
{
	openssl_forget();
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(outside(seal_path_inside(path, outside_of), path, outside_of));
	TRY(path_check_file(path));
	TRY(bytes_read_file(path, CERTIFICATE_FILE_MAX, &text));
	return recipients_of(path, &text, out);
}

enum error recipients_read_opened(const struct opened *file, const char *outside_of,
				  struct recipients **out)
{
	openssl_forget();
	SCOPED(bytes_free) struct bytes text = {0};
	if (file->fd < 0)
		return fail(file->error, "%s", file->why);
	TRY(outside(keyfile_opened_inside(file->fd, outside_of), file->path, outside_of));
	TRY(path_check_opened(file->fd, file->path));
	TRY(bytes_read_opened(file->fd, file->path, CERTIFICATE_FILE_MAX, &text));
	return recipients_of(file->path, &text, out);
}
