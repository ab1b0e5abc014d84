# make             build/escrowfs
# make deps        installs what it is built with
# make run         that, builds, mounts an example and shows it (root); make stop takes it away again
# make check       installs what tests need and runs them all (root)
# make bench       how fast, side by side with an empty filesystem and with sealing alone (root)
# make torture     how hard it was tried to make it lose something, and what was lost (root); MINUTES=2
# make install     programs, manual, mount helper, units, completion, examples
# make deb         a Debian package of that, in build/deb
#
# Nothing to configure. CC=clang works; DESTDIR and PREFIX mean what they mean elsewhere.

PREFIX  ?= /usr/local
# Where mount(8) looks for its helpers, and systemd for units.
HELPERS ?= /sbin
UNITS   ?= $(PREFIX)/lib/systemd/system
VERSION := 0.1
BUILD   ?= build
LIBS    := fuse3 libcrypto sqlite3 libplist-2.0 jansson libsystemd libseccomp

WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
           -Wvla -Wformat=2 -Werror
HARDEN  := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
CFLAGS  ?= -O2 -g
override CPPFLAGS += -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -Iinclude -Isrc $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
override CFLAGS   += -std=c17 $(WARN) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer,$(HARDEN))
override LDFLAGS  += -pie -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE))
# (Asked for when something is linked: `make deps install` has pkg-config only then.)
LDLIBS   = $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lcsv -lpthread

