/*
 * Reasons: sentences for the person who looks at security.json, each with the fact that decided
 * and the remedy. They follow from the dossier alone, never from today's date, so that the file's
 * size stays what it is.
 */
#include "inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BY_HAND                                                                                    \
	"an administrator who has a SecureToken runs `sudo profiles install -type "                \
	"bootstraptoken` on "                                                                      \
	"the Mac"
#define QUERY "send the device SecurityInfo and DeviceInformation commands"

static void say(struct reasons *reasons, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct reasons *reasons, const char *format, ...)
{
	if (reasons->count == REASONS_MAX)
		return;
	char *text = reasons->text[reasons->count];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, REASON_SIZE, format, arguments);
	va_end(arguments);
	reasons->line[reasons->count++] = text;
}

/* The day of a time: "2026-01-31". */
static const char *day(int64_t at, char out[static TEXT_TIME])
{
	time_text(at, out);
	out[10] = 0;
	return out;
}

static const char *known_text(const struct dossier *dossier, enum fact_name name)
{
	const char *text = fact_text(&dossier->facts, name);
	return text ? text : "unknown";
}

void reason_needed(const struct dossier *dossier, const struct prerequisites *prerequisites,
		   char *out, size_t size)
{
	const char *version = known_text(dossier, FACT_OS_VERSION);
	const char *system = platform_name(rules_platform(&dossier->facts));
	switch (prerequisites->needs) {
	case NEEDS_MACOS_10_15:
		snprintf(out, size,
			 "Bootstrap Tokens need macOS 10.15 or later, and OSVersion is %s: upgrade "
			 "the "
			 "Mac, or, if it was upgraded, " QUERY " to bring the facts up to date.",
			 version);
		break;
	case NEEDS_OS_26:
		snprintf(out, size,
			 "Bootstrap Tokens need %s 26 or later, and OSVersion is %s: upgrade the "
			 "device, or, if it was upgraded, " QUERY " to bring the facts up to date.",
			 system, version);
		break;
	case NEEDS_OTHER_PLATFORM:
		snprintf(out, size,
			 "%s has no Bootstrap Token. If this isn't an %s device, " QUERY
			 " to bring the facts up to date.",
			 system, system);
		break;
	case NEEDS_DEVICE_ENROLLMENT:
		snprintf(
			out, size,
			"IsUserEnrollment: a user enrolment never has a Bootstrap Token; enrol the "
			"device through Apple Business Manager or with a device enrolment "
			"profile.");
		break;
	case NEEDS_DEP:
		snprintf(out, size,
			 "EnrolledViaDEP is false, and macOS 10.15.0 to 10.15.3 (OSVersion %s) "
			 "needs "
			 "it: enrol the Mac through Apple Business Manager, or upgrade it to "
			 "10.15.4 "
			 "or later and approve the enrolment.",
			 version);
		break;
	case NEEDS_APPROVAL:
		snprintf(
			out, size,
			"UserApprovedEnrollment is false and EnrolledViaDEP is not true: a user of "
			"the Mac approves the enrolment in System Preferences, Profiles, or enrol "
			"it "
			"through Apple Business Manager; then send it a SecurityInfo command.");
		break;
	case NEEDS_APPROVAL_OR_SUPERVISION:
		snprintf(out, size,
			 "UserApprovedEnrollment is false, and neither EnrolledViaDEP nor "
			 "IsSupervised "
			 "is true: a user of the Mac approves the enrolment in System Settings, or "
			 "enrol it through Apple Business Manager; then " QUERY ".");
		break;
	case NEEDS_SUPERVISION:
		snprintf(out, size,
			 "IsSupervised is false, and %s needs supervision for a Bootstrap Token: "
			 "enrol "
			 "the device through Apple Business Manager or supervise it with Apple "
			 "Configurator; then send it a DeviceInformation command.",
			 system);
		break;
	default:
		snprintf(out, size, "The prerequisites are met as far as they are known.");
	}
}

/* Which facts a device's own escrow has shown to be out of date. */
static void say_out_of_date(const struct dossier *dossier, struct reasons *reasons)
{
	char names[256] = "";
	for (int i = 0; i < FACT_COUNT; i++) {
		if (dossier->facts.of[i].state != FACT_OUT_OF_DATE)
			continue;
		size_t len = strlen(names);
		snprintf(names + len, sizeof names - len, "%s%s", len ? ", " : "",
			 facts_table[i].name);
	}
	if (*names)
		say(reasons,
		    "The device escrowed a token itself, although facts known of it forbid it: "
		    "they "
		    "are out of date (%s). To bring them up to date, " QUERY ".",
		    names);
}

