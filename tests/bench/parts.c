/*
 * The parts that an escrow and a retrieval can't do without (part.h), each alone and over and over.
 *
 *	parts [-s SECONDS] [-b BATCH] commit|escrow|retrieval FILE
 *	parts [-t THREADS] [-s SECONDS] seal|open KEY.pem CERTIFICATE.pem...
 *
 * Prints how many were done in a second, the median and the 99th percentile of what one took in
 * ns, and how many there were.
 */
#include "part.h"
#include "samples.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS_MAX 64
#define SECOND 1e9

struct thread {
	pthread_t id;
	struct part *part;
	double seconds;
	struct samples samples;
	bool failed;
};

static void *work(void *context)
{
	struct thread *thread = context;
	struct part *part = thread->part;
	int64_t at = samples_now(), until = at + (int64_t)(thread->seconds * SECOND);
	while (at < until && !thread->failed) {
		thread->failed = part_do(part) != OK;
		int64_t ended = samples_now();
		thread->failed = thread->failed || samples_add(&thread->samples, ended - at);
		at = ended;
	}
	if (thread->failed)
		fprintf(stderr, "parts: %s\n", fail_why());
	return NULL;
}

static int go(struct part *part, int threads, double length)
{
	static struct thread thread[THREADS_MAX];
	struct samples all = {0};
	int64_t began = samples_now();
	bool failed = false;
	for (int t = 0; t < threads; t++) {
		thread[t].part = part;
		thread[t].seconds = length;
		pthread_create(&thread[t].id, NULL, work, &thread[t]);
	}
	for (int t = 0; t < threads; t++) {
		pthread_join(thread[t].id, NULL);
		failed = failed || thread[t].failed || samples_add_all(&all, &thread[t].samples);
		samples_free(&thread[t].samples);
	}
	double seconds = (double)(samples_now() - began) / SECOND;
	if (!failed)
		samples_print(&all, (double)all.count, seconds);
	samples_free(&all);
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct part *part;
	double seconds = 1;
	int threads = 1, batch = 1, option;
	while ((option = getopt(argc, argv, "t:s:b:")) != -1)
		if (option == 't')
			threads = atoi(optarg);
		else if (option == 'b')
			batch = atoi(optarg);
		else if (option == 's')
			seconds = strtod(optarg, NULL);
		else
			argc = 0;
	if (argc - optind < 2 || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: parts [-s SECONDS] [-b BATCH] commit|escrow|retrieval "
				"FILE\n"
				"       parts [-t THREADS] [-s SECONDS] seal|open KEY.pem "
				"CERTIFICATE.pem...\n");
		return 2;
	}
	argv += optind;
	if (part_new(argv[0], argv + 1, argc - optind - 1, batch, &part)) {
		fprintf(stderr, "parts: %s\n", fail_why());
		return 1;
	}
	int status = go(part, threads, seconds);
	part_free(part);
	return status;
}
