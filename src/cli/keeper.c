#include "keeper.h"

#include "cli.h"
#include "confine.h"
#include "fs.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct ways {
	int life[2], talk[2];
};

/* What the keeper knows of its child. */
struct child {
	pid_t pid;
	int life, talk;	     /* -1: it was told to end; it has said all */
	bool serves, placed; /* `places` is what it said */
	bool reads, again;   /* it reads files again; and is to do so once more after that */
	struct said said;    /* the last word */
	struct escrow_places places;
};

/* ---- its title in ps(1) ---- */

/* The environment, moved away from where the title goes. False: there is no memory. */
static bool move_environment(void)
{
	static char **moved; /* as long as the process lives, whoever empties the environment */
	size_t count = 0, i = 0;
	while (environ[count])
		count++;
	moved = calloc(count + 1, sizeof *moved);
	while (moved && i < count && (moved[i] = strdup(environ[i])))
		i++;
	if (moved && i == count) {
		environ = moved;
		return true;
	}
	while (moved && i)
		free(moved[--i]);
	free(moved);
	moved = NULL;
	return false;
}

/*
 * The words of the command line lie one behind the other, and the environment's behind them, unless
 * somebody put them elsewhere. A title that is longer than the words goes on in the environment's place, as
 * the kernel has it since setproctitle(3) was in use.
 */
static void retitle(const char *mountpoint)
{
	char *start = program_invocation_name, *end = environ ? environ[0] : NULL;
	if (!end || end <= start)
		return;
	for (char **at = environ; *at; at++)
		if (*at == end)
			end += strlen(end) + 1;
	size_t room = (size_t)((move_environment() ? end : environ[0]) - start);
	memset(start, 0, room);
	snprintf(start, room, "escrowfs: unmounts %s", mountpoint);
}

static bool has_ended(pid_t child, int *status)
{
	pid_t ended;
	do
		ended = waitpid(child, status, WNOHANG);
	while (ended < 0 && errno == EINTR);
	if (ended < 0) /* nobody knows how */
		*status = W_EXITCODE(EXIT_FAILURE, 0);
	return ended != 0;
}

/* ---- what it is told ---- */

/* Each time: it may be deaf to one signal, and not to the next. */
static void end_child(struct child *child, int signal_number)
{
	/* Before it serves; later it runs as another user, it may be, and is told by the pipe. */
	(void)kill(child->pid, signal_number);
	if (child->life >= 0)
		close(child->life);
	child->life = -1;
}

static void hand_over(const struct keeper *keeper, struct child *child)
{
	child->again = child->reads || !child->serves;
	if (child->again || child->talk < 0)
		return;
	child->reads = true;
	keeper->on_rereading(keeper->context);
	handover_give(child->talk, &child->places);
}

/* Is the terminal gone on which this was started in the foreground? A shell says so by kill(2), too. */
static bool terminal_is_gone(bool on_terminal)
{
	struct pollfd terminal = {.fd = STDERR_FILENO};
	return on_terminal && poll(&terminal, 1, 0) > 0 && (terminal.revents & POLLHUP);
}

static void hung_up(const struct keeper *keeper, struct child *child, bool on_terminal)
{
	if (terminal_is_gone(on_terminal))
		end_child(child, SIGTERM);
	else
		hand_over(keeper, child);
}

/* The signal that a child of ours ended comes by the same descriptor as those that are for it. */
static void take_signal(const struct keeper *keeper, struct child *child, int signals,
			bool on_terminal)
{
	struct signalfd_siginfo signal;
	if (read(signals, &signal, sizeof signal) != sizeof signal || signal.ssi_signo == SIGCHLD)
		return;
	if (signal.ssi_signo != SIGHUP)
		end_child(child, (int)signal.ssi_signo);
	else if (signal.ssi_code == SI_KERNEL)
		end_child(child, SIGTERM);
	else
		hung_up(keeper, child, on_terminal);
}

static void take_word(const struct keeper *keeper, struct child *child, bool on_terminal)
{
	struct said *said = &child->said;
	if (!handover_hear(child->talk, said)) {
		close(child->talk);
		child->talk = -1;
		return;
	}
	switch (said->word) {
	case WORD_PLACES:
		/* Once, which is before it has any thread: later somebody else may speak for it. */
		if (!child->placed)
			child->places = said->places;
		child->placed = true;
		break;
	case WORD_SERVES:
		if (child->serves)
			break;
		child->serves = true;
		keeper->on_ready(keeper->context, said->note);
		if (child->again)
			hand_over(keeper, child);
		break;
	case WORD_AGAIN:
		hung_up(keeper, child, on_terminal);
		break;
	case WORD_READ:
		if (!child->reads)
			break;
		child->reads = false;
		keeper->on_reread(keeper->context, said->note);
		if (child->again)
			hand_over(keeper, child);
		break;
	}
}

