/*
 * The message, as it comes from the web server: all of it is here, and its sender known, before anything is
 * written to the mount.
 *
 * Before it stands a header line of our own and an empty line. What a sender puts in front of its message
 * to look like header lines (an Identity, say) is part of the message then, and refused with it.
 *
 * MUST: a signature is compared in constant time, over the very bytes that are passed on.
 *       (test: webhook.bats, "what isn't signed"; cgi_signature)
 * MUST: a password is compared in constant time, in secure memory, and counts only where there is no
 *       signature. (test: webhook.bats, "MicroMDM doesn't sign"; cgi_password)
 * MUST: a device sends property lists only, and a webhook JSON only: neither can be taken for the other.
 *       (test: cgi_message_forms)
 */
#include "cgi.h"

#include "base64.h"
#include "mdm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
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

static int check_signature(const struct cgi_request *request, const struct secret *key,
			   const uint8_t *body)
{
	uint8_t expected[SEAL_DIGEST];
	if (seal_hmac(key, body, request->length, expected) != OK)
		return cgi_refuse(CGI_BROKEN, "the webhook's signature can't be checked: %s",
				  fail_why());
	bool fits = seal_equal(expected, request->signature, sizeof expected);
	secret_wipe(expected, sizeof expected);
	return fits ? CGI_OK
		    : cgi_refuse(403, "X-Hmac-Signature isn't this message's: base64 of its "
				      "HMAC-SHA256 under the key of the webhook");
}

/* "Basic", and base64 of a name, which may be any, a colon and the password. */
static enum error read_password(const char *authorization, struct secret *out)
{
	static const char scheme[] = "Basic ";
	size_t before = sizeof scheme - 1, len = strlen(authorization);
	if (strncasecmp(authorization, scheme, before) != 0)
		return ERR_INVALID;
	TRY(secret_new(BASE64_DECODED_MAX(len - before), out));
	TRY(base64_decode((const uint8_t *)authorization + before, len - before, out->data,
			  &out->len));
	const uint8_t *colon = out->len ? memchr(out->data, ':', out->len) : NULL;
	if (!colon)
		return ERR_INVALID;
	out->len -= (size_t)(colon + 1 - out->data);
	memmove(out->data, colon + 1, out->len);
	return OK;
}

/* Of two texts that may be of different lengths their HMACs are compared. */
static int check_password(const struct cgi_request *request, const struct secret *key)
{
	SCOPED(secret_free) struct secret password = {0};
	uint8_t expected[SEAL_DIGEST], given[SEAL_DIGEST];
	enum error read = read_password(request->authorization, &password);
	if (!read)
		read = seal_hmac(key, key->data, key->len, expected);
	if (!read)
		read = seal_hmac(key, password.data, password.len, given);
	bool fits = !read && seal_equal(expected, given, sizeof expected);
	secret_wipe(expected, sizeof expected);
	if (read && read != ERR_INVALID)
		return cgi_refuse(CGI_BROKEN, "the webhook's password can't be checked: %s",
				  fail_why());
	return fits ? CGI_OK
		    : cgi_refuse(403, "Authorization isn't Basic with the key of the webhook as "
				      "the password");
}

/* A password is checked before there is a body (NULL), a signature with it. */
static int check_sender(const struct cgi_request *request, const uint8_t *body)
{
	SCOPED(secret_free) struct secret key = {0};
	if (request->role == CGI_DEVICE || request->is_signed != (body != NULL))
		return CGI_OK;
	if (seal_line_read(request->key_file, &key) != OK)
		return cgi_refuse(CGI_BROKEN, "the key of the webhook can't be read: %s",
				  fail_why());
	return body ? check_signature(request, &key, body) : check_password(request, &key);
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
	int status = check_sender(request, NULL);
	if (status != CGI_OK) {
		cgi_drain(fd, request->length);
		return status;
	}
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
	status = read_body(fd, request->length, message);
	if (status == CGI_OK)
		status = check_sender(request, message->data + start);
	return status == CGI_OK ? check_form(request, message->data + start) : status;
}
