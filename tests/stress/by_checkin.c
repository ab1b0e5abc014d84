/* Through /checkin: what devices send. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <plist/plist.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int checkin_open(const struct client *client, int flags)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/checkin", client->mount);
	return open(path, flags | O_CLOEXEC);
}

static int send_on(struct client *client, int fd, const struct text *xml)
{
	if (dice(client, 5))
		return write_message(client, fd, xml);
	struct text binary = message_binary(xml);
	/* In one piece: the half of a binary list may have what looks like its end. */
	int error = write(fd, binary.data, binary.len) < 0 ? errno : 0;
	text_free(&binary);
	return error;
}

int checkin_send(struct client *client, const struct text *xml)
{
	int fd = checkin_open(client, O_WRONLY);
	if (fd < 0)
		return errno;
	int error = send_on(client, fd, xml);
	if (close(fd) && !error)
		error = errno;
	return error;
}

static void send_and_tell(struct client *client, const char *call, const char *device,
			  const char *argument, struct text xml)
{
	call_over(client, call, device, argument, checkin_send(client, &xml));
	text_free(&xml);
}

/* ---- tokens ---- */

void do_set(struct client *client, const char *device)
{
	char label[LABEL_MAX];
	call_begins(client);
	label_make(client, device, label);
	send_and_tell(client, "set", device, label, message_set(device, label));
}

void do_unset(struct client *client, const char *device)
{
	call_begins(client);
	send_and_tell(client, "unset", device, "", message_set(device, NULL));
}

static void label_of_reply(const char *reply, size_t len, char label[static LABEL_MAX])
{
	plist_t root = NULL;
	plist_from_xml(reply, (uint32_t)len, &root);
	plist_t token = root ? plist_dict_get_item(root, "BootstrapToken") : NULL;
	if (token) {
		char *bytes = NULL;
		uint64_t n = 0;
		plist_get_data_val(token, &bytes, &n);
		label_read((const uint8_t *)bytes, n, label);
		free(bytes);
	} else {
		snprintf(label, LABEL_MAX, "%s", root ? "none" : "BROKEN: no property list");
	}
	plist_free(root);
}

static int read_reply(struct client *client, int fd, char label[static LABEL_MAX])
{
	size_t len = 0;
	ssize_t n;
	while ((n = read(fd, client->result + len, RESULT_MAX - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return errno;
	label_of_reply(client->result, len, label);
	return 0;
}

void do_get(struct client *client, const char *device)
{
	bool reading = dice(client, 6) > 0;
	char label[LABEL_MAX] = "unread";
	struct text xml = message_text("GetBootstrapToken", device, "");
	call_begins(client);
	int fd = checkin_open(client, reading ? O_RDWR : O_WRONLY);
	int error = fd < 0 ? errno : send_on(client, fd, &xml);
	call_ends(client);
	if (!error && reading)
		error = read_reply(client, fd, label);
	call_told(client, "get", device, reading ? "rw" : "wo", error ? outcome(error) : label);
	if (fd >= 0)
		close(fd);
	text_free(&xml);
}

/* ---- enrolment ---- */

void do_authenticate(struct client *client, const char *device)
{
	static const char *const versions[] = {"14.1", "15.2", "14.1", "10.14.6"};
	const char *version = versions[dice(client, 4)];
	char inside[512];
	snprintf(inside, sizeof inside,
		 "\t<key>SerialNumber</key>\n\t<string>SN%s</string>\n"
		 "\t<key>Model</key>\n\t<string>MacBookAir10,1</string>\n"
		 "\t<key>OSVersion</key>\n\t<string>%s</string>\n",
		 device, version);
	call_begins(client);
	send_and_tell(client, "authenticate", device, version,
		      message_text("Authenticate", device, inside));
}

void do_update(struct client *client, const char *device)
{
	bool awaiting = dice(client, 3) == 0;
	call_begins(client);
	send_and_tell(
		client, "update", device, awaiting ? "awaiting" : "",
		message_text("TokenUpdate", device,
			     awaiting ? "\t<key>AwaitingConfiguration</key>\n\t<true/>\n" : ""));
}

void do_check_out(struct client *client, const char *device)
{
	call_begins(client);
	send_and_tell(client, "check out", device, "", message_text("CheckOut", device, ""));
}
