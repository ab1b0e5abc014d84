/* What hostile messages get: the MUST clauses of guard_xml.c, cursor.c and guard_binary.c. */
#include "mdm_fixture.h"

/* A message with `middle` in a key that nobody reads. */
#define AROUND(middle) TYPE("CheckOut", KEY("Other") middle)

static void repeat(struct bytes *text, const char *piece, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bytes_add(text, piece, strlen(piece)), OK);
}

/* A CheckOut whose key Other holds `before` n times, `inside`, and `after` n times. */
static enum error verdict_nested(const char *before, const char *inside, const char *after,
				 size_t n)
{
	SCOPED(bytes_free) struct bytes text = {0};
	repeat(&text, "<plist><dict>" TEXT("MessageType", "CheckOut") TEXT("UDID", UDID), 1);
	repeat(&text, KEY("Other"), 1);
	repeat(&text, before, n);
	repeat(&text, inside, 1);
	repeat(&text, after, n);
	repeat(&text, "</dict></plist>", 1);
	return verdict_of(&text);
}

/* ---- XML ---- */

/* Real encoders write all of these. */
static void xml_accepts(void **state)
{
	(void)state;
	static const char *const good[] = {
		AROUND("<string/>"),
		AROUND("<dict/>"),
		AROUND("<dict></dict>"),
		AROUND("<array/>"),
		AROUND("<data/>"),
		AROUND("<data></data>"),
		AROUND("<data>\n\t</data>"),
		AROUND("<data>AAAA=</data>"),
		AROUND("<data>AAAA==</data>"),
		AROUND("<data>?!<!-- no base64 --></data>"),
		AROUND("<true></true>"),
		AROUND("<false />"),
		AROUND("<integer>-12</integer>"),
		AROUND("<integer>0x1F</integer>"),
		AROUND("<real>1.5e3</real>"),
		AROUND("<date>2024-10-21T10:00:00Z</date>"),
		AROUND("<date>99999999999-99-99T99:99:99Z</date>"),
		AROUND("<array><string>a</string><dict/><array/></array>"),
		AROUND("<string>a &amp; b &lt; c &gt; &quot;d&quot; &apos; &#233; "
		       "&#x1F34F;</string>"),
		AROUND("<string>\xc3\xa9t\xc3\xa9 \xf0\x9f\x8d\x8f</string>"),
		AROUND("<string><![CDATA[<not> &a; tag]]></string>"),
		AROUND("<string>a<!-- </plist> -->b</string>"),
		AROUND("<!-- before --><string>x</string><?pi?>"),
		AROUND("<dict><key></key><string/></dict>"),
		"\xef\xbb\xbf" AROUND("<true/>"),
		" \r\n\t" AROUND("<true/>"),
		"<plist><dict/></plist>",
		"<plist version='1.0'>\r\n<dict >\r\n</dict >\r\n</plist >\r\n\r\n<!-- end -->",
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
		"<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\"\r\n\t"
		"\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\r\n<plist><dict/></plist>",
		"<!DOCTYPE plist><plist><dict/></plist>",
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (verdict(good[i]))
			ROW_FAILED("%s: %s\n", good[i], fail_why());
}

static void xml_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"<plist>",
		"<plist/>",
		"<plist></plist>",
		"<dict/>",
		"<dict></dict>",
		"<plist><dict></plist>",
		"<plist><dict></array></plist>",
		"<plist><dict/>",
		"<plist><dict/></plist",
		"<plist><dict/></plist>x",
		"<plist><dict/></plist><plist><dict/></plist>",
		"<plist><dict/><dict/></plist>",
		"<plist><array/></plist>",
		"<plist><string>CheckOut</string></plist>",
		"<plist><plist><dict/></plist></plist>",
		AROUND("<string>x"),
		AROUND("<string>x</data>"),
		AROUND("<string>x<string>y</string></string>"),
		AROUND("<string a=\"b\">x</string>"),
		AROUND("<STRING>x</STRING>"),
		AROUND("<blob>x</blob>"),
		AROUND("<integer>1x</integer>"),
		AROUND("<integer>-</integer>"),
		AROUND("<true>yes</true>"),
		AROUND("text<true/>"),
		AROUND("<true/><true/>"),
		AROUND(""),
		AROUND("<key>Another</key><true/>"),
		AROUND("<array><key>x</key></array>"),
		AROUND("<dict><key/></dict>"),
		AROUND("<dict><key>k</key></dict>"),
		AROUND("<dict><key>k</key><true/><key>l</key></dict>"),
		AROUND("<dict><string>x</string><true/></dict>"),
		AROUND("<!-- <true/>"),
		AROUND("<string><![CDATA[x</string>"),
		AROUND("<string><?pi?></string>"),
		AROUND("<string>\x01</string>"),
		AROUND("<string>\xff</string>"),
		AROUND("<string>\xc0\xaf</string>"),
		AROUND("<string>\xed\xa0\x80</string>"),
		"<plist <dict/></plist>",
		"<plist version=1><dict/></plist>",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (verdict(bad[i]) != ERR_INVALID)
			ROW_FAILED("%s was taken\n", bad[i]);
	/* NUL, UTF-16 */
	static const char nul[] = "<plist><dict/>\0</plist>";
	struct message message;
	assert_int_equal(mdm_read((const uint8_t *)nul, sizeof nul - 1, NOW, &message),
			 ERR_INVALID);
	static const char wide[] = "<\0p\0l\0i\0s\0t\0>\0<\0/\0p\0l\0i\0s\0t\0>\0";
	assert_int_equal(mdm_read((const uint8_t *)wide, sizeof wide - 1, NOW, &message),
			 ERR_INVALID);
	assert_int_equal(mdm_read((const uint8_t *)"\xff\xfe<\0p\0", 6, NOW, &message),
			 ERR_INVALID);
}