/* ---- until it ends ---- */

static int wait_for(const struct keeper *keeper, struct child *child, int signals, bool on_terminal)
{
	int status = 0;
	while (!has_ended(child->pid, &status)) {
		struct pollfd from[] = {{.fd = signals, .events = POLLIN},
					{.fd = child->talk, .events = POLLIN}};
		if (poll(from, 2, -1) < 0)
			continue;
		if (from[1].revents)
			take_word(keeper, child, on_terminal);
		if (from[0].revents)
			take_signal(keeper, child, signals, on_terminal);
	}
	/* It may have said that it is ready and ended before anybody looked. */
	while (child->talk >= 0)
		take_word(keeper, child, on_terminal);
	return status;
}

static int keep(struct keeper *keeper, struct child *child, int signals, bool on_terminal)
{
	if (keeper->connection >= 0)
		close(keeper->connection); /* it is to end with the child */
	bool confined = confine_keeper(keeper->connection < 0) == OK;
	if (!confined) {
		cli_failed();
		close(child->life);
		close(child->talk);
		child->life = child->talk = -1;
	}
	int status = wait_for(keeper, child, signals, on_terminal);
	bool told = child->life < 0;
	if (WIFEXITED(status)) {
		if (keeper->connection < 0)
			fs_mountpoint_clear(keeper->mountpoint);
		return confined ? WEXITSTATUS(status) : EXIT_FAILURE;
	}
	/* It did as it was told. */
	if (confined && told && !child->serves && keeper->connection < 0) {
		fs_mountpoint_clear(keeper->mountpoint);
		return EXIT_SUCCESS;
	}
	log_say(LOG_LEVEL_ERROR,
		"%s: the serving process was ended by signal %d (%s); what it mounted answers "
		"ENOTCONN until it is unmounted or mounted again",
		keeper->mountpoint, WTERMSIG(status), strsignal(WTERMSIG(status)));
	return EXIT_FAILURE;
}

static bool make_ways(struct ways *ways)
{
	if (pipe2(ways->life, O_CLOEXEC) != 0)
		return false;
	if (handover_sockets(ways->talk))
		return true;
	close(ways->life[0]);
	close(ways->life[1]);
	return false;
}

static struct child *child_new(pid_t pid, const struct ways *ways)
{
	struct child *child = calloc(1, sizeof *child);
	if (!child) {
		cli_say("no process that waits for the end: out of memory");
		return NULL;
	}
	child->pid = pid;
	child->life = ways->life[1];
	child->talk = ways->talk[0];
	return child;
}

bool keeper_start(struct keeper *keeper, int *status)
{
	struct ways ways;
	sigset_t taken, before;
	*status = EXIT_FAILURE;
	sigemptyset(&taken);
	sigaddset(&taken, SIGTERM);
	sigaddset(&taken, SIGINT);
	sigaddset(&taken, SIGHUP);
	sigaddset(&taken, SIGCHLD);
	int signals = signalfd(-1, &taken, SFD_CLOEXEC);
	if (signals < 0 || !make_ways(&ways)) {
		cli_say("%s: no descriptors for the two processes that serve it: %s; see "
			"`ulimit -n`, LimitNOFILE= of a unit",
			keeper->mountpoint, strerror(errno));
		return false;
	}
	/* Where who started us ignored it we would never be told. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &taken, &before);
	bool on_terminal = isatty(STDERR_FILENO) == 1;
	pid_t pid = fork();
	if (pid == 0) {
		/* Until it can be told to read something again there is nothing to be read again. */
		signal(SIGHUP, SIG_IGN);
		sigprocmask(SIG_SETMASK, &before, NULL);
		close(signals);
		close(ways.life[1]);
		close(ways.talk[0]);
		keeper->end = ways.life[0];
		keeper->talk = ways.talk[1];
		return true;
	}
	close(ways.life[0]);
	close(ways.talk[1]);
	if (pid < 0) {
		cli_say("no process that serves: %s", strerror(errno));
		return false;
	}
	retitle(keeper->mountpoint);
	/* Without it the pipe's end goes with this process, and the child with that. */
	struct child *child = child_new(pid, &ways);
	if (child)
		*status = keep(keeper, child, signals, on_terminal);
	free(child);
	return false;
}
