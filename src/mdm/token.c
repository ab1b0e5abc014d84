/*
 * Tokens. In XML the base64 is decoded from the message's own bytes straight into secure memory:
 * libplist never sees it, and would take any text for base64.
 *
 * MUST: a BootstrapToken's base64 is checked strictly. (test: token_data_strict)
 * MUST: the plaintext leaves in secure memory. (test: token_in_secret)
 * MUST: what libplist and the guard see of a BootstrapToken is the same. (test: token_seen_by_both)
 */
#include "mdm/token.h"

#include "base64.h"

#include <string.h>

/*
 * Six groups of four letters and digits, with '-' or blanks between: what FileVault shows its user,
 * and what people paste where a Bootstrap Token belongs.
 */
static bool is_recovery_key(const uint8_t *text, size_t len)
{
	int characters = 0;
	size_t i = lead(text, len);
	while (len > i && is_blank(text[len - 1]))
		len--;
	for (; i < len; i++) {
		uint8_t c = text[i], upper = c & 0xdf;
		bool gap = c == '-' || is_blank(c);
		if (gap && characters % 4 == 0)
			continue;
		/* The first of a group needs a gap before it. */
		if (gap || !((c >= '0' && c <= '9') || (upper >= 'A' && upper <= 'Z')) ||
		    (characters && characters % 4 == 0 && text[i - 1] != '-' &&
		     !is_blank(text[i - 1])))
			return false;
		characters++;
	}
	return characters == 24;
}

static enum error refuse_recovery_key(const uint8_t *text, size_t len)
{
	if (!is_recovery_key(text, len))
		return OK;
	return fail(ERR_INVALID,
		    "this is a FileVault Personal Recovery Key, not a Bootstrap Token: it belongs "
		    "where your MDM escrows recovery keys (FDERecoveryKeyEscrow), and one can't "
		    "stand in for the other");
}

static enum error check_token(const struct secret *token)
{
	if (token->len > TOKEN_BYTES_MAX)
		return fail(ERR_TOO_BIG, "the Bootstrap Token is over %d KiB",
			    TOKEN_BYTES_MAX / 1024);
	return refuse_recovery_key(token->data, token->len);
}

enum error mdm_check_token(const struct secret *token)
{
	if (!token->len)
		return fail(ERR_INVALID, "there is no token in it: it is empty");
	return check_token(token);
}

static enum error decode(const uint8_t *text, size_t len, struct secret *out)
{
	TRY(secret_new(BASE64_DECODED_MAX(len), out));
	return base64_decode(text, len, out->data, &out->len);
}

enum error mdm_read_base64(const uint8_t *text, size_t len, struct secret *token)
{
	*token = (struct secret){0};
	size_t before = lead(text, len);
	if (len > MDM_MESSAGE_MAX)
		return fail(ERR_TOO_BIG, "the message is over %d KiB", MDM_MESSAGE_MAX / 1024);
	if (before == len || mdm_blank(text + before, len - before))
		return fail(ERR_INVALID, "there is no token in what was written: to remove a token "
					 "use 'truncate -s 0'");
	text += before;
	len -= before;
	TRY(refuse_recovery_key(text, len));
	TRY(decode(text, len, token));
	return check_token(token);
}

static enum error read_xml_token(const struct guarded *xml, struct secret *out)
{
	enum error result = decode(xml->token, xml->token_len, out);
	if (result == ERR_INVALID)
		return fail(result, "BootstrapToken: %s", fail_why());
	return result;
}

enum error token_read(const struct property_list *list, struct secret *out)
{
	plist_t node;
	TRY(property_get(list->root, "BootstrapToken", PLIST_DATA, &node));
	if (!list->binary && list->xml.has_token != (node != NULL))
		return fail(ERR_INVALID, "BootstrapToken's key is not written plainly");
	if (!node)
		return OK;
	if (list->binary) {
		uint64_t len = 0;
		const char *bytes = plist_get_data_ptr(node, &len);
		if (len)
			TRY(secret_add(out, bytes, len));
	} else if (list->xml.token) {
		TRY(read_xml_token(&list->xml, out));
	}
	return check_token(out);
}
