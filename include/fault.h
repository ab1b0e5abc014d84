#ifndef ESCROWFS_FAULT_H
#define ESCROWFS_FAULT_H

/*
 * Where a crash is tried: places between two steps of which the first must be worth nothing, or
 * everything, without the second. In a build for tests/torture (make FAULTS=1) the process is killed
 * there when the environment asks for it, ESCROWFS_FAULT=name:n at the n-th passing; in any other build
 * there is nothing. The names are found in the source by tests/torture, which fails when one of them is
 * never reached: so each stands as a literal, once.
 */
#ifdef FAULT_POINTS
void fault_point(const char *name);
#else
#define fault_point(name) ((void)0)
#endif

#endif
