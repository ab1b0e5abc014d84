/*
 * /checkin's writer over any split into writes, reads and flushes. The input is a list of calls on one descriptor at
 * a time, as in fuzz_writer.c; a model that looks at all that was written says what each answers. Of a reply every
 * byte is looked at, and there are no more than it has.
 */
#include "json.h"
#include "mdm.h"

#include "escrow_fixture.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS_MAX 64
#define SENTENCE_MAX 512
#define REPLY_MAX 1024 /* of a token as short as those below */

enum call { LITERAL, PIECE, PIECE_MORE, FLUSH, CLOSE, ASTRAY, READ, BLANKS };
enum state { EMPTY, GATHERING, DONE, REFUSED };

#define PLIST(body) "<plist version=\"1.0\"><dict>" body "</dict></plist>"
#define TYPE(type) "<key>MessageType</key><string>" type "</string>"
#define UDID "<key>UDID</key><string>9353BC9A</string>"
#define TOKEN "<key>BootstrapToken</key><data>dG9rZW4gb25l</data>"

#define FIXED_PIECES 11
static const char *const fixed[FIXED_PIECES] = {
	PLIST(TYPE("GetBootstrapToken") UDID),
	PLIST(TYPE("SetBootstrapToken") UDID TOKEN),
	PLIST(TYPE("SetBootstrapToken") "<key>EnrollmentID</key><string>E</string>" TOKEN),
	PLIST(TYPE("Authenticate") UDID "<key>OSVersion</key><string>14.7</string>"),
	PLIST("<!-- </plist> -->" TYPE("CheckOut") UDID),
	PLIST(TYPE("TokenUpdate") UDID "<key>UserID</key><string>U</string>"),
	PLIST(TYPE("Authenticate")),
	"Identity: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\r\n\r\n",
	"{\"topic\": \"mdm.Checkin\", \"checkin_event\": {\"raw_payload\": \"PHBsaXN0Lz4=\"}}",
	"{\"acknowledge_event\": {\"status\": \"}\"}}",
	"0000",
};
enum { BINARY = FIXED_PIECES, PIECES };
static struct bytes piece[PIECES];

static void make_pieces(void)
{
	uint8_t text[] = "token two";
	struct secret token = {.data = text, .len = sizeof text - 1}, list = {0};
	for (int i = 0; i < FIXED_PIECES; i++)
		must(bytes_add(&piece[i], fixed[i], strlen(fixed[i])));
	must(mdm_write_content("9353BC9A", &token, &list));
	must(bytes_add(&piece[BINARY], list.data, list.len));
	secret_free(&list);
}

static struct descriptor {
	struct writer *writer;
	bool readable;
	size_t cursor;
	int piece;
	enum state state;
	enum mdm_form form;
	struct bytes text;
	uint64_t written;
	enum error verdict;
	bool replies; /* with a property list */
	size_t read;  /* of what there is to read since the state changed */
} d;

/* ---- the model ---- */

static enum error enter(enum state state, enum error verdict)
{
	d.state = state;
	d.read = 0;
	return d.verdict = verdict;
}

static enum error model_act(size_t end)
{
	SCOPED(message_free) struct message message = {0};
	if (!mdm_blank(d.text.data + end, d.text.len - end))
		return enter(REFUSED, ERR_INVALID);
	enum error read = mdm_read(d.text.data, end, time_now(), &message);
	if (!read && message.kind == MESSAGE_SET_BOOTSTRAP_TOKEN && message.user_enrolled &&
	    !message.user_channel)
		read = ERR_FORBIDDEN;
	if (read)
		return enter(REFUSED, read);
	d.replies = message.kind == MESSAGE_GET_BOOTSTRAP_TOKEN && d.readable && !message.webhook &&
		    !message.user_channel;
	return enter(DONE, OK);
}

static enum error model_gather(void)
{
	size_t headers = mdm_headers_end(d.text.data, d.text.len), end = 0;
	if (headers == SIZE_MAX)
		return OK;
	const uint8_t *body = d.text.data + headers;
	size_t len = d.text.len - headers;
	d.form = mdm_form(body, len);
	if (d.form == FORM_BASE64 || d.form == FORM_PEM)
		return enter(REFUSED, ERR_INVALID);
	if (d.form == FORM_JSON)
		end = json_scan(&(struct json_scan){0}, body, len);
	else if (d.form != FORM_UNKNOWN)
		end = mdm_message_end(d.form, body, len, 0);
	return end ? model_act(headers + end) : OK;
}

