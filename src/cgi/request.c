/*
 * Who asks: a device, by the certificate that the web server verified, or an MDM server's webhook, by a key.
 * There is nothing else: without a certificate and without a key it is refused, however the server was set
 * up.
 */
#include "cgi.h"

#include "base64.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define SIGNATURE_TEXT BASE64_ENCODED(SEAL_DIGEST)
#define CERTIFICATE_MAX ((size_t)32 * 1024)

/* "" where the server says nothing. */
static const char *parameter(const char *name)
{
	const char *value = getenv(name);
	return value ? value : "";
}

/* ---- percent-encoding ---- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

bool cgi_unescape(const char *text, char *out, size_t size)
{
	size_t n = 0;
	while (*text) {
		char c = *text++;
		if (c == '%') {
			int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
			if (low < 0 || (!high && !low))
				return false;
			c = (char)(high << 4 | low);
			text += 2;
		}
		if (n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = 0;
	return true;
}

/* ---- what the server says ---- */

/* SIZE_MAX: it isn't said, or is no number of bytes that anybody has. */
static size_t read_length(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	return !digits || text[digits] || digits > 15 ? SIZE_MAX : strtoull(text, NULL, 10);
}

static int check_length(const struct cgi_request *request)
{
	const char *text = parameter("CONTENT_LENGTH");
	if (!*text)
		return cgi_refuse(411, "how long the message is must be said beforehand");
	if (text[strspn(text, "0123456789")])
		return cgi_refuse(400, "the length of the message is no number");
	if (request->length > CGI_BODY_MAX)
		return cgi_refuse(413, "the message is over %zu KiB", CGI_BODY_MAX / 1024);
	return request->length ? CGI_OK : cgi_refuse(400, "there is no message");
}

static int check_method(const struct cgi_request *request)
{
	const char *method = parameter("REQUEST_METHOD");
	if (request->role == CGI_DEVICE)
		return strcmp(method, "PUT") == 0 ? CGI_OK
						  : cgi_refuse(405, "a device PUTs its message");
	return strcmp(method, "POST") == 0 ? CGI_OK : cgi_refuse(405, "a webhook is POSTed");
}

static int read_certificate(struct cgi_request *request)
{
	char pem[CERTIFICATE_MAX];
	uint8_t digest[SEAL_DIGEST];
	const char *verified = parameter("ESCROWFS_CLIENT_VERIFY");
	const char *escaped = parameter("ESCROWFS_CLIENT_CERT");
	if (strcmp(verified, "SUCCESS") != 0)
		return cgi_refuse(
			403, "a device comes with a client certificate that the web server has "
			     "verified, and this one didn't");
	if (!*escaped || !cgi_unescape(escaped, pem, sizeof pem))
		return cgi_refuse(CGI_BROKEN, "ESCROWFS_CLIENT_CERT has no certificate in "
					      "percent-encoded PEM: let the web server pass it on");
	if (seal_certificate_digest(pem, strlen(pem), digest) != OK)
		return cgi_refuse(CGI_BROKEN, "ESCROWFS_CLIENT_CERT: %s", fail_why());
	hex_write(digest, sizeof digest, request->identity);
	return CGI_OK;
}

/* Whether it is the message's is known once that is here; who has none at all needn't send it. */
static int read_signature(struct cgi_request *request)
{
	const char *text = parameter("HTTP_X_HMAC_SIGNATURE");
	uint8_t bytes[BASE64_DECODED_MAX(SIGNATURE_TEXT)];
	size_t n = 0;
	if (!*text)
		return cgi_refuse(403, "a webhook is signed, or has the key as its password, and "
				       "this one has no X-Hmac-Signature and no Authorization");
	if (strlen(text) != SIGNATURE_TEXT ||
	    base64_decode((const uint8_t *)text, SIGNATURE_TEXT, bytes, &n) != OK ||
	    n != sizeof request->signature)
		return cgi_refuse(403, "X-Hmac-Signature is no signature: base64 of the message's "
				       "HMAC-SHA256 under the key of the webhook");
	memcpy(request->signature, bytes, sizeof request->signature);
	return CGI_OK;
}

static int read_sender(struct cgi_request *request)
{
	if (request->role == CGI_DEVICE)
		return read_certificate(request);
	request->authorization = parameter("HTTP_AUTHORIZATION");
	request->is_signed = *parameter("HTTP_X_HMAC_SIGNATURE");
	return request->is_signed || !*request->authorization ? read_signature(request) : CGI_OK;
}

int cgi_request_read(struct cgi_request *request)
{
	*request = (struct cgi_request){.length = read_length(parameter("CONTENT_LENGTH")),
					.checkin = parameter("ESCROWFS_CHECKIN"),
					.key_file = parameter("ESCROWFS_HMAC_KEY_FILE"),
					.authorization = ""};
	request->role = *request->key_file ? CGI_WEBHOOK : CGI_DEVICE;
	if (*request->checkin != '/')
		return cgi_refuse(CGI_BROKEN, "ESCROWFS_CHECKIN names no file: let the web server "
					      "say where the escrow's checkin is");
	int status = check_method(request);
	if (status == CGI_OK)
		status = read_sender(request);
	return status == CGI_OK ? check_length(request) : status;
}
