/* Telling forms apart, finding the end of a message that comes in pieces, header lines, streams. */
#include "mdm_fixture.h"

static const uint8_t *u8(const char *text)
{
	return (const uint8_t *)text;
}

static enum mdm_form form(const char *text)
{
	return mdm_form(u8(text), strlen(text));
}

static void forms(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum mdm_form form;
	} rows[] = {
		{"", FORM_UNKNOWN},
		{" \r\n\t", FORM_UNKNOWN},
		{"<", FORM_XML},
		{"\xef\xbb\xbf<?xml", FORM_XML},
		{"\n <plist>", FORM_XML},
		{"\xef", FORM_UNKNOWN},
		{"\xef\xbb", FORM_UNKNOWN},
		{"\xef\xbb\xbf", FORM_UNKNOWN},
		{"\xef\xbb\xbf\n{", FORM_JSON},
		{"{", FORM_JSON},
		{"b", FORM_UNKNOWN},
		{"bplis", FORM_UNKNOWN},
		{"bplist", FORM_BINARY},
		{"bplist00", FORM_BINARY},
		{"bplAAAA=", FORM_BASE64},
		{"-", FORM_UNKNOWN},
		{"----", FORM_UNKNOWN},
		{"-----", FORM_PEM},
		{"-----BEGIN CMS-----", FORM_PEM},
		{"---x", FORM_BASE64},
		{"QUJD", FORM_BASE64},
		{"\xff\xfe<", FORM_BASE64},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (form(rows[i].text) != rows[i].form)
			ROW_FAILED("row %zu: \"%s\"\n", i, rows[i].text);
}

static void blank(void **state)
{
	(void)state;
	assert_true(mdm_blank(u8(""), 0));
	assert_true(mdm_blank(u8(" \t\r\n"), 4));
	assert_false(mdm_blank(u8(" x"), 2));
	assert_false(mdm_blank(u8("\0"), 1));
}

/* Where it ends when it comes in pieces of `step`; it must not end before. */
static size_t end_in_pieces(enum mdm_form how, const char *text, size_t len, size_t step)
{
	size_t looked = 0;
	for (size_t have = step; looked < len; have += step) {
		size_t here = have < len ? have : len;
		size_t end = mdm_message_end(how, u8(text), here, looked);
		if (end)
			return end;
		looked = here;
	}
	return 0;
}

