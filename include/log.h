#ifndef ESCROWFS_LOG_H
#define ESCROWFS_LOG_H

/*
 * What the operator should know. To standard error, with sd-daemon's "<3>" prefixes when systemd
 * reads it, or to syslog once log_to_syslog() was called (a daemon has no standard error). Never a
 * secret.
 */
enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6 };

void log_say(enum log_level, const char *format, ...) __attribute__((format(printf, 2, 3)));

void log_to_syslog(void);

#endif
