# make             build/escrowfs
# make run         installs what it needs, builds, mounts an example and shows it (root); make stop
# make check       installs what tests need and runs them all (root)
# make bench       how fast, side by side with sealing alone (root)
# make install     program, man page, mount helper
#
# Nothing to configure. CC=clang works; DESTDIR and PREFIX mean what they mean elsewhere.

PREFIX  ?= /usr/local
# Where mount(8) looks for its helpers.
HELPERS ?= /sbin
VERSION := 0.1
BUILD   ?= build
LIBS    := fuse3 libcrypto sqlite3 libplist-2.0 jansson libsystemd

WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
           -Wvla -Wformat=2 -Werror
HARDEN  := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
CFLAGS  ?= -O2 -g
override CPPFLAGS += -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -Iinclude -Isrc $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
override CFLAGS   += -std=c17 $(WARN) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer,$(HARDEN))
override LDFLAGS  += -pie -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE))
LDLIBS  := $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lcsv -lpthread

SOURCES := $(sort $(wildcard src/*/*.c))
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/%.o)
# Everything but main() is what unit tests link against.
LIBRARY := $(filter-out $(BUILD)/cli/main.o,$(OBJECTS))
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

ifeq ($(V),)
say = @printf '%4s %s\n' '$(1)' '$(2)';
endif

all: $(BUILD)/escrowfs

$(BUILD)/escrowfs: $(OBJECTS)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libescrow.a: $(LIBRARY)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libescrow.a
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(BUILD)/libescrow.a $(LDLIBS) -lcmocka

# It holds the schema's text, which the compiler's list of what it read leaves out.
$(BUILD)/store/schema_text.o: src/store/schema.sql

unit: $(UNIT)

# What building and mounting take, as Debian calls it.
PACKAGES := gcc libc6-dev pkg-config libfuse3-dev fuse3 libssl-dev libsqlite3-dev libplist-dev libjansson-dev libsystemd-dev libcsv-dev

deps:
	@missing=$$(for p in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q ' installed$$' || echo $$p; done); \
	test -z "$$missing" || DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing

# A make of its own: pkg-config knows the libraries only once they are there.
run: deps
	@$(MAKE) --no-print-directory all
	@examples/demo.sh start $(abspath $(BUILD))

stop:
	@examples/demo.sh stop $(abspath $(BUILD))

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man7 $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(HELPERS)
	install $(BUILD)/escrowfs $(DESTDIR)$(PREFIX)/sbin/escrowfs
	install -m 0644 src/cli/escrowfs.8 $(DESTDIR)$(PREFIX)/share/man/man8/escrowfs.8
	install -m 0644 src/cli/escrowfs-recovery.7 $(DESTDIR)$(PREFIX)/share/man/man7/escrowfs-recovery.7
	ln -sf $(PREFIX)/sbin/escrowfs $(DESTDIR)$(HELPERS)/mount.fuse.escrowfs

check:
	@tests/run

# How the tree is compiled, for tools that read it.
flags:
	@echo $(CPPFLAGS) -std=c17

# Fuzz targets (clang's libFuzzer): build/fuzz/fuzz_message -max_total_time=60 tests/fuzz/corpus/message
FUZZ    := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

fuzz:
	$(MAKE) BUILD=build/fuzzing CC=clang SANITIZE=fuzzer-no-link,address,undefined fuzz-targets

fuzz-targets: $(FUZZ)

$(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/libescrow.a
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/libescrow.a $(LDLIBS)

# DEVICES=10000 make bench: with fewer; in TMPDIR, which should be a disk's.
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

bench: all $(BENCH)
	@tests/bench/run $(abspath $(BUILD))

$(BUILD)/bench/%: tests/bench/%.c $(BUILD)/libescrow.a
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(BUILD)/libescrow.a $(LDLIBS)

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(UNIT:=.d) $(FUZZ:=.d) $(BENCH:=.d)
.PHONY: all unit deps run stop install check flags fuzz fuzz-targets bench clean
.DELETE_ON_ERROR:
