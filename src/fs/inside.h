#ifndef FS_INSIDE_H
#define FS_INSIDE_H

#include "escrow.h"
#include "fs.h"
#include "fuse.h"
#include "reply.h"
#include "tree.h"

#include <pthread.h>
#include <stdatomic.h>

/* What the files of this layer share: the mount, its nodes, and who asks. */

struct handle;
struct changes;
struct content;
struct known;
struct workers;

/* Which inode /checkin has: checkin.c. */
struct checkins {
	uint64_t number;
	int given; /* to so many lookups since nobody had it open */
	int open;
};

/* metrics.c: the texts that somebody has read a part of. */
#define PIECES 64
struct pieces {
	uint64_t number; /* of the last one; 0: none yet */
	struct {
		uint64_t number;
		struct content *text; /* NULL: read to its end */
	} of[PIECES];		      /* number N is in [N % PIECES] */
};

struct fs {
	struct escrow *escrow;
	const struct fs_options *options;
	struct fuse_session *session;
	struct changes *changes;
	struct known *known; /* NULL: the store is asked each time */
	struct content
		*words[STATUS_COUNT]; /* plain.c: what bootstrap_status says; NULL: not made */
	struct workers *workers;
	bool sealed;
	bool greeted;	 /* the kernel said hello */
	bool spared;	 /* and can do without open, where there is nothing to open */
	int64_t born_at; /* the time of what has none of its own */
	struct checkins checkins;
	struct pieces pieces;
	pthread_mutex_t mutex; /* over the lists of handles, checkins and pieces */
	struct handle *handles, *spare;
	int spare_count;
};

/* The mount that a request is for. */
struct fs *fs_of(fuse_req_t);

/* ---- node.c ---- */

#define NODE_PATH 128 /* "/devices/UDID/bootstrap_status" */

/* An inode, with the device that it belongs to as it is now. */
struct node {
	uint64_t number;
	const struct entry *entry;
	enum node_kind kind;
	enum search_by by; /* KIND_LINK */
	union {
		struct device device;	/* KIND_DEVICE, KIND_LINK, KIND_PAST but of a version */
		struct version version; /* KIND_PAST: of a version */
	};
};

/* By number: ERR_GONE when it is of a device that was taken away. On an error `out` is nothing. */
enum error node_find(struct fs *, fuse_ino_t, struct node *out);
/* By name in a directory: ERR_NOT_FOUND. */
enum error node_child(struct fs *, const struct node *directory, const char *name,
		      struct node *out);

void node_fixed(const struct entry *, struct node *out);
void node_device(const struct device *, enum device_file, struct node *out);
void node_link(enum search_by, const struct device *, struct node *out);

/* past.c */
void node_past(enum past_node, const struct device *, struct node *out);
enum error node_past_find(struct fs *, const struct entry *, int64_t id, struct node *out);
enum error node_past_child(struct fs *, const struct node *directory, const char *name,
			   struct node *out);
/* The versions in a history directory, for listings. */
enum error node_past_list(struct fs *, const struct node *directory, store_each_version *, void *);
#define PAST_NAME 16 /* "12.pem" */
void node_past_name(const struct version *, char name[static PAST_NAME]);
bool node_is_past(const struct node *, enum past_node);
uint64_t node_past_parent(const struct node *);
int64_t node_past_modified(const struct node *);

bool node_is(const struct node *, enum device_file);
/* Does the kernel keep no attributes of it? (In a sealed mount it keeps all.) */
bool node_asked_each_time(const struct fs *, const struct entry *);
/* The UDID of the node's device, or NULL: what the trail calls it by. */
const char *node_udid(const struct node *);
/* From the top of the mount; "" of a link, and of what is old. Until this thread asks again. */
const char *node_path(const struct node *);
/*
 * The node as the escrow wants it for owners and modes; it points into the node. Who sets them adds the
 * path, for the trail.
 */
struct access_node node_access(const struct node *);
/* Where a link leads to. */
void node_target(const struct node *link, char target[static NODE_PATH]);

/* ---- attr.c ---- */

