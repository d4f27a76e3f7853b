# tcp-striper: the whole build in one place. `make help` says what there is.
#
#   layers      core <- data <- sys <- evl <- io <- apps. A layer is compiled with its own include
#               folders and those to its left, so an include that points up does not compile.
#   OS          a list of flavours, best first: linux = linux then posix, posix = posix alone. A header in
#               inc.$flavour/ hides the one in inc/; a source in src.$flavour/ replaces one of the
#               same name in a later flavour. src/ is for every system.
#   MODE        release, debug, asan (with UBSan), tsan.
#   outputs     build/bin and build/lib for the native release; build/$(OS)-$(MODE)/ for any other, and with the name of
#               the compiler behind it where that is clang.

VERSION := 0.1.0

NATIVE  := $(if $(filter Linux,$(shell uname -s)),linux,posix)
OS      := $(NATIVE)
MODE    := release
PREFIX  ?= /usr/local
DESTDIR ?=
CXX     ?= g++
ifeq ($(origin CXX),default)
CXX     := g++
endif

ifeq ($(filter $(OS),linux posix),)
$(error OS=$(OS): must be linux or posix)
endif
ifeq ($(filter $(MODE),release debug asan tsan fuzz),)
$(error MODE=$(MODE): must be release, debug, asan or tsan (fuzz is for the fuzzers alone))
endif
ifeq ($(MODE),fuzz)
CXX     := clang++
endif

COMPILER := $(notdir $(firstword $(CXX)))
CLANG   := $(findstring clang,$(COMPILER))
BUILD   := $(OS)-$(MODE)$(if $(CLANG),$(if $(filter fuzz,$(MODE)),,-$(COMPILER)))
OUT     := build$(if $(filter $(NATIVE)-release,$(BUILD)),,/$(BUILD))
OBJ     := build/obj/$(OS)-$(MODE)-$(COMPILER)
BIN     := $(OUT)/bin
LIB     := $(OUT)/lib

FLAVOURS := $(if $(filter linux,$(OS)),linux posix,posix)
LAYERS   := core data sys evl io

CPPFLAGS_ALL := -DLIBP_VERSION='"$(VERSION)"'
WARNINGS     := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual \
                -Wimplicit-fallthrough -Wmissing-declarations -Wundef -Wvla -Wcast-qual
OPT_release  := -O2 -g1
OPT_debug    := -O0 -g -DLIBP_DEBUG=1
# ASan shows null pointers and overruns itself; UBSan's checks of the same take long to compile.
OPT_asan     := -O1 -g1 -DLIBP_DEBUG=1 -fsanitize=address,undefined -fno-sanitize=null,object-size -fno-sanitize-recover=all \
                -fno-omit-frame-pointer
OPT_tsan     := -O1 -g1 -DLIBP_DEBUG=1 -fsanitize=thread
OPT_fuzz     := -O1 -g1 -DLIBP_DEBUG=1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
# Tests spend their time in the library and in the simulator: their own code is only to compile fast.
OPT_tests    := $(if $(filter release,$(MODE)),-Og,-O0) -g1 $(if $(filter asan,$(MODE)),-fno-sanitize=undefined)
CXXFLAGS_ALL := -std=c++20 -pthread $(WARNINGS) $(OPT_$(MODE)) $(CXXFLAGS)
LDFLAGS_ALL  := -pthread $(filter -fsanitize%,$(OPT_$(MODE))) $(LDFLAGS)

# One short line a command; V=1 shows the commands themselves.
say = $(if $(V),,@printf '  %-5s%s\n' $(1) $(2);)

# -- what each layer may see, and what it is made of --------------------------------------------

