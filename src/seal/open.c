/*
 * Opening of seals: find our part, get the content key out of it, decipher, verify, hand over.
 *
 * Which part is ours? Each names its certificate's issuer and serial number. Where we know our
 * certificate, that decides, and a part of ours that doesn't open is damaged. A key whose certificate
 * we don't know, or that had another one when the seal was made, tries every part of its kind: one that
 * is for somebody else doesn't open, so all that is lost is the difference between "damaged" and "not
 * ours".
 *
 * MUST: no byte of plaintext leaves before its tag is verified. (test: open_refuses_flipped_bit)
 * MUST: plaintext is deciphered into secure memory, and nowhere else. (test: open_gives_secret)
 */
#include "seal/algorithms.h"
#include "seal/envelope.h"
#include "seal/inside.h"
#include "seal/unwrap.h"

#include <limits.h>
#include <string.h>

static bool of_kind(const struct envelope_recipient *part, const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, part->kind == RECIPIENT_EC ? "EC" : "RSA");
}

static enum error find_content_key(const struct envelope *envelope, const struct seal_key *key,
				   struct secret *content_key)
{
	struct envelope_recipient part;
	for (struct der rest = envelope->recipients; rest.left;) {
		TRY(envelope_next(&rest, &part));
		if (key->certificate && of_kind(&part, key->key) &&
		    envelope_names(&part, key->certificate))
			return unwrap(key, &part, content_key);
	}
	for (struct der rest = envelope->recipients; rest.left;) {
		TRY(envelope_next(&rest, &part));
		if (!of_kind(&part, key->key))
			continue;
		SCOPED(secret_free) struct secret found = {0};
		enum error result = unwrap(key, &part, &found);
		if (result == OK)
			secret_move(content_key, &found);
		if (result != ERR_BAD_SEAL)
			return result;
	}
	return fail(ERR_NO_KEY, "the seal isn't made to this private key: it takes another "
				"recipient's (key=URI names one)");
}

/* AES-256-GCM. OK only when the tag held. */
static enum error decipher(const struct envelope *envelope, const struct secret *content_key,
			   struct secret *content)
{
	const struct der *text = &envelope->ciphertext;
	uint8_t tag[ENVELOPE_TAG];
	memcpy(tag, envelope->tag.at, sizeof tag);
	TRY(secret_new(text->left, content));
	SCOPED(scoped_cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const struct algorithms *known = algorithms();
	int len = 0, more = 0;
	if (!ctx || !known ||
	    !EVP_DecryptInit_ex(ctx, known->gcm, NULL, content_key->data, envelope->nonce.at) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) <= 0)
		return fail(ERR_MEMORY, "a seal can't be deciphered (%s)", openssl_reason());
	if ((text->left &&
	     EVP_DecryptUpdate(ctx, content->data, &len, text->at, (int)text->left) <= 0) ||
	    EVP_DecryptFinal_ex(ctx, content->data + len, &more) <= 0)
		return fail(ERR_BAD_SEAL,
			    "the seal's tag doesn't fit its content: it was damaged or changed");
	content->len = (size_t)len + (size_t)more;
	return OK;
}

static enum error open_seal(const struct seal_key *key, const void *blob, size_t len,
			    struct secret *content)
{
	if (len > INT_MAX)
		return fail(ERR_BAD_SEAL, "no seal is as large as %zu bytes", len);
	struct envelope envelope;
	TRY(envelope_read(blob, len, &envelope));
	SCOPED(secret_free) struct secret content_key = {0}, unverified = {0};
	TRY(find_content_key(&envelope, key, &content_key));
	TRY(decipher(&envelope, &content_key, &unverified));
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
	return openssl_verdict(result);
}
