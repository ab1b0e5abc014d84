#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "samples.h"

#include <pthread.h>
#include <stdbool.h>

/* What all threads of the client do. */
struct run {
	const char *file; /* of stat, read and cat */
	int directory;	  /* a descriptor */
	bool sync;	  /* escrow: fsync(2) before close(2) */
};
extern struct run run;

/* One thread of it. */
struct thread {
	pthread_t id;
	size_t number;
	const char *failed; /* the call that did; NULL: none */
	int error;	    /* its errno */
	int64_t began, ended;
	uint64_t names; /* of lists */
	struct samples samples;
};

struct operation {
	const char *name;
	int (*operate)(struct thread *, const char *udid); /* -1: see `failed` */
	bool cached; /* goes another way when it was done before */
};

/* NULL: there is none of that name. */
const struct operation *operation_named(const char *);

#endif
