#ifndef ESCROWFS_SEAL_WIPE_H
#define ESCROWFS_SEAL_WIPE_H

#include <stdbool.h>

/*
 * Are blocks wiped when they are freed, as wipe.c does it? False in builds for the sanitizers and
 * for valgrind, which bring a free() of their own.
 */
bool wipe_frees(void);

#endif
