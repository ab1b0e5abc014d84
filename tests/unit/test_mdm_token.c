/* Tokens in and out: the MUST clauses of mdm.h and token.c. */
#include "mdm_fixture.h"

#include "mdm/mold.h"

#include <openssl/crypto.h>
#include <plist/plist.h>
#include <pthread.h>

static const uint8_t *u8(const char *text)
{
	return (const uint8_t *)text;
}

static enum error read_token(const char *text, struct message *out)
{
	return mdm_read_token(u8(text), strlen(text), out);
}

/* What is between <data> and </data> is base64, strictly, or it is refused. */
static void token_data_strict(void **state)
{
	(void)state;
	static const struct {
		const char *data, *token; /* NULL: refused */
	} rows[] = {
		{"QUJD", "ABC"},
		{"QUI=", "AB"},
		{"QQ==", "A"},
		{"\n\t\tQUJD\r\n\t\tREVG\n\t", "ABCDEF"},
		{"", ""},
		{" \n\t ", ""},
		{"QUJ", NULL},
		{"QUJD=", NULL},
		{"QUI==", NULL},
		{"QQ==QUJD", NULL},
		{"QR==", NULL},
		{"QU\nJD", NULL},
		{"QUJD-", NULL},
		{"QU*D", NULL},
		{"QUJ_", NULL},
		{"<!-- QUJD -->", NULL},
		{"<![CDATA[QUJD]]>", NULL},
		{"QUJD<!-- x -->", NULL},
		{"&#81;UJD", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[1024];
		snprintf(text, sizeof text, TOKEN("%s"), rows[i].data);
		for (int alone = 0; alone < 2; alone++) {
			struct message message;
			enum error result =
				alone ? read_token(text, &message) : read_text(text, &message);
			if (result != (rows[i].token ? OK : ERR_INVALID) ||
			    (rows[i].token &&
			     (message.token.len != strlen(rows[i].token) ||
			      (message.token.len &&
			       memcmp(message.token.data, rows[i].token, message.token.len) != 0))))
				ROW_FAILED("row %zu: %s\n", i, fail_why());
			message_free(&message);
		}
	}
}

/* In other kinds and other keys bad base64 is none of ours: real messages have it. */
static void other_data_not_looked_at(void **state)
{
	(void)state;
	assert_int_equal(verdict(TYPE("TokenUpdate", "<key>Token</key><data>AAAA=</data>"
						     "<key>PushMagic</key><data>?</data>")),
			 OK);
	struct message message;
	assert_int_equal(
		read_text(TYPE("SetBootstrapToken", "<key>Other</key><data>AAAA=</data>"
						    "<key>BootstrapToken</key><data>QUJD</data>"
						    "<key>Inner</key><dict>"
						    "<key>BootstrapToken</key><data>WFla</data>"
						    "</dict>"),
			  &message),
		OK);
	assert_int_equal(message.token.len, 3);
	assert_memory_equal(message.token.data, "ABC", 3);
	message_free(&message);
}

static void token_seen_by_both(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"<key>Bootstrap&#84;oken</key><data>QUJD</data>",
		"<key>Bootstrap<!-- -->Token</key><data>QUJD</data>",
		"<key><![CDATA[BootstrapToken]]></key><data>QUJD</data>",
		"<key>BootstrapToken</key><data>QUJD</data>"
		"<key>BootstrapToken</key><data>QUJD</data>",
		"<key>BootstrapToken</key><data>QUJD</data>"
		"<key>Bootstrap&#84;oken</key><data>WFla</data>",
		"<key>BootstrapToken</key><string>QUJD</string>",
		"<key>BootstrapToken</key><array/>",
		"<key>BootstrapToken</key><true/>",
		"<key>BootstrapToken</key><dict/>",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[1024];
		snprintf(text, sizeof text, TYPE("SetBootstrapToken", "%s"), bad[i]);
		if (verdict(text) != ERR_INVALID)
			ROW_FAILED("%s was taken\n", bad[i]);
	}
}

