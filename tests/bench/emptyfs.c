/*
 * The floor: the emptiest filesystem with the tree of a mount, as fast as one can be made with
 * libfuse. It shows what FUSE itself costs on this machine, now; what a mount takes beyond it is
 * its own.
 *
 *	emptyfs [-s] N MOUNTPOINT DEVICE
 *	limitfs N MOUNTPOINT DEVICE escrow|retrieval FILE KEY.pem CERTIFICATE.pem...
 *	lookfs [-s] N MOUNTPOINT DEVICE STORE/escrow.db
 *
 * N devices, each /devices/UDID/{security.json,bootstrap_status,token}. All devices' files are the
 * same: they are those in DEVICE, a device's directory in some mount. Names and inode numbers are
 * computed: nothing is looked up anywhere. What is written to a token is dropped. With -s as a sealed
 * mount has it: read-only, all of it kept, nothing opened, with history/ in each device. Runs in the foreground until
 * it is unmounted.
 *
 * limitfs is the same program, which seals when a token is written, or opens a seal when one is opened,
 * and then commits what a store would write of it. No filesystem that keeps the contract can do with less;
 * and it takes longer than these take alone, each with the processor's caches for itself.
 *
 * lookfs is the same program, too, with names that are a store's: each is looked up there, and so is the row that
 * attributes are made of, where the kernel knows the name from a listing; a listing steps from name to name; and
 * when security.json is read, what it says is read, and text like it written out with jansson; with -s a token's seal
 * is read, and written in base64. It is confined as a mount is.
 *
 * What the kernel is told is what src/fs tells it (timeouts, capabilities, kept pages, workers and
 * their loop), so that only the work of answering differs. Where the kernel can be spared a
 * request it is spared: a descriptor that is only read is not flushed. Listings aren't kept: new
 * devices come without a call through the mount.
 */
#define FUSE_USE_VERSION 35
#include "limit.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 2
#define MAX_WRITE (1024 * 1024)
#define FIRST_ID 256
#define DEVICES 2 /* the inode of /devices */
#define HISTORY (UINT64_C(1) << 51)
#define CONTENT_MAX (64 * 1024)

enum { DIRECTORY, SECURITY, STATUS, TOKEN, FILES };

static const char *const names[FILES] = {"", "security.json", "bootstrap_status", "token"};
static const mode_t modes[FILES] = {S_IFDIR | 0750, S_IFREG | 0640, S_IFREG | 0440, S_IFREG | 0600};

static struct {
	uint64_t devices;
	bool sealed;
	struct timespec born;
	char content[FILES][CONTENT_MAX];
	size_t len[FILES];
} tree;

/* ---- names and numbers ---- */

#define TAIL "-0000-4000-8000-000000000000"
#define UDID 36

static void name_of(uint64_t id, char name[static UDID + 1])
{
	static const char digit[] = "0123456789ABCDEF";
	for (int i = 7; i >= 0; i--, id >>= 4)
		name[i] = digit[id & 15];
	memcpy(name + 8, TAIL, sizeof TAIL);
}

/* 0: there is no such device. */
static uint64_t id_of(const char *name)
{
	if (limit_device)
		return limit_device(name);
	char again[UDID + 1];
	uint64_t id = 0;
	for (int i = 0; i < 8 && name[i]; i++)
		id = id << 4 | (unsigned)((name[i] <= '9' ? name[i] : name[i] - 'A' + 10) & 15);
	name_of(id, again);
	bool there = id >= FIRST_ID && id < FIRST_ID + tree.devices && strcmp(name, again) == 0;
	return there ? id : 0;
}

static int file_of(uint64_t number)
{
	return number < FIRST_ID * FILES || number & HISTORY ? DIRECTORY : (int)(number % FILES);
}

static struct stat attr_of(uint64_t number)
{
	int file = file_of(number);
	return (struct stat){.st_ino = number,
			     .st_mode = modes[file],
			     .st_nlink = 1,
			     .st_size = (off_t)tree.len[file],
			     .st_atim = tree.born,
			     .st_mtim = tree.born,
			     .st_ctim = tree.born};
}

static double timeout_of(uint64_t number)
{
	return file_of(number) == TOKEN && !tree.sealed ? 0 : 3600;
}

static struct fuse_entry_param entry_of(uint64_t number)
{
	return (struct fuse_entry_param){.ino = number,
					 .attr = attr_of(number),
					 .attr_timeout = timeout_of(number),
					 .entry_timeout = 3600};
}

