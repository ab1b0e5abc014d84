/*
 * From a source to its files and directories, each given to the kind that it is. Links inside a
 * directory aren't followed: they may lead anywhere. Hidden files are left out.
 */
#include "sources/kinds.h"

#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static enum error read_open_file(struct intake *intake, int fd, const char *name)
{
	uint8_t head[HEAD_MAX];
	struct stat st;
	int64_t seen_at = 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		seen_at = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	intake_file(intake);
	const struct source_kind *kind = kind_of_file(head, look(fd, head, sizeof head));
	secret_wipe(head, sizeof head);
	return kind->read_file(intake, fd, name, seen_at);
}

static enum error read_file(struct intake *intake, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		leave_out(intake, path, strerror(errno));
		return OK;
	}
	enum error result = read_open_file(intake, fd, path);
	close(fd);
	return result;
}

/* ---- what is in a directory ---- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static enum error read_directory(struct intake *intake, FTS *walk, FTSENT *entry)
{
	const struct source_kind *kind = kind_of_directory(entry->fts_path);
	if (!kind)
		return OK;
	fts_set(walk, entry, FTS_SKIP);
	return kind->read_directory(intake, entry->fts_path);
}

static enum error read_entry(struct intake *intake, FTS *walk, FTSENT *entry)
{
	bool hidden = entry->fts_level > 0 && entry->fts_name[0] == '.';
	switch (entry->fts_info) {
	case FTS_D:
		if (!hidden)
			return read_directory(intake, walk, entry);
		fts_set(walk, entry, FTS_SKIP);
		return OK;
	case FTS_DP:
		return OK;
	case FTS_F:
		return hidden ? OK : read_file(intake, entry->fts_path);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		leave_out(intake, entry->fts_path, strerror(entry->fts_errno));
		return OK;
	case FTS_SLNONE:
		leave_out(intake, entry->fts_path, "a symbolic link to nothing");
		return OK;
	case FTS_SL:
		leave_out(intake, entry->fts_path, "a symbolic link; it isn't followed");
		return OK;
	default:
		/* A pipe that was named is a source; one that lies about may never end. */
		if (entry->fts_level == 0)
			return read_file(intake, entry->fts_path);
		leave_out(intake, entry->fts_path, "it is no regular file");
		return OK;
	}
}

enum error intake_source(struct intake *intake, const char *source)
{
	if (strcmp(source, "-") == 0)
		return read_open_file(intake, STDIN_FILENO, "standard input");
	char *const roots[] = {(char *)source, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
	if (!walk)
		return fail(ERR_MEMORY, "%s: %s", source, strerror(errno));
	enum error result = OK;
	FTSENT *entry;
	while (!intake_stopped(intake) && !result && (entry = fts_read(walk)))
		result = read_entry(intake, walk, entry);
	fts_close(walk);
	return result;
}
