# tcp-striper: the whole build in one place. `make help` says what there is.
#
#   layers      core <- data <- sys <- evl <- io <- apps. A layer is compiled with its own include
#               folders and those to its left, so an include that points up does not compile.
#   OS          a list of flavours, best first: linux = linux then posix, posix = posix alone. A header in
#               inc.$flavour/ hides the one in inc/; a source in src.$flavour/ replaces one of the
#               same name in a later flavour. src/ is for every system.
#   MODE        release, debug, asan (with UBSan), tsan.
#   outputs     build/bin and build/lib for the native release; build/$(OS)-$(MODE)/ for any other.

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
ifeq ($(filter $(MODE),release debug asan tsan),)
$(error MODE=$(MODE): must be release, debug, asan or tsan)
endif

OUT     := build$(if $(filter $(NATIVE)-release,$(OS)-$(MODE)),,/$(OS)-$(MODE))
OBJ     := build/obj/$(OS)-$(MODE)-$(notdir $(firstword $(CXX)))
BIN     := $(OUT)/bin
LIB     := $(OUT)/lib

FLAVOURS := $(if $(filter linux,$(OS)),linux posix,posix)
LAYERS   := core data sys evl io

CPPFLAGS_ALL := -DLIBP_VERSION='"$(VERSION)"'
WARNINGS     := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual \
                -Wimplicit-fallthrough -Wmissing-declarations -Wundef -Wvla -Wcast-qual
OPT_release  := -O2 -g1
OPT_debug    := -O0 -g -DLIBP_DEBUG=1
OPT_asan     := -O1 -g -DLIBP_DEBUG=1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan     := -O1 -g -DLIBP_DEBUG=1 -fsanitize=thread
CXXFLAGS_ALL := -std=c++20 -pthread $(WARNINGS) $(OPT_$(MODE)) $(CXXFLAGS)
LDFLAGS_ALL  := -pthread $(filter -fsanitize%,$(OPT_$(MODE))) $(LDFLAGS)

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
FUZZ_SRC  := $(wildcard tests/fuzz/*_fuzz.cc)
TOOL_SRC  := $(wildcard tests/bench/*.cc)
TOOLS     := $(patsubst tests/bench/%.cc,$(BIN)/bench-%,$(TOOL_SRC))

.PHONY: all demo test check bench lint fuzz install clean help tests tools
.DEFAULT_GOAL := all
.SECONDARY:

all: $(LIBP) $(APPS)

$(LIBP): $(call objects,$(LIB_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

$(BIN)/%: $(OBJ)/apps/%.o $(call objects,$(KIT_SRC)) $(LIBP)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(BIN)/bench-%: $(OBJ)/tests/bench/%.o $(call objects,$(KIT_SRC)) $(LIBP)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

define test_rule
$(BIN)/test-$(1): $(call objects,$(wildcard tests/$(1)/*.cc) $(SUP_SRC) $(KIT_SRC)) $(LIBP)
	@mkdir -p $$(@D)
	$$(CXX) $$(LDFLAGS_ALL) -o $$@ $$^ -lgtest -lgtest_main $$(LIBS)
endef
$(foreach t,$(TEST_DIRS),$(eval $(call test_rule,$(t))))

tests: $(TESTS)
tools: $(TOOLS)

# -- compiling: one rule a layer, so that each gets its own -I ------------------------------------

define compile_rule
$(OBJ)/$(1)/%.o: $(1)/%.cc
	@mkdir -p $$(@D)
	$$(CXX) $$(CPPFLAGS_ALL) $$(CPPFLAGS) $(call includes,$(1)) $(2) $$(CXXFLAGS_ALL) -MMD -MP -c -o $$@ $$<
endef
$(foreach l,$(LAYERS),$(eval $(call compile_rule,$(l),-I$(l)/src)))
$(eval $(call compile_rule,apps,-Iapps))
$(eval $(call compile_rule,tests,-Iapps -Itests -Icore/src -Idata/src -Isys/src -Ievl/src -Iio/src))

-include $(wildcard $(patsubst %.o,%.d,$(call objects,$(LIB_SRC) $(KIT_SRC) $(APP_SRC) $(SUP_SRC) $(TOOL_SRC) $(wildcard tests/*/*_test.cc))))

# -- running ----------------------------------------------------------------------------------------

# `make check LAYER=io` builds and runs one folder's tests; LAYER may be several.
LAYER ?= $(TEST_DIRS)
check: $(patsubst %,$(BIN)/test-%,$(LAYER)) all
	@for t in $(LAYER); do $(BIN)/test-$$t --gtest_brief=1 || exit 1; done

help:
	@sed -n '1,12s/^# \{0,1\}//p' Makefile
	@echo '  make                    programs into $(BIN), libp.a into $(LIB)'
	@echo '  make check LAYER="io"   one layer of tests'

clean:
	rm -rf build
