#include "background.h"

#include "cli.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* One byte says that the child is ready; the end of the pipe, that it has ended. */
static bool says_ready(int from)
{
	char byte;
	ssize_t n;
	do
		n = read(from, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static int exit_status(pid_t child)
{
	int status;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILURE;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
	cli_say("the process in the background was ended by signal %d (%s)", WTERMSIG(status),
		strsignal(WTERMSIG(status)));
	return EXIT_FAILURE;
}

static void note_inherited(fd_set *inherited)
{
	FD_ZERO(inherited);
	for (int fd = STDERR_FILENO + 1; fd < FD_SETSIZE; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			FD_SET(fd, inherited);
}

void background_keep(struct background *background, int fd)
{
	FD_CLR(fd, &background->inherited);
}

static void close_inherited(const fd_set *inherited)
{
	for (int fd = STDERR_FILENO + 1; fd < FD_SETSIZE; fd++)
		if (FD_ISSET(fd, inherited))
			close(fd);
}

bool background_start(struct background *background, int *status)
{
	int ends[2];
	*background = (struct background){.parent = -1};
	*status = EXIT_FAILURE;
	note_inherited(&background->inherited);
	background->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (background->null < 0 || pipe2(ends, O_CLOEXEC) != 0) {
		cli_say("%s: %s", background->null < 0 ? "/dev/null" : "no pipe", strerror(errno));
		return false;
	}
	/* Where who started us ignored it nobody could say how the child ended. */
	signal(SIGCHLD, SIG_DFL);
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		background->parent = ends[1];
		return true;
	}
	close(ends[1]);
	if (child < 0)
		cli_say("no process in the background: %s", strerror(errno));
	else
		*status = says_ready(ends[0]) ? EXIT_SUCCESS : exit_status(child);
	close(ends[0]);
	return false;
}

void background_leave(const struct background *background)
{
	log_to_syslog();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(background->null, fd);
	close(background->null);
	close_inherited(&background->inherited);
	setsid();
	if (chdir("/") != 0)
		log_say(LOG_LEVEL_WARNING, "chdir /: %s", strerror(errno));
}

void background_forget(struct background *background)
{
	if (background->parent >= 0)
		close(background->parent);
	background->parent = -1;
}

void background_ready(struct background *background)
{
	ssize_t written = write(background->parent, "", 1);
	(void)written; /* the parent was killed: nobody waits */
	background_forget(background);
}
