#ifndef STRESS_CLIENT_H
#define STRESS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * A client of the stress test: a process that calls a mount without a pause and keeps a diary. It
 * judges nothing. What each call did, asked and got is written down with the time before and after
 * it, and judge.py holds all diaries against the trail and against a model of the contract.
 *
 * Each call has a number, and the process is called by its client's and the call's while it makes
 * it ("s07.1234"): that name is on the trail, so each line there belongs to one call of one diary.
 */

#define CLIENTS 64
#define DEVICE_MAX 16
#define LABEL_MAX 80
#define RESULT_MAX (1024 * 1024)

/*
 * Whose devices: the letter is how their names start, and a number follows.
 *
 *	O  one client's alone; also made, taken away, checked out
 *	P  one client's alone; its device removes its own token, too
 *	Q  one client's alone; changes every few seconds only, so that the kernel keeps what it shows
 *	S  everybody's; one client's alone are the facts of each, since newer ones win by the clock
 *	T  everybody's; they come and go
 *	I  an import's (beside.py); clients only look
 */
enum {
	OWN = 1,
	PLAIN = 2,
	QUIET = 4,
	SHARED = 8,
	COMING = 16,
	IMPORTED = 32,
	FACTS = 64, /* S, of which this client says the facts */
	LOOKED_AT = OWN | PLAIN | QUIET | SHARED | COMING | IMPORTED,
};
#define QUIETS 16
#define SHAREDS 12
#define COMINGS 6
#define IMPORTEDS 4

/* A descriptor that stays open over other calls; fd -1: none. */
struct kept {
	int fd;
	uint64_t call; /* that opened it */
	char device[DEVICE_MAX];
};

struct client {
	const char *mount;
	int number;
	uint64_t dice;
	int64_t until;
	FILE *diary;

	uint64_t call; /* the number of the one that is made */
	int64_t began, ended;
	int64_t quiet_since; /* when it changed its Q last */

	struct kept token, status, written;
	char before[4][LABEL_MAX]; /* tokens that it escrowed, for the same ones again */
	char result[RESULT_MAX];
};

/* ---- diary.c ---- */

/* From 0 to n - 1. */
unsigned dice(struct client *, unsigned n);
/* Nanoseconds of a clock that all processes share. */
int64_t clock_now(void);

/* A call begins; the process is called after it from here on. */
void call_begins(struct client *);
/* It is over: what comes until it is written down doesn't count. */
void call_ends(struct client *);
/* Writes it down. In what is told are no tabs and no newlines. */
void call_told(struct client *, const char *call, const char *device, const char *argument,
	       const char *result);
/* "ok" for 0, or the errno's name. */
const char *outcome(int error);
/* call_ends(), call_told() with the outcome. */
void call_over(struct client *, const char *call, const char *device, const char *argument,
	       int error);

/* MOUNT/devices/DEVICE/FILE is opened; FILE "" is the directory. */
int device_open(const struct client *, const char *device, const char *file, int flags);
void device_path(const struct client *, const char *device, const char *file, char *out,
		 size_t size);
/* All of it from the start, with pread(2): the bytes, or -1. */
ssize_t read_all(int fd, char *out, size_t size);

/* ---- text.c: tokens and messages ---- */

struct text {
	char *data;
	size_t len;
};
void text_free(struct text *);

/*
 * A token says whose it is: its label is DEVICE|CLIENT.CALL|PAD, and behind it come a bar and PAD
 * times an x. label_make() makes a new one, or now and then one of before.
 */
void label_make(struct client *, const char *device, char label[static LABEL_MAX]);
/* The token of a label in base64, without a newline. */
struct text token_text(const char *label);
/* The label of a token's bytes, or "BROKEN" and the start of what is there. */
void label_read(const uint8_t *, size_t, char label[static LABEL_MAX]);
/* The same of what `token` shows: "none" of the empty file. */
void label_of_file(const char *, size_t, char label[static LABEL_MAX]);

/* Property lists in XML: of a type, with more XML inside; and in binary. */
struct text message_text(const char *type, const char *device, const char *inside);
struct text message_binary(const struct text *);
/* SetBootstrapToken; label NULL: with none. */
struct text message_set(const char *device, const char *label);

/* ---- the calls; each begins at least one, and tells of it ---- */

/* by_token.c: through `token` */
void do_read(struct client *, const char *device);
void do_deny(struct client *, const char *device);
void do_escrow(struct client *, const char *device);
/* The first escrows on a descriptor that stays open; the next writes more to it. */
void do_keep_written(struct client *, const char *device);
void do_escrow_and_more(struct client *, const char *device);
void do_remove(struct client *, const char *device);
void do_half(struct client *, const char *device);
void do_refused(struct client *, const char *device);
/* One write(2), in one piece or two. The errno of it, or of the close(2). */
int write_message(struct client *, int fd, const struct text *);
int open_write_close(struct client *, const char *device, const char *file, const struct text *);

/* by_checkin.c: through /checkin */
void do_set(struct client *, const char *device);
void do_unset(struct client *, const char *device);
void do_get(struct client *, const char *device);
void do_authenticate(struct client *, const char *device);
void do_update(struct client *, const char *device);
void do_check_out(struct client *, const char *device);
int checkin_send(struct client *, const struct text *);

/* by_device.c: devices and what is set on them */
void do_make(struct client *, const char *device);
void do_take_away(struct client *, const char *device);
void do_facts(struct client *, const char *device);
void do_mode(struct client *, const char *device);
void do_acl(struct client *, const char *device);

/* looks.c: what changes nothing */
void do_status(struct client *, const char *device);
void do_security(struct client *, const char *device);
void do_stat(struct client *, const char *device);
void do_list(struct client *, const char *device);
void do_list_status(struct client *, const char *device);
void do_search(struct client *, const char *device);
void do_trail(struct client *, const char *device);
void do_metrics(struct client *, const char *device);
/* Makes what bootstrap_status said the word, or BROKEN. There is room for either. */
void word_read(char *text, size_t n);
/* One of the first three. */
void look_at(struct client *, const char *device);

/* kept.c: descriptors that stay open, and processes that don't stay */
void kept_close(struct kept *);
void do_keep_token(struct client *, const char *device);
void do_keep_status(struct client *, const char *device);
void do_killed(struct client *, const char *device);

#endif
