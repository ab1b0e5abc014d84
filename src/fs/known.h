#ifndef FS_KNOWN_H
#define FS_KNOWN_H

#include "content.h"
#include "inside.h"

/*
 * Devices that were asked for lately, and those that are next in a walk, with what security.json says of
 * them: to look again, or to open again, asks the store for nothing. So many and no more, whatever the number of devices.
 *
 * What is known of a device holds for as long as what the kernel keeps of it: until changes.c tells of
 * its next change, before whoever made that is answered. Row and text of one device are of one moment.
 */
struct known;

enum error known_new(struct known **);
void known_free(struct known *); /* takes NULL */

/* As escrow_device(): ERR_GONE; as escrow_device_named(): ERR_NOT_FOUND. */
enum error known_device(struct fs *, int64_t id, struct device *out);
/* The same of what the store says now, whatever is known: another process may have changed it. */
enum error known_anew(struct fs *, int64_t id, struct device *out);
enum error known_named(struct fs *, const char *udid, struct device *out);

/* As escrow_security(). The caller drops `text`. */
enum error known_security(struct fs *, int64_t id, struct device *out, struct content **text);

/* Its device has changed, and that is on disk. */
void known_forget(struct known *, int64_t id);

#endif