static void token_absent_or_empty(void **state)
{
	(void)state;
	static const char *const removes[] = {
		TYPE("SetBootstrapToken", ""),
		TOKEN(""),
		TYPE("SetBootstrapToken", KEY("BootstrapToken") "<data/>"),
		TYPE("SetBootstrapToken", KEY("AwaitingConfiguration") "<true/>"),
	};
	for (size_t i = 0; i < sizeof removes / sizeof *removes; i++) {
		struct message message;
		assert_int_equal(read_text(removes[i], &message), OK);
		assert_int_equal(message.kind, MESSAGE_SET_BOOTSTRAP_TOKEN);
		assert_int_equal(message.token.len, 0);
		message_free(&message);
	}
}

static void token_in_binary(void **state)
{
	(void)state;
	static const struct {
		unsigned type;
		const char *contents;
		size_t len;
		enum error result;
	} rows[] = {
		{0x4, "\0tok\xff", 5, OK},
		{0x4, "", 0, OK},
		{0x5, "QUJD", 4, ERR_INVALID},
		{0x4, "ABCD-EFGH-IJKL-MNOP-QRST-UVWX", 29, ERR_INVALID},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct binary *b = binary_new();
		unsigned items[] = {string(b, "MessageType"),
				    string(b, "UDID"),
				    string(b, "BootstrapToken"),
				    string(b, "SetBootstrapToken"),
				    string(b, UDID),
				    object(b, rows[i].type, rows[i].contents, rows[i].len)};
		const struct bytes *text = finish(b, dict(b, items, 3));
		struct message message;
		enum error result = mdm_read_token(text->data, text->len, &message);
		if (result != rows[i].result)
			ROW_FAILED("row %zu: %s\n", i, fail_why());
		if (!result) {
			assert_int_equal(message.token.len, rows[i].len);
			if (rows[i].len)
				assert_memory_equal(message.token.data, rows[i].contents,
						    rows[i].len);
		}
		message_free(&message);
		binary_free(b);
	}
}

/* Secure heap only, wiped by its owner. */
static void token_in_secret(void **state)
{
	(void)state;
	assert_true(CRYPTO_secure_malloc_initialized());
	struct message message;
	assert_int_equal(read_text(TOKEN("QUJD"), &message), OK);
	assert_true(CRYPTO_secure_allocated(message.token.data));
	struct secret outs[4] = {0};
	assert_int_equal(mdm_write_reply(&message.token, &outs[0]), OK);
	assert_int_equal(mdm_write_token(UDID, &message.token, &outs[1]), OK);
	assert_int_equal(mdm_write_base64(&message.token, &outs[2]), OK);
	assert_int_equal(mdm_write_content(UDID, &message.token, &outs[3]), OK);
	for (int i = 0; i < 4; i++) {
		assert_true(CRYPTO_secure_allocated(outs[i].data));
		secret_free(&outs[i]);
	}
	message_free(&message);
	assert_null(message.token.data);
	message_free(&message);
}

static void base64_text(void **state)
{
	(void)state;
	static const struct {
		const char *text, *token;
	} rows[] = {
		{"QUJD", "ABC"},
		{"QUJD\n", "ABC"},
		{"\xef\xbb\xbfQUJD\r\n", "ABC"},
		{"\nQUJD\nREVG\n", "ABCDEF"},
		{"QUJ", NULL},
		{"QUJD=", NULL},
		{"hello!", NULL},
		{"QUJD QUJ", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct secret token;
		enum error result = mdm_read_base64(u8(rows[i].text), strlen(rows[i].text), &token);
		if (result != (rows[i].token ? OK : ERR_INVALID) ||
		    (rows[i].token && (token.len != strlen(rows[i].token) ||
				       memcmp(token.data, rows[i].token, token.len) != 0)))
			ROW_FAILED("row %zu: %s\n", i, fail_why());
		secret_free(&token);
	}
	static uint8_t spaces[10000];
	memset(spaces, ' ', sizeof spaces);
	size_t lengths[] = {0, 1, 100, sizeof spaces};
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct secret token;
		assert_int_equal(mdm_read_base64(spaces, lengths[i], &token), ERR_INVALID);
		assert_true(why_has("truncate -s 0"));
		secret_free(&token);
	}
}