inc_of        = $(foreach f,$(FLAVOURS),$(wildcard $(1)/inc.$(f))) $(1)/inc
SEES_core    := core
SEES_data    := core data
SEES_sys     := core data sys
SEES_evl     := core data sys evl
SEES_io      := core data sys evl io
SEES_apps    := core data sys evl io
SEES_tests   := core data sys evl io
includes      = $(foreach l,$(SEES_$(1)),$(foreach d,$(call inc_of,$(l)),-I$(d)))

# The sources of a layer: src/ (and folders in it), then the flavours, a name counting once.
tree          = $(wildcard $(1)/*.cc $(1)/*/*.cc)
flavoured     = $(if $(2),$(call tree,$(1)/src.$(firstword $(2))) $(foreach s,$(call flavoured,$(1),$(wordlist 2,9,$(2))),$(if $(wildcard $(1)/src.$(firstword $(2))/$(notdir $(s))),,$(s))))
sources_of    = $(call tree,$(1)/src) $(call flavoured,$(1),$(FLAVOURS))
objects       = $(patsubst %.cc,$(OBJ)/%.o,$(1))

LIB_SRC  := $(foreach l,$(LAYERS),$(call sources_of,$(l)))
KIT_SRC  := $(wildcard apps/kit/*.cc)
APP_SRC  := $(wildcard apps/*.cc)
APPS     := $(patsubst apps/%.cc,$(BIN)/%,$(APP_SRC))
LIBP     := $(LIB)/libp.a

# Tests: a program for every folder of tests/ that holds *_test.cc; support/ is shared by all.
TEST_DIRS := $(patsubst tests/%/,%,$(sort $(dir $(wildcard tests/*/*_test.cc))))
TESTS     := $(patsubst %,$(BIN)/test-%,$(TEST_DIRS))
SUP_SRC   := $(wildcard tests/support/*.cc)
# The simulator. Over plain links alone it needs no network, and none is compiled for that.
SIM_SRC            := $(wildcard tests/sim/*.cc)
SIM_FOR_stripe_sim := $(SIM_SRC)
SIM_FOR_stripe     := $(patsubst %,tests/sim/%.cc,allowance_check applications link simulation stream_plan timeline)
FUZZ_SRC  := $(wildcard tests/fuzz/*_fuzz.cc)
FUZZERS   := $(patsubst tests/fuzz/%_fuzz.cc,%,$(FUZZ_SRC))
REPLAYS   := $(patsubst %,$(BIN)/replay-%,$(FUZZERS))
TOOL_SRC  := $(wildcard tests/bench/*.cc)
TOOLS     := $(patsubst tests/bench/%.cc,$(BIN)/bench-%,$(TOOL_SRC))
# The lab needs what only Linux has: namespaces, TUN devices, MPTCP.
LAB_SRC   := $(if $(filter linux,$(OS)),$(wildcard tests/lab/*.cc))
LABS      := $(patsubst tests/lab/%.cc,$(BIN)/lab-%,$(LAB_SRC))

.PHONY: all man demo test check soak test-lab bench bench-lab bench-strangers lint fuzz fuzzers install clean help tests tools setup
.DEFAULT_GOAL := all
.SECONDARY:

all: $(LIBP) $(APPS)

$(LIBP): $(call objects,$(LIB_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)ar rcs $@ $^

$(BIN)/%: $(OBJ)/apps/%.o $(call objects,$(KIT_SRC)) $(LIBP)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CXX) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# The library is linked last, also where a program has objects of its own.
$(BIN)/bench-%: $(OBJ)/tests/bench/%.o $(call objects,$(KIT_SRC)) $(LIBP)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CXX) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBP) $(LIBS)
$(BIN)/bench-stripe_sim: $(call objects,$(SIM_SRC))

$(BIN)/lab-%: $(OBJ)/tests/lab/%.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CXX) $(LDFLAGS_ALL) -o $@ $^

# The tests of a lower layer are linked with what it may see and nothing above, so that a call upward does not link.
LOW_LAYERS := core data sys evl
LOW_SUP    := tests/support/sim_poller.cc
low_src     = $(foreach l,$(SEES_$(1)),$(call sources_of,$(l))) $(if $(filter evl,$(1)),$(LOW_SUP))
high_src    = $(SUP_SRC) $(SIM_FOR_$(1)) $(KIT_SRC)
linked_to   = $(call objects,$(if $(filter $(LOW_LAYERS),$(1)),$(call low_src,$(1)),$(call high_src,$(1)))) $(if $(filter $(LOW_LAYERS),$(1)),,$(LIBP))
define test_rule
$(BIN)/test-$(1): $(call objects,$(wildcard tests/$(1)/*.cc)) $(call linked_to,$(1))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)$$(CXX) $$(LDFLAGS_ALL) -o $$@ $$^ -lgtest -lgtest_main $$(LIBS)
endef
$(foreach t,$(TEST_DIRS),$(eval $(call test_rule,$(t))))

# A fuzzer is one source with LLVMFuzzerTestOneInput: linked with libFuzzer it searches, with replay.cc it
# runs its corpus once, as a test.
$(BIN)/fuzz-%: $(OBJ)/tests/fuzz/%_fuzz.o $(LIBP)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CXX) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LIBS)

$(BIN)/replay-%: $(OBJ)/tests/fuzz/%_fuzz.o $(OBJ)/tests/fuzz/replay.o $(LIBP)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CXX) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

tests: $(TESTS) $(REPLAYS)
tools: $(TOOLS) $(LABS)
fuzzers: $(patsubst %,$(BIN)/fuzz-%,$(FUZZERS))

# -- compiling: one rule a layer, so that each gets its own -I ------------------------------------

define compile_rule
$(OBJ)/$(1)/%.o: $(1)/%.cc
	@mkdir -p $$(@D)
	$$(call say,CXX,$$<)$$(CXX) $$(if $$(PCH),-include $$(PCH)) $$(CPPFLAGS_ALL) $$(CPPFLAGS) $(call includes,$(1)) $(2) $$(CXXFLAGS_ALL) $$(OPT) $$(GCC_BUGS) -MMD -MP -c -o $$@ $$<
endef
$(foreach l,$(LAYERS),$(eval $(call compile_rule,$(l),-I$(l)/src)))
$(eval $(call compile_rule,apps,-Iapps))
TEST_SEES := -Iapps -Itests -Icore/src -Idata/src -Isys/src -Ievl/src -Iio/src
$(eval $(call compile_rule,tests,$(TEST_SEES)))
# libFuzzer declares its entry point nowhere.
$(OBJ)/tests/fuzz/%: private CPPFLAGS_ALL += -include tests/fuzz/entry.h

# The standard library's headers, and GoogleTest's, are most of the work of compiling: they are compiled once. The programs that
# clang builds do without, so that an include that is missing shows.
PCH_STD   := algorithm array atomic chrono deque functional memory mutex optional random string thread variant vector
PCH_TYPE  := $(if $(CLANG),pch,gch)
# The simulations compute for minutes, in tests/sim and tests/stripe_sim/bond.cc: no tests, and optimised as the library is.
PCH_TESTS := $(call objects,$(wildcard tests/*/*_test.cc))
PCH_OTHER := $(filter-out $(PCH_TESTS),$(call objects,$(LIB_SRC) $(KIT_SRC) $(APP_SRC) $(SUP_SRC) $(TOOL_SRC) $(wildcard tests/*/*.cc)))
$(OBJ)/pch/%.$(PCH_TYPE):
	@mkdir -p $(@D)
	@printf '#include <%s>\n' $(PCH_STD) $(if $(findstring tests,$*),gtest/gtest.h) > $(@D)/$*
	$(call say,PCH,$*)$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) $(OPT) $(GCC_BUGS) -x c++-header -o $@ $(@D)/$*
$(PCH_TESTS): $(OBJ)/pch/tests.h.$(PCH_TYPE)
$(PCH_TESTS): PCH = $(OBJ)/pch/tests.h
$(PCH_TESTS) $(OBJ)/pch/tests.h.$(PCH_TYPE): OPT = $(OPT_tests)
ifeq ($(if $(CLANG),$(filter-out fuzz,$(MODE))),)
$(PCH_OTHER): $(OBJ)/pch/std.h.$(PCH_TYPE)
$(PCH_OTHER): PCH = $(OBJ)/pch/std.h
endif
ifeq ($(CLANG),)
# GCC 12 sees overruns in std::string's operator+ that are not there (its bug 105651).
$(OBJ)/%: GCC_BUGS = -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow
endif

-include $(wildcard $(patsubst %.o,%.d,$(call objects,$(LIB_SRC) $(KIT_SRC) $(APP_SRC) $(SUP_SRC) $(TOOL_SRC) $(wildcard tests/*/*.cc))))

