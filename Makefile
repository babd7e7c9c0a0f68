# The house's front door. Every target is incremental: a second run does no needless work.
#   make test    build and run all tests

SHELL := /bin/bash
BUILD ?= build/release
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

PACKAGES := build-essential cmake ninja-build ccache pkg-config git nodejs npm \
  libtorch-dev libgloo-dev libtomlplusplus-dev libopenblas-dev libdnnl-dev libfmt-dev nlohmann-json3-dev libssl-dev \
  libcpp-httplib-dev libsqlite3-dev libcurl4-openssl-dev libhwy-dev zlib1g-dev libpng-dev libjpeg62-turbo-dev libwebp-dev libtiff-dev libgif-dev libgtest-dev \
  libgmock-dev libbenchmark-dev \
  clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 python3
TEST_PACKAGES := chromium
STARTER_PACKAGES := librsvg2-bin webp

.PHONY: help setup build demo bench starter page page-types journeys test test-fast sanitize fuzz install uninstall format tidy clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup:  ## install missing Debian packages (uses sudo if needed)
	@tools/setup.sh $(PACKAGES)

page: setup  ## build the web page in web/dist, which is embedded in the program
	@tools/page.sh

build: page  ## build the program in build/release
	@tools/build.sh release $(JOBS)

demo: build  ## generate pictures with and without LoRAs in outputs/demo, using the bundled models
	@tools/demo.sh

bench: build  ## benchmarks: a picture (LIKE=sdxl: 1024x1024 with SDXL) and each layer, compared with other programs if installed; 10,000 LoRAs
	@bench/run.sh
	@bench/collection.sh

starter: build  ## retrain the starter model and its LoRAs from scratch (hours; resumes if interrupted)
	@tools/setup.sh $(STARTER_PACKAGES)
	@tools/starter/make_starter.sh

test: page  ## build everything and run all tests, including sanitizers and fuzzers for the light rooms
	@tools/build.sh dev $(JOBS)
	ctest --test-dir build/dev --output-on-failure -j1
	@tools/page.sh test
	@tools/setup.sh $(TEST_PACKAGES)
	@LOWRANK_BIN=$(CURDIR)/build/dev/bin/lowrank tools/page.sh journeys
	@tools/sanitize.sh $(JOBS)
	@FUZZ_SECONDS=10 tools/fuzz.sh $(JOBS)

test-fast: setup  ## run only the tests that take seconds
	@tools/build.sh dev $(JOBS)
	ctest --test-dir build/dev --output-on-failure -j1 -L fast

page-types:  ## write the page's types anew from the OpenAPI document of the program in build/dev
	@cmake --build build/dev -j $(JOBS) --target lowrank lowrank_engine
	python3 tests/server/program/page_types_test.py build/dev/bin/lowrank tests/fixtures --write

journeys: page  ## test the page in Chromium with the program in build/dev (PICTURES=docs/pictures updates the README's pictures)
	@tools/setup.sh $(TEST_PACKAGES)
	@cmake --build build/dev -j $(JOBS) --target lowrank lowrank_engine
	@LOWRANK_BIN=$(CURDIR)/build/dev/bin/lowrank tools/page.sh journeys $(if $(PICTURES),--pictures $(abspath $(PICTURES)))

sanitize: setup  ## test the light rooms with the address, undefined-behaviour and thread sanitizers
	@tools/sanitize.sh $(JOBS)

fuzz: setup  ## run each fuzz target for a limited time
	@tools/fuzz.sh $(JOBS)

install: build  ## install program, starter model, man page and completions in PREFIX (/usr/local)
	@DESTDIR="$(DESTDIR)" tools/install.sh "$(BUILD)" "$(PREFIX)"

uninstall:  ## remove what install put into PREFIX
	@DESTDIR="$(DESTDIR)" tools/install.sh "$(BUILD)" "$(PREFIX)" --uninstall

format:  ## format all sources
	@tools/format.sh

tidy:  ## run clang-tidy on all sources (slow)
	@run-clang-tidy-14 -quiet -p build/dev 'src/(base|weights|formats|prompt|image|library)/.*'

clean:  ## remove all build output
	rm -rf build web/dist web/node_modules
