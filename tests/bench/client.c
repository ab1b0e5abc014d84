/*
 * One operation, many times, as a program does it that has a mount for its escrow.
 *
 *	client [-t THREADS] [-s SECONDS] [-1] [-y] [-f FILE] OPERATION DIRECTORY LIST
 *
 * DIRECTORY is a mount, or looks like one; LIST is a file of UDIDs, one a line. Each thread has the
 * devices t, t + THREADS, t + 2 * THREADS ... of the list to itself, and goes through them again and
 * again for SECONDS (1).
 *
 *	stat       devices/UDID/FILE (security.json)
 *	read       the same: open, read, close
 *	list       devices: names alone, as `ls -f`
 *	list-stat  devices: names and attributes, as `ls -l`
 *	escrow     writes a new token to devices/UDID/token; -y: with fsync
 *	retrieve   reads devices/UDID/token
 *	set, get   SetBootstrapToken and GetBootstrapToken through checkin, each on a descriptor of
 *	           its own: the message is written, the reply is read
 *	cat        `cat devices/UDID/FILE` as a process
 *
 * stat and read go through the list once beforehand, so that all was seen before. With -1 it is
 * the other way round: each device once, and then it ends.
 *
 * Prints how many were done in a second (names, of a list), the median and the 99th percentile of
 * what one took in ns, and how many there were.
 */
#include "client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 256
#define SECOND 1e9

static struct {
	const struct operation *operation;
	char **udid;
	size_t devices;
	bool once;
	double seconds;
	size_t threads;
	pthread_barrier_t start;
} plan = {.seconds = 1, .threads = 1};

static int pass(struct thread *thread, int64_t until, bool noted)
{
	for (size_t i = thread->number; i < plan.devices && thread->ended < until;
	     i += plan.threads) {
		if (plan.operation->operate(thread, plan.udid[i]))
			return -1;
		int64_t at = samples_now();
		if (noted && samples_add(&thread->samples, at - thread->ended)) {
			thread->failed = "no memory";
			return -1;
		}
		thread->ended = at;
	}
	return 0;
}

static void *work(void *context)
{
	struct thread *thread = context;
	int result = plan.operation->cached && !plan.once ? pass(thread, INT64_MAX, false) : 0;
	pthread_barrier_wait(&plan.start);
	thread->began = thread->ended = samples_now();
	int64_t until = plan.once ? INT64_MAX : thread->began + (int64_t)(plan.seconds * SECOND);
	do
		result = result ? result : pass(thread, until, true);
	while (!result && !plan.once && thread->ended < until);
	return NULL;
}

static int report(struct thread *thread)
{
	struct samples all = {0};
	int64_t began = INT64_MAX, ended = 0;
	uint64_t names = 0;
	for (size_t t = 0; t < plan.threads; t++) {
		if (thread[t].failed) {
			fprintf(stderr, "client: %s: %s: %s\n", plan.operation->name,
				thread[t].failed, strerror(thread[t].error));
			return 1;
		}
		if (samples_add_all(&all, &thread[t].samples))
			return 1;
		names += thread[t].names;
		began = thread[t].began < began ? thread[t].began : began;
		ended = thread[t].ended > ended ? thread[t].ended : ended;
		samples_free(&thread[t].samples);
	}
	samples_print(&all, names ? (double)names : (double)all.count,
		      (double)(ended - began) / SECOND);
	samples_free(&all);
	return 0;
}

static int read_list(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t room = 0, size = 0;
	char *line = NULL;
	while (file && getline(&line, &size, file) > 0) {
		if (plan.devices == room) {
			room = room ? 2 * room : 1024;
			char **more = realloc(plan.udid, room * sizeof *more);
			if (!more)
				return -1;
			plan.udid = more;
		}
		line[strcspn(line, "\n")] = 0;
		if (!(plan.udid[plan.devices++] = strdup(line)))
			return -1;
	}
	free(line);
	if (file)
		fclose(file);
	return plan.devices >= plan.threads ? 0 : -1;
}

/* False: something isn't understood. */
static bool parse(int argc, char **argv)
{
	for (int option; (option = getopt(argc, argv, "t:s:1yf:")) != -1;)
		switch (option) {
		case 't':
			plan.threads = strtoul(optarg, NULL, 10);
			break;
		case 's':
			plan.seconds = strtod(optarg, NULL);
			break;
		case '1':
			plan.once = true;
			break;
		case 'y':
			run.sync = true;
			break;
		case 'f':
			run.file = optarg;
			break;
		default:
			return false;
		}
	if (argc - optind == 3)
		plan.operation = operation_named(argv[optind]);
	return plan.operation && plan.threads >= 1 && plan.threads <= THREADS_MAX;
}

int main(int argc, char **argv)
{
	static struct thread thread[THREADS_MAX];
	run.file = "security.json";
	if (!parse(argc, argv)) {
		fprintf(stderr, "usage: client [-t THREADS] [-s SECONDS] [-1] [-y] [-f FILE] "
				"OPERATION DIRECTORY LIST\n");
		return 2;
	}
	run.directory = open(argv[optind + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run.directory < 0 || read_list(argv[optind + 2])) {
		fprintf(stderr, "client: %s isn't there, or %s has too few devices\n",
			argv[optind + 1], argv[optind + 2]);
		return 1;
	}
	pthread_barrier_init(&plan.start, NULL, (unsigned)plan.threads);
	for (size_t t = 0; t < plan.threads; t++) {
		thread[t].number = t;
		pthread_create(&thread[t].id, NULL, work, &thread[t]);
	}
	for (size_t t = 0; t < plan.threads; t++)
		pthread_join(thread[t].id, NULL);
	return report(thread);
}
