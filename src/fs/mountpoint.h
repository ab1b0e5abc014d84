#ifndef FS_MOUNTPOINT_H
#define FS_MOUNTPOINT_H

/*
 * Unmounts a dead mount of ours at `path`, if that is what is there: one whose connection
 * somebody cut.
 */
void mountpoint_clear(const char *path);

#endif
