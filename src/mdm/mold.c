/*
 * MUST: there is nothing of a token in a mold. (test: mold_has_no_token)
 * MUST: what is cast is what libplist writes. (test: cast_as_written)
 * MUST: what fits is what libplist reads, and nothing else fits. (test: fits_as_read)
 */
#include "mdm/mold.h"

#include <string.h>

/* Longer than any word of the message: libplist writes what is there twice once. */
#define UDID_LEAST (sizeof "SetBootstrapToken")
/* As many bytes as a message has nowhere else in a row; and no more than tokens of today have, fourfold. */
#define TOKEN_LEAST 32
#define TOKEN_MOST 1024
#define AROUND 256 /* the rest of a message, with room to spare */

/* What stands in for them: of a token the first that isn't what stands before it, the end of its length. */
#define NO_UDID 'x'
static const uint8_t no_token[] = {0xa5, 0x5a};

struct mold {
	size_t udid_len, token_len; /* 0: there is none yet */
	size_t udid_at, token_at;
	size_t len; /* 0: of these lengths there is none */
	uint8_t bytes[TOKEN_MOST + UDID_MAX + AROUND];
};

static _Thread_local struct mold mold;

static bool is_of(const char *udid, size_t udid_len, size_t token_len)
{
	return udid_len >= UDID_LEAST && token_len >= TOKEN_LEAST && token_len <= TOKEN_MOST &&
	       udid_valid(udid, udid_len);
}

/* Where n bytes of `byte` are, which are there once; SIZE_MAX: they aren't. */
static size_t find(const struct secret *text, int byte, size_t n)
{
	size_t run = 0, at = SIZE_MAX;
	for (size_t i = 0; i < text->len; i++) {
		run = text->data[i] == byte ? run + 1 : 0;
		if (run > n || (run == n && at != SIZE_MAX))
			return SIZE_MAX;
		if (run == n)
			at = i + 1 - n;
	}
	return at;
}

static enum error make_with(mold_write *write, size_t udid_len, size_t token_len, uint8_t filler)
{
	SCOPED(secret_free) struct secret token = {0}, text = {0};
	char udid[UDID_MAX + 1] = {0};
	memset(udid, NO_UDID, udid_len);
	mold.token_len = mold.len = 0;
	TRY(secret_new(token_len, &token));
	memset(token.data, filler, token_len);
	token.len = token_len;
	TRY(write(udid, &token, &text));
	mold.udid_len = udid_len;
	mold.token_len = token_len;
	mold.udid_at = find(&text, NO_UDID, udid_len);
	mold.token_at = find(&text, filler, token_len);
	if (mold.udid_at == SIZE_MAX || mold.token_at == SIZE_MAX || text.len > sizeof mold.bytes)
		return OK;
	mold.len = text.len;
	memcpy(mold.bytes, text.data, text.len);
	return OK;
}

static enum error make(mold_write *write, size_t udid_len, size_t token_len)
{
	enum error result = OK;
	mold.len = 0;
	for (size_t i = 0; i < sizeof no_token && !result && !mold.len; i++)
		result = make_with(write, udid_len, token_len, no_token[i]);
	return result;
}

enum error mold_cast(mold_write *write, const char *udid, const struct secret *token,
		     struct secret *out)
{
	size_t udid_len = strlen(udid);
	if (!is_of(udid, udid_len, token->len))
		return write(udid, token, out);
	/* It takes more memory than to write once does: where there is none, that may still go. */
	if (mold.udid_len != udid_len || mold.token_len != token->len)
		(void)make(write, udid_len, token->len);
	if (!mold.len)
		return write(udid, token, out);
	*out = (struct secret){0};
	TRY(secret_new(mold.len, out));
	TRY(secret_add(out, mold.bytes, mold.len));
	memcpy(out->data + mold.udid_at, udid, udid_len);
	memcpy(out->data + mold.token_at, token->data, token->len);
	return OK;
}

/* Is the text from one place to another as it is in the mold? What is compared is no secret: never a token. */
static bool is_alike(const uint8_t *text, size_t from, size_t to)
{
	return memcmp(text + from, mold.bytes + from, to - from) == 0;
}

bool mold_fits(const char *udid, const uint8_t *text, size_t len, const uint8_t **token,
	       size_t *token_len)
{
	if (!mold.len || mold.len != len || mold.udid_len != strlen(udid))
		return false;
	size_t first = mold.udid_at, first_end = first + mold.udid_len;
	size_t second = mold.token_at, second_end = second + mold.token_len;
	if (first > second) {
		first = mold.token_at, first_end = first + mold.token_len;
		second = mold.udid_at, second_end = second + mold.udid_len;
	}
	*token = text + mold.token_at;
	*token_len = mold.token_len;
	return memcmp(text + mold.udid_at, udid, mold.udid_len) == 0 && is_alike(text, 0, first) &&
	       is_alike(text, first_end, second) && is_alike(text, second_end, len);
}

void mold_learn(mold_write *write, const char *udid, size_t token_len)
{
	static _Thread_local size_t last_udid, last_token;
	size_t udid_len = strlen(udid);
	bool again = last_udid == udid_len && last_token == token_len;
	bool had = mold.udid_len == udid_len && mold.token_len == token_len;
	last_udid = udid_len;
	last_token = token_len;
	if (again && !had && is_of(udid, udid_len, token_len))
		(void)make(write, udid_len, token_len);
}