/* 64 KiB of base64 is the largest token; more can't be read and written back. */
static void token_size(void **state)
{
	(void)state;
	static char text[80000];
	for (size_t len = 65532; len <= 65540; len += 4) {
		struct secret token;
		memset(text, 'A', len);
		enum error result = mdm_read_base64((uint8_t *)text, len, &token);
		assert_int_equal(result, len <= 65536 ? OK : ERR_TOO_BIG);
		secret_free(&token);
		snprintf(text, sizeof text, "%s%0*d%s",
			 "<plist><dict>" TEXT("MessageType", "SetBootstrapToken") TEXT("UDID", UDID)
				 KEY("BootstrapToken") "<data>",
			 (int)len, 0, "</data></dict></plist>");
		assert_int_equal(verdict(text), len <= 65536 ? OK : ERR_TOO_BIG);
	}
}

/* By name, whatever the way it comes in; and its characters are in no sentence. */
static void recovery_key_refused(void **state)
{
	(void)state;
	static const char *const keys[] = {
		"ABCD-EFGH-IJKL-MNOP-QRST-UVWX",    "abcd-efgh-ijkl-mnop-qrst-uvw2\n",
		"ABCD EFGH IJKL MNOP QRST 3456",    " \tABCD-EFGH-IJKL-MNOP-QRST-UVWX\r\n",
		"ABCD - EFGH-IJKL-MNOP\nQRST-UVWX",
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct secret token;
		assert_int_equal(mdm_read_base64(u8(keys[i]), strlen(keys[i]), &token),
				 ERR_INVALID);
		if (!why_has("FileVault Personal Recovery Key") || !why_has("Bootstrap Token") ||
		    strcasestr(fail_why(), "efgh"))
			ROW_FAILED("row %zu: %s\n", i, fail_why());
		secret_free(&token);
	}
	/* As the bytes of the token: ABCD-EFGH-IJKL-MNOP-QRST-UVWX in base64. */
	static const char encoded[] = "QUJDRC1FRkdILUlKS0wtTU5PUC1RUlNULVVWV1g=";
	struct secret token;
	assert_int_equal(mdm_read_base64(u8(encoded), strlen(encoded), &token), ERR_INVALID);
	assert_true(why_has("Recovery Key"));
	secret_free(&token);
	assert_int_equal(verdict(TOKEN("QUJDRC1FRkdILUlKS0wtTU5PUC1RUlNULVVWV1g=")), ERR_INVALID);
	assert_true(why_has("Recovery Key"));
	/* Close, but none. */
	static const char *const tokens[] = {"ABCDEFGHIJKLMNOPQRSTUVWX", "ABCD EFGH IJKL MNOP QRST",
					     "ABCD EFGH IJKL MNOP QRST UVWX YZ01",
					     "ABC+ EFGH IJKL MNOP QRST UVWX"};
	for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
		if (mdm_read_base64(u8(tokens[i]), strlen(tokens[i]), &token))
			ROW_FAILED("%s: %s\n", tokens[i], fail_why());
		secret_free(&token);
	}
}

/* `token` takes a SetBootstrapToken of the device channel and nothing else. */
static void token_takes_one_kind(void **state)
{
	(void)state;
	static const char *const bad[] = {
		TYPE("GetBootstrapToken", ""),
		TYPE("Authenticate", KEY("BootstrapToken") "<data>QUJD</data>"),
		TYPE("Unheard", ""),
		DICT(KEY("BootstrapToken") "<data>QUJD</data>"),
		TYPE("SetBootstrapToken", TEXT("UserID", "501") KEY("BootstrapToken") "<data/>"),
		TYPE("SetBootstrapToken", KEY("UserID") "<true/>"),
		"{}",
		"QUJD",
		"Host: x\n\n" TOKEN("QUJD"),
		"",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct message message;
		if (read_token(bad[i], &message) != ERR_INVALID)
			ROW_FAILED("%s was taken\n", bad[i]);
		message_free(&message);
	}
	struct message message;
	assert_int_equal(read_token(TOKEN("QUJD"), &message), OK);
	assert_string_equal(message.id, UDID);
	message_free(&message);
	assert_int_equal(read_token(DICT(TEXT("MessageType", "SetBootstrapToken")
						 KEY("BootstrapToken") "<data>QUJD</data>"),
				    &message),
			 OK);
	assert_string_equal(message.id, "");
	assert_int_equal(message.token.len, 3);
	message_free(&message);
}