static void ends(void **state)
{
	(void)state;
	static const struct {
		enum mdm_form form;
		const char *message, *rest;
	} rows[] = {
		{FORM_XML, "<plist><dict/></plist>", "\nmore"},
		{FORM_XML, "<plist><dict/></plist \r\n>", " "},
		{FORM_XML, "<!-- </plist> --><plist><dict/></plist>", "</plist>"},
		{FORM_XML, "<plist><string><![CDATA[</plist>]]></string></plist>", ""},
		{FORM_XML, "<?x </plist> ?><plist></plist>", "<plist></plist>"},
		{FORM_XML, "<plist><string>></string></plist>", "<!-- </plist> -->"},
		{FORM_PEM, "-----BEGIN CMS-----\nAAAA\n-----END CMS-----", "\n"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[256];
		size_t len = strlen(rows[i].message);
		snprintf(text, sizeof text, "%s%s", rows[i].message, rows[i].rest);
		for (size_t step = 1; step <= strlen(text); step++)
			if (end_in_pieces(rows[i].form, text, strlen(text), step) != len)
				ROW_FAILED("row %zu in steps of %zu\n", i, step);
	}
	static const char *const cut[] = {"<plist><dict/></plist", "<plist><dict/>",
					  "<plist><!-- </plist>", "<plist><![CDATA[</plist>]]",
					  "<plistx></plistx>"};
	for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
		if (mdm_message_end(FORM_XML, u8(cut[i]), strlen(cut[i]), 0))
			ROW_FAILED("%s\n", cut[i]);
	assert_int_equal(mdm_message_end(FORM_PEM, u8("-----END CMS----"), 16, 0), 0);
	assert_int_equal(mdm_message_end(FORM_BASE64, u8("QUJD\n"), 5, 0), 0);
	assert_int_equal(mdm_message_end(FORM_UNKNOWN, u8(" "), 1, 0), 0);
}

static void binary_ends_at_its_trailer(void **state)
{
	(void)state;
	struct binary *b = binary_new();
	unsigned key = string(b, "UDID"), value = string(b, UDID);
	const struct bytes *text = finish(b, dict(b, (unsigned[]){key, value}, 1));
	for (size_t len = 0; len < text->len; len++)
		assert_int_equal(mdm_message_end(FORM_BINARY, text->data, len, 0), 0);
	assert_int_equal(mdm_message_end(FORM_BINARY, text->data, text->len, 0), text->len);
	SCOPED(bytes_free) struct bytes more = {0};
	assert_int_equal(bytes_add(&more, "\n", 1), OK);
	assert_int_equal(bytes_add(&more, text->data, text->len), OK);
	assert_int_equal(bytes_add(&more, "\r\n", 2), OK);
	assert_int_equal(mdm_message_end(FORM_BINARY, more.data, more.len, 0), text->len + 1);
	binary_free(b);
}

/*
 * A megabyte, a byte at a time: what was looked at isn't looked at again, or each of these would
 * take minutes. A message full of </plist> in a comment ends at one, and is refused for it.
 */
static void pieces_are_cheap(void **state)
{
	(void)state;
	static const struct {
		const char *fill, *end;
		bool whole;
	} rows[] = {
		{"<key>>", "</plist>", true},
		{"> ", "</plist>", true},
		{"      ", "</plist>", true},
		{"</plist", "></plist>", true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		SCOPED(bytes_free) struct bytes text = {0};
		while (text.len < MDM_MESSAGE_MAX - 64)
			assert_int_equal(bytes_add(&text, rows[i].fill, strlen(rows[i].fill)), OK);
		assert_int_equal(bytes_add(&text, rows[i].end, strlen(rows[i].end)), OK);
		size_t end = end_in_pieces(FORM_XML, (char *)text.data, text.len, 1);
		if (!end || end > text.len)
			ROW_FAILED("row %zu\n", i);
	}
	SCOPED(bytes_free) struct bytes text = {0};
	assert_int_equal(bytes_add(&text, "<plist><!-- ", 12), OK);
	while (text.len < MDM_MESSAGE_MAX)
		assert_int_equal(bytes_add(&text, "</plist>", 8), OK);
	size_t end = end_in_pieces(FORM_XML, (char *)text.data, text.len, 1);
	assert_true(end > 0 && end < 1024);
	struct message message;
	assert_int_equal(mdm_read(text.data, end, NOW, &message), ERR_INVALID);
}

/* ---- header lines ---- */

#define NOT_YET SIZE_MAX

static void header_lines(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t end;
	} rows[] = {
		{"", NOT_YET},
		{"<plist>", 0},
		{"{\"a\": 1}", 0},
		{"bplist00", 0},
		{"bplist00x: y\n\n", 0},
		{"bpl", NOT_YET},
		{"Iden", NOT_YET},
		{"Identity:", NOT_YET},
		{"Identity: x\n", NOT_YET},
		{"Identity: x\r\n\r", NOT_YET},
		{"Identity: x\r\n\r\n<plist>", 15},
		{"Identity: x\n\n<plist>", 13},
		{"A: 1\nB:\nC:: : x\n\n", 17},
		{"\n A: 1\n\n<", 8},
		{"\xef\xbb\xbf"
		 "A: 1\n\n<",
		 9},
		{" \xef", NOT_YET},
		{"\xef\xbb", NOT_YET},
		{"\xef\xbf", 0},
		{"QUJDREVG", NOT_YET},
		{"QUJD\n", 0},
		{"QUJD REVG:", 0},
		{"Some words: here\n\n", 0},
		{"A: 1\nno header\n\n", 0},
		{"A: 1\n B: folded\n\n", 0},
		{"1: x\n\n", 0},
		{": x\n\n", 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t end = mdm_headers_end(u8(rows[i].text), strlen(rows[i].text));
		if (end != rows[i].end)
			ROW_FAILED("row %zu: %zu\n", i, end);
	}
}

/* Text that only looks like header lines isn't gathered for ever. */
static void header_lines_are_bounded(void **state)
{
	(void)state;
	static char text[20000];
	memset(text, 'A', sizeof text);
	assert_int_equal(mdm_headers_end(u8(text), 10), NOT_YET);
	assert_int_equal(mdm_headers_end(u8(text), 100), 0);
	text[10] = ':';
	assert_int_equal(mdm_headers_end(u8(text), 10000), NOT_YET);
	assert_int_equal(mdm_headers_end(u8(text), sizeof text), 0);
	for (size_t i = 0; i + 4 <= sizeof text; i += 4)
		memcpy(text + i, "A:b\n", 4);
	assert_int_equal(mdm_headers_end(u8(text), sizeof text), 0);
	/* What is said of a part holds for the whole, at the limit too. */
	memcpy(text + 16384, "\r\n", 2);
	assert_int_equal(mdm_headers_end(u8(text), 16385), 0);
	assert_int_equal(mdm_headers_end(u8(text), sizeof text), 0);
	memcpy(text + 16380, "b:\n\n", 4);
	assert_int_equal(mdm_headers_end(u8(text), 16383), NOT_YET);
	assert_int_equal(mdm_headers_end(u8(text), sizeof text), 16384);
}

#define HEX "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"
#define LOWER "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define COLONS                                                                                     \
	"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"                                         \
	"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"

static void identity(void **state)
{
	(void)state;
	static const struct {
		const char *headers, *identity; /* NULL: refused */
	} rows[] = {
		{"", ""},
		{"Host: mdm.example\r\n\r\n", ""},
		{"Identity: " HEX "\r\n\r\n", LOWER},
		{"identity:" HEX "\n\n", LOWER},
		{"Host: x\nIDENTITY: \t" COLONS " \nX: y\n\n", LOWER},
		{"Identity: \n\n", NULL},
		{"Identity: 0" HEX "\n\n", NULL},
		{"Identity: " HEX "0\n\n", NULL},
		{"Identity: g" HEX "\n\n", NULL},
		{"Identity: 0011\n\n", NULL},
		{"Identity: sha256=" HEX "\n\n", NULL},
		{"Identity: " HEX "\nIdentity: " HEX "\n\n", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[1024];
		struct message message;
		snprintf(text, sizeof text, "%s%s", rows[i].headers, TYPE("CheckOut", ""));
		enum error result = read_text(text, &message);
		if (result != (rows[i].identity ? OK : ERR_INVALID) ||
		    (rows[i].identity && strcmp(message.identity, rows[i].identity) != 0))
			ROW_FAILED("row %zu: %s\n", i, fail_why());
		message_free(&message);
	}
	assert_int_equal(verdict("Identity: " HEX "\n"), ERR_INVALID);
	assert_int_equal(verdict("Identity: " HEX "\n\n"), ERR_INVALID);
}

/* ---- streams ---- */

static void stream(void **state)
{
	(void)state;
	struct binary *b = binary_new();
	unsigned key = string(b, "UDID"), value = string(b, UDID);
	const struct bytes *binary = finish(b, dict(b, (unsigned[]){key, value}, 1));
	static const char xml[] = "<plist><dict/></plist>";
	SCOPED(bytes_free) struct bytes text = {0};
	size_t ends_at[6], n = 0;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(bytes_add(&text, xml, strlen(xml)), OK);
		ends_at[n++] = text.len;
		assert_int_equal(bytes_add(&text, binary->data, binary->len), OK);
		ends_at[n++] = text.len;
		assert_int_equal(bytes_print(&text, "\nHost: x\r\n\r\n%s", xml), OK);
		ends_at[n++] = text.len;
	}
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		size_t next = mdm_stream_next(text.data + at, text.len - at);
		assert_int_equal(at + next, ends_at[i]);
		struct message message;
		assert_int_equal(mdm_read(text.data + at, next, NOW, &message), OK);
		message_free(&message);
		at += next;
	}
	assert_int_equal(mdm_stream_next(text.data + at, text.len - at), 0);
	assert_int_equal(mdm_stream_next(text.data, strlen(xml) - 1), 0);
	assert_int_equal(mdm_stream_next(u8("QUJD"), 4), 0);
	assert_int_equal(mdm_stream_next(u8("\n"), 1), 0);
	binary_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(blank),
		cmocka_unit_test(ends),
		cmocka_unit_test(binary_ends_at_its_trailer),
		cmocka_unit_test(pieces_are_cheap),
		cmocka_unit_test(header_lines),
		cmocka_unit_test(header_lines_are_bounded),
		cmocka_unit_test(identity),
		cmocka_unit_test(stream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
