/*
 * Making a store. The database's file is made empty first, with the mode that SQLite then gives
 * to the files beside it; its tables and the mark that says it is ours come in one transaction,
 * so that a store is either there or isn't one.
 */
#include "inside.h"

#include "path.h"
#include "schema.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Everything that a store consists of. */
static const char *const files[] = {
	DATABASE, DATABASE "-wal", DATABASE "-shm", DATABASE "-journal", RESERVE, LOCK};

static enum error fail_with(const char *path)
{
	int why = errno;
	return fail(why == EEXIST		     ? ERR_EXISTS
		    : why == EACCES || why == EPERM  ? ERR_ACCESS
		    : why == EROFS		     ? ERR_READ_ONLY
		    : why == ENOSPC || why == EDQUOT ? ERR_NO_SPACE
		    : why == ENOENT		     ? ERR_NOT_FOUND
						     : ERR_IO,
		    "%s: %s", path, strerror(why));
}

static bool is_empty(const char *path)
{
	DIR *directory = opendir(path);
	if (!directory)
		return false;
	int count = 0;
	while (count <= 2 && readdir(directory))
		count++;
	closedir(directory);
	return count <= 2;
}

/* One that somebody made for another user or group is for more than this store: a package's, say. */
static enum error take_directory(const char *path)
{
	struct stat attr;
	if (stat(path, &attr))
		return fail_with(path);
	if (attr.st_uid != geteuid() || attr.st_gid != getegid())
		return fail(ERR_EXISTS,
			    "%s: this directory is for another user or group as well, and a store "
			    "is not: "
			    "name a new one, %s/escrow say",
			    path, path);
	return chmod(path, 0700) ? fail_with(path) : OK;
}

static enum error make_directory(const char *path, bool *made)
{
	*made = mkdir(path, 0700) == 0;
	if (*made)
		return OK;
	if (errno != EEXIST)
		return fail_with(path);
	if (!is_empty(path))
		return fail(ERR_EXISTS, "%s: there is something already: name a path that is free",
			    path);
	return take_directory(path);
}

static enum error make_file(const struct store *store, const char *name)
{
	char path[PATH_MAX + sizeof DATABASE];
	snprintf(path, sizeof path, "%s/%s", store->directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_with(path);
	close(fd);
	return OK;
}

static enum error make_tables(struct tx *tx, const struct store_birth *birth)
{
	/* Once the transaction has begun. */
	TRY(schema_create(tx));
	TRY(sql_run(
		tx, SQL_BIRTH_ADD,
		VALUES(BLOB(birth->key, sizeof birth->key), TEXT(birth->key_uri), INT(birth->at))));
	return sql_run(tx, SQL_COMMIT, NO_VALUES);
}

static enum error fill(struct store *store, const struct store_birth *birth)
{
	TRY(make_file(store, LOCK));
	struct tx *tx;
	TRY(connection_new(store, CONNECT_NEW, &tx));
	enum error result = sql_run(tx, SQL_BEGIN_WRITING, NO_VALUES);
	if (!result)
		result = make_tables(tx, birth);
	connection_free(tx);
	return result;
}

/* The directory's own entry: SQLite sees to those in it. */
static enum error sync_parent(const char *directory)
{
	char parent[PATH_MAX + 4];
	snprintf(parent, sizeof parent, "%s/..", directory);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? OK : fail_with(parent);
	int code = fsync(fd);
	int why = errno;
	close(fd);
	errno = why;
	return code && why != EINVAL ? fail_with(parent) : OK;
}

static void remove_files(const char *directory)
{
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char file[PATH_MAX + 32];
		snprintf(file, sizeof file, "%s/%s", directory, files[i]);
		unlink(file);
	}
}

/* A store's directory is copied and cleared as a whole: another one in it, and its keys, would go along. */
static enum error check_around(const char *path, const char *directory)
{
	char around[PATH_MAX], file[PATH_MAX + 32];
	snprintf(around, sizeof around, "%s", directory);
	for (char *slash = strrchr(around, '/'); slash && slash != around;
	     slash = strrchr(around, '/')) {
		*slash = 0;
		snprintf(file, sizeof file, "%s/%s", around, DATABASE);
		if (access(file, F_OK) == 0)
			return fail(ERR_INVALID,
				    "%s: it lies inside the store %s; make it elsewhere", path,
				    around);
	}
	return OK;
}

static enum error make_in(const char *path, const struct store_birth *birth)
{
	char directory[PATH_MAX], name[PATH_MAX];
	if (!realpath(path, directory))
		return fail_with(path);
	snprintf(name, sizeof name, "%s", path);
	TRY(check_around(path, directory));
	struct store store = {.path = name,
			      .directory = directory,
			      .lock = -1,
			      .claim = -1,
			      .reserve = {.fd = -1},
			      .patience = STORE_PATIENCE};
	/* Whoever makes this file makes the store: another `init` at the same time ends here. */
	TRY(make_file(&store, DATABASE));
	enum error result = fill(&store, birth);
	if (!result)
		result = sync_parent(directory);
	if (result)
		remove_files(directory);
	return result;
}

enum error store_create(const char *path, const struct store_birth *birth)
{
	bool made;
	TRY(path_check_links(path));
	TRY(make_directory(path, &made));
	enum error result = make_in(path, birth);
	if (result && made)
		rmdir(path);
	return result;
}

void store_destroy(const char *path)
{
	remove_files(path);
	rmdir(path);
}