/* ---- writing ---- */

typedef enum error write_token(const char *udid, const struct secret *token, struct secret *out);

/* A token of so many bytes, and the message that has it. */
static void write_sized(write_token *write, size_t size, struct secret *token, struct secret *text)
{
	assert_int_equal(secret_new(size, token), OK);
	for (size_t k = 0; k < size; k++)
		token->data[token->len++] = (uint8_t)(k * 31 + size);
	assert_int_equal(write(UDID, token, text), OK);
}

/* The same content by libplist alone. */
static enum error write_by_libplist(const char *udid, const struct secret *token,
				    struct secret *out)
{
	char *text = NULL;
	uint32_t len = 0;
	plist_t root = plist_new_dict();
	plist_dict_set_item(root, "BootstrapToken",
			    plist_new_data((const char *)token->data, token->len));
	plist_dict_set_item(root, "MessageType", plist_new_string("SetBootstrapToken"));
	plist_dict_set_item(root, "UDID", plist_new_string(udid));
	plist_to_bin(root, &text, &len);
	plist_free(root);
	enum error result = secret_new(len, out);
	if (!result)
		result = secret_add(out, text, len);
	plist_to_bin_free(text);
	return result;
}

static void written_is_read(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 2, 3, 57, 300, 4000, 48 * 1024};
	static write_token *const writes[] = {mdm_write_token, mdm_write_content};
	for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
		SCOPED(secret_free) struct secret token = {0}, text = {0}, line = {0}, back = {0};
		SCOPED(message_free) struct message message = {0};
		write_sized(writes[i % 2], sizes[i / 2], &token, &text);
		assert_int_equal(mdm_read_token(text.data, text.len, &message), OK);
		assert_string_equal(message.id, UDID);
		assert_true(secret_equal(&message.token, &token));

		assert_int_equal(mdm_write_base64(&token, &line), OK);
		assert_int_equal(line.data[line.len - 1], '\n');
		assert_null(memchr(line.data, '\n', line.len - 1));
		assert_int_equal(mdm_read_base64(line.data, line.len, &back), OK);
		assert_true(secret_equal(&back, &token));
	}
}

/* XML to devices and other servers; a binary property list into a seal. */
static void xml_goes_out_binary_is_sealed(void **state)
{
	(void)state;
	SCOPED(secret_free) struct secret token = {0}, content = {0}, again = {0}, text = {0};
	write_sized(mdm_write_content, 192, &token, &content);
	assert_memory_equal(content.data, "bplist00", 8);
	assert_int_equal(mdm_write_token(UDID, &token, &text), OK);
	assert_memory_equal(text.data, "<?xml", 5);
	assert_true(content.len < text.len);
	assert_int_equal(mdm_write_content(UDID, &token, &again), OK);
	assert_true(secret_equal(&content, &again));
}

/* A device may be called as anything in its message is: libplist writes what is the same once. */
static void content_of_any_name(void **state)
{
	(void)state;
	static const char longest[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	static const char *const names[] = {"SetBootstrapToken", "UDID", "BootstrapToken", "A",
					    longest};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		SCOPED(secret_free) struct secret token = {0}, content = {0};
		SCOPED(message_free) struct message message = {0};
		uint32_t size;
		assert_int_equal(secret_new(3, &token), OK);
		assert_int_equal(secret_add(&token, names[i], 1), OK);
		assert_int_equal(mdm_write_content(names[i], &token, &content), OK);
		assert_int_equal(mdm_read_token(content.data, content.len, &message), OK);
		assert_string_equal(message.id, names[i]);
		assert_true(secret_equal(&message.token, &token));
		assert_int_equal(mdm_token_size(names[i], content.len, &size), OK);
		assert_int_equal(size, 1);
	}
}

