/*
 * One message a descriptor. A writer gathers what write(2) brings until the message is whole;
 * whoever completes it gets the verdict, since shells ignore what close(2) says.
 *
 *                    write                     write of more than white space
 *   EMPTY ------------------> GATHERING          +------------------------------+
 *     |                         |   |            |   (what was escrowed is      |
 *     | flush: nothing          |   +--- whole, acted on ---> DONE   undone)    |
 *     v                         |                              |                v
 *   EMPTY                       +--- refused -----------------(+)----------> REFUSED
 *
 * When is it whole?
 *
 *   form             in `token`             in security.json     in /checkin
 *   base64           a write ends in "\n",  -                    - (refused at once)
 *                    or at a flush
 *   XML              at </plist>            -                    at </plist>
 *   binary           at a flush             -                    its trailer fits, or at the first read
 *   PEM              at END CMS             -                    -
 *   JSON             -                      its braces close     its braces close
 *
 * A flush in the middle of a form that ends itself answers EINVAL and changes nothing: every
 * process that inherited the descriptor sends one as it exits. REFUSED says the same to every
 * later write and flush.
 *
 * MUST: what is gathered lies in secure memory and is wiped on every way out. (test: writer_wipes)
 * MUST: a descriptor that ends on an unfinished message leaves the store as it was. (test:
 * unfinished_nothing)
 * MUST: a reply with a token goes only to a descriptor that may be read. (test: get_needs_reading)
 * MUST: what is read is the reply, and not a byte of memory behind it. (test: reply_and_no_more)
 */
#include "inside.h"

#include "fault.h"
#include "json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKEN_MAX ((size_t)64 * 1024)
#define REPLY 1024 /* with a token of usual length */

enum state { EMPTY, GATHERING, DONE, REFUSED };

struct writer {
	struct escrow *escrow;
	enum writer_target target;
	int64_t id;
	bool readable;
	pthread_mutex_t mutex;

	enum state state;
	enum mdm_form form;
	struct secret text;
	struct holding holding; /* of text, while it is gathered */
	size_t body;   /* where the message starts behind header lines; SIZE_MAX: not known yet */
	size_t looked; /* how far the search for its end has come */
	struct json_scan scan; /* the same for JSON */
	uint64_t written;      /* bytes taken, white space behind the message included */

	enum error verdict; /* REFUSED: what every call says */
	char why[512];
	char said
		[514]; /* and what is read then: a line. It is no secret, and takes no secure memory */
	struct effect effect; /* DONE: what can be undone */
	struct actor last;    /* who wrote last, for what is found at the end */
	struct secret reply;
	struct holding reply_holding;
	size_t replied;
};

enum error writer_new(struct escrow *escrow, enum writer_target target, int64_t id, bool readable,
		      struct writer **out)
{
	struct writer *writer = calloc(1, sizeof *writer);
	if (!writer)
		return fail(ERR_MEMORY, "out of memory");
	writer->escrow = escrow;
	writer->target = target;
	writer->id = id;
	writer->readable = readable;
	writer->body = target == WRITER_CHECKIN ? SIZE_MAX : 0;
	pthread_mutex_init(&writer->mutex, NULL);
	*out = writer;
	return OK;
}

static size_t limit(const struct writer *writer)
{
	return writer->target == WRITER_CHECKIN ? MDM_MESSAGE_MAX : TOKEN_MAX;
}

/* What is gathered and isn't whole stays between two calls, on the account of who called last. */
static enum error hold(struct writer *writer)
{
	return holdings_set(writer->escrow->unfinished, &writer->holding, &writer->last,
			    writer->text.cap);
}

/* Wipes what is gathered. */
static void forget(struct writer *writer)
{
	secret_free(&writer->text);
	(void)holdings_set(writer->escrow->unfinished, &writer->holding, NULL, 0);
}

static void forget_reply(struct writer *writer)
{
	secret_free(&writer->reply);
	escrow_let_go(writer->escrow, &writer->reply_holding);
}

/* Puts a refusal on the trail, under the device's name where there is one. */
static enum error put_on_trail(struct writer *writer, const struct actor *actor, enum error code)
{
	if (writer->id)
		return refuse_device(writer->escrow, actor, writer->id, code);
	return escrow_refuse(writer->escrow, actor, NULL, code);
}

