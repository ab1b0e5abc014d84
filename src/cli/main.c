/* Which subcommand it is. Also the names under which mount(8) calls a program that mounts. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct command *const commands[] = {
	&cli_init,   &cli_mount, &cli_connect, &cli_import, &cli_export, &cli_history, &cli_restore,
	&cli_accept, &cli_rekey, &cli_purge,   &cli_verify, &cli_status, NULL,
};

static void print_commands(FILE *out)
{
	fputs("escrowfs keeps the Bootstrap Tokens of Macs and shows them as files.\n\n", out);
	for (const struct command *const *at = commands; *at; at++)
		fprintf(out, "  escrowfs %s %s\n             %s\n", (*at)->name, (*at)->arguments,
			(*at)->summary);
	fputs("\n`escrowfs SUBCOMMAND --help` lists its options; escrowfs(8) tells the rest.\n",
	      out);
}

/*
 * A descriptor 0, 1 or 2 that the caller closed would become a file of ours, and be written to. What is
 * printed to an output that was closed is lost: there a write is an error.
 */
static void open_standard(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* mount.fuse3(8) leaves the word `mount` out: is that first word a store's directory? */
static bool names_directory(const char *word)
{
	struct stat attr;
	return strchr(word, '/') || (stat(word, &attr) == 0 && S_ISDIR(attr.st_mode));
}

static const struct command *find(const char *word)
{
	for (const struct command *const *at = commands; *at; at++)
		if (strcmp((*at)->name, word) == 0)
			return *at;
	return NULL;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int run(int argc, char **argv)
{
	if (argc > 0 && cli_is_mount_helper(argv[0]))
		return cli_mount.run(argc, argv);
	if (argc < 2) {
		print_commands(stderr);
		return EXIT_USAGE;
	}
	if (is_one_of(argv[1], "--help", "-h")) {
		print_commands(stdout);
		return EXIT_SUCCESS;
	}
	if (is_one_of(argv[1], "--version", "-V")) {
		puts("escrowfs " VERSION);
		return EXIT_SUCCESS;
	}
	const struct command *command = find(argv[1]);
	if (command)
		return command->run(argc - 1, argv + 1);
	if (argc > 2 && names_directory(argv[1]))
		return cli_mount.run(argc, argv);
	cli_say("there is no subcommand `%s`; `escrowfs --help` lists them", argv[1]);
	return EXIT_USAGE;
}

/* ---- standard output: a stream that knows at its end what was wrong with the first write that failed ---- */

static int output_error; /* an errno */

static void note_output(int error)
{
	if (!output_error)
		output_error = error;
}

static ssize_t write_output(void *cookie, const char *bytes, size_t len)
{
	size_t written = 0;
	(void)cookie;
	while (written < len) {
		ssize_t n = write(STDOUT_FILENO, bytes + written, len - written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			note_output(n < 0 ? errno : EIO);
			break;
		}
		written += (size_t)n;
	}
	return (ssize_t)written;
}

/* Some disks say so late. */
static int end_output(void *cookie)
{
	(void)cookie;
	if (close(STDOUT_FILENO) == 0)
		return 0;
	note_output(errno);
	return -1;
}

/* Without memory for it the usual one does. */
static void watch_output(void)
{
	static const cookie_io_functions_t calls = {.write = write_output, .close = end_output};
	FILE *out = fopencookie(NULL, "w", calls);
	if (!out)
		return;
	setvbuf(out, NULL, isatty(STDOUT_FILENO) == 1 ? _IOLBF : _IOFBF, BUFSIZ);
	stdout = out;
}

/* What a full disk kept from being printed was not said. */
static int close_output(int status)
{
	bool lost = ferror(stdout);
	if (fclose(stdout) == 0 && !lost)
		return status;
	cli_say("not all of it could be printed: %s",
		output_error == EBADF ? "standard output is closed"
		: output_error	      ? strerror(output_error)
				      : "standard output can't be written");
	return status == EXIT_SUCCESS ? EXIT_FAILURE : status;
}

int main(int argc, char **argv)
{
	open_standard();
	/* What is over the limit on the size of files (RLIMIT_FSIZE) is an error of who writes it. */
	signal(SIGXFSZ, SIG_IGN);
	watch_output();
	return close_output(run(argc, argv));
}