/* Byte for byte as libplist writes it, whatever a mold of that length had in it. */
static void cast_as_written(void **state)
{
	(void)state;
	static const char *const names[] = {
		UDID,
		"00000000000000000a",
		"xxxxxxxxxxxxxxxxxxxx",
		"0123456789012345678901234567890123456789012345678901234567890123",
		"SetBootstrapToken",
		"UDID",
		"A"};
	static const size_t sizes[] = {1,   31,	 32,  33,   165,  165, 192,
				       192, 300, 421, 1024, 1025, 4000};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
			SCOPED(secret_free) struct secret token = {0}, content = {0}, written = {0};
			assert_int_equal(secret_new(sizes[j], &token), OK);
			token.len = sizes[j];
			/* Also of bytes that stand for others in a mold. */
			memset(token.data, j % 2 ? 0xa5 : (int)(i + 'x'), token.len);
			assert_int_equal(mdm_write_content(names[i], &token, &content), OK);
			assert_int_equal(write_by_libplist(names[i], &token, &written), OK);
			assert_true(secret_equal(&content, &written));
		}
	}
}

/* Reads it both ways: with the same outcome? */
static bool read_alike(const char *udid, const struct secret *content)
{
	SCOPED(message_free) struct message here = {0}, there = {0};
	enum error read = mdm_read_token(content->data, content->len, &there);
	return mdm_read_content(udid, content->data, content->len, &here) == read &&
	       (read || (here.kind == there.kind && strcmp(here.id, there.id) == 0 &&
			 secret_equal(&here.token, &there.token)));
}

/* Whole, for another device, with each of its bits another, cut, and with more behind it. */
static bool all_read_alike(struct secret *content)
{
	bool alike = read_alike(UDID, content) && read_alike(UDID, content) &&
		     read_alike("9353bc9a-5cf9-4c9e-9ad4-8d1e41d5fe3e", content) &&
		     read_alike("A", content);
	for (size_t bit = 0; bit < 8 * content->len; bit++) {
		content->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		alike = alike && read_alike(UDID, content);
		content->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	alike = alike && secret_add(content, "", 1) == OK && read_alike(UDID, content);
	content->len -= 2;
	alike = alike && read_alike(UDID, content);
	content->len++;
	return alike;
}

/* Is it read by a mold, once two of its lengths were read? */
static bool is_learnt(const struct secret *content)
{
	const uint8_t *token;
	size_t len;
	bool before = mold_fits(UDID, content->data, content->len, &token, &len);
	bool read = read_alike(UDID, content) && read_alike(UDID, content);
	return !before && read && mold_fits(UDID, content->data, content->len, &token, &len);
}

struct reading {
	struct secret *content;
	bool alike, learnt;
};

/* Not in the test's own thread: cmocka's assertions are for that one. */
static void *reads_in_a_new_thread(void *context)
{
	struct reading *reading = context;
	reading->learnt = is_learnt(reading->content);
	reading->alike = all_read_alike(reading->content);
	return NULL;
}

/* In a thread that has no mold yet and makes one of what it reads; and with what was written before. */
static void fits_as_read(void **state)
{
	static const size_t sizes[] = {165, 192, 192, 31, 300, 192, 1025, 1024};
	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		SCOPED(secret_free) struct secret token = {0}, content = {0}, cast = {0};
		struct reading reading = {.content = &content};
		pthread_t thread;
		write_sized(write_by_libplist, sizes[i], &token, &content);
		assert_int_equal(pthread_create(&thread, NULL, reads_in_a_new_thread, &reading), 0);
		pthread_join(thread, NULL);
		assert_true(reading.alike);
		assert_int_equal(reading.learnt, sizes[i] >= 32 && sizes[i] <= 1024);
		assert_true(all_read_alike(&content));
		assert_int_equal(mdm_write_content(UDID, &token, &cast), OK);
		assert_true(all_read_alike(&cast));
	}
}

