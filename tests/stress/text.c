/* Tokens that say whose they are, and the messages that carry them. */
#include "client.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <plist/plist.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_PAD 40
#define LARGE_PAD 8000

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

/* A test that has no memory may end. */
static void *need(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

__attribute__((format(printf, 1, 2))) static struct text text_print(const char *format, ...)
{
	struct text text;
	va_list arguments;
	va_start(arguments, format);
	int len = vasprintf(&text.data, format, arguments);
	va_end(arguments);
	if (len < 0)
		abort();
	text.len = (size_t)len;
	return text;
}

/* ---- tokens ---- */

static bool is_of(const char *label, const char *device)
{
	size_t len = strlen(device);
	return strncmp(label, device, len) == 0 && label[len] == '|';
}

void label_make(struct client *client, const char *device, char label[static LABEL_MAX])
{
	char *before = client->before[dice(client, 4)];
	if (is_of(before, device) && dice(client, 2)) {
		memcpy(label, before, LABEL_MAX);
		return;
	}
	unsigned pad = dice(client, dice(client, 32) ? SMALL_PAD : LARGE_PAD);
	snprintf(label, LABEL_MAX, "%s|%d.%" PRIu64 "|%u", device, client->number, client->call,
		 pad);
	memcpy(before, label, LABEL_MAX);
}

struct text token_text(const char *label)
{
	size_t len = strlen(label), pad = strtoul(strrchr(label, '|') + 1, NULL, 10);
	unsigned char *bytes = need(malloc(len + 2 + pad));
	snprintf((char *)bytes, len + 2, "%s|", label);
	memset(bytes + len + 1, 'x', pad);
	struct text text = {.data = need(malloc((len + 1 + pad) / 3 * 4 + 8))};
	text.len = (size_t)EVP_EncodeBlock((unsigned char *)text.data, bytes, (int)(len + 1 + pad));
	free(bytes);
	return text;
}

static bool is_whole(const uint8_t *bytes, size_t len, size_t *label_len)
{
	const uint8_t *bar = bytes;
	for (int i = 0; i < 3; i++) {
		bar = memchr(bar + (i > 0), '|', len - (size_t)(bar + (i > 0) - bytes));
		if (!bar)
			return false;
	}
	*label_len = (size_t)(bar - bytes);
	if (*label_len >= LABEL_MAX)
		return false;
	char label[LABEL_MAX] = {0};
	memcpy(label, bytes, *label_len);
	size_t pad = strtoul(strrchr(label, '|') + 1, NULL, 10);
	if (len != *label_len + 1 + pad)
		return false;
	for (size_t i = *label_len + 1; i < len; i++)
		if (bytes[i] != 'x')
			return false;
	return true;
}

/* Starts of what is broken, as far as they can stand in a diary. */
static void tell_broken(const uint8_t *bytes, size_t len, char label[static LABEL_MAX])
{
	int n = snprintf(label, LABEL_MAX, "BROKEN, %zu bytes: ", len);
	for (size_t i = 0; i < len && n < LABEL_MAX - 1; i++)
		label[n++] = (char)(bytes[i] > ' ' && bytes[i] < 127 ? bytes[i] : '?');
	label[n] = 0;
}

void label_read(const uint8_t *bytes, size_t len, char label[static LABEL_MAX])
{
	size_t label_len;
	if (!is_whole(bytes, len, &label_len)) {
		tell_broken(bytes, len, label);
		return;
	}
	memcpy(label, bytes, label_len);
	label[label_len] = 0;
}

void label_of_file(const char *text, size_t len, char label[static LABEL_MAX])
{
	if (!len) {
		snprintf(label, LABEL_MAX, "none");
		return;
	}
	unsigned char *bytes = need(malloc(len + 3));
	int n = text[len - 1] == '\n'
			? EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len - 1)
			: -1;
	for (size_t i = len - 1; n > 0 && i > 0 && text[i - 1] == '='; i--)
		n--;
	if (n > 0)
		label_read(bytes, (size_t)n, label);
	else
		tell_broken((const uint8_t *)text, len, label);
	free(bytes);
}

/* ---- messages ---- */

struct text message_text(const char *type, const char *device, const char *inside)
{
	return text_print(
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
		"\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
		"<plist version=\"1.0\">\n<dict>\n\t<key>MessageType</key>\n\t<string>%s</string>\n"
		"\t<key>UDID</key>\n\t<string>%s</string>\n%s</dict>\n</plist>\n",
		type, device, inside);
}

struct text message_set(const char *device, const char *label)
{
	if (!label)
		return message_text("SetBootstrapToken", device, "");
	struct text token = token_text(label);
	struct text inside =
		text_print("\t<key>BootstrapToken</key>\n\t<data>%s</data>\n", token.data);
	struct text message = message_text("SetBootstrapToken", device, inside.data);
	text_free(&token);
	text_free(&inside);
	return message;
}

struct text message_binary(const struct text *xml)
{
	plist_t root = NULL;
	struct text binary = {0};
	uint32_t len = 0;
	plist_from_xml(xml->data, (uint32_t)xml->len, &root);
	plist_to_bin(root, &binary.data, &len);
	plist_free(root);
	binary.len = len;
	need(binary.data);
	return binary;
}
