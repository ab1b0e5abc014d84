/*
 * The response. What is wrong with a message is said to who sent it; what is wrong here is for the log, and
 * the sender is told to come again.
 *
 * MUST: a token leaves by one write, from secure memory. (test: nginx.bats, "opens no file to write to")
 */
#include "cgi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	while (len) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* the server has gone */
		at += n;
		len -= (size_t)n;
	}
}

void cgi_answer(const struct cgi_request *request, int fd, int status, const struct secret *reply)
{
	char text[600] = "", head[512];
	const char *type = "";
	size_t len = reply->len;
	if (status != CGI_OK) {
		snprintf(text, sizeof text, "%s\n",
			 status >= 500 ? "This can't be done now; try again later." : fail_why());
		len = strlen(text);
		type = "Content-Type: text/plain; charset=utf-8\r\n";
	} else if (len) {
		type = "Content-Type: application/xml\r\n";
	}
	snprintf(head, sizeof head,
		 "Status: %d %s\r\n%sContent-Length: %zu\r\nCache-Control: no-store\r\n%s%s\r\n",
		 status, cgi_phrase(status), type, len,
		 status == CGI_BROKEN ? "Retry-After: 60\r\n" : "",
		 status != 405		       ? ""
		 : request->role == CGI_DEVICE ? "Allow: PUT\r\n"
					       : "Allow: POST\r\n");
	write_all(fd, head, strlen(head));
	if (status == CGI_OK)
		write_all(fd, reply->data, len);
	else
		write_all(fd, text, len);
}
