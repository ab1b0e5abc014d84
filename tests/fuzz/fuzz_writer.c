/*
 * The token's writer (escrow's writer.c) over any split into writes, flushes, offsets and descriptors. The input
 * is a list of calls on two descriptors of one token; a model that looks at all that was written each time, where
 * the writer goes on from what it saw before, says what each call answers and which token the store then has.
 *
 * A call is a byte: its kind in the lowest three bits, then the descriptor, then an argument of four bits.
 */
#include "mdm.h"

#include "escrow_fixture.h"

#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"
#define LIMIT ((size_t)64 * 1024)
#define CALLS_MAX 64
#define VERSIONS_MAX CALLS_MAX
#define NONE (-1)

enum call { LITERAL, PIECE, PIECE_MORE, FLUSH, CLOSE, ASTRAY, TRUNCATE, BLANKS };
enum state { EMPTY, GATHERING, DONE, REFUSED };

/* ---- what a real sender writes: fragments of it are what the calls write ---- */

#define PLIST(body)                                                                                \
	"<?xml version=\"1.0\"?>\n<plist version=\"1.0\"><dict><key>MessageType</key>"             \
	"<string>SetBootstrapToken</string>" body "</dict></plist>"
#define TOKEN(base64) "<key>BootstrapToken</key><data>" base64 "</data>"
#define OF(udid) "<key>UDID</key><string>" udid "</string>"

#define FIXED_PIECES 8
static const char *const fixed[FIXED_PIECES] = {
	"dG9rZW4gb25l\n",
	"dG9rZW4g\r\ndHdv\n",
	PLIST(OF(UDID) TOKEN("dG9rZW4gb25l")),
	PLIST("<!-- </plist> -->" TOKEN("dG9rZW4gdHdv")),
	PLIST(OF(UDID)),
	PLIST(OF("0E5C0A00-0001-4000-8000-000000000001") TOKEN("dG9rZW4gb25l")),
	"ABCD-EFGH-IJKL-MNOP-QRST-UVWX\n",
	"{}",
};
enum { BINARY = FIXED_PIECES, SEALED, SEALED_ELSEWHERE, PIECES };
static struct bytes piece[PIECES];
static struct seal_key *key;

/* A SetBootstrapToken in binary, and that sealed to this store's key. */
static void make_sealed(const char *udid, struct bytes *content, struct bytes *pem)
{
	uint8_t text[] = "token three";
	struct secret token = {.data = text, .len = sizeof text - 1}, list = {0};
	SCOPED(bytes_free) struct bytes certificate = {0}, blob = {0};
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	must(mdm_write_content(udid, &token, &list));
	if (content)
		must(bytes_add(content, list.data, list.len));
	must(seal_key_certificate(key, "fuzz", &certificate));
	must(recipients_new(&recipients));
	must(recipients_add(recipients, certificate.data, certificate.len));
	must(seal_close(recipients, list.data, list.len, &blob));
	must(seal_armor(blob.data, blob.len, pem));
	secret_free(&list);
}

static void make_pieces(void)
{
	seal_key_free(key);
	key = NULL;
	must(seal_key_load(fuzz.key_path, NULL, NULL, &key));
	for (int i = 0; i < PIECES; i++)
		bytes_free(&piece[i]);
	for (int i = 0; i < FIXED_PIECES; i++)
		must(bytes_add(&piece[i], fixed[i], strlen(fixed[i])));
	make_sealed(UDID, &piece[BINARY], &piece[SEALED]);
	make_sealed("0E5C0A00-0001-4000-8000-000000000001", NULL, &piece[SEALED_ELSEWHERE]);
}

/* ---- the model ---- */

struct model_version {
	struct secret token;
	bool confirmed;
};

static struct {
	struct model_version version[VERSIONS_MAX];
	int count, current;
} model;

struct descriptor {
	struct writer *writer;
	/* What the calls have written, and where in which piece they are. */
	size_t cursor;
	int piece;
	/* The model's. */
	enum state state;
	struct bytes text;
	uint64_t written;
	enum error verdict;
	int added, ended;
};