# -- running ----------------------------------------------------------------------------------------

JOBS := $(or $(shell nproc 2>/dev/null),2)

# The main job on built-in defaults: a striped pair on loopback and a transfer through it.
demo:
	@$(MAKE) --no-print-directory -s -j$(JOBS) all $(BIN)/bench-demo
	@$(BIN)/bench-demo $(BIN)

# What the tests need beyond a compiler. Installs it when it may, otherwise prints the line to type.
setup:
	@tests/setup

# Not the simulator's: what its scenarios show are figures, and the engine has tests and a fuzzer of its own.
ASAN_TESTS := $(filter-out stripe_sim,$(TEST_DIRS))
TSAN_TESTS := $(filter sys evl,$(TEST_DIRS))
# Everything: this build's tests and end-to-end runs, then (for the native release) the same tests
# under ASan+UBSan, and those where threads meet under TSan. The last line is the total.
SANITIZED := $(if $(filter $(NATIVE)-release,$(BUILD)),1)
test: setup
	@$(MAKE) --no-print-directory -j$(JOBS) test-builds
	@tests/run $(BIN) $(if $(SANITIZED),build/$(OS)-asan/bin build/$(OS)-tsan/bin)

# Side by side, so that no processor waits for the last file of a build.
.PHONY: test-builds test-build test-build-asan test-build-tsan
test-builds: test-build $(if $(SANITIZED),test-build-asan test-build-tsan)
test-build:
	@$(MAKE) --no-print-directory all tests tools
