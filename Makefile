# The house's front door. Every target is incremental: a second run does no needless work.
#   make demo    install what is needed, build, draw a picture without and with a LoRA
#   make test    build and run all tests

SHELL := /bin/bash
BUILD ?= build/release
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
DEMO ?= outputs/demo

PACKAGES := build-essential cmake ninja-build ccache pkg-config git nodejs npm \
  libtorch-dev libopenblas-dev libdnnl-dev libfmt-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libssl-dev \
  libpng-dev libjpeg62-turbo-dev libwebp-dev libgtest-dev libgmock-dev libbenchmark-dev \
  clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 python3
STARTER_PACKAGES := librsvg2-bin webp

.PHONY: help setup build demo test test-fast sanitize fuzz bench starter install format tidy clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup:  ## install Debian's packages that are missing (asks sudo when needed)
	@tools/setup.sh $(PACKAGES)

build: setup  ## build the program in build/release
	@tools/build.sh release $(JOBS)

demo: build  ## draw six prompts without and with a LoRA from the models that ship here
	@tools/demo.sh $(BUILD)/bin/lowrank $(DEMO)

test: setup  ## build and run all tests: units, goldens, end to end, sanitizers, fuzz corpora
	@tools/build.sh dev $(JOBS)
	ctest --test-dir build/dev --output-on-failure -j1
	@tools/sanitize.sh $(JOBS)
	@tools/fuzz.sh $(JOBS)

test-fast: setup  ## only the tests that take seconds
	@tools/build.sh dev $(JOBS)
	ctest --test-dir build/dev --output-on-failure -j1 -L fast

sanitize: setup  ## the rooms above the engine line under address, undefined-behaviour and thread sanitizers
	@tools/sanitize.sh $(JOBS)

fuzz: setup  ## each fuzz target for a bounded time
	@tools/fuzz.sh $(JOBS)

bench: build  ## seconds per CFG step, VAE decode and peak memory of a full-size model, beside peers that are installed
	@bench/run.sh $(BUILD)/bin/lowrank

starter: build  ## draw the pictures and train the starter model and its LoRAs from nothing (hours)
	@tools/setup.sh $(STARTER_PACKAGES)
	@tools/starter/make_starter.sh $(BUILD)/bin/lowrank

install: build  ## install under PREFIX (/usr/local)
	cmake --install $(BUILD) --prefix $(PREFIX)

format:  ## format all sources
	@find src include tests \( -name '*.cc' -o -name '*.h' \) -print0 | xargs -0 clang-format-14 -i

tidy:  ## clang-tidy over the sources (slow)
	@run-clang-tidy-14 -quiet -p build/dev 'src/(base|weights|formats|prompt|image|library)/.*'

clean:  ## remove what was built
	rm -rf build
