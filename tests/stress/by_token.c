/* Through the file `token`. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

#define STRANGER 1001

/* ---- retrieving ---- */

/* What an open descriptor has, once: it was retrieved when it was opened. */
static void tell_read(struct client *client, const char *call, const char *device,
		      const char *argument, int fd, int error)
{
	char label[LABEL_MAX];
	ssize_t n = fd < 0 ? -1 : read_all(fd, client->result, RESULT_MAX);
	if (n >= 0)
		label_of_file(client->result, (size_t)n, label);
	call_told(client, call, device, argument, n >= 0 ? label : outcome(fd < 0 ? error : errno));
	if (fd >= 0)
		close(fd);
}

void do_read(struct client *client, const char *device)
{
	bool writing = dice(client, 5) == 0;
	call_begins(client);
	int fd = device_open(client, device, "token", writing ? O_RDWR : O_RDONLY);
	int error = errno;
	call_ends(client);
	tell_read(client, "read", device, writing ? "rw" : "ro", fd, error);
}

/* As a user to whom `token` doesn't belong, of its group. */
void do_deny(struct client *client, const char *device)
{
	call_begins(client);
	setfsuid(STRANGER);
	int fd = device_open(client, device, "token", O_RDONLY);
	int error = errno;
	setfsuid(0);
	call_ends(client);
	tell_read(client, "deny", device, "", fd, error);
}

/* ---- escrowing ---- */

static int write_piece(int fd, const char *bytes, size_t n)
{
	ssize_t written = write(fd, bytes, n);
	if (written < 0)
		return errno;
	return (size_t)written == n ? 0 : EIO;
}

int write_message(struct client *client, int fd, const struct text *text)
{
	/* A piece that ends in a newline would be whole in base64. */
	size_t first = dice(client, 3) ? 0 : text->len / 2;
	while (first && text->data[first - 1] == '\n')
		first--;
	int error = first ? write_piece(fd, text->data, first) : 0;
	return error ? error : write_piece(fd, text->data + first, text->len - first);
}

int open_write_close(struct client *client, const char *device, const char *file,
		     const struct text *text)
{
	int fd = device_open(client, device, file, O_WRONLY | (dice(client, 2) ? O_TRUNC : 0));
	if (fd < 0)
		return errno;
	int error = write_message(client, fd, text);
	if (close(fd) && !error)
		error = errno;
	return error;
}

static struct text line_of(const char *label)
{
	struct text text = token_text(label);
	text.data[text.len++] = '\n';
	return text;
}

static struct text any_form(struct client *client, const char *device, const char *label)
{
	unsigned form = dice(client, 5);
	if (form > 1)
		return line_of(label);
	struct text xml = message_set(device, label);
	if (form)
		return xml;
	struct text binary = message_binary(&xml);
	text_free(&xml);
	return binary;
}

void do_escrow(struct client *client, const char *device)
{
	char label[LABEL_MAX];
	call_begins(client);
	label_make(client, device, label);
	struct text text = any_form(client, device, label);
	int error = open_write_close(client, device, "token", &text);
	call_over(client, "escrow", device, label, error);
	text_free(&text);
}

void do_remove(struct client *client, const char *device)
{
	char path[4096];
	device_path(client, device, "token", path, sizeof path);
	call_begins(client);
	int error;
	if (dice(client, 3)) {
		error = truncate(path, 0) ? errno : 0;
	} else {
		struct text text = message_set(device, NULL);
		error = open_write_close(client, device, "token", &text);
		text_free(&text);
	}
	call_over(client, "remove", device, "", error);
}

/* ---- what isn't whole, or too much ---- */

/* More bytes on a descriptor that escrowed: what it did is taken back, if it still stands. */
void do_keep_written(struct client *client, const char *device)
{
	struct kept *kept = &client->written;
	char argument[32], label[LABEL_MAX];
	call_begins(client);
	if (kept->fd >= 0) {
		snprintf(argument, sizeof argument, "%llu", (unsigned long long)kept->call);
		call_over(client, "more", kept->device, argument, write_piece(kept->fd, "more", 4));
		kept_close(kept);
		return;
	}
	label_make(client, device, label);
	struct text text = line_of(label);
	int fd = device_open(client, device, "token", O_WRONLY);
	int error = fd < 0 ? errno : write_message(client, fd, &text);
	call_over(client, "escrow", device, label, error);
	text_free(&text);
	if (fd >= 0 && error)
		close(fd);
	else if (fd >= 0)
		*kept = (struct kept){.fd = fd, .call = client->call};
	snprintf(kept->device, sizeof kept->device, "%s", device);
}

void do_escrow_and_more(struct client *client, const char *device)
{
	kept_close(&client->written);
	do_keep_written(client, device);
	if (client->written.fd >= 0)
		do_keep_written(client, device);
}

void do_half(struct client *client, const char *device)
{
	char label[LABEL_MAX];
	call_begins(client);
	label_make(client, device, label);
	struct text text = message_set(device, label);
	text.len -= text.len / (2 + dice(client, 20)) + strlen("</plist>\n");
	int error = open_write_close(client, device, "token", &text);
	call_over(client, "half", device, label, error);
	text_free(&text);
}

/* ---- what is refused ---- */

static int write_bytes(const struct client *client, const char *device, const char *file, int flags,
		       const char *bytes, off_t offset)
{
	int fd = device_open(client, device, file, flags);
	if (fd < 0)
		return errno;
	int error = pwrite(fd, bytes, strlen(bytes), offset) < 0 ? errno : 0;
	close(fd);
	return error;
}

static int refused(const struct client *client, const char *device, const char *what)
{
	char path[4096];
	device_path(client, device, "token", path, sizeof path);
	if (strcmp(what, "unlink") == 0)
		return unlink(path) ? errno : 0;
	if (strcmp(what, "truncate") == 0)
		return truncate(path, 7) ? errno : 0;
	if (strcmp(what, "status") == 0)
		return write_bytes(client, device, "bootstrap_status", O_WRONLY, "escrowed\n", 0);
	if (strcmp(what, "append") == 0)
		return write_bytes(client, device, "token", O_WRONLY | O_APPEND, "dG9rZW4=\n", 0);
	if (strcmp(what, "offset") == 0)
		return write_bytes(client, device, "token", O_WRONLY, "dG9rZW4=\n", 5);
	if (strcmp(what, "recovery key") == 0)
		return write_bytes(client, device, "token", O_WRONLY,
				   "ABCD-EFGH-JKLM-NPQR-STUV-WXYZ\n", 0);
	if (strcmp(what, "key") == 0)
		return write_bytes(client, device, "security.json", O_WRONLY, "{\"NoKey\": 1}", 0);
	return write_bytes(client, device, "token", O_WRONLY, "no base64!\n", 0);
}

void do_refused(struct client *client, const char *device)
{
	static const char *const all[] = {"base64", "unlink", "truncate",     "status",
					  "append", "offset", "recovery key", "key"};
	const char *what = all[dice(client, sizeof all / sizeof *all)];
	/* Of one caller's repeats within a minute the trail has a counted line. */
	bool counted = dice(client, 2);
	call_begins(client);
	if (counted)
		prctl(PR_SET_NAME, "stress");
	call_over(client, counted ? "refused counted" : "refused", device, what,
		  refused(client, device, what));
}
