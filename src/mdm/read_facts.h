#ifndef ESCROWFS_MDM_READ_FACTS_H
#define ESCROWFS_MDM_READ_FACTS_H

#include "mdm/property.h"

/*
 * Reads what a message of this kind reports into out->reported, with time `at`. ERR_INVALID: a key
 * that is read has the wrong type, or is too long.
 */
enum error facts_read(plist_t root, int64_t at, struct message *out);

#endif