static void guard_doctype(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"<!DOCTYPE plist SYSTEM \"file:///etc/passwd\"><plist><dict/></plist>",
		"<!DOCTYPE plist [<!ENTITY a \"b\">]><plist><dict/></plist>",
		"<!DOCTYPE plist PUBLIC \"a\" \"b\" [<!ENTITY a \"b\">]><plist><dict/></plist>",
		"<!DOCTYPE plist PUBLIC \"a\"><plist><dict/></plist>",
		"<!DOCTYPE html><plist><dict/></plist>",
		"<!DOCTYPE plist PUBLIC \"><plist><dict/></plist>\" \"b\"><plist><dict/></plist>",
		"<!ENTITY a \"b\"><plist><dict/></plist>",
		"<!DOCTYPE plist><!DOCTYPE plist><plist><dict/></plist>",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (verdict(bad[i]) != ERR_INVALID)
			ROW_FAILED("%s was taken\n", bad[i]);
}

static void guard_entities(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"&",
		"&;",
		"&a;",
		"&amp",
		"&ampersand;",
		"&AMP;",
		"&#;",
		"&#x;",
		"&#0;",
		"&#x0;",
		"&#8;",
		"&#xD800;",
		"&#x110000;",
		"&#-5;",
		"&# 65;",
		"&#65",
		"&am<!-- -->p;",
		"&lol9;",
		"&#000000000065;",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[512];
		snprintf(text, sizeof text, AROUND("<string>%s</string>"), bad[i]);
		if (verdict(text) != ERR_INVALID || !why_has("entity"))
			ROW_FAILED("%s was taken\n", bad[i]);
	}
	/* What stands for what. */
	struct message message;
	assert_int_equal(read_text(TYPE("Authenticate",
					TEXT("Model", "A&#66;<![CDATA[&#67;]]><!-- x -->&lt;&amp;"
						      "&#xe9;")),
				   &message),
			 OK);
	assert_string_equal(fact_text(&message.reported, FACT_MODEL), "AB&#67;<&\xc3\xa9");
	message_free(&message);
}

