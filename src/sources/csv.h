#ifndef SOURCES_CSV_H
#define SOURCES_CSV_H

#include "error.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Tables of devices, as another MDM's database writes them out. Two ways of writing one are known:
 *
 *   commas  RFC 4180: quotes, doubled quotes, newlines in fields, CRLF, a byte order mark; what
 *           psql's \copy (...) to 'f.csv' csv header and most programs write
 *   tabs    mysql --batch: no quotes; \n \t \\ \0 stand for what they say, the word NULL for nothing
 *
 * The first line names the columns, in any order and any case of letters:
 *
 *   the device    udid, id                                         (one of them must be there)
 *   its serial    serial_number, hardware_serial, serial
 *   messages      authenticate, token_update                       (property lists, as they came)
 *   the token     bootstrap_token_b64, bootstrap_token, token      (base64)
 *   their times   authenticate_at, token_update_at; bootstrap_token_at, escrowed_at
 *
 * Where a table has several of a kind, the one that stands first here is taken: a table may count
 * its rows in `id` and have a `udid` too. Other columns (unlock_token, identity_cert ...) are read
 * over.
 */

/* A field, and what libcsv gathers of it, is below this. */
#define CSV_FIELD_MAX (1024 * 1024)

/*
 * One row, as its source wrote it. NULL and 0: the table has no such column, or the row nothing in
 * it. All of it lies in secure memory, valid until the call returns.
 */
struct csv_row {
	int64_t line; /* where it begins; 1 is the header's */
	/*
	 * Never NULL. Nobody has looked at it: it may be no UDID, and with a colon in it it is how
	 * NanoMDM names a user channel.
	 */
	const char *udid;
	const char *serial;
	const uint8_t *authenticate, *token_update;
	size_t authenticate_len, token_update_len;
	const char *token;				    /* base64, unchecked */
	int64_t authenticate_at, token_update_at, token_at; /* 0: not said */
};

/* Takes a row. What is wrong with it is the callee's to tell; an error ends the reading. */
typedef enum error csv_each(void *context, const struct csv_row *);

/*
 * A row that can't be taken, and the reading goes on: fail_why() says what is wrong, without the
 * line. ERR_INVALID (the number of columns, quotes, a time, no device), ERR_TOO_BIG, ERR_MEMORY.
 * `udid` is NULL where the row doesn't tell it for certain.
 */
typedef void csv_refused(void *context, int64_t line, const char *udid, enum error);

/*
 * Reads a table to its end, or until a signal sets *stop. One row at a time is in memory, whatever
 * the length of the whole: at most CSV_FIELD_MAX of secure memory for libcsv, and as much for each of
 * a row's two messages and its token.
 *
 * ERR_INVALID: it is empty, or its first line isn't a header that names the device; ERR_IO;
 * ERR_MEMORY; what `each` returned.
 */
enum error csv_read(int fd, const volatile sig_atomic_t *stop, csv_each *, csv_refused *,
		    void *context);

/*
 * Does a file that starts so have a header with any of these columns? Then csv_read() is the one to
 * read it, or to say what it lacks. `head` is the beginning, 4 KiB of it are enough.
 */
bool csv_tells(const void *head, size_t len);

#endif
