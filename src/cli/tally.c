#include "tally.h"

#include "text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* The sentence behind "device X: ". */
static const char *without_device(const char *why, const char *udid)
{
	static const char device[] = "device ";
	size_t word = sizeof device - 1, len = strlen(udid);
	if (strncmp(why, device, word) != 0 || strncasecmp(why + word, udid, len) != 0 ||
	    strncmp(why + word + len, ": ", 2) != 0)
		return why;
	return why + word + len + 2;
}

static bool alike(const char *a, const char *b)
{
	while (*a && *b) {
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			a += strspn(a, "0123456789");
			b += strspn(b, "0123456789");
		} else if (*a++ != *b++) {
			return false;
		}
	}
	return *a == *b;
}

void tally_add(struct tally *tally, const char *sentence, const char *udid)
{
	char why[sizeof tally->reason->why];
	snprintf(why, sizeof why, "%s", without_device(sentence, udid));
	text_printable(why);
	int i = 0;
	while (i < tally->reasons && !alike(tally->reason[i].why, why))
		i++;
	if (i == TALLY_MAX) {
		tally->others++;
		return;
	}
	if (i == tally->reasons) {
		memcpy(tally->reason[i].why, why, sizeof why);
		tally->reasons++;
	}
	tally->reason[i].count++;
}

void tally_print(const struct tally *tally, FILE *out)
{
	for (int i = 0; i < tally->reasons; i++)
		fprintf(out, "%10" PRId64 "  %s\n", tally->reason[i].count, tally->reason[i].why);
	if (tally->others)
		fprintf(out, "%10" PRId64 "  for other reasons\n", tally->others);
}