test-build-asan:
	@$(MAKE) --no-print-directory MODE=asan TEST_DIRS="$(ASAN_TESTS)" all tests
test-build-tsan:
	@$(MAKE) --no-print-directory MODE=tsan $(patsubst %,build/$(OS)-tsan/bin/test-%,$(TSAN_TESTS))

# `make check LAYER=io` builds and runs one folder's tests; LAYER may be several.
LAYER ?= $(TEST_DIRS)
check: $(patsubst %,$(BIN)/test-%,$(LAYER)) all
	@for t in $(LAYER); do $(BIN)/test-$$t --gtest_brief=1 || exit 1; done

# A thousand minutes of bad weather, simulated; SOAK_SEEDS=n for so many.
SOAK_SEEDS ?= 1000
soak: $(BIN)/test-stripe_sim
	@tests/stripe_sim/soak $< $(SOAK_SEEDS) $(JOBS)

lint:
	@tests/lint/run

# `make fuzz FUZZ_SECONDS=60` runs each fuzzer that long from its corpus (FUZZERS="frame" for some of them).
FUZZ_SECONDS ?= 60
fuzz:
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=fuzz fuzzers
	@tests/fuzz/run build/$(OS)-fuzz/bin $(FUZZ_SECONDS) $(FUZZERS)

# The peers' programs are installed like the tests' needs; results go to the screen and into the README.
bench:
	@tests/setup bench
	@$(MAKE) --no-print-directory -j$(JOBS) all tools
	@tests/bench/run $(BIN)