static void say_unknown(const struct dossier *dossier, struct reasons *reasons)
{
	const struct facts *facts = &dossier->facts;
	bool version = rules_version(fact_text(facts, FACT_OS_VERSION)).known;
	bool approval = fact_true(facts, FACT_USER_APPROVED_ENROLLMENT) ||
			fact_false(facts, FACT_USER_APPROVED_ENROLLMENT);
	bool is_mac = rules_platform(facts) == PLATFORM_MACOS;
	if (version && (approval || !is_mac))
		return;
	say(reasons, "%s%s%s not known, and what isn't known counts as allowing: " QUERY ".",
	    version ? "" : "OSVersion", version || approval || !is_mac ? "" : " and ",
	    approval || !is_mac ? " is"
	    : version		? "UserApprovedEnrollment is"
				: "UserApprovedEnrollment are");
}

static void say_not_escrowed(const struct dossier *dossier, struct reasons *reasons)
{
	struct os_version version = rules_version(fact_text(&dossier->facts, FACT_OS_VERSION));
	if (rules_platform(&dossier->facts) != PLATFORM_MACOS) {
		say(reasons,
		    "No token is escrowed. The prerequisites are met as far as they are known: "
		    "the device escrows by itself.");
		say_unknown(dossier, reasons);
		return;
	}
	bool by_hand_only =
		version.known && version.major == 10 && version.minor == 15 && version.patch < 4;
	if (by_hand_only)
		say(reasons,
		    "No token is escrowed. macOS before 10.15.4 doesn't escrow by itself: " BY_HAND
		    ".");
	else
		say(reasons,
		    "No token is escrowed. The Mac escrows by itself at the first login of a user "
		    "who has a SecureToken; that never comes when Setup Assistant's account "
		    "creation "
		    "was skipped. By hand: " BY_HAND ".");
	if (version.known && version.major == 10)
		say(reasons,
		    "On macOS 10.15 only mobile accounts of a Mac bound to a directory, and the "
		    "administrator made at enrolment, are served; network users never are.");
	else
		say(reasons, "Network users are never served; they get no SecureToken.");
	say(reasons, "The Mac sends its token only to a server whose MDM profile lists "
		     "com.apple.mdm.bootstraptoken under ServerCapabilities.");
	say_unknown(dossier, reasons);
}

static void say_escrowed(const struct dossier *dossier, struct reasons *reasons)
{
	const struct device *device = &dossier->device;
	const struct version *current = &dossier->versions[dossier->current];
	const char *allowed = fact_text(&dossier->facts, FACT_BT_ALLOWED);
	char date[TEXT_TIME];
	say(reasons, "Version %d is escrowed since %s.", current->number,
	    current->escrowed_at == TIME_UNKNOWN ? "nobody knows when"
						 : day(current->escrowed_at, date));
	if (current->renewal == RENEWAL_AUTHENTICATED)
		say(reasons,
		    "The device sent Authenticate on %s, after this token was escrowed: it "
		    "enrolled "
		    "anew or its certificate was renewed. The token is kept and served; a "
		    "DeviceInformation command with EACSPreflight shows whether it works.",
		    day(device->reenrolled_at, date));
	if (allowed && strcmp(allowed, "disallowed") == 0)
		say(reasons,
		    "BootstrapTokenAllowedForAuthentication is disallowed: the Mac doesn't use "
		    "the token to approve kernel extensions and software updates until a user "
		    "allows it in recoveryOS (Startup Security Utility).");
}

void reasons_of(const struct dossier *dossier, const struct prerequisites *prerequisites,
		struct reasons *out)
{
	const struct device *device = &dossier->device;
	char date[TEXT_TIME], needed[REASON_SIZE];
	out->count = 0;
	switch (device->status) {
	case STATUS_UNENROLLED:
		say(out,
		    "The device left MDM on %s (CheckOut). Its own requests get no token until it "
		    "enrols again%s.",
		    day(device->checked_out_at, date),
		    dossier->current >= 0
			    ? "; the token is kept, and administrators can still read it"
			    : "");
		break;
	case STATUS_STALE:
		say(out,
		    "The device was set up anew on %s, after this token was escrowed: the token "
		    "may "
		    "not work any more. It is served until the device escrows again, at the next "
		    "login of a user who has a SecureToken, or " BY_HAND ".",
		    day(device->reenrolled_at, date));
		say(out, "If a DeviceInformation command with EACSPreflight answers `success`, the "
			 "token works after all and the word is escrowed again.");
		break;
	case STATUS_ESCROWED:
		if (dossier->current >= 0) /* or somebody edited the store */
			say_escrowed(dossier, out);
		break;
	case STATUS_NOT_SUPPORTED:
	case STATUS_NOT_ELIGIBLE:
		reason_needed(dossier, prerequisites, needed, sizeof needed);
		say(out, "%s", needed);
		break;
	default:
		say_not_escrowed(dossier, out);
	}
	say_out_of_date(dossier, out);
}