/* What is refused stays refused; a check-in can read why. The caller has recorded it. */
static enum error stay_refused(struct writer *writer, enum error code)
{
	writer->state = REFUSED;
	writer->verdict = code;
	snprintf(writer->why, sizeof writer->why, "%s", fail_why());
	forget(writer);
	/* The sentence is read from its start, also by who has read a reply before. */
	writer->replied = 0;
	forget_reply(writer);
	snprintf(writer->said, sizeof writer->said, "%s\n", writer->why);
	return fail(code, "%s", writer->why);
}

static enum error refuse(struct writer *writer, enum error code)
{
	return stay_refused(writer, put_on_trail(writer, &writer->last, code));
}

/* ---- acting on a whole message ---- */

static enum error act_on_token(struct writer *writer, const uint8_t *text, size_t len)
{
	struct escrow *escrow = writer->escrow;
	const struct actor *actor = &writer->last;
	SCOPED(message_free) struct message message = {0};
	if (writer->form == FORM_BASE64 || writer->form == FORM_UNKNOWN) {
		TRY(mdm_read_base64(text, len, &message.token));
	} else if (writer->form == FORM_PEM) {
		SCOPED(bytes_free) struct bytes blob = {0};
		SCOPED(secret_free) struct secret content = {0};
		TRY(seal_dearmor(text, len, &blob));
		SCOPED(seal_key_scoped) struct seal_key *key = daily_take(escrow);
		if (!key)
			return fail(ERR_NO_KEY, "a sealed token can't be checked without a private "
						"key: mount with -o key=URI");
		enum error opened = seal_open(key, blob.data, blob.len, &content);
		if (opened)
			return fail(opened == ERR_BAD_SEAL ? ERR_INVALID : opened, "%s",
				    fail_why());
		TRY(mdm_read_token(content.data, content.len, &message));
		if (!*message.id)
			return fail(ERR_INVALID, "the sealed token names no device");
	} else {
		TRY(mdm_read_token(text, len, &message));
	}

	struct device device;
	TRY(escrow_device(escrow, writer->id, &device));
	if (*message.id && strcasecmp(message.id, device.udid) != 0)
		return fail(ERR_INVALID,
			    "device %s: the message is device %s's; write it to that directory",
			    device.udid, message.id);
	if (!message.token.len)
		return token_remove_by_hand(escrow, actor, writer->id, &writer->effect);
	return token_escrow_by_hand(escrow, actor, &device, &message.token, "by hand",
				    &writer->effect);
}

static enum error act_on_checkin(struct writer *writer, const uint8_t *text, size_t len)
{
	SCOPED(message_free) struct message message = {0};
	int64_t began = latency_clock();
	bool recorded = false;
	enum error result = mdm_read(text, len, time_now(), &message);
	/* A reply that isn't read stays: there is room for it before a token is retrieved. */
	if (!result && writer->readable && message.kind == MESSAGE_GET_BOOTSTRAP_TOKEN)
		result = escrow_hold(writer->escrow, &writer->last, REPLY, &writer->reply_holding);
	if (!result)
		result = checkin_act(writer->escrow, &writer->last, &message, writer->readable,
				     &writer->reply, &recorded);
	if (recorded)
		return result;
	if (!result)
		latency_note(&writer->escrow->counters.checkin, began);
	return escrow_refuse(writer->escrow, &writer->last, *message.id ? message.id : NULL,
			     result);
}

/* The message is writer->text up to `end`. */
static enum error act(struct writer *writer, size_t end)
{
	if (!mdm_blank(writer->text.data + end, writer->text.len - end))
		return refuse(writer,
			      fail(ERR_INVALID, "more bytes came in one piece with the message: "
						"write one message a descriptor"));
	enum error result;
	fault_point("message-whole");
	switch (writer->target) {
	case WRITER_TOKEN:
		result = act_on_token(writer, writer->text.data, end);
		break;
	case WRITER_SECURITY:
		result = security_write(writer->escrow, &writer->last, writer->id,
					writer->text.data, end);
		break;
	default:
		/* It names its device itself, and is recorded under that name. */
		result = act_on_checkin(writer, writer->text.data, end);
		if (result)
			return stay_refused(writer, result);
	}
	if (result)
		return refuse(writer, result);
	writer->state = DONE;
	forget(writer);
	fault_point("message-done");
	return OK;
}

