/*
 * What a device calls itself (serial number, hardware address, IMEI, UDID) and what is looked for under /search: a
 * name that is listed is found, in any case of letters, and stands for the device that has it. The input is the
 * four names with a 0 byte between them.
 */
#include "text.h"

#include "escrow_fixture.h"

#include <ctype.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SERIAL, MAC, IMEI, UDID, NAMES };
static char name[NAMES][256];

static void add_xml(struct bytes *text, const char *key, const char *value)
{
	must(bytes_print(text, "<key>%s</key><string>", key));
	for (; *value; value++)
		must(strchr("&<>", *value) ? bytes_print(text, "&#%d;", *value)
					   : bytes_add(text, value, 1));
	must(bytes_print(text, "</string>"));
}

/* The device says them; OK when they are taken. */
static enum error say(void)
{
	SCOPED(bytes_free) struct bytes text = {0};
	struct writer *writer;
	must(bytes_print(&text, "<plist version=\"1.0\"><dict>"));
	add_xml(&text, "UDID", name[UDID]);
	must(bytes_print(&text, "<key>QueryResponses</key><dict>"));
	add_xml(&text, "SerialNumber", name[SERIAL]);
	add_xml(&text, "EthernetMAC", name[MAC]);
	add_xml(&text, "IMEI", name[IMEI]);
	must(bytes_print(&text, "</dict></dict></plist>"));
	must(writer_new(fuzz.escrow, WRITER_CHECKIN, 0, true, &writer));
	enum error result = writer_write(writer, &fuzz_actor, text.data, text.len, 0);
	writer_free(writer);
	return result;
}

static void change_case(char *text)
{
	for (; *text; text++)
		if (isascii((unsigned char)*text))
			*text = (char)(islower((unsigned char)*text)
					       ? toupper((unsigned char)*text)
					       : tolower((unsigned char)*text));
}

struct listed {
	enum name_kind kind;
	int64_t device;
	int count;
	char name[4][256];
};

static bool take_down(void *context, int64_t cursor, const char *listed, int64_t device)
{
	struct listed *to = context;
	(void)cursor;
	if (device == to->device && to->count < 4)
		snprintf(to->name[to->count++], sizeof to->name[0], "%s", listed);
	return true;
}

static void check_listed(enum name_kind kind, const struct device *device)
{
	struct listed listed = {.kind = kind, .device = device->id};
	struct device found;
	must(escrow_names(fuzz.escrow, kind, 0, INT32_MAX, take_down, &listed));
	for (int i = 0; i < listed.count; i++) {
		char *one = listed.name[i];
		/* It can be a directory's entry. */
		if (!*one || strchr(one, '/') || strcmp(one, ".") == 0 || strcmp(one, "..") == 0)
			abort();
		for (int other = 0; other < 2; other++, change_case(one))
			if (escrow_search(fuzz.escrow, kind, one, &found) || found.id != device->id)
				abort();
	}
}

static void check_folding(const char *text)
{
	char folded[256], again[256], mac[13], mac_again[13];
	text_fold(text, folded, sizeof folded);
	if (strlen(folded) != strlen(text) ||
	    strcmp(text_fold(folded, again, sizeof again), folded) != 0)
		abort();
	if (mac_fold(text, mac) &&
	    (strlen(mac) != 12 || !mac_fold(mac, mac_again) || strcmp(mac, mac_again) != 0))
		abort();
	int64_t at;
	char shown[TEXT_TIME];
	(void)date_read(text, &at);
	if (time_read(text, &at)) {
		int64_t same;
		time_text(at, shown);
		if (at <= 0 || (time_read(shown, &same) && same / 1000000 != at / 1000000))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int i = 0; i < NAMES; i++) {
		const uint8_t *end = size ? memchr(data, 0, size) : NULL;
		size_t len = end ? (size_t)(end - data) : size;
		snprintf(name[i], sizeof name[i], "%.*s", (int)len, size ? (const char *)data : "");
		check_folding(name[i]);
		len += end != NULL;
		data += len;
		size -= len;
	}
	fuzz_escrow_next();
	struct device device, found;
	bool valid = udid_valid(name[UDID], strlen(name[UDID]));
	enum error said = say(), by_udid = escrow_search_udid(fuzz.escrow, name[UDID], &device);
	if (said == OK && !valid && *name[UDID])
		abort();
	for (enum name_kind kind = NAME_SERIAL; kind <= NAME_IMEI; kind++)
		(void)escrow_search(fuzz.escrow, kind, name[kind == NAME_MAC ? MAC : SERIAL],
				    &found);
	if (said || by_udid)
		return 0;
	for (enum name_kind kind = NAME_SERIAL; kind <= NAME_IMEI; kind++)
		check_listed(kind, &device);
	change_case(name[UDID]);
	if (escrow_search_udid(fuzz.escrow, name[UDID], &found) || found.id != device.id)
		abort();
	/* As it was said, too, where it can be looked for at all. */
	if (*name[SERIAL] && *name[SERIAL] != '.' && !strchr(name[SERIAL], '/') &&
	    strlen(name[SERIAL]) < FACT_TEXT &&
	    (escrow_search(fuzz.escrow, NAME_SERIAL, name[SERIAL], &found) ||
	     found.id != device.id))
		abort();
	must(escrow_device_remove(fuzz.escrow, &fuzz_actor, device.udid, &found));
	return 0;
}