static enum error refused(struct descriptor *d, enum error code)
{
	d->state = REFUSED;
	return d->verdict = code;
}

static void model_escrow(struct descriptor *d, struct secret *token)
{
	struct model_version *current =
		model.current == NONE ? NULL : &model.version[model.current];
	if (current && secret_equal(&current->token, token)) {
		current->confirmed = true;
		return;
	}
	d->ended = model.current;
	d->added = model.current = model.count++;
	secret_move(&model.version[d->added].token, token);
}

static void model_remove(struct descriptor *d)
{
	d->ended = model.current;
	model.current = NONE;
}

static void model_undo(const struct descriptor *d)
{
	if (d->added != NONE && model.current == d->added && !model.version[d->added].confirmed)
		model.current = d->ended;
	else if (d->added == NONE && d->ended != NONE && model.current == NONE &&
		 d->ended == model.count - 1)
		model.current = d->ended;
}

/* What a whole message says. */
static enum error read_whole(enum mdm_form form, const uint8_t *text, size_t len,
			     struct message *out)
{
	if (form == FORM_BASE64 || form == FORM_UNKNOWN)
		return mdm_read_base64(text, len, &out->token);
	if (form != FORM_PEM)
		return mdm_read_token(text, len, out);
	SCOPED(bytes_free) struct bytes blob = {0};
	SCOPED(secret_free) struct secret content = {0};
	TRY(seal_dearmor(text, len, &blob));
	enum error opened = seal_open(key, blob.data, blob.len, &content);
	if (opened)
		return opened == ERR_BAD_SEAL ? ERR_INVALID : opened;
	TRY(mdm_read_token(content.data, content.len, out));
	return *out->id ? OK : ERR_INVALID;
}

static enum error model_act(struct descriptor *d, enum mdm_form form, size_t end)
{
	SCOPED(message_free) struct message message = {0};
	if (!mdm_blank(d->text.data + end, d->text.len - end))
		return refused(d, ERR_INVALID);
	enum error read = read_whole(form, d->text.data, end, &message);
	if (!read && *message.id && strcasecmp(message.id, UDID) != 0)
		read = ERR_INVALID;
	if (read)
		return refused(d, read);
	if (message.token.len)
		model_escrow(d, &message.token);
	else
		model_remove(d);
	d->state = DONE;
	return OK;
}

static enum error model_write(struct descriptor *d, const uint8_t *bytes, size_t n, uint64_t offset)
{
	bool more = d->state == DONE && n && !mdm_blank(bytes, n);
	if (d->state == REFUSED)
		return d->verdict;
	if (offset != d->written || more) {
		if (d->state == DONE)
			model_undo(d);
		return refused(d, ERR_INVALID);
	}
	d->written += n;
	if (d->state == DONE || !n)
		return OK;
	d->state = GATHERING;
	must(bytes_add(&d->text, bytes, n));
	bool newline = bytes[n - 1] == '\n';
	if (d->text.len > LIMIT + (d->text.len == LIMIT + 1 && newline))
		return refused(d, ERR_TOO_BIG);
	enum mdm_form form = mdm_form(d->text.data, d->text.len);
	if (form == FORM_JSON)
		return refused(d, ERR_INVALID);
	size_t end = 0;
	if (form == FORM_XML || form == FORM_PEM)
		end = mdm_message_end(form, d->text.data, d->text.len, 0);
	else if (form != FORM_BINARY && newline)
		end = d->text.len;
	return end ? model_act(d, form, end) : OK;
}

static enum error model_flush(struct descriptor *d)
{
	if (d->state == REFUSED)
		return d->verdict;
	if (d->state != GATHERING)
		return OK;
	enum mdm_form form = mdm_form(d->text.data, d->text.len);
	if (form == FORM_XML || form == FORM_PEM)
		return ERR_INVALID;
	return model_act(d, form, d->text.len);
}