/* ---- is it whole yet? ---- */

static bool ends_itself(enum mdm_form form)
{
	return form == FORM_XML || form == FORM_PEM || form == FORM_JSON;
}

/* Does the file take this form at all? */
static enum error check_form(const struct writer *writer)
{
	static const unsigned takes[] = {
		[WRITER_TOKEN] = 1u << FORM_UNKNOWN | 1u << FORM_BASE64 | 1u << FORM_XML |
				 1u << FORM_BINARY | 1u << FORM_PEM,
		[WRITER_SECURITY] = 1u << FORM_UNKNOWN | 1u << FORM_JSON,
		[WRITER_CHECKIN] =
			1u << FORM_UNKNOWN | 1u << FORM_XML | 1u << FORM_BINARY | 1u << FORM_JSON,
	};
	static const char *const wanted[] = {
		[WRITER_TOKEN] = "a token is written as base64, as a SetBootstrapToken property "
				 "list, or as a sealed token in PEM",
		[WRITER_SECURITY] = "security.json is written as one JSON object",
		[WRITER_CHECKIN] =
			"a check-in is a property list or a webhook's JSON, header lines "
			"before it at most",
	};
	if (takes[writer->target] >> writer->form & 1)
		return OK;
	return fail(ERR_INVALID, "%s", wanted[writer->target]);
}

/* The end of the message in what is gathered, or 0. */
static size_t find_end(struct writer *writer, bool newline)
{
	const uint8_t *text = writer->text.data;
	size_t len = writer->text.len;
	if (writer->body == SIZE_MAX) {
		size_t headers = mdm_headers_end(text, len);
		if (headers == SIZE_MAX)
			return 0;
		writer->body = headers;
	}
	const uint8_t *body = text + writer->body;
	size_t body_len = len - writer->body, end = 0;
	if (writer->form == FORM_UNKNOWN)
		writer->form = mdm_form(body, body_len);
	switch (writer->form) {
	case FORM_JSON:
		end = json_scan(&writer->scan, body, body_len);
		break;
	case FORM_XML:
	case FORM_PEM:
		end = mdm_message_end(writer->form, body, body_len, writer->looked);
		break;
	case FORM_BINARY:
		if (writer->target == WRITER_CHECKIN)
			end = mdm_message_end(writer->form, body, body_len, writer->looked);
		break;
	default:
		/* "\n" alone is a message too: an empty one, which is refused in time. */
		if (writer->target == WRITER_TOKEN && newline)
			end = body_len;
	}
	writer->looked = body_len;
	return end ? writer->body + end : 0;
}

/* ---- write, flush, read ---- */

/*
 * Bytes where none are taken: after the message, or at another offset than the end of what was
 * written.
 */
static enum error take_back(struct writer *writer, enum error code)
{
	if (writer->state == DONE && writer->target == WRITER_TOKEN) {
		char why[512];
		snprintf(why, sizeof why, "%s", fail_why());
		enum error undone = token_undo(writer->escrow, &writer->last, &writer->effect);
		if (undone)
			return refuse(writer, undone);
		fail(code, "%s", why);
	}
	return refuse(writer, code);
}

/*
 * The longest token's line is one newline longer than the longest message: what you read you can
 * write back.
 */
static bool is_over(const struct writer *writer, const uint8_t *bytes, size_t n)
{
	size_t most = limit(writer), len = writer->text.len + n;
	return len > most &&
	       !(writer->target == WRITER_TOKEN && len == most + 1 && bytes[n - 1] == '\n');
}

static enum error take(struct writer *writer, const uint8_t *bytes, size_t n, uint64_t offset)
{
	if (writer->state == REFUSED)
		return fail(writer->verdict, "%s", writer->why);
	if (offset != writer->written)
		return take_back(writer, fail(ERR_INVALID,
					      "a write at offset %llu: bytes are taken "
					      "in order only, and %llu were written",
					      (unsigned long long)offset,
					      (unsigned long long)writer->written));
	if (!n)
		return OK;
	if (writer->state == DONE) {
		if (!mdm_blank(bytes, n))
			return take_back(writer, fail(ERR_INVALID,
						      "more bytes came after the message: write "
						      "one message a descriptor, and base64 in one "
						      "line (a shell's echo writes line by line)"));
		writer->written += n;
		return OK;
	}
	if (is_over(writer, bytes, n))
		return refuse(writer, fail(ERR_TOO_BIG, "the message is over %zu KiB",
					   limit(writer) / 1024));
	enum error added = secret_add(&writer->text, bytes, n);
	if (added)
		return refuse(writer, added);
	writer->written += n;
	writer->state = GATHERING;
	size_t end = find_end(writer, bytes[n - 1] == '\n');
	enum error form = check_form(writer);
	if (form)
		return refuse(writer, form);
	if (end)
		return act(writer, end);
	/* What isn't whole stays, and for how long is up to who writes. */
	enum error held = hold(writer);
	return held ? refuse(writer, held) : OK;
}

enum error writer_write(struct writer *writer, const struct actor *actor, const void *bytes,
			size_t n, uint64_t offset)
{
	pthread_mutex_lock(&writer->mutex);
	writer->last = *actor;
	enum error result = take(writer, bytes, n, offset);
	pthread_mutex_unlock(&writer->mutex);
	return result;
}

static enum error flush(struct writer *writer)
{
	if (writer->state == REFUSED)
		return fail(writer->verdict, "%s", writer->why);
	if (writer->state != GATHERING)
		return OK;
	/* A token's forms that end at close: this may be it. */
	if (writer->target == WRITER_TOKEN && !ends_itself(writer->form))
		return act(writer, writer->text.len);
	return fail(ERR_INVALID, "closed before the message was whole");
}

bool writer_gathers(struct writer *writer)
{
	pthread_mutex_lock(&writer->mutex);
	bool gathers = writer->state == GATHERING;
	pthread_mutex_unlock(&writer->mutex);
	return gathers;
}

enum error writer_flush(struct writer *writer, const struct actor *actor)
{
	pthread_mutex_lock(&writer->mutex);
	if (writer->state == GATHERING && actor)
		writer->last = *actor;
	enum error result = flush(writer);
	pthread_mutex_unlock(&writer->mutex);
	return result;
}

enum error writer_truncate(struct writer *writer, const struct actor *actor, uint64_t length)
{
	enum error result = OK;
	pthread_mutex_lock(&writer->mutex);
	if (writer->state == REFUSED)
		result = fail(writer->verdict, "%s", writer->why);
	else if (length != writer->written)
		result = put_on_trail(writer, actor,
				      fail(ERR_INVALID,
					   "a descriptor can be truncated to what was written to "
					   "it, %llu bytes, not to %llu",
					   (unsigned long long)writer->written,
					   (unsigned long long)length));
	else if (length == 0 && writer->target == WRITER_TOKEN)
		result = escrow_remove(writer->escrow, actor, writer->id);
	pthread_mutex_unlock(&writer->mutex);
	return result;
}

static enum error read_reply(struct writer *writer, size_t size, const void **data, size_t *n)
{
	/* A binary property list has no end of its own that a writer could be told at. */
	if (writer->state == GATHERING && writer->form == FORM_BINARY)
		(void)act(writer, writer->text.len);
	if (writer->state == EMPTY || writer->state == GATHERING)
		return fail(ERR_INVALID, "write the whole message first, then read the reply");
	bool refused = writer->state == REFUSED;
	const uint8_t *reply = refused ? (const uint8_t *)writer->said : writer->reply.data;
	size_t left = (refused ? strlen(writer->said) : writer->reply.len) - writer->replied;
	*n = size < left ? size : left;
	*data = *n ? reply + writer->replied : NULL;
	writer->replied += *n;
	return OK;
}

enum error writer_read(struct writer *writer, const struct actor *actor, size_t size,
		       const void **data, size_t *n)
{
	pthread_mutex_lock(&writer->mutex);
	if (writer->state == GATHERING && actor)
		writer->last = *actor;
	enum error result = read_reply(writer, size, data, n);
	pthread_mutex_unlock(&writer->mutex);
	return result;
}

void writer_free(struct writer *writer)
{
	if (!writer)
		return;
	if (writer->state == GATHERING)
		(void)put_on_trail(writer, &writer->last,
				   fail(ERR_INVALID, "closed on an unfinished message: nothing "
						     "was changed"));
	forget_reply(writer);
	forget(writer);
	pthread_mutex_destroy(&writer->mutex);
	free(writer);
}
