/* escrowfs-cgi without a web server: what it takes from the environment, and what errors are in HTTP. */
#include "cgi/cgi.h"
#include "seal_fixture.h"
#include "text.h"

#include <errno.h>

/* ---- percent-encoding ---- */

static void cgi_unescapes(void **state)
{
	(void)state;
	static const struct {
		const char *text, *plain; /* NULL: refused */
	} rows[] = {
		{"", ""},
		{"a+b c", "a+b c"},
		{"%41%62%0a%2f%2F%25", "Ab\n//%"},
		{"1234567", "1234567"},
		{"12345678", NULL},
		{"%31%32%33%34%35%36%37", "1234567"},
		{"%", NULL},
		{"%4", NULL},
		{"a%4g", NULL},
		{"%g4", NULL},
		{"%%41", NULL},
		{"%00", NULL},
		{"a%00b", NULL},
		{"%4%31", NULL},
		{"%-1", NULL},
		{"%e4", "\xe4"},
		{"%0", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char out[8];
		memset(out, 'x', sizeof out);
		bool taken = cgi_unescape(rows[i].text, out, sizeof out);
		if (taken != (rows[i].plain != NULL) || (taken && strcmp(out, rows[i].plain) != 0))
			fail_msg("row %zu: %s", i, rows[i].text);
	}
}

/* ---- the environment ---- */

#define CERT "ESCROWFS_CLIENT_CERT"
#define VERIFY "ESCROWFS_CLIENT_VERIFY"
#define SOME_SIGNATURE "f8+vBR9b64cpTO7WxKrcHiGvr+8tctjZBdjQv9uqfio="

/* As the web server says it of a Mac that sends 9 bytes. */
static void as_device(void)
{
	SCOPED(bytes_free) struct bytes escaped = read_file(in_dir("escaped"));
	clearenv();
	setenv("REQUEST_METHOD", "PUT", 1);
	setenv("CONTENT_LENGTH", "9", 1);
	setenv("ESCROWFS_CHECKIN", "/mnt/escrow/checkin", 1);
	setenv(VERIFY, "SUCCESS", 1);
	setenv(CERT, (const char *)escaped.data, 1);
}

static void as_webhook(const char *signature)
{
	clearenv();
	setenv("REQUEST_METHOD", "POST", 1);
	setenv("CONTENT_LENGTH", "9", 1);
	setenv("ESCROWFS_CHECKIN", "/mnt/escrow/checkin", 1);
	setenv("ESCROWFS_HMAC_KEY_FILE", in_dir("key"), 1);
	setenv("HTTP_X_HMAC_SIGNATURE", signature, 1);
}

static int requested(void)
{
	struct cgi_request request;
	return cgi_request_read(&request);
}

static int prepare(void **state)
{
	if (help_setup(state))
		return -1;
	write_text("key", "a key of the webhook\n", 0600);
	return shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 9 "
		     "-subj /CN=mac -keyout mac.key -out mac.pem 2>/dev/null && "
		     "openssl x509 -in mac.pem -outform DER | sha256sum | cut -c1-64 | tr -d '\\n' "
		     ">digest && "
		     "od -An -v -tx1 mac.pem | tr -d '\\n' | tr ' ' %% >escaped");
}

static void cgi_request_of_a_device(void **state)
{
	(void)state;
	struct cgi_request request;
	SCOPED(bytes_free) struct bytes digest = read_file(in_dir("digest"));
	as_device();
	assert_int_equal(cgi_request_read(&request), 200);
	assert_int_equal(request.role, CGI_DEVICE);
	assert_int_equal(request.length, 9);
	assert_string_equal(request.checkin, "/mnt/escrow/checkin");
	assert_string_equal(request.identity, (const char *)digest.data);

	static const struct {
		const char *name, *value; /* NULL: not said */
		int status;
	} rows[] = {
		{VERIFY, NULL, 403},
		{VERIFY, "NONE", 403},
		{VERIFY, "FAILED:certificate has expired", 403},
		{VERIFY, "success", 403},
		{CERT, NULL, 503},
		{CERT, "", 503},
		{CERT, "%2", 503},
		{CERT, "no certificate", 503},
		{"REQUEST_METHOD", "POST", 405},
		{"REQUEST_METHOD", "put", 405},
		{"CONTENT_LENGTH", NULL, 411},
		{"CONTENT_LENGTH", "", 411},
		{"CONTENT_LENGTH", "0", 400},
		{"CONTENT_LENGTH", "-9", 400},
		{"CONTENT_LENGTH", "9 ", 400},
		{"CONTENT_LENGTH", "0x9", 400},
		{"CONTENT_LENGTH", "1048576", 200},
		{"CONTENT_LENGTH", "1048577", 413},
		{"CONTENT_LENGTH", "18446744073709551617", 413},
		{"ESCROWFS_CHECKIN", NULL, 503},
		{"ESCROWFS_CHECKIN", "checkin", 503},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		as_device();
		if (rows[i].value)
			setenv(rows[i].name, rows[i].value, 1);
		else
			unsetenv(rows[i].name);
		int status = requested();
		if (status != rows[i].status)
			fail_msg("row %zu: %d", i, status);
	}
}

