#ifndef ESCROWFS_BENCH_PART_H
#define ESCROWFS_BENCH_PART_H

#include "error.h"

/*
 * The parts that an escrow and a retrieval can't do without, one after the other or over and over.
 *
 *	commit FILE       a line as the audit trail's, into a new SQLite database, in a transaction of its
 *	                  own that is on disk when it returns, as the store's are (WAL, synchronous = FULL)
 *	escrow FILE, retrieval FILE
 *	                  the same of all that one of them writes, line, device, version and seal, into a
 *	                  copy of a store's database: a commit of ours can't be had for less
 *	seal KEY.pem CERTIFICATE.pem..., open KEY.pem CERTIFICATE.pem...
 *	                  of a token as large as real ones, to a store's recipients
 */
struct part;

/* `batch`: so many share a commit. One of seal and open in a process. The caller frees. */
enum error part_new(const char *what, char **files, int count, int batch, struct part **);
/* Those that commit are for one thread, the others for any. */
enum error part_do(struct part *);
void part_free(struct part *); /* takes NULL */

#endif
