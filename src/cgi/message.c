/*
 * The message, as it comes from the web server: all of it is here, and its sender known, before anything is
 * written to the mount.
 *
 * Before it stands a header line of our own and an empty line. What a sender puts in front of its message
 * to look like header lines (an Identity, say) is part of the message then, and refused with it.
 *
 * MUST: a signature is compared in constant time, over the very bytes that are passed on.
 *       (test: webhook.bats, "what isn't signed"; cgi_signature)
 * MUST: a device sends property lists only, and a webhook JSON only: neither can be taken for the other.
 *       (test: cgi_message_forms)
 */
#include "cgi.h"

#include "mdm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEADER_MAX 128

/* As many bytes as were announced, straight to where they stay. */
static int read_body(int fd, size_t length, struct secret *message)
{
	size_t whole = message->len + length;
	while (message->len < whole) {
		ssize_t n = read(fd, message->data + message->len, whole - message->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cgi_refuse(CGI_BROKEN, "the message can't be read: %s",
					  strerror(errno));
		if (n == 0)
			return cgi_refuse(400, "the message was cut short: %zu bytes of %zu came",
					  length - (whole - message->len), length);
		message->len += (size_t)n;
	}
	return CGI_OK;
}

void cgi_drain(int fd, size_t length)
{
	uint8_t piece[4096];
	for (ssize_t n = 1; length && n; length -= n > 0 ? (size_t)n : 0) {
		n = read(fd, piece, length < sizeof piece ? length : sizeof piece);
		if (n < 0 && errno != EINTR)
			break;
	}
	secret_wipe(piece, sizeof piece);
}

static int check_signature(const struct cgi_request *request, const uint8_t *body)
{
	SCOPED(secret_free) struct secret key = {0};
	uint8_t expected[SEAL_DIGEST];
	if (seal_line_read(request->key_file, &key) != OK ||
	    seal_hmac(&key, body, request->length, expected) != OK)
		return cgi_refuse(CGI_BROKEN, "the webhook's signature can't be checked: %s",
				  fail_why());
	bool same = seal_equal(expected, request->signature, sizeof expected);
	secret_wipe(expected, sizeof expected);
	return same ? CGI_OK
		    : cgi_refuse(403, "X-Hmac-Signature isn't this message's: base64 of its "
				      "HMAC-SHA256 under the key of the webhook");
}

static int check_form(const struct cgi_request *request, const uint8_t *body)
{
	enum mdm_form form = mdm_form(body, request->length);
	if (request->role == CGI_WEBHOOK)
		return form == FORM_JSON ? CGI_OK
					 : cgi_refuse(400, "a webhook's message is a JSON object");
	return form == FORM_XML || form == FORM_BINARY
		       ? CGI_OK
		       : cgi_refuse(400, "a device's message is a property list");
}

int cgi_message_read(const struct cgi_request *request, int fd, struct secret *message)
{
	char header[HEADER_MAX];
	if (request->role == CGI_DEVICE)
		snprintf(header, sizeof header, "Identity: %s\n\n", request->identity);
	else
		snprintf(header, sizeof header, "Content-Type: application/json\n\n");
	size_t start = strlen(header);
	if (secret_new(start + request->length, message) != OK ||
	    secret_add(message, header, start) != OK) {
		char why[512];
		snprintf(why, sizeof why, "%s", fail_why());
		cgi_drain(fd, request->length);
		return cgi_refuse(CGI_BROKEN, "%s", why);
	}
	int status = read_body(fd, request->length, message);
	if (status == CGI_OK && request->role == CGI_WEBHOOK)
		status = check_signature(request, message->data + start);
	return status == CGI_OK ? check_form(request, message->data + start) : status;
}
