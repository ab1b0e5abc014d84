# make             build/escrowfs
# make run         installs what it needs, builds, mounts an example and shows it (root)
# make check       installs what tests need and runs them all (root)
# make install     program, man page, mount helper
#
# Nothing to configure. CC=clang works; DESTDIR and PREFIX mean what they mean elsewhere.

PREFIX  ?= /usr/local
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
LDLIBS  := $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lpthread

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

# Fuzz targets (clang's libFuzzer): build/fuzz/fuzz_message -max_total_time=60 tests/fuzz/corpus/message
FUZZ    := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

fuzz:
	$(MAKE) BUILD=build/fuzzing CC=clang SANITIZE=fuzzer-no-link,address,undefined fuzz-targets

fuzz-targets: $(FUZZ)

$(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/libescrow.a
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/libescrow.a $(LDLIBS)

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(UNIT:=.d) $(FUZZ:=.d)
.PHONY: all unit fuzz fuzz-targets clean
.DELETE_ON_ERROR:
