#include "der.h"

#include <openssl/asn1.h>

#include <limits.h>
#include <string.h>

bool der_next(struct der *in, int class, int tag, bool constructed, struct der *content)
{
	if (!in->left || in->left > LONG_MAX)
		return false;
	const uint8_t *at = in->at;
	int its_tag = -1, its_class = -1;
	long length = 0;
	int form = ASN1_get_object(&at, &length, &its_tag, &its_class, (long)in->left);
	/* 0x80: an error, too long for what is left among them. 1: the indefinite form, no DER. */
	if ((form & 0x80) || (form & 1) || its_tag != tag || its_class != class ||
	    !(form & V_ASN1_CONSTRUCTED) != !constructed)
		return false;
	*content = (struct der){at, (size_t)length};
	in->left -= (size_t)(at - in->at) + content->left;
	in->at = at + length;
	return true;
}

bool der_sequence(struct der *in, struct der *content)
{
	return der_next(in, V_ASN1_UNIVERSAL, V_ASN1_SEQUENCE, true, content);
}

bool der_set(struct der *in, struct der *content)
{
	return der_next(in, V_ASN1_UNIVERSAL, V_ASN1_SET, true, content);
}

bool der_tagged(struct der *in, int tag, bool constructed, struct der *content)
{
	return der_next(in, V_ASN1_CONTEXT_SPECIFIC, tag, constructed, content);
}

bool der_octets(struct der *in, struct der *content)
{
	return der_next(in, V_ASN1_UNIVERSAL, V_ASN1_OCTET_STRING, false, content);
}

bool der_object(struct der *in, int nid)
{
	struct der id;
	const ASN1_OBJECT *known = OBJ_nid2obj(nid);
	return der_next(in, V_ASN1_UNIVERSAL, V_ASN1_OBJECT, false, &id) &&
	       id.left == OBJ_length(known) && memcmp(id.at, OBJ_get0_data(known), id.left) == 0;
}

bool der_integer(struct der *in, uint8_t value)
{
	struct der number;
	return der_next(in, V_ASN1_UNIVERSAL, V_ASN1_INTEGER, false, &number) && number.left == 1 &&
	       *number.at == value;
}

struct der der_seen(const struct der *before, const struct der *in)
{
	return (struct der){before->at, (size_t)(in->at - before->at)};
}
