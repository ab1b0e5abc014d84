/*
 * The one shape that a seal has.
 *
 * CMS leaves much to whoever writes a message, and who writes here may be an attacker: a cipher without
 * a tag, a tag of one byte, a nonce longer than the reader's buffer, PKCS #1 v1.5. Seals need none of
 * that. Of RFC 5083, 5084, 5753 and 4056 this alone passes, in DER, every length known, every byte
 * accounted for:
 *
 *     SEQUENCE
 *       OID id-smime-ct-authEnvelopedData
 *       [0] SEQUENCE
 *         INTEGER 0
 *         SET of recipients
 *           either SEQUENCE                an RSA key
 *             INTEGER 0
 *             SEQUENCE                     the certificate's issuer and serial number
 *             SEQUENCE                     RSAES-OAEP, SHA-256 for both of its hashes
 *             OCTET STRING                 the content key, enciphered
 *           or [1]                         an EC key
 *             INTEGER 3
 *             [0] [1] SEQUENCE, BIT STRING the sender's ephemeral key
 *             SEQUENCE                     ECDH with X9.63 KDF, SHA-256; AES-256 key wrap
 *             SEQUENCE of one SEQUENCE
 *               SEQUENCE                   the certificate's issuer and serial number
 *               OCTET STRING               the content key, wrapped
 *         SEQUENCE
 *           OID id-data
 *           SEQUENCE                       AES-256-GCM, nonce of 12 bytes, tag of 16
 *           [0]                            ciphertext, as long as the content
 *         OCTET STRING                     tag
 *
 * MUST: a seal of another cipher, a shorter tag or other padding is refused.
 *       (test: open_refuses_other_shapes)
 */
#include "envelope.h"

#include <openssl/asn1.h>

/* The end of an AlgorithmIdentifier whose parameters are absent or NULL: writers differ. */
static bool no_parameters(struct der *algorithm)
{
	struct der null;
	return !algorithm->left ||
	       (der_next(algorithm, V_ASN1_UNIVERSAL, V_ASN1_NULL, false, &null) && !null.left &&
		!algorithm->left);
}

/* ---- recipients ---- */

/* SHA-256, and MGF1 with SHA-256. */
static bool oaep_parameters(struct der *parameters)
{
	struct der tagged, hash, mask, mask_hash;
	return der_tagged(parameters, 0, true, &tagged) && der_sequence(&tagged, &hash) &&
	       !tagged.left && der_object(&hash, NID_sha256) && no_parameters(&hash) &&
	       der_tagged(parameters, 1, true, &tagged) && der_sequence(&tagged, &mask) &&
	       !tagged.left && der_object(&mask, NID_mgf1) && der_sequence(&mask, &mask_hash) &&
	       !mask.left && der_object(&mask_hash, NID_sha256) && no_parameters(&mask_hash) &&
	       !parameters->left;
}

static bool read_rsa(struct der part, struct envelope_recipient *out)
{
	struct der algorithm, parameters;
	out->kind = RECIPIENT_RSA;
	return der_integer(&part, 0) && der_sequence(&part, &out->identity) &&
	       der_sequence(&part, &algorithm) && der_object(&algorithm, NID_rsaesOaep) &&
	       der_sequence(&algorithm, &parameters) && !algorithm.left &&
	       oaep_parameters(&parameters) && der_octets(&part, &out->key) && !part.left;
}

/* The point of the sender's key. Its curve is the recipient's, whatever its parameters repeat. */
static bool read_ephemeral(struct der *part, struct der *point)
{
	struct der originator, key, algorithm;
	if (!der_tagged(part, 0, true, &originator) || !der_tagged(&originator, 1, true, &key) ||
	    originator.left || !der_sequence(&key, &algorithm) ||
	    !der_object(&algorithm, NID_X9_62_id_ecPublicKey) ||
	    !der_next(&key, V_ASN1_UNIVERSAL, V_ASN1_BIT_STRING, false, point) || key.left)
		return false;
	/* A bit string's first byte counts the bits that its last one lacks. */
	if (!point->left || *point->at != 0)
		return false;
	point->at++;
	point->left--;
	return true;
}