static uint64_t child_of(uint64_t parent, const char *name)
{
	if (parent == FUSE_ROOT_ID)
		return strcmp(name, "devices") == 0 ? DEVICES : 0;
	if (parent == DEVICES)
		return id_of(name) * FILES;
	if (limit_attributes && !limit_attributes(parent / FILES))
		return 0;
	for (int file = SECURITY; file < FILES; file++)
		if (!(parent & HISTORY) && strcmp(name, names[file]) == 0)
			return parent + (uint64_t)file;
	return tree.sealed && strcmp(name, "history") == 0 ? HISTORY + parent : 0;
}

/* ---- attributes ---- */

static void op_init(void *context, struct fuse_conn_info *connection)
{
	(void)context;
	connection->want |= FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
			    FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
			    FUSE_CAP_READDIRPLUS_AUTO;
	if (tree.sealed)
		connection->want &=
			~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS_AUTO);
	else
		connection->want |= FUSE_CAP_POSIX_ACL;
	connection->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
					FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
					FUSE_CAP_ASYNC_DIO | FUSE_CAP_EXPLICIT_INVAL_DATA);
	connection->want &= connection->capable;
	connection->max_write = MAX_WRITE;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	uint64_t number = child_of(parent, name);
	struct fuse_entry_param entry = entry_of(number);
	if (number)
		fuse_reply_entry(req, &entry);
	else
		fuse_reply_err(req, ENOENT);
}

static void op_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	(void)info;
	struct stat attr = attr_of(number);
	fuse_reply_attr(req, &attr, timeout_of(number));
}

/* No file has an ACL. */
static void op_getxattr(fuse_req_t req, fuse_ino_t number, const char *name, size_t size)
{
	(void)number;
	(void)name;
	(void)size;
	fuse_reply_err(req, ENODATA);
}

/* ---- files ---- */

static void op_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	if (tree.sealed) { /* the kernel needn't ask */
		fuse_reply_err(req, ENOSYS);
		return;
	}
	bool reads = (info->flags & O_ACCMODE) == O_RDONLY;
	bool kept = file_of(number) != TOKEN || tree.sealed;
	info->direct_io = !kept || !reads;
	info->keep_cache = kept;
	info->noflush = reads;
	if (reads && file_of(number) == TOKEN && limit_retrieval && !limit_retrieval())
		fuse_reply_err(req, EIO);
	else
		fuse_reply_open(req, info);
}

static void op_read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
		    struct fuse_file_info *info)
{
	(void)info;
	int file = file_of(number);
	size_t len = tree.len[file], at = (size_t)offset < len ? (size_t)offset : len;
	if ((file == SECURITY && limit_security && !limit_security(number / FILES)) ||
	    (file == TOKEN && limit_seal && !limit_seal(number / FILES)))
		fuse_reply_err(req, EIO);
	else
		fuse_reply_buf(req, tree.content[file] + at, size < len - at ? size : len - at);
}

static void op_write(fuse_req_t req, fuse_ino_t number, const char *bytes, size_t size,
		     off_t offset, struct fuse_file_info *info)
{
	(void)number;
	(void)bytes;
	(void)offset;
	(void)info;
	if (limit_escrow && !limit_escrow())
		fuse_reply_err(req, EIO);
	else
		fuse_reply_write(req, size);
}

static void op_done(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	(void)number;
	(void)info;
	fuse_reply_err(req, tree.sealed ? ENOSYS : 0);
}

static void op_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	(void)number;
	if (tree.sealed)
		fuse_reply_err(req, ENOSYS);
	else
		fuse_reply_open(req, info);
}

/* ---- listings ---- */

struct listing {
	fuse_req_t req;
	bool plus;
	size_t size, used;
	char *buffer;
};

static bool put(struct listing *listing, const char *name, uint64_t number, off_t offset)
{
	char *at = listing->buffer + listing->used;
	size_t n, room = listing->size - listing->used;
	struct fuse_entry_param entry = {
		.attr = {.st_ino = number, .st_mode = modes[file_of(number)]}};
	if (listing->plus && *name != '.')
		entry = entry_of(number);
	if (listing->plus)
		n = fuse_add_direntry_plus(listing->req, at, room, name, &entry, offset);
	else
		n = fuse_add_direntry(listing->req, at, room, name, &entry.attr, offset);
	if (n > room)
		return false;
	listing->used += n;
	return true;
}

static bool put_device(void *context, const char *name, uint64_t id)
{
	return put(context, name, id * FILES, (off_t)id + 1);
}