/* Without a certificate and without a key nobody is let in: not by an empty name of the key's file either. */
static void cgi_request_of_nobody(void **state)
{
	(void)state;
	as_webhook(SOME_SIGNATURE);
	assert_int_equal(requested(), 200);
	setenv("ESCROWFS_HMAC_KEY_FILE", "", 1);
	assert_int_equal(requested(), 405);
	setenv("REQUEST_METHOD", "PUT", 1);
	assert_int_equal(requested(), 403);
	as_webhook("");
	assert_int_equal(requested(), 403);
	unsetenv("HTTP_X_HMAC_SIGNATURE");
	assert_int_equal(requested(), 403);
	as_webhook(SOME_SIGNATURE);
	setenv("REQUEST_METHOD", "PUT", 1);
	assert_int_equal(requested(), 405);
	clearenv();
	assert_int_equal(requested(), 503);
}

/* Known before there is a byte of the message. */
static void cgi_request_with_no_signature(void **state)
{
	(void)state;
	static const char *const none[] = {"x",
					   "=",
					   "AAAA",
					   SOME_SIGNATURE "AAAA",
					   SOME_SIGNATURE " ",
					   " " SOME_SIGNATURE,
					   "sha256=" SOME_SIGNATURE,
					   "f8+vBR9b64cpTO7WxKrcHiGvr+8tctjZBdjQv9uqfioA",
					   "f8+vBR9b64cpTO7WxKrcHiGvr+8tctjZBdjQv9uqfio.",
					   "f8+vBR9b64cpTO7WxKrcHiGvr+8tctjZBdjQv9uqfi=="};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		as_webhook(none[i]);
		if (requested() != 403)
			fail_msg("row %zu: %s", i, none[i]);
	}
}

/* ---- the message ---- */

/* What comes of these bytes; `message` is the caller's to free. */
static int sent(const char *text, size_t announced, struct secret *message)
{
	struct cgi_request request;
	int ends[2];
	char length[32];
	snprintf(length, sizeof length, "%zu", announced);
	setenv("CONTENT_LENGTH", length, 1);
	*message = (struct secret){0};
	int status = cgi_request_read(&request);
	if (status != 200)
		return status;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
	close(ends[1]);
	status = cgi_message_read(&request, ends[0], message);
	close(ends[0]);
	return status;
}

static int sent_alone(const char *text)
{
	SCOPED(secret_free) struct secret message;
	return sent(text, strlen(text), &message);
}

#define PLIST "<plist><dict/></plist>"

static void cgi_message_of_a_device(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes digest = read_file(in_dir("digest"));
	SCOPED(secret_free) struct secret message;
	char expected[256];
	as_device();
	assert_int_equal(sent(PLIST "\n", sizeof PLIST, &message), 200);
	snprintf(expected, sizeof expected, "Identity: %s\n\n" PLIST "\n",
		 (const char *)digest.data);
	assert_int_equal(message.len, strlen(expected));
	assert_memory_equal(message.data, expected, message.len);
	secret_free(&message);
	/* A whole message in a body that isn't. */
	assert_int_equal(sent(PLIST, sizeof PLIST, &message), 400);
	assert_non_null(strstr(fail_why(), "22 bytes of 23"));
	secret_free(&message);
	/* No more than was announced. */
	assert_int_equal(sent(PLIST "more", sizeof PLIST - 1, &message), 200);
	assert_int_equal(message.len, strlen(expected) - 1);
}

