/*
 * One request, from its first byte to its answer. Nobody but the web server calls this program.
 *
 * MUST: before there is a byte of the message, it can't be dumped, nor looked into by others.
 *       (test: nginx.bats, "can't be looked into")
 * MUST: it ends by itself, whoever it waits for. (test: nginx.bats, "ends by itself")
 */
#include "cgi.h"

#include "log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for the message, which may be grown into once, and for the reply. */
#define HEAP_SMALL ((size_t)512 * 1024)
#define HEAP_LARGE ((size_t)4 * 1024 * 1024)
#define SMALL ((size_t)64 * 1024)

/*
 * The kernel ends it then, also in the middle of a call on a mount that doesn't answer, which a handler of
 * ours couldn't: whoever started it answers for it, with a 502.
 */
static void end_in_time(void)
{
	sigset_t alarm_only;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	signal(SIGALRM, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	alarm(CGI_SECONDS);
}

static int take(struct cgi_request *request, struct secret *reply)
{
	SCOPED(secret_free) struct secret message = {0};
	int status = cgi_request_read(request);
	bool large = status == CGI_OK && request->length > SMALL;
	if (secret_prepare_sealed(large ? HEAP_LARGE : HEAP_SMALL) != OK)
		status = cgi_refuse(CGI_BROKEN, "%s", fail_why());
	if (status != CGI_OK) {
		/* Who passes the request on wants to be rid of all of it before it reads the answer. */
		cgi_drain(STDIN_FILENO, request->length);
		return status;
	}
	status = cgi_message_read(request, STDIN_FILENO, &message);
	return status == CGI_OK ? cgi_pass(request, &message, reply) : status;
}

static void tell_operator(int status)
{
	if (status >= 500 || status == 403)
		log_say(status >= 500 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
			"a check-in was answered with %d: %s", status, fail_why());
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || !getenv("REQUEST_METHOD")) {
		fputs("escrowfs-cgi takes a check-in that comes by HTTP to a mounted escrow. A web "
		      "server starts it;\nexamples/nginx/README has how, and escrowfs(8) what it "
		      "answers.\n",
		      argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
		return argc > 1 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
	}
	end_in_time();
	signal(SIGXFSZ, SIG_IGN); /* an error of the write instead */
	SCOPED(secret_free) struct secret reply = {0};
	struct cgi_request request;
	int status = take(&request, &reply);
	tell_operator(status);
	cgi_answer(&request, STDOUT_FILENO, status, &reply);
	return EXIT_SUCCESS;
}
