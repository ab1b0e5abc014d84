#ifndef ESCROWFS_CGI_H
#define ESCROWFS_CGI_H

#include "error.h"
#include "seal.h"
#include "secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * escrowfs-cgi: the HTTP side of a check-in. A web server starts it for each request (CGI, RFC 3875; nginx
 * by way of fcgiwrap); it takes one message from standard input, writes it to the mount's file `checkin`
 * and answers with what is to be read there. It is a program of its own, with no key, and may do what the
 * user may as whom it runs. What it may do besides that is said by the server, in the environment:
 *
 *   ESCROWFS_CHECKIN         the file, in a mounted escrow
 *   ESCROWFS_HMAC_KEY_FILE   only where an MDM server posts its webhooks: the file with the key that
 *                            it signs them with, or, if it doesn't sign, has as its password
 *   ESCROWFS_CLIENT_VERIFY   only where Macs come: SUCCESS once the server has verified the client's
 *   ESCROWFS_CLIENT_CERT     certificate, which is this one: PEM, percent-encoded
 *
 * A request ends with an HTTP status; for one that isn't 200 there is a sentence, kept as fail() keeps it.
 *
 * MUST: the message and its reply lie in secure memory, and go to the mount and to standard output alone.
 *       (test: nginx.bats, "a token is in no file", "opens no file to write to")
 * MUST: no argument and no variable of the environment ever has a byte of them.
 *       (test: nginx.bats, "opens no file to write to")
 * MUST: not a byte is written to the mount before the message is here as long as it was announced, and
 *       its sender is known. (test: nginx.bats, "cut short"; webhook.bats, "what isn't signed")
 * MUST: only a mounted escrow is written to, never a file in its place.
 *       (test: nginx.bats, "isn't mounted")
 * MUST: whatever goes wrong is no 200, which would tell a Mac that there is no token; nor is it a 401, on
 *       which a Mac leaves its MDM. (test: cgi_errors_are_errors; nginx.bats, "without the key")
 */

#define CGI_BODY_MAX ((size_t)1024 * 1024)
#define CGI_SECONDS 30

enum cgi_role {
	CGI_DEVICE,  /* PUT: a Mac, known by its certificate; it gets the reply */
	CGI_WEBHOOK, /* POST: an MDM server, known by its key; it gets none */
};

struct cgi_request {
	enum cgi_role role;
	const char *checkin;
	size_t length;	   /* of the body; SIZE_MAX: it isn't said */
	char identity[65]; /* of a device: its certificate's SHA-256 in hex */
	/* Of a webhook. It is known by its signature, and where it has none by a password: the key. */
	const char *key_file, *authorization;
	bool is_signed;
	uint8_t signature[SEAL_DIGEST]; /* what it says that its HMAC is */
};

/* ---- status.c ---- */

enum { CGI_OK = 200, CGI_BROKEN = 503 };

/* The status for what a call on the mount answered. Never a 200 or a 401. */
int cgi_status_of(int error);
/* "Service Unavailable" */
const char *cgi_phrase(int status);
/* Keeps the sentence for fail_why(). Returns the status. */
int cgi_refuse(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- request.c ---- */

/*
 * Who asks, and how much comes; from the environment. Reads no body. 200; 405, 411, 413; 400: a length
 * that is none, or nothing comes; 403: no verified certificate, or nothing that could be a signature; 503:
 * the server was set up wrongly. `request` is set as far as could be told, whatever comes of it.
 */
int cgi_request_read(struct cgi_request *request);

/*
 * Undoes percent-encoding: `out` has room for `size` bytes with a NUL, and gets fewer bytes than `text`
 * has. False: a '%' without two hex digits, an encoded NUL, or too long.
 */
bool cgi_unescape(const char *text, char *out, size_t size);

/* ---- message.c ---- */

/*
 * The message as `checkin` takes it: a header line, by which none of the sender's own can be one, and the
 * body. 200; 400: less came than was announced, or it is none of a device's or of a webhook's; 403: the
 * signature or the password isn't the one; 503. The caller frees, whatever comes of it.
 */
int cgi_message_read(const struct cgi_request *, int fd, struct secret *message);
/* Reads what else the server has to say, up to `length` bytes of it, and forgets it. */
void cgi_drain(int fd, size_t length);

/* ---- pass.c ---- */

/*
 * Writes the message to the mount, and reads its reply. 200, or what the errno is as a status. The caller
 * frees `reply`.
 */
int cgi_pass(const struct cgi_request *, const struct secret *message, struct secret *reply);

/* ---- answer.c ---- */

/* Writes the response: the reply, if there is one, or for an error the sentence. */
void cgi_answer(const struct cgi_request *, int fd, int status, const struct secret *reply);

#endif
