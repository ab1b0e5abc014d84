/*
 * Runs a command and says what it took: seconds by the clock, seconds of processors, and the most
 * memory that it had at one time, in KiB. `measure FILE COMMAND...` writes the three to FILE; it
 * exits as the command does. (A small program: what runs a command counts as part of it until then.)
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double seconds(struct timeval took)
{
	return (double)took.tv_sec + (double)took.tv_usec / 1e6;
}

static int write_result(const char *path, double took, const struct rusage *usage)
{
	FILE *file = fopen(path, "we");
	if (!file)
		return -1;
	fprintf(file, "%.3f %.3f %ld\n", took, seconds(usage->ru_utime) + seconds(usage->ru_stime),
		usage->ru_maxrss);
	return fclose(file);
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status = 0;
	if (argc < 3) {
		fprintf(stderr, "usage: measure FILE COMMAND...\n");
		return 2;
	}
	double began = now();
	pid_t child = fork();
	if (child == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &usage) != child ||
	    write_result(argv[1], now() - began, &usage)) {
		perror("measure");
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
