#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

int64_t time_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

int64_t time_of_file(const struct timespec *time)
{
	const int64_t year_2262 = INT64_C(9214646400);
	bool fits = time->tv_sec >= 1 && time->tv_sec < year_2262;
	return fits ? time->tv_sec * SECOND + time->tv_nsec : 0;
}

int64_t time_later(int64_t before, int64_t now)
{
	return now > before ? now : before < INT64_MAX ? before + 1 : before;
}

/* `number` in n digits and what comes behind them. */
static char *put_digits(char *out, int n, int number, char behind)
{
	for (int i = n - 1; i >= 0; i--, number /= 10)
		out[i] = (char)('0' + number % 10);
	out[n] = behind;
	return out + n + 1;
}

/* (Of security.json, strftime(3) took as long as all that is written besides.) */
void time_text(int64_t at, char out[static TEXT_TIME])
{
	time_t seconds = at / SECOND;
	struct tm parts;
	gmtime_r(&seconds, &parts);
	out = put_digits(out, 4, parts.tm_year + 1900, '-');
	out = put_digits(out, 2, parts.tm_mon + 1, '-');
	out = put_digits(out, 2, parts.tm_mday, 'T');
	out = put_digits(out, 2, parts.tm_hour, ':');
	out = put_digits(out, 2, parts.tm_min, ':');
	out = put_digits(out, 2, parts.tm_sec, '.');
	out = put_digits(out, 3, (int)(at % SECOND / 1000000), 'Z');
	*out = 0;
}

/* Reads exactly n digits; moves *text behind them. */
static bool digits(const char **text, int n, int *out)
{
	*out = 0;
	for (int i = 0; i < n; i++, (*text)++) {
		if (**text < '0' || **text > '9')
			return false;
		*out = *out * 10 + (**text - '0');
	}
	return true;
}

static bool letter(const char **text, const char *any_of)
{
	if (!**text || !strchr(any_of, **text))
		return false;
	(*text)++;
	return true;
}

bool time_read(const char *text, int64_t *at)
{
	int year, month, day, hour, minute, second;
	if (!digits(&text, 4, &year) || !letter(&text, "-") || !digits(&text, 2, &month) ||
	    !letter(&text, "-") || !digits(&text, 2, &day) || !letter(&text, "Tt ") ||
	    !digits(&text, 2, &hour) || !letter(&text, ":") || !digits(&text, 2, &minute) ||
	    !letter(&text, ":") || !digits(&text, 2, &second))
		return false;
	if (year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > 31 ||
	    hour > 23 || minute > 59 || second > 60)
		return false;

	int64_t fraction = 0, unit = SECOND;
	if (letter(&text, ".")) {
		for (; *text >= '0' && *text <= '9'; text++) {
			unit /= 10;
			fraction += (*text - '0') * unit;
		}
	}

	int offset = 0;
	if (!letter(&text, "Zz")) {
		int sign = *text == '-' ? -1 : 1, hours, minutes;
		if (!letter(&text, "+-") || !digits(&text, 2, &hours) || !letter(&text, ":") ||
		    !digits(&text, 2, &minutes) || hours > 23 || minutes > 59)
			return false;
		offset = sign * (hours * 3600 + minutes * 60);
	}
	if (*text)
		return false;

	struct tm parts = {.tm_year = year - 1900,
			   .tm_mon = month - 1,
			   .tm_mday = day,
			   .tm_hour = hour,
			   .tm_min = minute,
			   .tm_sec = second};
	int64_t seconds = timegm(&parts) - offset;
	if (seconds <= 0)
		return false;
	*at = seconds * SECOND + fraction;
	return true;
}

bool date_read(const char *text, int64_t *at)
{
	const size_t day = sizeof "2024-01-31" - 1;
	char midnight[TEXT_TIME], back[TEXT_TIME];
	int64_t read;
	if (strlen(text) != day)
		return time_read(text, at);
	snprintf(midnight, sizeof midnight, "%sT00:00:00Z", text);
	if (!time_read(midnight, &read))
		return false;
	/* A 31st of February would be read as a day of March. */
	time_text(read, back);
	if (strncmp(back, text, day) != 0)
		return false;
	*at = read;
	return true;
}

bool udid_valid(const char *udid, size_t len)
{
	if (len < 1 || len > UDID_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = udid[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      c == '-'))
			return false;
	}
	return true;
}

void hex_write(const uint8_t *bytes, size_t n, char *out)
{
	static const char digit[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		*out++ = digit[bytes[i] >> 4];
		*out++ = digit[bytes[i] & 15];
	}
	*out = 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_read(const char *text, size_t n, uint8_t *out)
{
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(text[2 * i]);
		int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
		if (low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * n] == 0;
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* What no shell takes for anything else, wherever it stands in a word. */
static bool is_plain_word(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./:=,+@%";
	return *text && !text[strspn(text, plain)];
}

char *text_shell(const char *text)
{
	size_t size = 4 * strlen(text) + sizeof "$''";
	char *out = malloc(size), *at = out;
	bool escapes = false;
	if (!out)
		return NULL;
	if (is_plain_word(text))
		return memcpy(out, text, strlen(text) + 1);
	for (const char *c = text; *c; c++)
		escapes = escapes || is_control(*c);
	at = stpcpy(at, escapes ? "$'" : "'");
	for (; *text; text++)
		if (is_control(*text))
			at += snprintf(at, size, "\\%03o", (unsigned)(unsigned char)*text);
		else if (escapes && (*text == '\'' || *text == '\\'))
			at += snprintf(at, size, "\\%c", *text);
		else if (*text == '\'')
			at = stpcpy(at, "'\\''");
		else
			*at++ = *text;
	stpcpy(at, "'");
	return out;
}

void text_scoped(char **text)
{
	free(*text);
}

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

char *text_fold(const char *text, char *out, size_t size)
{
	size_t i = 0;
	for (; text[i] && i + 1 < size; i++)
		out[i] = fold(text[i]);
	out[i] = 0;
	return out;
}

bool mac_fold(const char *text, char out[static 13])
{
	int n = 0;
	bool zero = true;
	for (; *text; text++) {
		if (strchr(":-. ", *text))
			continue;
		if (hex_value(*text) < 0 || n == 12)
			return false;
		zero = zero && *text == '0';
		out[n++] = fold(*text);
	}
	out[n] = 0;
	return n == 12 && !zero;
}