# A build for tests/torture (make FAULTS=1 BUILD=build/faults): it dies where it is asked to, and has a disk
# of its own between SQLite and the system's.
ifneq ($(FAULTS),)
override CPPFLAGS += -DFAULT_POINTS
DISASTERS := $(patsubst tests/torture/%.c,$(BUILD)/torture/%.o,$(wildcard tests/torture/*.c))
endif

# src/cgi is a program of its own, for web servers.
SOURCES := $(sort $(filter-out src/cgi/%,$(wildcard src/*/*.c)))
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/%.o)
CGI     := $(patsubst src/%.c,$(BUILD)/%.o,$(sort $(wildcard src/cgi/*.c)))
# Everything but main() is what unit tests link against.
LIBRARY := $(filter-out %/main.o,$(OBJECTS) $(CGI))
, := ,
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

ifeq ($(V),)
say = @printf '%4s %s\n' '$(1)' '$(2)';
endif

all: $(BUILD)/escrowfs $(BUILD)/escrowfs-cgi

$(BUILD)/escrowfs: $(OBJECTS) $(DISASTERS)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# It is started for each request: with the libraries that it uses, and no others.
$(BUILD)/escrowfs-cgi: $(BUILD)/cgi/main.o $(BUILD)/libescrow.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(LDLIBS)

$(BUILD)/torture/%.o: tests/torture/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libescrow.a: $(LIBRARY)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Where free() isn't ours, malloc() can't be that test's: it gets the calls of our own files alone.
THEIR_FREE := $(SANITIZE)$(filter -DNO_WIPING_FREE,$(CPPFLAGS))
$(BUILD)/tests/test_scarce: override LDFLAGS += -Wl,--wrap=realloc $(if $(THEIR_FREE),-Wl$(,)--wrap=malloc$(,)--wrap=calloc)
$(BUILD)/tests/test_scarce: override CPPFLAGS += $(if $(THEIR_FREE),-DTHEIR_FREE)

# A signal comes between two calls of ours.
$(BUILD)/tests/test_rekey: override LDFLAGS += -Wl,--wrap=recipients_beyond

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libescrow.a
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(BUILD)/libescrow.a $(LDLIBS) -lcmocka

# It holds the schema's text, which the compiler's list of what it read leaves out.
$(BUILD)/store/schema_text.o: src/store/schema.sql

unit: $(UNIT)

# What building and mounting take, as Debian calls it.
PACKAGES := gcc libc6-dev pkg-config libfuse3-dev fuse3 libssl-dev libsqlite3-dev libplist-dev libjansson-dev libsystemd-dev libcsv-dev libseccomp-dev

deps:
	@missing=$$(for p in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q ' installed$$' || echo $$p; done); \
	test -z "$$missing" || DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing

# (What $(abspath ...) makes of a path with blanks is many.)
PROGRAMS = $(if $(filter /%,$(BUILD)),,$(CURDIR)/)$(BUILD)

# A make of its own: pkg-config knows the libraries only once they are there.
run: deps
	@$(MAKE) --no-print-directory all
	@examples/demo.sh start "$(PROGRAMS)"

stop:
	@examples/demo.sh stop "$(PROGRAMS)"

# Examples and manual are written for /usr/local; what is ours of it moves with PREFIX.
OURS  := /usr/local/(sbin|libexec/escrowfs|share/escrowfs|share/doc/escrowfs)
SHARE := $(DESTDIR)$(PREFIX)/share

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(HELPERS) $(DESTDIR)$(UNITS) $(DESTDIR)$(PREFIX)/lib/tmpfiles.d \
		$(DESTDIR)$(PREFIX)/libexec/escrowfs $(SHARE)/escrowfs $(SHARE)/doc/escrowfs/examples $(SHARE)/bash-completion/completions \
		$(foreach n,5 7 8,$(SHARE)/man/man$(n))
	install $(BUILD)/escrowfs $(DESTDIR)$(PREFIX)/sbin/escrowfs
	install $(BUILD)/escrowfs-cgi $(DESTDIR)$(PREFIX)/libexec/escrowfs/escrowfs-cgi
	ln -sf $(PREFIX)/sbin/escrowfs $(DESTDIR)$(HELPERS)/mount.fuse.escrowfs
	$(foreach n,5 7 8,install -m 0644 src/cli/*.$(n) $(SHARE)/man/man$(n) &&) \
		ln -sf escrowfs.8 $(SHARE)/man/man8/mount.fuse.escrowfs.8
	cp -R examples/. $(SHARE)/doc/escrowfs/examples && chmod -R u=rwX,go=rX $(SHARE)/doc/escrowfs/examples
	rm -rf $(SHARE)/doc/escrowfs/examples/debian
	grep -rlIE '$(OURS)' $(SHARE)/doc/escrowfs/examples $(SHARE)/man/man[578]/escrowfs* | xargs -r sed -i -E 's@$(OURS)@$(PREFIX)/\1@g'
	for u in $(SHARE)/doc/escrowfs/examples/*.service $(SHARE)/doc/escrowfs/examples/*.timer; do \
		install -m 0644 "$$u" $(DESTDIR)$(UNITS) || exit; done
	install -m 0644 examples/escrowfs.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/escrowfs.conf
	install -m 0644 examples/escrowfs.bash $(SHARE)/bash-completion/completions/escrowfs
	install $(SHARE)/doc/escrowfs/examples/backup.sh $(SHARE)/doc/escrowfs/examples/backup-tar.sh $(SHARE)/escrowfs

# A source tree with examples/debian where Debian's tools look for it. Its version is this one.
DEB := $(BUILD)/deb/escrowfs-$(VERSION)

deb: PACKAGES += debhelper dpkg-dev fakeroot
deb: deps
	rm -rf $(DEB) $(BUILD)/deb/escrowfs_* $(BUILD)/deb/escrowfs-dbgsym_*
	mkdir -p $(DEB)
	cp -R Makefile src include examples README.md LICENSE $(DEB)
	mv $(DEB)/examples/debian $(DEB)/debian
	sed -i '1s/(.*)/($(VERSION))/' $(DEB)/debian/changelog
	cd $(DEB) && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS dpkg-buildpackage -us -uc -b
	@ls $(BUILD)/deb/escrowfs_$(VERSION)_*.deb

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

# N=1000000 make bench: what tests/bench/run and mount.bash say; in TMPDIR, which should be a disk's.
BENCH := $(patsubst %,$(BUILD)/bench/%,floor measure emptyfs limitfs lookfs client parts)

bench: PACKAGES += gocryptfs gnuplot-nox procps python3 rsync sqlite3 util-linux
bench: deps
	@BUILD="$(PROGRAMS)" tests/bench/run

bench-programs: all $(BENCH)

$(BUILD)/bench/%.o: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/bench/client: $(BUILD)/bench/operations.o $(BUILD)/bench/samples.o
$(BUILD)/bench/parts: $(BUILD)/bench/part.o $(BUILD)/bench/samples.o
$(BUILD)/bench/limitfs: $(BUILD)/bench/emptyfs.o $(BUILD)/bench/part.o
$(BUILD)/bench/lookfs: $(BUILD)/bench/emptyfs.o
# The floor takes nothing from the library, not even its free(3), which wipes.
$(BUILD)/bench/emptyfs: $(BUILD)/bench/emptyfs.o
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $< $(LDLIBS)
$(filter-out %/emptyfs,$(BENCH)): $(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/libescrow.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(BUILD)/libescrow.a $(LDLIBS)

# The load of the stress test: a program of its own, which knows the program under test from outside only.
STRESS := $(wildcard tests/stress/*.c)

stress: $(BUILD)/stress

$(BUILD)/stress: $(STRESS) tests/stress/client.h
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(STRESS) $(LDLIBS)

# MINUTES=60 make torture: a store and its mount are killed, cut off from power and from their disk, and what is left
# is held against what was acknowledged (tests/torture). TORTURE_DIR should be a disk's, not memory.
MINUTES     ?= 2
TORTURE_DIR ?= /var/tmp

torture: PACKAGES += clang libclang-rt-dev e2fsprogs openssl procps python3 sqlite3 util-linux
torture: deps
	@$(MAKE) --no-print-directory FAULTS=1 BUILD=build/faults all
	@$(MAKE) --no-print-directory fuzz
	@PYTHONDONTWRITEBYTECODE=1 python3 tests/torture/torture.py build/faults/escrowfs \
		"$$(mktemp -du $(TORTURE_DIR)/escrowfs-torture.XXXXXX)" $(MINUTES) $(PARTS)

# The program with an attacker in it, who tries what whoever took the daemon over would: tests/mount/confine.bats.
attacked: $(BUILD)/attacked

$(BUILD)/attacked: $(OBJECTS) $(BUILD)/tests/attacker.o
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/tests/attacker.o: tests/attack/attacker.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(CGI:.o=.d) $(DISASTERS:.o=.d) $(UNIT:=.d) $(FUZZ:=.d) $(wildcard $(BUILD)/bench/*.d)
.PHONY: all unit deps run stop install deb check flags fuzz fuzz-targets bench bench-programs stress torture attacked clean
.DELETE_ON_ERROR:
