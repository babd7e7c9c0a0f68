# The house's front door. Every target is incremental: a second run does no needless work.
#   make test    build and run all tests

SHELL := /bin/bash
BUILD ?= build/release
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

PACKAGES := build-essential cmake ninja-build ccache pkg-config git nodejs npm \
  libtorch-dev libopenblas-dev libdnnl-dev libfmt-dev nlohmann-json3-dev libssl-dev \
  libcpp-httplib-dev libsqlite3-dev libcurl4-openssl-dev libhwy-dev zlib1g-dev libpng-dev libjpeg62-turbo-dev libwebp-dev libtiff-dev libgif-dev libgtest-dev \
  libgmock-dev libbenchmark-dev \
  clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 python3
TEST_PACKAGES := chromium
STARTER_PACKAGES := librsvg2-bin webp

.PHONY: help setup build demo bench starter page journeys test test-fast sanitize fuzz install uninstall format tidy clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup:  ## install Debian's packages that are missing (asks sudo when needed)
	@tools/setup.sh $(PACKAGES)

page: setup  ## build the web page in web/dist, which the program carries inside
	@tools/page.sh

build: page  ## build the program in build/release
	@tools/build.sh release $(JOBS)

demo: build  ## pictures without and with a LoRA from the models that ship, in outputs/demo
	@tools/demo.sh

bench: build  ## a 512x512 picture and each layer beside peers where they are installed, and a collection of 10,000 LoRAs
	@bench/run.sh
	@bench/collection.sh

starter: build  ## retrain the starter model and its LoRAs from nothing (hours; goes on where it stopped)
	@tools/setup.sh $(STARTER_PACKAGES)
	@tools/starter/make_starter.sh

test: page  ## build everything and run all tests, the light rooms also under sanitizers and fuzzers
	@tools/build.sh dev $(JOBS)
	ctest --test-dir build/dev --output-on-failure -j1
	@tools/page.sh test
	@tools/setup.sh $(TEST_PACKAGES)
	@LOWRANK_BIN=$(CURDIR)/build/dev/bin/lowrank tools/page.sh journeys
	@tools/sanitize.sh $(JOBS)
	@FUZZ_SECONDS=10 tools/fuzz.sh $(JOBS)

test-fast: setup  ## only the tests that take seconds
	@tools/build.sh dev $(JOBS)
	ctest --test-dir build/dev --output-on-failure -j1 -L fast

journeys: page  ## the page in real Chromium against the program of build/dev (PICTURES=docs/pictures makes the README's)
	@tools/setup.sh $(TEST_PACKAGES)
	@cmake --build build/dev -j $(JOBS) --target lowrank lowrank_engine
	@LOWRANK_BIN=$(CURDIR)/build/dev/bin/lowrank tools/page.sh journeys $(if $(PICTURES),--pictures $(abspath $(PICTURES)))

sanitize: setup  ## the rooms above the engine line under address, undefined-behaviour and thread sanitizers
	@tools/sanitize.sh $(JOBS)

fuzz: setup  ## each fuzz target for a bounded time
	@tools/fuzz.sh $(JOBS)

install: build  ## install under PREFIX (/usr/local): program, starter model, man page, completions
	@DESTDIR="$(DESTDIR)" tools/install.sh "$(BUILD)" "$(PREFIX)"

uninstall:  ## take away what install put under PREFIX
	@DESTDIR="$(DESTDIR)" tools/install.sh "$(BUILD)" "$(PREFIX)" --uninstall

format:  ## format all sources
	@tools/format.sh

tidy:  ## clang-tidy over the sources (slow)
	@run-clang-tidy-14 -quiet -p build/dev 'src/(base|weights|formats|prompt|image|library)/.*'

clean:  ## remove what was built
	rm -rf build web/dist web/node_modules
