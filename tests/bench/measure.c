/*
 * Runs a command and says what it took, side by side with another one.
 *
 *	measure RESULT FLOOR COMMAND...
 *
 * FLOOR, unless it is empty, is a command line for the shell that prints a rate: how fast the machine
 * is just now. It runs before and after COMMAND, and every few seconds while COMMAND is stopped, which
 * then doesn't count. So whatever else the machine does both feel it alike.
 *
 * RESULT gets, in one line: the seconds of COMMAND, the most memory that it had at one time, in KiB, and
 * the mean of FLOOR's rates, or 0. Exits as COMMAND does. (A small program: what runs a command counts
 * as part of it until then.)
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TURN 5 /* seconds of COMMAND between two of FLOOR */

static struct rates {
	const char *command;
	double sum;
	int count;
} floors;

static double now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int run_floor(void)
{
	double rate = 0;
	if (!*floors.command)
		return 0;
	FILE *said = popen(floors.command, "re");
	int read = said ? fscanf(said, "%lf", &rate) : 0;
	if (!said || pclose(said) || read != 1)
		return -1;
	floors.sum += rate;
	floors.count++;
	return 0;
}

/* Did it end within a turn? SIGCHLD is blocked, and comes for FLOOR, too. */
static int ended(pid_t child, int *status, struct rusage *usage)
{
	sigset_t children;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	for (double until = now() + TURN, left = TURN; left > 0; left = until - now()) {
		struct timespec rest = {.tv_sec = (time_t)left,
					.tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
		if (wait4(child, status, WNOHANG, usage) == child)
			return 1;
		sigtimedwait(&children, NULL, &rest);
	}
	return wait4(child, status, WNOHANG, usage) == child;
}

/* The seconds that it took. */
static double watch(pid_t child, int *status, struct rusage *usage)
{
	double began = now(), stopped = 0;
	while (!ended(child, status, usage)) {
		if (!*floors.command)
			continue;
		double at = now();
		kill(child, SIGSTOP);
		(void)run_floor();
		kill(child, SIGCONT);
		stopped += now() - at;
	}
	return now() - began - stopped;
}

static int write_result(const char *path, double took, long peak)
{
	FILE *file = fopen(path, "we");
	if (!file)
		return -1;
	fprintf(file, "%.3f %ld %.1f\n", took, peak,
		floors.count ? floors.sum / floors.count : 0.0);
	return fclose(file);
}

int main(int argc, char **argv)
{
	struct rusage usage;
	sigset_t children, before;
	int status = 0;
	if (argc < 4) {
		fprintf(stderr, "usage: measure RESULT FLOOR COMMAND...\n");
		return 2;
	}
	floors.command = argv[2];
	if (run_floor()) {
		fprintf(stderr, "measure: %s: it failed\n", argv[2]);
		return 1;
	}
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, &before);
	pid_t child = fork();
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(argv[3], argv + 3);
		perror(argv[3]);
		_exit(127);
	}
	if (child < 0) {
		perror("measure");
		return 1;
	}
	double took = watch(child, &status, &usage);
	if (run_floor() || write_result(argv[1], took, usage.ru_maxrss)) {
		perror("measure");
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