/* From this number on. */
static void list_devices(struct listing *listing, uint64_t id)
{
	char name[UDID + 1];
	if (limit_names) {
		limit_names(id - 1, put_device, listing);
		return;
	}
	for (; id < FIRST_ID + tree.devices; id++) {
		name_of(id, name);
		if (!put_device(listing, name, id))
			return;
	}
}

/* An offset is what comes after: 1 and 2 for . and .., then the id, or the file in a device. */
static void list(struct listing *listing, uint64_t number, off_t offset)
{
	if ((offset < 1 && !put(listing, ".", number, 1)) ||
	    (offset < 2 && !put(listing, "..", number == DEVICES ? FUSE_ROOT_ID : DEVICES, 2)))
		return;
	if (number == FUSE_ROOT_ID && offset < 3) {
		(void)put(listing, "devices", DEVICES, 3);
	} else if (number == DEVICES) {
		list_devices(listing, offset > FIRST_ID ? (uint64_t)offset : FIRST_ID);
	} else if (number >= FIRST_ID * FILES && !(number & HISTORY)) {
		for (int file = SECURITY; file < FILES; file++)
			if (offset < 2 + file &&
			    !put(listing, names[file], number + (uint64_t)file, 2 + file))
				return;
		if (tree.sealed && offset < 2 + FILES)
			(void)put(listing, "history", HISTORY + number, 2 + FILES);
	}
}

static void reply_list(fuse_req_t req, uint64_t number, size_t size, off_t offset, bool plus)
{
	static _Thread_local char buffer[MAX_WRITE];
	struct listing listing = {req, plus, size < MAX_WRITE ? size : MAX_WRITE, 0, buffer};
	bool of_device = number >= FIRST_ID * FILES && !(number & HISTORY);
	if (of_device && plus && limit_attributes && !limit_attributes(number / FILES)) {
		fuse_reply_err(req, EIO);
		return;
	}
	list(&listing, number, offset);
	fuse_reply_buf(req, buffer, listing.used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
		       struct fuse_file_info *info)
{
	(void)info;
	reply_list(req, number, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
			   struct fuse_file_info *info)
{
	(void)info;
	reply_list(req, number, size, offset, true);
}

/* ---- the mount ---- */

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.getxattr = op_getxattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_done,
	.release = op_done,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
};

static void *work(void *context)
{
	struct fuse_session *session = context;
	struct fuse_buf buffer = {.mem = NULL};
	int n;
	do {
		n = fuse_session_receive_buf(session, &buffer);
		if (n > 0)
			fuse_session_process_buf(session, &buffer);
	} while (n > 0 || n == -EINTR || n == -EAGAIN);
	free(buffer.mem);
	return NULL;
}

static int serve(const char *mountpoint)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	pthread_t worker[WORKERS];
	fuse_opt_add_arg(&args, "emptyfs");
	fuse_opt_add_arg(&args, tree.sealed ? "-onodev,nosuid,noexec,subtype=emptyfs,ro"
					    : "-onodev,nosuid,noexec,subtype=emptyfs,allow_other,"
					      "default_permissions");
	struct fuse_session *session =
		fuse_session_new(&args, &operations, sizeof operations, NULL);
	fuse_opt_free_args(&args);
	if (!session || fuse_session_mount(session, mountpoint) != 0)
		return 1;
	if (limit_mounted && !limit_mounted())
		return 1;
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&worker[i], NULL, work, session);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(worker[i], NULL);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return 0;
}

static int read_content(const char *directory, int file)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", directory, names[file]);
	FILE *from = fopen(path, "re");
	if (from)
		tree.len[file] = fread(tree.content[file], 1, CONTENT_MAX, from);
	if (!from || ferror(from) || fclose(from)) {
		perror(path);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	tree.sealed = argc > 1 && strcmp(argv[1], "-s") == 0;
	argv += tree.sealed;
	argc -= tree.sealed;
	if (limit_prepare ? argc < 4 || (tree.sealed && !limit_seal) : argc != 4) {
		fprintf(stderr, "usage: %s N MOUNTPOINT DEVICE%s\n", argv[0],
			limit_prepare ? " ..." : "; with -s first, as a sealed mount");
		return 2;
	}
	tree.devices = strtoull(argv[1], NULL, 10);
	clock_gettime(CLOCK_REALTIME, &tree.born);
	for (int file = SECURITY; file < FILES; file++)
		if (read_content(argv[3], file))
			return 1;
	if (limit_prepare && limit_prepare(argv + 4, argc - 4, tree.content[SECURITY]))
		return 1;
	int status = serve(argv[2]);
	if (limit_free)
		limit_free();
	return status;
}