static enum error model_write(const void *bytes, size_t n, uint64_t offset)
{
	if (d.state == REFUSED)
		return d.verdict;
	if (offset != d.written || (d.state == DONE && !mdm_blank(bytes, n)))
		return enter(REFUSED, ERR_INVALID);
	d.written += n;
	if (d.state == DONE || !n)
		return OK;
	d.state = GATHERING;
	must(bytes_add(&d.text, bytes, n));
	return model_gather();
}

/* ---- calls ---- */

static void open_anew(bool readable)
{
	writer_free(d.writer);
	bytes_free(&d.text);
	d = (struct descriptor){.readable = readable, .piece = -1};
	must(writer_new(fuzz.escrow, WRITER_CHECKIN, 0, readable, &d.writer));
}

static void call_write(const void *bytes, size_t n, uint64_t offset)
{
	enum error should = model_write(bytes, n, offset);
	same(writer_write(d.writer, &fuzz_actor, bytes, n, offset), should);
}

static void call_piece(int i, size_t n)
{
	if (d.piece != i)
		d.cursor = 0;
	d.piece = i;
	size_t left = piece[i].len - d.cursor;
	if (!n || n > left)
		n = left;
	call_write(piece[i].data + d.cursor, n, d.written);
	d.cursor += n;
}

static void call_read(size_t size)
{
	const void *data;
	const uint8_t *bytes;
	size_t n, most;
	if (d.state == GATHERING && d.form == FORM_BINARY)
		(void)model_act(d.text.len);
	bool whole = d.state == DONE || d.state == REFUSED;
	enum error read = writer_read(d.writer, &fuzz_actor, size, &data, &n);
	same(read, whole ? OK : ERR_INVALID);
	if (read)
		return;
	most = d.state == REFUSED ? SENTENCE_MAX : d.replies ? REPLY_MAX : 0;
	bytes = data;
	for (size_t i = 0; i < n; i++)
		if (!bytes[i])
			abort();
	/* It begins where a reply does. */
	if (n && !d.read && d.state == DONE && *bytes != '<')
		abort();
	if (!d.read && most && !n)
		abort();
	d.read += n;
	if (n > size || d.read > most)
		abort();
}

static void make_call(uint8_t code, const uint8_t **data, size_t *size)
{
	static const char blanks[] = " \t\r\n \n\n\n\r\n\r\n  \t\n";
	unsigned argument = code >> 4;
	size_t n = 0;
	if ((code & 7) <= PIECE_MORE && *size) {
		n = **data;
		(*data)++;
		(*size)--;
	}
	switch (code & 7) {
	case LITERAL:
		n = n < *size ? n : *size;
		call_write(*data, n, d.written);
		*data += n;
		*size -= n;
		break;
	case PIECE:
	case PIECE_MORE:
		call_piece((code & 7) == PIECE_MORE && d.piece >= 0 ? d.piece
								    : (int)argument % PIECES,
			   n);
		break;
	case FLUSH:
		same(writer_flush(d.writer, NULL), d.state == REFUSED	  ? d.verdict
						   : d.state == GATHERING ? ERR_INVALID
									  : OK);
		break;
	case CLOSE:
		open_anew(argument);
		break;
	case ASTRAY:
		call_write("more", 4, argument ? d.written + argument : 0);
		break;
	case READ:
		call_read((size_t)1 << argument);
		break;
	default:
		call_write(blanks + argument, sizeof blanks - 1 - argument > 2 ? 2 : 1, d.written);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_escrow_next();
	if (!piece[0].len)
		make_pieces();
	open_anew(true);
	for (int calls = 0; size && calls < CALLS_MAX; calls++) {
		uint8_t code = *data++;
		size--;
		make_call(code, &data, &size);
	}
	writer_free(d.writer);
	d.writer = NULL;
	return 0;
}