static void guard_depth(void **state)
{
	(void)state;
	assert_int_equal(verdict_nested("<array>", "<true/>", "</array>", MDM_DEPTH_MAX - 1), OK);
	assert_int_equal(verdict_nested("<array>", "<true/>", "</array>", MDM_DEPTH_MAX),
			 ERR_INVALID);
	assert_true(why_has("deep"));
	assert_int_equal(
		verdict_nested("<dict><key>k</key>", "<true/>", "</dict>", MDM_DEPTH_MAX - 1), OK);
	assert_int_equal(verdict_nested("<array>", "<true/>", "</array>", 60000), ERR_INVALID);
	assert_int_equal(verdict_nested("<array>", "", "", 140000), ERR_INVALID);
}

static void guard_elements(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes text = {0};
	repeat(&text, "<plist><dict>" KEY("a") "<array>", 1);
	repeat(&text, "<true/>", 60000);
	repeat(&text, "</array></dict></plist>", 1);
	assert_int_equal(verdict_of(&text), OK);

	bytes_free(&text);
	repeat(&text, "<plist><dict>" KEY("a") "<array>", 1);
	repeat(&text, "<true/>", 66000);
	repeat(&text, "</array></dict></plist>", 1);
	assert_int_equal(verdict_of(&text), ERR_INVALID);
	assert_true(why_has("too many"));

	/* One key again and again: libplist searches for it each time. */
	bytes_free(&text);
	repeat(&text, "<plist><dict>", 1);
	repeat(&text, "<key>k</key><true/>", 30000);
	repeat(&text, "</dict></plist>", 1);
	assert_int_equal(verdict_of(&text), ERR_INVALID);
	assert_true(why_has("too many keys"));

	bytes_free(&text);
	repeat(&text, "<plist><dict>", 1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bytes_print(&text, "<key>%d</key><true/>", i), OK);
	repeat(&text, "</dict></plist>", 1);
	assert_int_equal(verdict_of(&text), OK);
}

/* A megabyte of references in one string costs libplist the square of it. */
static void guard_references_bounded(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes text = {0};
	repeat(&text, "<plist><dict>" KEY("a") "<string>", 1);
	repeat(&text, "&lt;", 200000);
	repeat(&text, "</string></dict></plist>", 1);
	assert_int_equal(verdict_of(&text), ERR_INVALID);
	assert_true(why_has("entities"));

	bytes_free(&text);
	repeat(&text, "<plist><dict>" KEY("a") "<string>", 1);
	repeat(&text, "&lt;", 2000);
	repeat(&text, "</string></dict></plist>", 1);
	assert_int_equal(verdict_of(&text), OK);
}

static void guard_size(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes text = {0};
	repeat(&text, "<plist><dict/></plist>", 1);
	size_t len = text.len;
	repeat(&text, " ", MDM_MESSAGE_MAX - len);
	assert_int_equal(verdict_of(&text), OK);
	repeat(&text, " ", 1);
	assert_int_equal(verdict_of(&text), ERR_TOO_BIG);
}

/* ---- binary ---- */

static void binary_accepts(void **state)
{
	(void)state;
	struct binary *b = binary_new();
	unsigned type = string(b, "MessageType"), udid = string(b, "UDID"), other = string(b, "x"),
		 check_out = string(b, "CheckOut"), id = string(b, UDID), yes = b->count;
	(void)begin_object(b, 0x0, 9);
	unsigned list = array(b, yes, 300);
	unsigned top = dict(b, (unsigned[]){type, udid, other, check_out, id, list}, 3);
	const struct bytes *text = finish(b, top);
	struct message message;
	assert_int_equal(mdm_read(text->data, text->len, NOW, &message), OK);
	assert_int_equal(message.kind, MESSAGE_CHECK_OUT);
	assert_string_equal(message.id, UDID);
	message_free(&message);
	/* White space behind it, and header lines before it. */
	SCOPED(bytes_free) struct bytes more = {0};
	repeat(&more, "X-Header: 1\r\n\r\n", 1);
	assert_int_equal(bytes_add(&more, text->data, text->len), OK);
	repeat(&more, "\r\n", 1);
	assert_int_equal(verdict_of(&more), OK);
	/* Cut anywhere it is refused. */
	for (size_t len = 0; len < text->len; len++)
		assert_int_not_equal(mdm_read(text->data, len, NOW, &message), OK);
	binary_free(b);
}