# The striped pair beside plain TCP and kernel MPTCP over emulated paths: SCENARIOS="equal4 skewed" ROUNDS=3.
bench-lab:
	@$(MAKE) --no-print-directory -j$(JOBS) all tools
	@tests/lab/bench $(BIN)

# How much a transfer suffers while strangers with wrong keys knock: ROUNDS=5 RATE=1000.
bench-strangers:
	@$(MAKE) --no-print-directory -j$(JOBS) all tools
	@tests/bench/strangers $(BIN)

test-lab:
	@$(MAKE) --no-print-directory -j$(JOBS) all tools
	@BIN=$(BIN) bash tests/lab/lab_test.sh

# -- installing -------------------------------------------------------------------------------------

# The programs know their options best. Not in `all`: it would run what may have been compiled for another machine.
MAN_PAGES := $(APPS:$(BIN)/%=$(OUT)/man/%.1)
man: $(MAN_PAGES)
$(OUT)/man/%.1: $(BIN)/%
	@mkdir -p $(@D)
	$(call say,MAN,$@)$< --man > $@.new && mv $@.new $@

install: all man
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/libp/stripe
	install -m 755 $(APPS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(LIBP) $(DESTDIR)$(PREFIX)/lib
	install -m 644 $(INSTALLED_HEADERS) $(DESTDIR)$(PREFIX)/include/libp
	install -m 644 $(wildcard io/inc/libp/stripe/*.h) $(DESTDIR)$(PREFIX)/include/libp/stripe
	printf 'prefix=%s\nName: libp\nDescription: composable I/O pipes, an event loop, and a TCP striper\nVersion: %s\nCflags: -std=c++20 -I$${prefix}/include\nLibs: -L$${prefix}/lib -lp -pthread\n' \
	    '$(PREFIX)' '$(VERSION)' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/libp.pc
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(MAN_PAGES) $(DESTDIR)$(PREFIX)/share/man/man1

# A header that an OS has its own version of is installed in that version.
ALL_HEADERS       := $(foreach l,$(LAYERS),$(foreach d,$(call inc_of,$(l)),$(wildcard $(d)/libp/*.h)))
INSTALLED_HEADERS  = $(foreach n,$(sort $(notdir $(ALL_HEADERS))),$(firstword $(filter %/libp/$(n),$(ALL_HEADERS))))

clean:
	rm -rf build

help:
	@echo 'make                     the programs (build/bin) and libp.a (build/lib)'
	@echo 'make demo                a striped pair on loopback carries a transfer, a minute or so with the build'
	@echo 'make test                installs what the tests need and runs them all'
	@echo 'make check LAYER="io"    builds and runs some folders of tests/ only: $(TEST_DIRS)'
	@echo 'make soak                a thousand simulated minutes of bad weather, about one real minute'
	@echo 'make bench               this project beside haproxy, nginx and socat, in one run'
	@echo 'make bench-lab           the striped pair beside plain TCP and kernel MPTCP over emulated paths (root)'
	@echo 'make bench-strangers     a transfer while strangers with wrong keys knock'
	@echo 'make test-lab            the network lab alone: trouble on emulated paths (root)'
	@echo 'make lint                formatting, headers that compile alone, clang-tidy'
	@echo 'make fuzz                every decoder under libFuzzer, FUZZ_SECONDS=60 each'
	@echo 'make install             PREFIX=/usr/local DESTDIR= : programs, man pages, headers, libp.a, libp.pc'
	@echo 'make clean               removes build/'
	@echo
	@echo 'OS=linux|posix  MODE=release|debug|asan|tsan  CXX=g++|clang++   V=1 shows commands  (now: OS=$(OS) MODE=$(MODE) CXX=$(CXX))'
	@echo 'Other than $(NATIVE), release, g++ builds into build/OS-MODE[-CXX]/bin and lib: with these settings $(BIN)'
