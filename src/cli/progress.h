#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * How far long work is, on standard error: on a terminal one line that is written over and wiped in
 * the end; elsewhere, and on a dumb one, a line a minute. The rate and the time left are those of this run, whatever an
 * earlier one had done.
 */
struct progress {
	const char *what; /* "versions" */
	int64_t total;	  /* 0: nobody knows */
	FILE *out;
	bool terminal;
	int64_t began_at,
		shown_at; /* ns; shown_at: the line now on a terminal; elsewhere the last */
	bool showing;	  /* there is a line on the terminal */
};

void progress_begin(struct progress *, const char *what, int64_t total);
/* `done` of `total`. Cheap: call it as often as you like. */
void progress_show(struct progress *, int64_t done);
/* Wipes the line: before anything else is printed, and in the end. */
void progress_wipe(struct progress *);

/* ---- for tests: what the clock says is given ---- */

void progress_show_at(struct progress *, int64_t done, int64_t now);
/* "versions: 1200 of 100000, 3400/s, 29 s left"; `elapsed` in ns. */
void progress_text(const char *what, int64_t done, int64_t total, int64_t elapsed, char *out,
		   size_t size);

#endif