static void guard_binary_bounds(void **state)
{
	(void)state;
	/* One dictionary without keys, and what may be said of it in the trailer. */
	static const struct {
		int offset_size, ref_size;
		uint64_t objects, top, table;
		uint8_t object, offset;
		enum error result;
	} rows[] = {
		{1, 1, 1, 0, 9, 0xd0, 8, OK},
		{0, 1, 1, 0, 9, 0xd0, 8, ERR_INVALID},
		{9, 1, 1, 0, 9, 0xd0, 8, ERR_INVALID},
		{1, 0, 1, 0, 9, 0xd0, 8, ERR_INVALID},
		{1, 9, 1, 0, 9, 0xd0, 8, ERR_INVALID},
		{1, 1, 0, 0, 9, 0xd0, 8, ERR_INVALID},
		{1, 1, 2, 0, 9, 0xd0, 8, ERR_INVALID},
		{1, 1, UINT64_MAX, 0, 9, 0xd0, 8, ERR_INVALID},
		{8, 1, UINT64_C(1) << 61, 0, 10, 0xd0, 8, ERR_INVALID},
		{1, 1, 1, 1, 9, 0xd0, 8, ERR_INVALID},
		{1, 1, 1, UINT64_MAX, 9, 0xd0, 8, ERR_INVALID},
		{1, 1, 1, 0, 8, 0xd0, 8, ERR_INVALID},
		{1, 1, 1, 0, UINT64_MAX, 0xd0, 8, ERR_INVALID},
		{1, 1, 1, 0, 9, 0xd0, 7, ERR_INVALID},
		{1, 1, 1, 0, 9, 0xd0, 9, ERR_INVALID},
		{1, 1, 1, 0, 9, 0xd0, 255, ERR_INVALID},
		{1, 1, 1, 0, 9, 0xd1, 8, ERR_INVALID}, /* its pair lies outside */
		{1, 1, 1, 0, 9, 0xdf, 8, ERR_INVALID}, /* its length lies outside */
		{1, 1, 1, 0, 9, 0xa0, 8, ERR_INVALID}, /* not a dictionary */
		{1, 1, 1, 0, 9, 0x00, 8, ERR_INVALID},
		{1, 1, 1, 0, 9, 0x80, 8, ERR_INVALID},
		{1, 1, 1, 0, 9, 0xf0, 8, ERR_INVALID},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		SCOPED(bytes_free) struct bytes text = {0};
		repeat(&text, "bplist00", 1);
		put(&text, rows[i].object, 1);
		put(&text, rows[i].offset, 1);
		trailer(&text, rows[i].offset_size, rows[i].ref_size, rows[i].objects, rows[i].top,
			rows[i].table);
		if (verdict_of(&text) != rows[i].result)
			ROW_FAILED("row %zu: %s\n", i, fail_why());
	}
	SCOPED(bytes_free) struct bytes other = {0};
	repeat(&other, "bplist15\xd0\x08", 1);
	trailer(&other, 1, 1, 1, 0, 9);
	assert_int_equal(verdict_of(&other), ERR_INVALID);

	/* A count whose bytes are none when they are counted in 64 bits. */
	SCOPED(bytes_free) struct bytes wraps = {0};
	repeat(&wraps, "bplist00\xdf\x13", 1);
	put(&wraps, UINT64_C(1) << 63, 8);
	put(&wraps, 8, 1);
	trailer(&wraps, 1, 1, 1, 0, wraps.len - 1);
	assert_int_equal(verdict_of(&wraps), ERR_INVALID);
	assert_true(why_has("longer than it"));

	/* A length that is no integer. */
	static const char *const heads[] = {"\xdf\x50\x01", "\xdf\x14\x01",
					    "\xdf\x13\xff\xff\xff\xff\xff\xff\xff\xff",
					    "\xdf\x13\x80\x01\x01\x01\x01\x01\x01\x01"};
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		SCOPED(bytes_free) struct bytes text = {0};
		repeat(&text, "bplist00", 1);
		repeat(&text, heads[i], 1);
		size_t table = text.len;
		put(&text, 8, 1);
		trailer(&text, 1, 1, 1, 0, table);
		assert_int_equal(verdict_of(&text), ERR_INVALID);
	}
}