static bool read_agreement(struct der *part, struct der *wrap)
{
	struct der algorithm, wrap_content;
	if (!der_sequence(part, &algorithm) ||
	    !der_object(&algorithm, NID_dhSinglePass_stdDH_sha256kdf_scheme))
		return false;
	struct der before = algorithm;
	if (!der_sequence(&algorithm, &wrap_content) || algorithm.left)
		return false;
	*wrap = der_seen(&before, &algorithm);
	return der_object(&wrap_content, NID_id_aes256_wrap) && no_parameters(&wrap_content);
}

static bool read_ec(struct der part, struct envelope_recipient *out)
{
	struct der keys, one;
	out->kind = RECIPIENT_EC;
	return der_integer(&part, 3) && read_ephemeral(&part, &out->ephemeral) &&
	       read_agreement(&part, &out->wrap) && der_sequence(&part, &keys) && !part.left &&
	       der_sequence(&keys, &one) && !keys.left && der_sequence(&one, &out->identity) &&
	       der_octets(&one, &out->key) && !one.left;
}

enum error envelope_next(struct der *recipients, struct envelope_recipient *out)
{
	struct der part, start = *recipients;
	*out = (struct envelope_recipient){0};
	if (der_sequence(recipients, &part)) {
		if (read_rsa(part, out))
			return OK;
	} else {
		*recipients = start;
		if (der_tagged(recipients, 1, true, &part) && read_ec(part, out))
			return OK;
	}
	return fail(
		ERR_BAD_SEAL,
		"a recipient's part of the seal is damaged, or of another kind than seals have");
}

/* ---- the envelope ---- */

static bool read_cipher(struct der *in, struct der *nonce)
{
	struct der algorithm, parameters;
	return der_sequence(in, &algorithm) && der_object(&algorithm, NID_aes_256_gcm) &&
	       der_sequence(&algorithm, &parameters) && !algorithm.left &&
	       der_octets(&parameters, nonce) && nonce->left == ENVELOPE_NONCE &&
	       der_integer(&parameters, ENVELOPE_TAG) && !parameters.left;
}

enum error envelope_read(const void *blob, size_t len, struct envelope *out)
{
	struct der all = {blob, len}, info, outer, enveloped, encrypted;
	if (!der_sequence(&all, &info) || all.left)
		return fail(ERR_BAD_SEAL, "the seal is cut short, damaged, or no CMS in DER");
	if (!der_object(&info, NID_id_smime_ct_authEnvelopedData))
		return fail(ERR_BAD_SEAL, "the seal is no CMS AuthEnvelopedData");
	if (!der_tagged(&info, 0, true, &outer) || info.left || !der_sequence(&outer, &enveloped) ||
	    outer.left || !der_integer(&enveloped, 0) || !der_set(&enveloped, &out->recipients) ||
	    !der_sequence(&enveloped, &encrypted))
		return fail(ERR_BAD_SEAL, "the seal's outer parts are damaged");
	if (!der_object(&encrypted, NID_pkcs7_data) || !read_cipher(&encrypted, &out->nonce))
		return fail(ERR_BAD_SEAL,
			    "the seal's cipher is not AES-256-GCM with a nonce of %d bytes and a "
			    "tag of %d",
			    ENVELOPE_NONCE, ENVELOPE_TAG);
	if (!der_tagged(&encrypted, 0, false, &out->ciphertext) || encrypted.left ||
	    !der_octets(&enveloped, &out->tag) || out->tag.left != ENVELOPE_TAG || enveloped.left)
		return fail(ERR_BAD_SEAL, "the seal's content or its tag is damaged");
	return OK;
}
