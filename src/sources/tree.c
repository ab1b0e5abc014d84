/*
 * Sealed trees, device by device: a directory with a device's name and files is one, wherever a
 * backup program put it. A whole tree's /audit and /search are another store's, and read over.
 */
#include "sources/tree.h"

#include "sources/kinds.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRY_SIZE 512 /* what is kept of a file besides what is in it */
#define DEVICE_SIZE_MAX ((size_t)16 * 1024 * 1024)

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

/* The last name of a path is a UDID, or of a path without one, as "." */
static bool find_place(const char *path, struct place *out)
{
	char whole[PATH_MAX];
	if (!realpath(path, whole))
		return false;
	char *name = strrchr(whole, '/');
	if (!udid_valid(name + 1, strlen(name + 1)))
		return false;
	snprintf(out->udid, sizeof out->udid, "%s", name + 1);
	*name = '\0';
	const char *above = strrchr(whole, '/');
	out->removed = above && strcmp(above + 1, "removed") == 0;
	out->among = out->removed || (above && strcmp(above + 1, "devices") == 0);
	return true;
}

/* A `token` alone may lie in any directory. */
static bool is_device(const char *path)
{
	struct place place;
	bool others = has(path, tree_part_name(TREE_SECURITY), 0) ||
		      has(path, tree_part_name(TREE_STATUS), 0) ||
		      has(path, tree_part_name(TREE_HISTORY), 0);
	return find_place(path, &place) && (others || place.among);
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

static size_t size_of(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size
									      : 0;
}

/* About what a device takes when it is read: so a batch of large ones has few. */
static size_t device_size(const char *path)
{
	char part[PATH_MAX];
	size_t size = sizeof(struct place) + sizeof(struct kept_device);
	for (enum tree_part i = 0; i < TREE_PARTS; i++)
		if ((size_t)snprintf(part, sizeof part, "%s/%s", path, tree_part_name(i)) <
		    sizeof part)
			size += size_of(part);
	DIR *history = (size_t)snprintf(part, sizeof part, "%s/%s", path,
					tree_part_name(TREE_HISTORY)) < sizeof part
			       ? opendir(part)
			       : NULL;
	const struct dirent *entry;
	while (history && size < DEVICE_SIZE_MAX && (entry = readdir(history))) {
		char old[PATH_MAX + NAME_MAX + 2];
		snprintf(old, sizeof old, "%s/%s", part, entry->d_name);
		size += ENTRY_SIZE + size_of(old);
	}
	if (history)
		closedir(history);
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
	return is_root(path) || is_device(path);
}

static enum error read_either(struct intake *intake, const char *path)
{
	return is_root(path) ? read_root(intake, path) : hand_over(intake, path);
}

const struct source_kind source_tree = {
	.name = "a sealed tree",
	.tells_directory = tells,
	.read_directory = read_either,
};
