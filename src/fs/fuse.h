#ifndef FS_FUSE_H
#define FS_FUSE_H

/* libfuse's low-level interface, at the version that Debian 12 has. */
#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>

#endif
