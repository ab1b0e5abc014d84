/* What the client does, once each: see client.c for what they are. */
#include "client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOKEN 192 /* bytes, as real ones have */
#define TEXT ((TOKEN + 2) / 3 * 4)
#define MESSAGE 1024

struct run run;

static int failed(struct thread *thread, const char *call)
{
	thread->error = errno;
	thread->failed = call;
	return -1;
}

static int path_of(char path[static MESSAGE], const char *udid, const char *file)
{
	return snprintf(path, MESSAGE, "devices/%s/%s", udid, file);
}

static int op_stat(struct thread *thread, const char *udid)
{
	char path[MESSAGE];
	struct stat attr;
	path_of(path, udid, run.file);
	return fstatat(run.directory, path, &attr, 0) ? failed(thread, "stat") : 0;
}

static int read_all(struct thread *thread, int fd)
{
	char buffer[16 * 1024];
	ssize_t n;
	while ((n = read(fd, buffer, sizeof buffer)) == (ssize_t)sizeof buffer)
		;
	return n < 0 ? failed(thread, "read") : 0;
}

static int read_file(struct thread *thread, const char *udid, const char *file)
{
	char path[MESSAGE];
	path_of(path, udid, file);
	int fd = openat(run.directory, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return failed(thread, "open");
	int result = read_all(thread, fd);
	close(fd);
	return result;
}

static int op_read(struct thread *thread, const char *udid)
{
	return read_file(thread, udid, run.file);
}

static int op_retrieve(struct thread *thread, const char *udid)
{
	return read_file(thread, udid, "token");
}

static int list(struct thread *thread, bool stats)
{
	int fd = openat(run.directory, "devices", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	int result = directory ? 0 : failed(thread, "opendir");
	struct dirent *entry;
	struct stat attr;
	while (directory && !result && (entry = readdir(directory))) {
		thread->names++;
		if (stats && fstatat(fd, entry->d_name, &attr, AT_SYMLINK_NOFOLLOW))
			result = failed(thread, "stat");
	}
	if (directory)
		closedir(directory);
	return result;
}

static int op_list(struct thread *thread, const char *udid)
{
	(void)udid;
	return list(thread, false);
}

static int op_list_stat(struct thread *thread, const char *udid)
{
	(void)udid;
	return list(thread, true);
}

/* A token that never was, in base64. */
static void new_token(char text[static TEXT + 1])
{
	static const char letter[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t token[TOKEN];
	(void)!getrandom(token, sizeof token, 0);
	for (size_t i = 0; i < TOKEN; i += 3, text += 4) {
		unsigned three =
			(unsigned)token[i] << 16 | (unsigned)token[i + 1] << 8 | token[i + 2];
		for (int j = 0; j < 4; j++)
			text[j] = letter[three >> (18 - 6 * j) & 63];
	}
	*text = 0;
}

static int write_message(struct thread *thread, int fd, const char *message, int len)
{
	errno = EIO;
	return write(fd, message, (size_t)len) == len ? 0 : failed(thread, "write");
}

static int op_escrow(struct thread *thread, const char *udid)
{
	char path[MESSAGE], text[TEXT + 2];
	path_of(path, udid, "token");
	new_token(text);
	text[TEXT] = '\n';
	int fd = openat(run.directory, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return failed(thread, "open");
	int result = write_message(thread, fd, text, TEXT + 1);
	if (!result && run.sync && fsync(fd))
		result = failed(thread, "fsync");
	if (close(fd) && !result)
		result = failed(thread, "close");
	return result;
}

static int check_in(struct thread *thread, const char *type, const char *udid, const char *more)
{
	char message[MESSAGE];
	int len = snprintf(message, sizeof message,
			   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">\n"
			   "<dict>\n\t<key>MessageType</key>\n\t<string>%s</string>\n"
			   "\t<key>UDID</key>\n\t<string>%s</string>\n%s</dict>\n</plist>\n",
			   type, udid, more);
	int fd = openat(run.directory, "checkin", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return failed(thread, "open");
	int result = write_message(thread, fd, message, len);
	if (!result)
		result = read_all(thread, fd);
	close(fd);
	return result;
}

static int op_set(struct thread *thread, const char *udid)
{
	char text[TEXT + 1], more[TEXT + 64];
	new_token(text);
	snprintf(more, sizeof more, "\t<key>BootstrapToken</key>\n\t<data>%s</data>\n", text);
	return check_in(thread, "SetBootstrapToken", udid, more);
}

static int op_get(struct thread *thread, const char *udid)
{
	return check_in(thread, "GetBootstrapToken", udid, "");
}

static int op_cat(struct thread *thread, const char *udid)
{
	static char *const environment[] = {NULL};
	char cat[] = "/bin/cat", path[MESSAGE];
	path_of(path, udid, run.file);
	char *arguments[] = {cat, path, NULL};
	posix_spawn_file_actions_t actions;
	pid_t child;
	int status;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addfchdir_np(&actions, run.directory);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	errno = posix_spawn(&child, cat, &actions, NULL, arguments, environment);
	posix_spawn_file_actions_destroy(&actions);
	if (errno)
		return failed(thread, "posix_spawn");
	errno = EIO;
	return waitpid(child, &status, 0) == child && status == 0 ? 0 : failed(thread, "cat");
}

static const struct operation operations[] = {
	{"stat", op_stat, true},      {"read", op_read, true},
	{"list", op_list, false},     {"list-stat", op_list_stat, false},
	{"escrow", op_escrow, false}, {"retrieve", op_retrieve, false},
	{"set", op_set, false},	      {"get", op_get, false},
	{"cat", op_cat, false},
};

const struct operation *operation_named(const char *name)
{
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (strcmp(operations[i].name, name) == 0)
			return &operations[i];
	return NULL;
}