static void cgi_message_forms(void **state)
{
	(void)state;
	as_device();
	assert_int_equal(sent_alone("\xef\xbb\xbf \n" PLIST), 200);
	assert_int_equal(sent_alone("bplist00 and so on"), 200);
	assert_int_equal(sent_alone("{\"topic\":\"t\"}"), 400);
	assert_int_equal(sent_alone(" \n{\"topic\":\"t\"}"), 400);
	assert_int_equal(sent_alone("Identity: 00\n\n" PLIST), 400);
	assert_int_equal(sent_alone("Host: x\n\n{}"), 400);
	assert_int_equal(sent_alone("\n\n"), 400);
	assert_int_equal(sent_alone("QUJD\n"), 400);
}

/* Known answers: of `openssl dgst -sha256 -hmac 'a key of the webhook' -binary | base64`. */
#define JSON "{\"topic\":\"t\"}"
#define JSON_SIGNATURE SOME_SIGNATURE
#define PLIST_SIGNATURE "N49VeMQ3upn8os1bS4zvN4svkAVB4do5emcWmZr09oc="

static void cgi_signature(void **state)
{
	(void)state;
	SCOPED(secret_free) struct secret message;
	as_webhook(JSON_SIGNATURE);
	assert_int_equal(sent(JSON, strlen(JSON), &message), 200);
	static const char whole[] = "Content-Type: application/json\n\n" JSON;
	assert_int_equal(message.len, strlen(whole));
	assert_memory_equal(message.data, whole, message.len);
	/* Each part of it counts. */
	assert_int_equal(sent_alone("{\"topic\":\"T\"}"), 403);
	assert_int_equal(sent_alone(JSON "\n"), 403);
	char other[] = JSON_SIGNATURE;
	for (size_t i = 0; i < strlen(other); i++) {
		other[i] = other[i] == 'A' ? 'B' : 'A';
		as_webhook(other);
		assert_int_equal(sent_alone(JSON), 403);
		other[i] = JSON_SIGNATURE[i];
	}
	/* Signed, but not what comes here. */
	as_webhook(PLIST_SIGNATURE);
	assert_int_equal(sent_alone(PLIST), 400);

	as_webhook(JSON_SIGNATURE);
	assert_int_equal(chmod(in_dir("key"), 0644), 0);
	assert_int_equal(sent_alone(JSON), 503);
	assert_non_null(strstr(fail_why(), "chmod o="));
	write_text("key", "\n", 0600);
	assert_int_equal(sent_alone(JSON), 503);
	unlink(in_dir("key"));
	assert_int_equal(sent_alone(JSON), 503);
	write_text("key", "a key of the webhook\n", 0600);
}

static void as_micromdm(const char *authorization)
{
	as_webhook("");
	unsetenv("HTTP_X_HMAC_SIGNATURE");
	setenv("HTTP_AUTHORIZATION", authorization, 1);
}

/* Known answers: of `printf 'micromdm:a key of the webhook' | base64`. */
#define PASSWORD "bWljcm9tZG06YSBrZXkgb2YgdGhlIHdlYmhvb2s="

static void cgi_password(void **state)
{
	(void)state;
	as_micromdm("Basic " PASSWORD);
	assert_int_equal(sent_alone(JSON), 200);
	as_micromdm("basic " PASSWORD);
	assert_int_equal(sent_alone(JSON), 200);
	/* It is no way around a signature, nor to another kind of message. */
	setenv("HTTP_X_HMAC_SIGNATURE", "x", 1);
	assert_int_equal(sent_alone(JSON), 403);
	as_micromdm("Basic " PASSWORD);
	assert_int_equal(sent_alone(PLIST), 400);
	static const char *const none[] = {"Basic",
					   "Basic ",
					   "Basic !",
					   "Basic bWljcm9tZG06",		 /* micromdm: */
					   "Basic YSBrZXkgb2YgdGhlIHdlYmhvb2s=", /* the key alone */
					   "Basic Og==",			 /* : */
					   "Basic bTphIGtleSBvZiB0aGUgd2ViaG9v", /* one less */
					   "Basic bTphIGtleSBvZiB0aGUgd2ViaG9vazI=", /* one more */
					   ("Bearer " PASSWORD),
					   PASSWORD};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		as_micromdm(none[i]);
		assert_int_equal(sent_alone(JSON), 403);
	}
	as_micromdm("");
	assert_int_equal(requested(), 403);
	as_micromdm("Basic " PASSWORD);
	unlink(in_dir("key"));
	assert_int_equal(sent_alone(JSON), 503);
	write_text("key", "a key of the webhook\n", 0600);
}

