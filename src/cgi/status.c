/*
 * What an errno of the mount is as an HTTP status.
 *
 * A Mac that gets a 5xx keeps its message and tries again; a 4xx it gives up on. So what is wrong with the
 * message, or with its sender, is a 4xx, and everything else is a 5xx, also what nobody thought of: the
 * Mac may come again once an administrator has seen to it. None is a 401, on which a Mac leaves its MDM,
 * and none a 200.
 */
#include "cgi.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	int error, status;
} statuses[] = {
	{EINVAL, 400},	/* not whole, not valid */
	{EPERM, 403},	/* the prerequisites, or the device's certificate, forbid it */
	{EFBIG, 413},	/* over 1 MiB */
	{EBADMSG, 500}, /* the seal is damaged: time doesn't heal it */
	{ENOKEY, 503},	     {ENOSPC, 503}, {EROFS, 503},
	{EIO, 503},	     {ENOMEM, 503}, {EDQUOT, 503},   /* later */
	{EACCES, 503},	     {ENOENT, 503}, {ENOTCONN, 503}, /* whoever set this up sees to it */
	{EKEYREJECTED, 503},
};

int cgi_status_of(int error)
{
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (statuses[i].error == error)
			return statuses[i].status;
	return CGI_BROKEN;
}

const char *cgi_phrase(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 405:
		return "Method Not Allowed";
	case 411:
		return "Length Required";
	case 413:
		return "Content Too Large";
	case 500:
		return "Internal Server Error";
	default:
		return "Service Unavailable";
	}
}

int cgi_refuse(int status, const char *format, ...)
{
	char sentence[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	fail(ERR_INVALID, "%s", sentence);
	return status;
}
