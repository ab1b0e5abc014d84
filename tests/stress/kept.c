/* Descriptors that stay open while the device changes, and processes that end in the middle. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void kept_close(struct kept *kept)
{
	if (kept->fd >= 0)
		close(kept->fd);
	kept->fd = -1;
}

static void keep(struct client *client, struct kept *kept, int fd, const char *device)
{
	*kept = (struct kept){.fd = fd, .call = client->call};
	snprintf(kept->device, sizeof kept->device, "%s", device);
}

/* Reads it once more; mostly it stays open. Returns the length, or -1. */
static ssize_t read_again(struct client *client, const struct kept *kept, char argument[static 32])
{
	snprintf(argument, 32, "%llu", (unsigned long long)kept->call);
	call_begins(client);
	ssize_t n = read_all(kept->fd, client->result, RESULT_MAX - 1);
	call_ends(client);
	return n;
}

void do_keep_token(struct client *client, const char *device)
{
	struct kept *kept = &client->token;
	char argument[32] = "ro", label[LABEL_MAX];
	const char *call = "read again";
	ssize_t n = -1;
	if (kept->fd >= 0) {
		n = read_again(client, kept, argument);
		device = kept->device;
	} else {
		call = "read";
		call_begins(client);
		int fd = device_open(client, device, "token", O_RDONLY);
		call_ends(client);
		keep(client, kept, fd, device);
		if (fd >= 0)
			n = read_all(fd, client->result, RESULT_MAX);
	}
	int error = errno;
	if (n >= 0)
		label_of_file(client->result, (size_t)n, label);
	call_told(client, call, device, argument, n >= 0 ? label : outcome(error));
	if (dice(client, 3) == 0)
		kept_close(kept);
}

void do_keep_status(struct client *client, const char *device)
{
	struct kept *kept = &client->status;
	char argument[32];
	if (kept->fd < 0) {
		call_begins(client);
		int fd = device_open(client, device, "bootstrap_status", O_RDONLY);
		int error = fd < 0 ? errno : 0;
		keep(client, kept, fd, device);
		call_over(client, "open status", device, "", error);
		return;
	}
	ssize_t n = read_again(client, kept, argument);
	int error = errno;
	if (n >= 0)
		word_read(client->result, (size_t)n);
	call_told(client, "status again", kept->device, argument,
		  n >= 0 ? client->result : outcome(error));
	if (dice(client, 3) == 0)
		kept_close(kept);
}

/*
 * A process that is killed while it calls: nobody hears how it went, and it went wholly or not at
 * all. Its name is this one's.
 */
void do_killed(struct client *client, const char *device)
{
	static const char *const calls[] = {"set", "escrow", "read", "half"};
	unsigned which = dice(client, 4);
	char label[LABEL_MAX] = "ro";
	struct text text = {0};
	int status;
	call_begins(client);
	if (which != 2) {
		label_make(client, device, label);
		text = message_set(device, label);
	}
	if (which == 3)
		text.len /= 2;
	struct timespec moment = {.tv_nsec = 1000L * (long)dice(client, 3000)};
	pid_t child = fork();
	if (child == 0) {
		if (which == 0)
			(void)checkin_send(client, &text);
		else if (which == 2)
			(void)device_open(client, device, "token", O_RDONLY);
		else
			(void)open_write_close(client, device, "token", &text);
		raise(SIGKILL);
	}
	nanosleep(&moment, NULL);
	if (child > 0) {
		kill(child, SIGKILL);
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
	}
	call_ends(client);
	call_told(client, calls[which], device, label, "killed");
	text_free(&text);
}
