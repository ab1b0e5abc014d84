#ifndef ESCROWFS_TESTS_ESCROW_FIXTURE_H
#define ESCROWFS_TESTS_ESCROW_FIXTURE_H

/*
 * An escrow for the fuzz targets that need a real one: on a memory filesystem where there is one, made anew
 * every so often, so that a run of hours is as fast in its end as it was at first.
 */

#include "escrow.h"
#include "seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INPUTS_A_STORE 200

static const struct actor fuzz_actor = {
	.uid = 7, .gid = 7, .pid = 7, .loginuid = -1, .command = "fuzz"};

static struct fuzz_escrow {
	char dir[64], key_path[STORE_URI_MAX];
	struct escrow *escrow;
	int inputs;
} fuzz;

static void fuzz_escrow_end(void)
{
	char command[96];
	if (!fuzz.escrow)
		return;
	escrow_close(fuzz.escrow);
	fuzz.escrow = NULL;
	snprintf(command, sizeof command, "rm -rf %s", fuzz.dir);
	if (system(command))
		abort();
}

static void fuzz_escrow_begin(void)
{
	char store[80];
	struct escrow_born born;
	snprintf(fuzz.dir, sizeof fuzz.dir, "%s/escrow-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(fuzz.dir))
		abort();
	snprintf(store, sizeof store, "%s/store", fuzz.dir);
	struct escrow_birth birth = {.store = store, .no_recovery = true};
	struct escrow_options options = {
		.store = store, .mode = ESCROW_SERVE, .holder = "a fuzz target"};
	if (escrow_init(&birth, &fuzz_actor, &born) || escrow_open(&options, &fuzz.escrow)) {
		fprintf(stderr, "%s\n", fail_why());
		abort();
	}
	snprintf(fuzz.key_path, sizeof fuzz.key_path, "%s", born.key_path);
}

/* The escrow for the next input; true: it is a new one. */
static bool fuzz_escrow_next(void)
{
	static bool registered;
	if (fuzz.escrow && fuzz.inputs++ < INPUTS_A_STORE)
		return false;
	fuzz_escrow_end();
	fuzz_escrow_begin();
	fuzz.inputs = 0;
	if (!registered)
		atexit(fuzz_escrow_end);
	registered = true;
	return true;
}

__attribute__((unused)) static void must(enum error error)
{
	if (!error)
		return;
	fprintf(stderr, "%s: %s\n", error_name(error), fail_why());
	abort();
}

/* A call answered; the model says what it should have. */
__attribute__((unused)) static void same(enum error is, enum error should)
{
	if (is == should)
		return;
	fprintf(stderr, "answered %s (%s), should be %s\n", error_name(is), fail_why(),
		error_name(should));
	abort();
}

#endif
