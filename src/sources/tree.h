#ifndef SOURCES_TREE_H
#define SOURCES_TREE_H

#include "sources/intake.h"

/*
 * Takes in a device's directory of a sealed tree, as a backup brought it back; `removed`: it lies
 * under the tree's /removed. An error ends the import; what is broken is refused and the rest goes
 * on.
 */
enum error tree_read_device(struct intake *, const char *path, bool removed);

#endif
