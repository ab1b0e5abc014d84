/*
 * Sealed trees, device by device: a directory with a device's name and files is one, wherever a
 * backup program put it. A whole tree's /audit and /search are another store's, and read over.
 */
#include "sources/tree.h"

#include "sources/kinds.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_SIZE 512 /* what is kept of a file besides what is in it */

static bool has(const char *path, const char *name, mode_t type)
{
	char file[PATH_MAX];
	struct stat st;
	if ((size_t)snprintf(file, sizeof file, "%s/%s", path, name) >= sizeof file)
		return false;
	return lstat(file, &st) == 0 && (!type || (st.st_mode & S_IFMT) == type);
}

/* ---- the whole ---- */

/* The root of a tree has two at least of what it may be of. */
static bool is_root(const char *path)
{
	return has(path, "devices", S_IFDIR) + has(path, "removed", S_IFDIR) +
		       has(path, "search", S_IFDIR) + has(path, "audit", S_IFREG) >=
	       2;
}

static enum error read_root(struct intake *intake, const char *path)
{
	if (has(path, "checkin", S_IFREG)) {
		fail(ERR_INVALID,
		     "an open mount, of which an import would retrieve every token: name a sealed "
		     "mount of that store, or what `escrowfs export` wrote");
		intake_unread(intake, path);
		return OK;
	}
	static const char *const parts[] = {"devices", "removed"};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		char part[PATH_MAX];
		if (!has(path, parts[i], 0))
			continue;
		if ((size_t)snprintf(part, sizeof part, "%s/%s", path, parts[i]) >= sizeof part)
			return intake_refuse(intake, path, NULL, 0, NULL,
					     fail(ERR_INVALID, "its path is too long"));
		if (has(path, parts[i], S_IFDIR)) {
			TRY(walk_directory(intake, part));
		} else {
			fail(ERR_INVALID, "it is no directory, and should be one");
			intake_unread(intake, part);
		}
	}
	return OK;
}

/* ---- a device ---- */

struct place {
	char *path;
	char udid[UDID_MAX + 1];
	bool among, removed; /* it lies in a `devices` or `removed`; in the latter */
};

static void place_free(void *work)
{
	struct place *place = work;
	if (place)
		free(place->path);
	free(place);
}

/* Do its last two names stand in the path as it is given? In "." and "/mnt/.." they don't. */
static bool names_itself(const char *path)
{
	const char *name = strrchr(path, '/');
	if (!name || !name[1] || name == path || strcmp(name, "/.") == 0 ||
	    strcmp(name, "/..") == 0)
		return false;
	const char *above = name;
	while (above > path && above[-1] != '/')
		above--;
	size_t len = (size_t)(name - above);
	return len && !(len == 1 && *above == '.') && !(len == 2 && memcmp(above, "..", 2) == 0);
}

/* Which device's directory it may be, by its last name, and where it lies. */
static bool find_place(const char *path, struct place *out)
{
	char whole[PATH_MAX];
	if (names_itself(path) && strlen(path) < sizeof whole)
		memcpy(whole, path, strlen(path) + 1);
	else if (!realpath(path, whole))
		return false;
	char *name = strrchr(whole, '/');
	if (!udid_valid(name + 1, strlen(name + 1)))
		return false;
	snprintf(out->udid, sizeof out->udid, "%s", name + 1);
	*name = '\0';
	const char *above = strrchr(whole, '/');
	above = above ? above + 1 : whole;
	out->removed = strcmp(above, "removed") == 0;
	out->among = out->removed || strcmp(above, "devices") == 0;
	return true;
}

/* A `token` alone may lie in any directory. */
static bool is_device(const char *path)
{
	struct place place;
	return find_place(path, &place) && strcmp(place.udid, "devices") != 0 &&
	       strcmp(place.udid, "removed") != 0 &&
	       (place.among || has(path, tree_part_name(TREE_SECURITY), 0) ||
		has(path, tree_part_name(TREE_STATUS), 0) ||
		has(path, tree_part_name(TREE_HISTORY), 0));
}

static enum error prepare(struct escrow *escrow, const struct actor *actor, const struct unit *unit,
			  bool again, struct arrival **out)
{
	const struct place *place = unit->work;
	SCOPED(kept_free) struct kept_device kept = {0};
	TRY(tree_read_device(place->path, place->udid, place->removed, &kept));
	return escrow_kept_prepare(escrow, actor, &kept, again, out);
}

static const struct unit_kind device = {.prepare = prepare, .release = place_free};

static size_t size_of(int directory, const char *name)
{
	struct stat st;
	bool regular = fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		       S_ISREG(st.st_mode) && st.st_size > 0;
	return regular ? (size_t)st.st_size : 0;
}

static size_t history_size(int directory)
{
	int fd = openat(directory, tree_part_name(TREE_HISTORY),
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *history = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t size = 0;
	if (!history) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (size < TREE_DEVICE_MAX && (entry = readdir(history)))
		size += ENTRY_SIZE + size_of(fd, entry->d_name);
	closedir(history);
	return size;
}

/* About what a device takes when it is read: so a batch of large ones has few. */
static size_t device_size(const char *path)
{
	size_t size = sizeof(struct place) + sizeof(struct kept_device);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return size;
	size += size_of(fd, tree_part_name(TREE_SECURITY)) +
		size_of(fd, tree_part_name(TREE_TOKEN)) + history_size(fd);
	close(fd);
	return size;
}

static enum error hand_over(struct intake *intake, const char *path)
{
	struct place *place = calloc(1, sizeof *place);
	if (place)
		place->path = strdup(path);
	if (!place || !place->path || !find_place(path, place)) {
		place_free(place);
		return fail(ERR_MEMORY, "out of memory");
	}
	intake_file(intake);
	return intake_add(intake, &(struct unit){.kind = &device,
						 .work = place,
						 .size = device_size(place->path),
						 .file = place->path,
						 .udid = place->udid});
}

/* ---- the kind ---- */

static bool tells(const char *path)
{
	return is_device(path) || is_root(path);
}

static enum error read_either(struct intake *intake, const char *path)
{
	return is_device(path) ? hand_over(intake, path) : read_root(intake, path);
}

const struct source_kind source_tree = {
	.name = "a sealed tree",
	.tells_directory = tells,
	.read_directory = read_either,
};