/* What stat(2) shows, and for how long the kernel may keep it. */
enum error node_attr(struct fs *, const struct node *, struct stat *out);
double node_attr_timeout(const struct fs *, const struct node *);
double node_entry_timeout(const struct fs *, const struct node *);
/* Number, attributes and timeouts of what a name stands for. */
enum error node_entry(struct fs *, const struct node *, struct fuse_entry_param *out);

/*
 * Makes of the entry of one device's directory that of another: neither has a setting of its own, their
 * policy was set at `set_at`.
 */
void node_entry_like(struct fuse_entry_param *, int64_t set_at, const struct device *);

struct timespec time_spec(int64_t at);
int64_t time_of(struct timespec);

/* ---- actor.c ---- */

/* Who asks: from the request, and from /proc while the caller waits. */
void actor_of(fuse_req_t, struct actor *out);
/* The same if who it is matters to the writer: else NULL, and nothing is looked up. */
const struct actor *actor_if_it_matters(fuse_req_t, struct writer *, struct actor *room);
/* This process itself. */
void actor_self(struct actor *out);

/* ---- refusals ---- */

/*
 * Puts a refusal on the trail under the node's device and answers the request with it. fail()
 * went before.
 */
void refuse(fuse_req_t, const struct node *, enum error);

/* ---- checkin.c ---- */

/* The inode number that a lookup of /checkin gets; and what becomes of it. */
uint64_t checkin_number(struct fs *);
void checkin_opened(struct fs *, uint64_t number);
void checkin_closed(struct fs *, uint64_t number);

/* ---- plain.c ---- */

/* What bootstrap_status can say, made once for all: ERR_MEMORY. Without it is made each time. */
enum error plain_words_new(struct fs *);
void plain_words_free(struct fs *);

/* ---- metrics.c ---- */

/* What nobody will read to its end. */
void metrics_forget_all(struct fs *);

/* ---- requests (struct fuse_lowlevel_ops in session.c) ---- */

void op_lookup(fuse_req_t, fuse_ino_t, const char *);
void op_forget(fuse_req_t, fuse_ino_t, uint64_t);
void op_forget_multi(fuse_req_t, size_t, struct fuse_forget_data *);
void op_readlink(fuse_req_t, fuse_ino_t);

void op_getattr(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_setattr(fuse_req_t, fuse_ino_t, struct stat *, int, struct fuse_file_info *);

void op_getxattr(fuse_req_t, fuse_ino_t, const char *, size_t);
void op_setxattr(fuse_req_t, fuse_ino_t, const char *, const char *, size_t, int);
void op_removexattr(fuse_req_t, fuse_ino_t, const char *);
void op_listxattr(fuse_req_t, fuse_ino_t, size_t);

void op_opendir(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_readdir(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void op_readdirplus(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void op_releasedir(fuse_req_t, fuse_ino_t, struct fuse_file_info *);

void op_open(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_read(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void op_write(fuse_req_t, fuse_ino_t, const char *, size_t, off_t, struct fuse_file_info *);
void op_flush(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_release(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_fsync(fuse_req_t, fuse_ino_t, int, struct fuse_file_info *);

void op_mkdir(fuse_req_t, fuse_ino_t, const char *, mode_t);
void op_rmdir(fuse_req_t, fuse_ino_t, const char *);
void op_mknod(fuse_req_t, fuse_ino_t, const char *, mode_t, dev_t);
void op_create(fuse_req_t, fuse_ino_t, const char *, mode_t, struct fuse_file_info *);
void op_symlink(fuse_req_t, const char *, fuse_ino_t, const char *);
void op_link(fuse_req_t, fuse_ino_t, fuse_ino_t, const char *);
void op_unlink(fuse_req_t, fuse_ino_t, const char *);
void op_rename(fuse_req_t, fuse_ino_t, const char *, fuse_ino_t, const char *, unsigned);
void op_fallocate(fuse_req_t, fuse_ino_t, int, off_t, off_t, struct fuse_file_info *);
void op_copy_file_range(fuse_req_t, fuse_ino_t, off_t, struct fuse_file_info *, fuse_ino_t, off_t,
			struct fuse_file_info *, size_t, int);
void op_statfs(fuse_req_t, fuse_ino_t);
void op_access(fuse_req_t, fuse_ino_t, int);

#endif