static enum error model_truncate(struct descriptor *d, uint64_t length)
{
	if (d->state == REFUSED)
		return d->verdict;
	if (length != d->written)
		return ERR_INVALID;
	if (!length)
		model.current = NONE;
	return OK;
}

/* ---- calls ---- */

static void open_anew(struct descriptor *d, int64_t device)
{
	writer_free(d->writer);
	bytes_free(&d->text);
	*d = (struct descriptor){.piece = NONE, .added = NONE, .ended = NONE};
	must(writer_new(fuzz.escrow, WRITER_TOKEN, device, false, &d->writer));
}

static void call_write(struct descriptor *d, const void *bytes, size_t n, uint64_t offset)
{
	enum error should = model_write(d, bytes, n, offset);
	same(writer_write(d->writer, &fuzz_actor, bytes, n, offset), should);
}

static void call_piece(struct descriptor *d, int i, size_t n)
{
	if (d->piece != i)
		d->cursor = 0;
	d->piece = i;
	size_t left = piece[i].len - d->cursor;
	if (!n || n > left)
		n = left;
	call_write(d, piece[i].data + d->cursor, n, d->written);
	d->cursor += n;
}

/* The token's size is what stat(2) shows: after each call. */
static void check_size(int64_t device)
{
	struct device now;
	size_t len = model.current == NONE ? 0 : model.version[model.current].token.len;
	must(escrow_device(fuzz.escrow, device, &now));
	if (now.token_size != (len ? (len + 2) / 3 * 4 + 1 : 0))
		abort();
}

static void check_token(int64_t device)
{
	SCOPED(secret_free) struct secret text = {0}, should = {0};
	must(escrow_retrieve(fuzz.escrow, &fuzz_actor, device, &text));
	if (model.current != NONE)
		must(mdm_write_base64(&model.version[model.current].token, &should));
	if (!secret_equal(&text, &should))
		abort();
}

static void make_call(struct descriptor *d, uint8_t code, const uint8_t **data, size_t *size,
		      int64_t device)
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
		call_write(d, *data, n, d->written);
		*data += n;
		*size -= n;
		break;
	case PIECE:
	case PIECE_MORE:
		call_piece(d,
			   (code & 7) == PIECE_MORE && d->piece != NONE ? d->piece
									: (int)argument % PIECES,
			   n);
		break;
	case FLUSH: {
		enum error should = model_flush(d);
		same(writer_flush(d->writer, argument ? &fuzz_actor : NULL), should);
		break;
	}
	case CLOSE:
		open_anew(d, device);
		break;
	case ASTRAY:
		call_write(d, "dG9r\n", 5, argument ? d->written + argument : 0);
		break;
	case TRUNCATE: {
		uint64_t length = argument == 0	  ? 0
				  : argument == 1 ? d->written
						  : d->written + argument;
		enum error should = model_truncate(d, length);
		same(writer_truncate(d->writer, &fuzz_actor, length), should);
		break;
	}
	default:
		call_write(d, blanks + argument, sizeof blanks - 1 - argument > 2 ? 2 : 1,
			   d->written);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct descriptor descriptor[2] = {0};
	struct device device;
	if (fuzz_escrow_next())
		make_pieces();
	must(escrow_device_make(fuzz.escrow, &fuzz_actor, UDID, &device));
	model.current = NONE;
	for (int i = 0; i < 2; i++)
		open_anew(&descriptor[i], device.id);
	for (int calls = 0; size && calls < CALLS_MAX; calls++) {
		uint8_t code = *data++;
		size--;
		make_call(&descriptor[code >> 3 & 1], code, &data, &size, device.id);
		check_size(device.id);
	}
	for (int i = 0; i < 2; i++) {
		writer_free(descriptor[i].writer);
		bytes_free(&descriptor[i].text);
	}
	check_token(device.id);
	for (int i = 0; i < model.count; i++)
		secret_free(&model.version[i].token);
	memset(&model, 0, sizeof model);
	must(escrow_remove(fuzz.escrow, &fuzz_actor, device.id));
	must(escrow_device_remove(fuzz.escrow, &fuzz_actor, UDID, &device));
	return 0;
}