static enum error verdict_dict(struct binary *b, unsigned key, unsigned value)
{
	return verdict_of(finish(b, dict(b, (unsigned[]){key, value}, 1)));
}

static void guard_binary_objects(void **state)
{
	(void)state;
	static const struct {
		unsigned type;
		const char *contents;
		size_t len;
		int head; /* -1: type and length */
		enum error result;
	} rows[] = {
		{0x1, "\x07", 1, 0x10, OK},
		{0x1, "0123456789abcdef", 16, 0x14, OK},
		{0x1, "0123456789abcdef0123456789abcdef", 32, 0x15, ERR_INVALID},
		{0x2, "0123", 4, 0x22, OK},
		{0x2, "01", 2, 0x21, ERR_INVALID},
		{0x3, "01234567", 8, 0x33, OK},
		{0x3, "0123", 4, 0x32, ERR_INVALID},
		{0x4, "\0\0\0", 3, -1, OK},
		{0x5, "", 0, -1, OK},
		{0x5, "a\0b", 3, -1, ERR_INVALID},
		{0x6, "\0a\0b", 4, 0x62, OK},
		{0x6, "\0a\0\0", 4, 0x62, ERR_INVALID},
		{0x6, "", 0, 0x60, ERR_INVALID},
		{0x8, "\x01", 1, 0x80, ERR_INVALID},
		{0xc, "", 0, 0xc0, ERR_INVALID},
		{0x0, "", 0, 0x00, ERR_INVALID},
		{0x0, "", 0, 0x0f, ERR_INVALID},
		{0x0, "", 0, 0x08, OK},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct binary *b = binary_new();
		unsigned key = string(b, "Other"),
			 value = object(b, rows[i].type, rows[i].contents, rows[i].len);
		if (rows[i].head >= 0)
			b->text.data[b->offsets[value]] = (uint8_t)rows[i].head;
		if (verdict_dict(b, key, value) != rows[i].result)
			ROW_FAILED("row %zu: %s\n", i, fail_why());
		binary_free(b);
	}
	/* A key that is no string. */
	struct binary *b = binary_new();
	unsigned data = object(b, 0x4, "abc", 3);
	assert_int_equal(verdict_dict(b, data, data), ERR_INVALID);
	assert_true(why_has("key is no string"));
	binary_free(b);
	/* A reference outside. */
	b = binary_new();
	unsigned key = string(b, "Other");
	assert_int_equal(verdict_dict(b, key, 700), ERR_INVALID);
	assert_true(why_has("a reference"));
	binary_free(b);
}

