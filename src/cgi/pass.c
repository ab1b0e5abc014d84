/*
 * To the mount, and back from it. The verdict on a message comes from the write that completes it; on a
 * binary property list that turns out to be none from the read that ends it, which has a sentence then,
 * and no errno: the close that follows has that.
 *
 * MUST: a webhook's process needs, and uses, no right to read: no token comes back to it.
 *       (test: webhook.bats, "may write checkin and not read it")
 * MUST: what is read after an error is never taken for a reply. (test: nginx.bats, "a binary property list")
 */
#include "cgi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define REPLY_MAX ((size_t)128 * 1024)

/* 0, or the errno. */
static int write_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_all(int fd, struct secret *out)
{
	if (secret_new(REPLY_MAX, out) != OK)
		return ENOMEM;
	while (out->len < out->cap) {
		ssize_t n = read(fd, out->data + out->len, out->cap - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : 0;
		out->len += (size_t)n;
	}
	return EIO; /* no reply is as long */
}

/* A file that lies where nothing is mounted would keep what is written to it. */
static bool is_mounted(int fd)
{
	struct statfs about;
	return fstatfs(fd, &about) == 0 && about.f_type == FUSE_SUPER_MAGIC;
}

/* What the mount had to say, one line of it. */
static int refuse(int error, const struct secret *said)
{
	char why[256];
	size_t len = said->len < sizeof why ? said->len : sizeof why - 1;
	memcpy(why, said->data ? said->data : (const uint8_t *)"", len);
	why[len] = 0;
	why[strcspn(why, "\n")] = 0;
	if (!*why && error == EINVAL)
		return cgi_refuse(cgi_status_of(error), "the message isn't whole, or isn't valid");
	return *why ? cgi_refuse(cgi_status_of(error), "%s", why)
		    : cgi_refuse(cgi_status_of(error), "the escrow refused it (%s)",
				 strerror(error));
}

int cgi_pass(const struct cgi_request *request, const struct secret *message, struct secret *reply)
{
	bool reads = request->role == CGI_DEVICE;
	int fd = open(request->checkin, (reads ? O_RDWR : O_WRONLY) | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return cgi_refuse(CGI_BROKEN, "%s: user %u may not open it to %s: %s",
				  request->checkin, geteuid(), reads ? "read and write" : "write",
				  strerror(errno));
	if (!is_mounted(fd)) {
		close(fd);
		return cgi_refuse(CGI_BROKEN, "%s: it isn't in a mounted escrow", request->checkin);
	}
	int error = write_all(fd, message->data, message->len);
	if (reads) {
		int read_error = read_all(fd, reply);
		error = error ? error : read_error;
	}
	if (close(fd) != 0 && !error)
		error = errno;
	if (!error)
		return CGI_OK;
	int status = refuse(error, reply);
	secret_free(reply);
	return status;
}
