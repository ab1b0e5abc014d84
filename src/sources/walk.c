/*
 * From a source to its files and directories, each given to the kind that it is. Links inside a
 * directory aren't followed: they may lead anywhere. Hidden files are left out.
 *
 * MUST: what a file begins with, by which it is told what it is, is wiped. (test: row_in_secret,
 *       stream_in_secret)
 */
#include "sources/kinds.h"
#include "sources/names.h"

#include "secret.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories within each other: each has its place on the stack. */
#define DEPTH_MAX 64

static void leave_out(struct intake *intake, const char *name, const char *why)
{
	fail(ERR_INVALID, "%s", why);
	intake_unread(intake, name);
}

/* ---- one file ---- */

/*
 * The first bytes, still to be read by the one that reads it all. Of a pipe they are looked at by
 * tee(2); what can't be looked at twice has messages.
 */
static size_t look(int fd, uint8_t *head, size_t size)
{
	ssize_t n = pread(fd, head, size, 0);
	if (n >= 0)
		return (size_t)n;
	int copy[2];
	if (errno != ESPIPE || pipe2(copy, O_CLOEXEC))
		return 0;
	n = tee(fd, copy[1], size, 0);
	if (n > 0)
		n = read(copy[0], head, (size_t)n);
	close(copy[0]);
	close(copy[1]);
	return n > 0 ? (size_t)n : 0;
}

/* POSIX's word for it, where tar(1) puts it. */
static bool is_archive(const uint8_t *head, size_t len)
{
	return len >= 262 && memcmp(head + 257, "ustar", 5) == 0;
}

/* `beside`: the kind of the directories that it lies among, or NULL. */
static enum error read_open_file(struct intake *intake, int fd, const char *name,
				 const struct source_kind *beside)
{
	uint8_t head[HEAD_MAX];
	struct stat st;
	int64_t seen_at = 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		seen_at = time_of_file(&st.st_mtim);
	size_t len = look(fd, head, sizeof head);
	const struct source_kind *kind = kind_of_file(head, len);
	bool passed = beside && beside->passes_file && beside->passes_file(head, len);
	bool archive = is_archive(head, len);
	secret_wipe(head, sizeof head);
	if (passed)
		return OK;
	if (archive) {
		leave_out(intake, name, "it is a tar archive: unpack it, and name the directory");
		return OK;
	}
	intake_file(intake);
	return kind->read_file(intake, fd, name, seen_at);
}

/* `how`: flags for open(2). */
static enum error read_file(struct intake *intake, const char *path, int how,
			    const struct source_kind *beside)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | how);
	if (fd < 0) {
		leave_out(intake, path, strerror(errno));
		return OK;
	}
	enum error result = read_open_file(intake, fd, path, beside);
	close(fd);
	return result;
}

/* ---- what is in a directory ---- */

static bool join(char out[static PATH_MAX], const char *path, const char *name)
{
	size_t len = strlen(path);
	const char *slash = len && path[len - 1] == '/' ? "" : "/";
	return (size_t)snprintf(out, PATH_MAX, "%s%s%s", path, slash, name) < PATH_MAX;
}

static bool is_directory(const char *path, const struct dirent *entry)
{
	struct stat st;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * Directories of a kind (a device each) are read as they come, so that a store of any number of
 * devices takes no memory; all other names are gathered. `kind`: that of the last one, or NULL.
 */
static enum error read_kinds(struct intake *intake, DIR *dir, const char *path, struct names *names,
			     const struct source_kind **kind)
{
	const struct dirent *entry;
	*kind = NULL;
	while (!intake_stopped(intake) && (entry = readdir(dir))) {
		char child[PATH_MAX];
		if (entry->d_name[0] == '.')
			continue;
		const struct source_kind *its = NULL;
		if (join(child, path, entry->d_name) && is_directory(child, entry))
			its = kind_of_directory(child);
		if (!its) {
			TRY(names_add(names, entry->d_name));
			continue;
		}
		*kind = its;
		TRY(its->read_directory(intake, child));
	}
	return OK;
}

static enum error read_entry(struct intake *intake, const char *path,
			     const struct source_kind *beside)
{
	struct stat st;
	if (lstat(path, &st))
		leave_out(intake, path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		return walk_directory(intake, path);
	else if (S_ISREG(st.st_mode))
		/* Nor when it becomes a link or a pipe this moment. */
		return read_file(intake, path, O_NOFOLLOW | O_NONBLOCK, beside);
	else if (S_ISLNK(st.st_mode))
		leave_out(intake, path, "a symbolic link; it isn't followed");
	else
		leave_out(intake, path, "it is no regular file");
	return OK;
}

static enum error walk(struct intake *intake, const char *path)
{
	struct names names = {0};
	const struct source_kind *beside;
	DIR *dir = opendir(path);
	if (!dir) {
		leave_out(intake, path, strerror(errno));
		return OK;
	}
	enum error result = read_kinds(intake, dir, path, &names, &beside);
	closedir(dir);
	names_sort(&names, strcmp);
	for (size_t i = 0; i < names.count && !result && !intake_stopped(intake); i++) {
		char child[PATH_MAX];
		if (join(child, path, names.name[i]))
			result = read_entry(intake, child, beside);
		else
			leave_out(intake, names.name[i], "its path is too long");
	}
	names_free(&names);
	return result;
}

enum error walk_directory(struct intake *intake, const char *path)
{
	enum error result = OK;
	if (intake_descend(intake, 1) <= DEPTH_MAX)
		result = walk(intake, path);
	else
		leave_out(intake, path, "it lies too deep; name it as a source of its own");
	(void)intake_descend(intake, -1);
	return result;
}

enum error intake_source(struct intake *intake, const char *source)
{
	struct stat st;
	if (strcmp(source, "-") == 0)
		return read_open_file(intake, STDIN_FILENO, "standard input", NULL);
	/* What is named is a source, even if it is a link or a pipe. */
	if (stat(source, &st)) {
		leave_out(intake, source, strerror(errno));
		return OK;
	}
	if (!S_ISDIR(st.st_mode))
		return read_file(intake, source, 0, NULL);
	const struct source_kind *kind = kind_of_directory(source);
	int64_t before = intake_seen(intake);
	TRY(kind ? kind->read_directory(intake, source) : walk_directory(intake, source));
	/* Perhaps nothing was restored, or mounted. */
	if (intake_seen(intake) == before && !intake_stopped(intake))
		leave_out(intake, source, "there is nothing in it to take in");
	return OK;
}