static void guard_binary_expands(void **state)
{
	(void)state;
	/* Arrays of arrays of arrays: each holds the one before sixteen times. */
	struct binary *b = binary_new();
	unsigned key = string(b, "Other"), item = string(b, "x");
	for (int i = 0; i < 8; i++)
		item = array(b, item, 16);
	assert_int_equal(verdict_dict(b, key, item), ERR_INVALID);
	assert_true(why_has("too many"));
	binary_free(b);

	/* The same, few but large. */
	b = binary_new();
	static uint8_t large[200000];
	key = string(b, "Other");
	item = array(b, object(b, 0x4, large, sizeof large), 30);
	assert_int_equal(verdict_dict(b, key, item), ERR_INVALID);
	assert_true(why_has("too large"));
	binary_free(b);

	/* Twice is what a real encoder does with equal values. */
	b = binary_new();
	key = string(b, "Other");
	item = array(b, object(b, 0x4, large, sizeof large), 2);
	assert_int_equal(verdict_dict(b, key, item), OK);
	binary_free(b);

	/* Cycles: itself, and around a corner. */
	b = binary_new();
	key = string(b, "Other");
	assert_int_equal(verdict_dict(b, key, 1), ERR_INVALID);
	assert_true(why_has("itself"));
	binary_free(b);
	b = binary_new();
	key = string(b, "Other");
	unsigned first = array(b, 2, 1), second = array(b, first, 1);
	assert_int_equal(verdict_dict(b, key, second), ERR_INVALID);
	binary_free(b);

	/* Depth. */
	for (int depth = MDM_DEPTH_MAX - 2; depth <= MDM_DEPTH_MAX + 1; depth++) {
		b = binary_new();
		key = string(b, "Other");
		item = string(b, "x");
		for (int i = 0; i < depth; i++)
			item = array(b, item, 1);
		assert_int_equal(verdict_dict(b, key, item),
				 depth < MDM_DEPTH_MAX ? OK : ERR_INVALID);
		binary_free(b);
	}
	/* An object that was met further up, and is fine there. */
	for (int above = 9; above <= 10; above++) {
		b = binary_new();
		key = string(b, "Other");
		item = string(b, "x");
		for (int i = 0; i < 20; i++)
			item = array(b, item, 1);
		unsigned deep = item, other = string(b, "Another");
		for (int i = 0; i < above + 2; i++)
			deep = array(b, deep, 1);
		unsigned top = dict(b, (unsigned[]){key, other, item, deep}, 2);
		assert_int_equal(verdict_of(finish(b, top)), above == 9 ? OK : ERR_INVALID);
		binary_free(b);
	}
	b = binary_new();
	key = string(b, "Other");
	item = string(b, "x");
	for (int i = 0; i < 60000; i++)
		item = array(b, item, 1);
	assert_int_equal(verdict_dict(b, key, item), ERR_INVALID);
	binary_free(b);

	/* A dictionary of many keys. */
	static unsigned pairs[10000];
	for (unsigned n = 1000; n <= 1100; n += 100) {
		b = binary_new();
		for (unsigned i = 0; i < n; i++) {
			char name[16];
			snprintf(name, sizeof name, "%u", i);
			pairs[i] = string(b, name);
		}
		for (unsigned i = n; i < 2 * n; i++)
			pairs[i] = 0;
		assert_int_equal(verdict_of(finish(b, dict(b, pairs, n))),
				 n == 1000 ? OK : ERR_INVALID);
		binary_free(b);
	}

	/* Too many objects that nothing refers to. */
	b = binary_new();
	key = string(b, "Other");
	for (int i = 0; i < 66000; i++)
		(void)begin_object(b, 0x0, 9);
	assert_int_equal(verdict_dict(b, key, 1), ERR_INVALID);
	binary_free(b);
}

/* Which of two a reader takes is anybody's guess. */
static void keys_twice(void **state)
{
	(void)state;
	assert_int_equal(verdict(TYPE("CheckOut", TEXT("UDID", "B"))), ERR_INVALID);
	assert_int_equal(verdict(TYPE("CheckOut", TEXT("U&#68;ID", "B"))), ERR_INVALID);
	struct binary *b = binary_new();
	unsigned key = string(b, "UDID"), a = string(b, "A"), c = string(b, "B");
	unsigned top = dict(b, (unsigned[]){key, key, a, c}, 2);
	assert_int_equal(verdict_of(finish(b, top)), ERR_INVALID);
	assert_true(why_has("twice"));
	binary_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xml_accepts),
		cmocka_unit_test(xml_refuses),
		cmocka_unit_test(guard_doctype),
		cmocka_unit_test(guard_entities),
		cmocka_unit_test(guard_depth),
		cmocka_unit_test(guard_elements),
		cmocka_unit_test(guard_references_bounded),
		cmocka_unit_test(guard_size),
		cmocka_unit_test(binary_accepts),
		cmocka_unit_test(guard_binary_bounds),
		cmocka_unit_test(guard_binary_objects),
		cmocka_unit_test(guard_binary_expands),
		cmocka_unit_test(keys_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
