#ifndef JSON_REPORTS_H
#define JSON_REPORTS_H

#include "error.h"
#include "facts.h"

#include <jansson.h>

/*
 * Reports, at the end of security.json's Escrow block: when each fact was reported and by what,
 * also those that are shown nowhere else. With them a backup brings back what is known of a device
 * exactly, and merges it fact by fact with what is newer.
 *
 *	"Reports": [{"At": "...", "Source": "SecurityInfo", "Facts": ["IsEncrypted"],
 *	             "NotShown": ["ProductName=Mac14,7"], "OutOfDate": ["EnrolledViaDEP=false"],
 *	             "Unknown": ["IsSupervised"]}]
 *
 * Facts are those that the file shows, where their values are. The others have them here, in a form
 * that no search for `"EnrolledViaDEP": false` takes for the fact itself.
 */

/* Does the file show this fact? `token_keys` as in struct json_security. */
bool reports_shows(const struct facts *, enum fact_name, bool token_keys);

/* Adds the key; nothing when no fact was ever reported. */
enum error reports_put(json_t *to, const struct facts *, bool token_keys);

/* Reads the array. `shown`: what the file shows. ERR_INVALID names what is wrong. */
enum error reports_read(const json_t *, const struct facts *shown, struct facts *out);

#endif