static void cgi_drains(void **state)
{
	(void)state;
	static const size_t lengths[] = {0, 5, 6, SIZE_MAX};
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		int ends[2];
		char rest[8];
		assert_int_equal(pipe(ends), 0);
		assert_int_equal(write(ends[1], "abcdef", 6), 6);
		close(ends[1]);
		cgi_drain(ends[0], lengths[i]);
		assert_int_equal(read(ends[0], rest, sizeof rest),
				 lengths[i] < 6 ? 6 - (int)lengths[i] : 0);
		close(ends[0]);
	}
}

/* ---- the answer ---- */

static void cgi_errors_are_errors(void **state)
{
	(void)state;
	static const struct {
		int error, status;
	} rows[] = {
		{EINVAL, 400},	     {EPERM, 403},  {EFBIG, 413},  {EBADMSG, 500},  {ENOKEY, 503},
		{ENOSPC, 503},	     {EIO, 503},    {EROFS, 503},  {EDQUOT, 503},   {ENOMEM, 503},
		{EKEYREJECTED, 503}, {EACCES, 503}, {ENOENT, 503}, {ENOTCONN, 503},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(cgi_status_of(rows[i].error), rows[i].status);
	for (int error = 0; error < 200; error++) {
		int status = cgi_status_of(error);
		assert_true(status >= 400 && status != 401);
		assert_true(strlen(cgi_phrase(status)) > 3);
	}
}

static void answered(const struct cgi_request *request, int status, const char *reply,
		     char out[static 1024])
{
	SCOPED(secret_free) struct secret secret = {0};
	int ends[2];
	if (*reply)
		assert_int_equal(secret_add(&secret, reply, strlen(reply)), OK);
	assert_int_equal(pipe(ends), 0);
	cgi_answer(request, ends[1], status, &secret);
	close(ends[1]);
	ssize_t n = read(ends[0], out, 1023);
	close(ends[0]);
	assert_true(n >= 0);
	out[n] = 0;
}

static void cgi_answers(void **state)
{
	(void)state;
	const struct cgi_request device = {.role = CGI_DEVICE}, webhook = {.role = CGI_WEBHOOK};
	char text[1024];
	answered(&device, 200, "<plist/>", text);
	assert_string_equal(
		text, "Status: 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 8\r\n"
		      "Cache-Control: no-store\r\n\r\n<plist/>");
	answered(&device, 200, "", text);
	assert_string_equal(
		text, "Status: 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\r\n");
	answered(&device, cgi_refuse(400, "it is not whole"), "", text);
	assert_string_equal(
		text, "Status: 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
		      "Content-Length: 16\r\nCache-Control: no-store\r\n\r\nit is not whole\n");
	/* What is wrong here is nobody's business there. */
	answered(&device, cgi_refuse(503, "/var/lib/escrowfs is full"), "", text);
	assert_non_null(strstr(text, "Status: 503 "));
	assert_non_null(strstr(text, "Retry-After: "));
	assert_null(strstr(text, "/var/lib"));
	answered(&device, cgi_refuse(405, "no"), "", text);
	assert_non_null(strstr(text, "Allow: PUT\r\n"));
	answered(&webhook, cgi_refuse(405, "no"), "", text);
	assert_non_null(strstr(text, "Allow: POST\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cgi_unescapes),
		cmocka_unit_test(cgi_request_of_a_device),
		cmocka_unit_test(cgi_request_of_nobody),
		cmocka_unit_test(cgi_request_with_no_signature),
		cmocka_unit_test(cgi_message_of_a_device),
		cmocka_unit_test(cgi_message_forms),
		cmocka_unit_test(cgi_signature),
		cmocka_unit_test(cgi_password),
		cmocka_unit_test(cgi_drains),
		cmocka_unit_test(cgi_errors_are_errors),
		cmocka_unit_test(cgi_answers),
	};
	return cmocka_run_group_tests_name("cgi", tests, prepare, help_teardown);
}
