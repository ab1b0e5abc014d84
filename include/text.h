#ifndef ESCROWFS_TEXT_H
#define ESCROWFS_TEXT_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * Small words and numbers. Every time in this program is an int64_t of nanoseconds since the epoch;
 * 0 is "never".
 */

#define TEXT_TIME 32 /* room for a time as text, with its NUL */
#define UDID_MAX 64  /* a UDID is 1 to 64 of [A-Za-z0-9-], kept as the device sends it */

int64_t time_now(void);

/*
 * `now`, or the moment after `before` if the clock stands still or went back: times of files only
 * grow.
 */
int64_t time_later(int64_t before, int64_t now);

/* Of a file. 0: before 1970 or after 2261, which no file of ours is from. */
int64_t time_of_file(const struct timespec *);

/* "2026-01-31T08:15:00.123Z" (RFC 3339, UTC, milliseconds). */
void time_text(int64_t at, char out[static TEXT_TIME]);

/*
 * Reads an RFC 3339 time ("2018-08-13T14:30:16.13272395Z", with an offset too).
 * False when it isn't one, or lies before 1970 or after 2261.
 */
bool time_read(const char *text, int64_t *at);

/*
 * The same of what a person writes: a time, or a day of the calendar ("2024-01-31"), which is its
 * midnight in UTC.
 */
bool date_read(const char *text, int64_t *at);

/* Is it a UDID as UDID_MAX has it? `len` without a NUL. */
bool udid_valid(const char *udid, size_t len);

/* Lower-case hex and a NUL: 2 n + 1 bytes. */
void hex_write(const uint8_t *bytes, size_t n, char *out);

/* Exactly 2 n hex digits of any case. */
bool hex_read(const char *text, size_t n, uint8_t *out);

/* UTF-8 without the control characters that XML forbids (all but tab, CR and LF). */
bool utf8_valid(const uint8_t *, size_t);

/* UTF-8 without any control character. */
bool text_plain(const char *text);

/* Makes text fit for a terminal: a '?' for every control character and every byte that isn't UTF-8. */
void text_printable(char *text);

/*
 * The text as one word of a shell, to be pasted: as it is where that is plain, else in quotes, and with
 * control characters as escapes ($'\012'), so that no terminal obeys them. NULL: no memory. The caller
 * frees.
 */
char *text_shell(const char *text);
/* For SCOPED(). */
void text_scoped(char **text);

/*
 * The form in which a serial number, a UDID or an IMEI is looked up: lower-case, ASCII only. Text
 * that does not fit is cut. Returns out.
 */
char *text_fold(const char *text, char *out, size_t size);

/*
 * A hardware address as twelve lower-case hex digits, whatever separators (':', '-', '.', ' ') it
 * has. False when there aren't twelve, or all are 0, which devices send when they have none.
 */
bool mac_fold(const char *text, char out[static 13]);

#endif
