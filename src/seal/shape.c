/*
 * The one shape that a seal has, checked before OpenSSL decodes a byte of it.
 *
 * CMS leaves its reader much to choose, and what is chosen here by the writer of a blob may be an
 * attacker's choice: a cipher without a tag, a tag of one byte, a nonce longer than the decoder's
 * buffer. Seals need none of that. Of RFC 5083 and RFC 5084 this alone passes, DER, every length
 * known and every byte accounted for:
 *
 *     SEQUENCE
 *       OID id-smime-ct-authEnvelopedData
 *       [0] SEQUENCE
 *         INTEGER 0
 *         SET                          recipients: OpenSSL's to decode, cms.c's to choose from
 *         SEQUENCE
 *           OID id-data
 *           SEQUENCE
 *             OID aes256-GCM
 *             SEQUENCE
 *               OCTET STRING           nonce, 12 bytes
 *               INTEGER 16             length of the tag
 *           [0]                        ciphertext, as long as the content
 *         OCTET STRING                 tag, 16 bytes
 *
 * MUST: a seal of another cipher, or a shorter tag, is refused. (test: open_refuses_other_shapes)
 */
#include "shape.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NONCE 12
#define TAG 16

/* A part of the blob that is yet to be read. */
struct part {
	const uint8_t *at;
	long left;
};

/* The next element of `in`, which must be of this kind, becomes `content`; `in` moves behind it. */
static bool next(struct part *in, int class, int tag, bool constructed, struct part *content)
{
	const uint8_t *at = in->at;
	int its_tag, its_class;
	long length;
	if (in->left <= 0)
		return false;
	int form = ASN1_get_object(&at, &length, &its_tag, &its_class, in->left);
	/* 0x80: an error, the indefinite form's bit: no DER. */
	if ((form & 0x80) || (form & 1) || its_tag != tag || its_class != class ||
	    !(form & V_ASN1_CONSTRUCTED) != !constructed)
		return false;
	*content = (struct part){at, length};
	in->left -= at + length - in->at;
	in->at = at + length;
	return true;
}

static bool sequence(struct part *in, struct part *content)
{
	return next(in, V_ASN1_UNIVERSAL, V_ASN1_SEQUENCE, true, content);
}

/* The object identifier of this number. */
static bool object(struct part *in, int nid)
{
	struct part id;
	const ASN1_OBJECT *known = OBJ_nid2obj(nid);
	return next(in, V_ASN1_UNIVERSAL, V_ASN1_OBJECT, false, &id) &&
	       (size_t)id.left == OBJ_length(known) &&
	       memcmp(id.at, OBJ_get0_data(known), (size_t)id.left) == 0;
}

/* A small integer of this value. */
static bool integer(struct part *in, uint8_t value)
{
	struct part number;
	return next(in, V_ASN1_UNIVERSAL, V_ASN1_INTEGER, false, &number) && number.left == 1 &&
	       *number.at == value;
}

/* An octet string of this length. */
static bool octets(struct part *in, long length)
{
	struct part string;
	return next(in, V_ASN1_UNIVERSAL, V_ASN1_OCTET_STRING, false, &string) &&
	       string.left == length;
}

static bool cipher(struct part *in)
{
	struct part algorithm, parameters;
	return sequence(in, &algorithm) && object(&algorithm, NID_aes_256_gcm) &&
	       sequence(&algorithm, &parameters) && !algorithm.left && octets(&parameters, NONCE) &&
	       integer(&parameters, TAG) && !parameters.left;
}

enum error seal_shape(const void *blob, size_t len, size_t *content)
{
	struct part all = {blob, len <= LONG_MAX ? (long)len : 0};
	struct part info, explicit, enveloped, recipients, encrypted, ciphertext;
	if (!sequence(&all, &info) || all.left)
		return fail(ERR_BAD_SEAL, "the seal is cut short, damaged, or no CMS in DER");
	if (!object(&info, NID_id_smime_ct_authEnvelopedData))
		return fail(ERR_BAD_SEAL, "the seal is no CMS AuthEnvelopedData");
	if (!next(&info, V_ASN1_CONTEXT_SPECIFIC, 0, true, &explicit) || info.left ||
	    !sequence(&explicit, &enveloped) || explicit.left || !integer(&enveloped, 0) ||
	    !next(&enveloped, V_ASN1_UNIVERSAL, V_ASN1_SET, true, &recipients) ||
	    !sequence(&enveloped, &encrypted))
		return fail(ERR_BAD_SEAL, "the seal's outer parts are damaged");
	if (!object(&encrypted, NID_pkcs7_data) || !cipher(&encrypted))
		return fail(ERR_BAD_SEAL,
			    "the seal's cipher is not AES-256-GCM with a nonce of %d and a tag of "
			    "%d bytes",
			    NONCE, TAG);
	if (!next(&encrypted, V_ASN1_CONTEXT_SPECIFIC, 0, false, &ciphertext) || encrypted.left ||
	    !octets(&enveloped, TAG) || enveloped.left)
		return fail(ERR_BAD_SEAL, "the seal's content or its tag is damaged");
	*content = (size_t)ciphertext.left;
	return OK;
}
