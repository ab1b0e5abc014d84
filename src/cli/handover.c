#include "handover.h"

#include "path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WHY (PATH_MAX + 128)

/* One message: of each file where it is, and why it can't be opened or that its descriptor comes along. */
struct handed_text {
	struct {
		enum error error;
		bool comes;
		char path[PATH_MAX], why[WHY];
	} of[ESCROW_FILES];
};

bool handover_sockets(int ends[static 2])
{
	/* Enough for the longest message: the usual buffers are larger. */
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0;
}

/* ---- words ---- */

/* All but the first has no places. */
#define SHORT offsetof(struct said, places)

static ssize_t put(int socket, const void *message, size_t len)
{
	ssize_t n;
	do
		n = write(socket, message, len);
	while (n < 0 && errno == EINTR);
	return n;
}

void handover_say(int socket, enum word word, enum note note)
{
	const struct said said = {.word = word, .note = note};
	(void)put(socket, &said, SHORT);
}

enum error handover_say_places(int socket, const struct escrow_places *places)
{
	struct said *said = calloc(1, sizeof *said);
	if (!said)
		return fail(ERR_MEMORY, "out of memory");
	said->word = WORD_PLACES;
	said->places = *places;
	ssize_t n = put(socket, said, sizeof *said);
	free(said);
	return n == (ssize_t)sizeof *said
		       ? OK
		       : fail(ERR_IO, "the process that unmounts is gone: %s", strerror(errno));
}

/* Whoever speaks may have been taken over: every text ends where its room does. */
static void end_texts(struct escrow_places *places)
{
	for (int i = 0; i < ESCROW_FILES; i++)
		places->path[i][PATH_MAX - 1] = 0;
}

bool handover_hear(int socket, struct said *out)
{
	ssize_t n;
	do
		n = read(socket, out, sizeof *out);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	if (n == (ssize_t)sizeof *out && out->word == WORD_PLACES)
		end_texts(&out->places);
	else if (n != (ssize_t)SHORT || out->word == WORD_PLACES)
		*out = (struct said){.word = WORD_READ, .note = NOTE_NOT_ALL};
	return true;
}

/* ---- files ---- */

union room {
	char bytes[CMSG_SPACE(ESCROW_FILES * sizeof(int))];
	struct cmsghdr aligned;
};

static void close_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

static int open_all(const struct escrow_places *places, struct handed_text *text,
		    int fds[static ESCROW_FILES])
{
	int count = 0;
	for (int i = 0; i < ESCROW_FILES; i++) {
		snprintf(text->of[i].path, PATH_MAX, "%s", places->path[i]);
		if (!*places->path[i])
			continue;
		text->of[i].error = path_open(places->path[i], &fds[count]);
		text->of[i].comes = text->of[i].error == OK;
		if (text->of[i].comes)
			count++;
		else
			snprintf(text->of[i].why, WHY, "%s", fail_why());
	}
	return count;
}

static void send_all(int socket, struct handed_text *text, const int *fds, int count)
{
	union room room = {0};
	struct iovec part = {.iov_base = text, .iov_len = sizeof *text};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (count) {
		message.msg_control = room.bytes;
		message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
	}
	while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

void handover_give(int socket, const struct escrow_places *places)
{
	int fds[ESCROW_FILES] = {-1, -1, -1};
	struct handed_text *text = calloc(1, sizeof *text);
	if (!text)
		return;
	int count = open_all(places, text, fds);
	send_all(socket, text, fds, count);
	close_all(fds, count);
	free(text);
}

static int take_fds(struct msghdr *message, int fds[static ESCROW_FILES])
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return 0;
	size_t bytes = header->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(header), bytes);
	return (int)(bytes / sizeof(int));
}

bool handover_take(int socket, struct handed *out)
{
	int fds[ESCROW_FILES] = {-1, -1, -1}, next = 0;
	union room room = {0};
	*out = (struct handed){.text = calloc(1, sizeof *out->text)};
	for (int i = 0; i < ESCROW_FILES; i++)
		out->file[i].fd = -1;
	if (!out->text)
		return false;
	struct iovec part = {.iov_base = out->text, .iov_len = sizeof *out->text};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = room.bytes,
				 .msg_controllen = sizeof room.bytes};
	ssize_t n;
	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof *out->text)
		return false;
	int count = take_fds(&message, fds);
	for (int i = 0; i < ESCROW_FILES; i++) {
		struct opened *file = &out->file[i];
		*file = (struct opened){.path = out->text->of[i].path,
					.fd = -1,
					.error = out->text->of[i].error,
					.why = out->text->of[i].why};
		if (out->text->of[i].comes && next < count)
			file->fd = fds[next++];
	}
	close_all(fds + next, count - next);
	return true;
}

void handed_free(struct handed *handed)
{
	for (int i = 0; i < ESCROW_FILES; i++)
		if (handed->file[i].fd >= 0)
			close(handed->file[i].fd);
	free(handed->text);
	*handed = (struct handed){0};
}