/* A mold was made for a token's length before that token came; another's bytes aren't left in it. */
static void mold_has_no_token(void **state)
{
	(void)state;
	SCOPED(secret_free) struct secret first = {0}, second = {0}, a = {0}, b = {0};
	write_sized(mdm_write_content, 200, &first, &a);
	assert_int_equal(secret_new(200, &second), OK);
	second.len = 200;
	memset(second.data, 0, second.len);
	assert_int_equal(mdm_write_content(UDID, &second, &b), OK);
	assert_null(memmem(b.data, b.len, first.data, 8));
	assert_non_null(memmem(b.data, b.len, second.data, second.len));
}

/* From the length of XML alone: never less than the token has, and at most two more. */
static void size_of_a_length(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 2, 3, 57, 300, 301, 4000, 48 * 1024};
	uint32_t size;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		SCOPED(secret_free) struct secret token = {0}, text = {0};
		write_sized(mdm_write_token, sizes[i], &token, &text);
		assert_int_equal(mdm_token_size(UDID, text.len, &size), OK);
		assert_in_range(size, sizes[i], sizes[i] + 2);
	}
	assert_int_equal(mdm_token_size(UDID, 17, &size), OK);
	assert_int_equal(size, 0);
	assert_int_equal(mdm_token_size(UDID, 1 << 20, &size), OK);
	assert_int_equal(size, 0);
}

/* From that of a binary one: what the token has, unless an XML one may be as long; then less. */
static void size_of_a_binary_length(void **state)
{
	(void)state;
	int taken_for_xml = 0;
	for (size_t i = 1; i <= 600; i++) {
		SCOPED(secret_free) struct secret token = {0}, content = {0};
		uint32_t size;
		write_sized(mdm_write_content, i, &token, &content);
		assert_int_equal(mdm_token_size(UDID, content.len, &size), OK);
		assert_in_range(size, 1, i);
		taken_for_xml += size != i;
		/* With a token of this size a binary one is as short as no XML is. */
		assert_true(size == i || i > 200);
	}
	assert_in_range(taken_for_xml, 1, 100);
}

static void replies(void **state)
{
	(void)state;
	SCOPED(secret_free) struct secret token = {0}, with = {0}, without = {0};
	assert_int_equal(secret_new(3, &token), OK);
	assert_int_equal(secret_add(&token, "ABC", 3), OK);
	assert_int_equal(mdm_write_reply(&token, &with), OK);
	assert_int_equal(mdm_write_reply(NULL, &without), OK);
	assert_non_null(memmem(with.data, with.len, "<key>BootstrapToken</key>", 25));
	assert_non_null(memmem(with.data, with.len, "QUJD", 4));
	assert_null(memmem(without.data, without.len, "BootstrapToken", 14));
	/* Both are whole property lists, and end where they end. */
	for (int i = 0; i < 2; i++) {
		struct secret *reply = i ? &with : &without;
		struct message message;
		assert_int_equal(mdm_read(reply->data, reply->len, NOW, &message), OK);
		message_free(&message);
		assert_int_equal(reply->data[reply->len - 1], '\n');
	}
}

int main(void)
{
	CRYPTO_secure_malloc_init(1 << 22, 32);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(token_data_strict),
		cmocka_unit_test(other_data_not_looked_at),
		cmocka_unit_test(token_seen_by_both),
		cmocka_unit_test(token_absent_or_empty),
		cmocka_unit_test(token_in_binary),
		cmocka_unit_test(token_in_secret),
		cmocka_unit_test(base64_text),
		cmocka_unit_test(token_size),
		cmocka_unit_test(recovery_key_refused),
		cmocka_unit_test(token_takes_one_kind),
		cmocka_unit_test(written_is_read),
		cmocka_unit_test(replies),
		cmocka_unit_test(size_of_a_length),
		cmocka_unit_test(size_of_a_binary_length),
		cmocka_unit_test(content_of_any_name),
		cmocka_unit_test(cast_as_written),
		cmocka_unit_test(fits_as_read),
		cmocka_unit_test(mold_has_no_token),
		cmocka_unit_test(xml_goes_out_binary_is_sealed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
