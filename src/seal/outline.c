/* What shows of a seal without opening it: to whom it is made, and how long its content is. */
#include "seal/envelope.h"
#include "seal/inside.h"

#include <limits.h>
#include <string.h>

/* Both as CMS has them: issuer, then serial number, in DER. */
bool envelope_names(const struct envelope_recipient *part, const X509 *certificate)
{
	SCOPED(bytes_free) struct bytes identity = {0};
	unsigned char *issuer = NULL, *serial = NULL;
	int issuer_len = i2d_X509_NAME(X509_get_issuer_name(certificate), &issuer);
	int serial_len = i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate), &serial);
	bool same = issuer_len > 0 && serial_len > 0 &&
		    bytes_add(&identity, issuer, (size_t)issuer_len) == OK &&
		    bytes_add(&identity, serial, (size_t)serial_len) == OK &&
		    identity.len == part->identity.left &&
		    memcmp(identity.data, part->identity.at, identity.len) == 0;
	OPENSSL_free(issuer);
	OPENSSL_free(serial);
	return same;
}

static bool is_one_of(const struct envelope_recipient *part, const struct recipients *recipients)
{
	for (int i = 0; i < recipients_count(recipients); i++)
		if (envelope_names(part, sk_X509_value(recipients->certificates, i)))
			return true;
	return false;
}

enum error seal_outline(const struct recipients *recipients, const void *blob, size_t len,
			struct seal_outline *out)
{
	struct envelope envelope;
	struct envelope_recipient part;
	*out = (struct seal_outline){0};
	if (len > INT_MAX)
		return fail(ERR_BAD_SEAL, "no seal is as large as %zu bytes", len);
	TRY(envelope_read(blob, len, &envelope));
	out->content_len = envelope.ciphertext.left;
	for (struct der rest = envelope.recipients; rest.left;) {
		TRY(envelope_next(&rest, &part));
		out->ours = out->ours || is_one_of(&part, recipients);
	}
	openssl_forget();
	return OK;
}
