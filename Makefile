# The house's front door. Every target is incremental: a second run does no needless work.
#   make test    build and run all tests

SHELL := /bin/bash
BUILD ?= build/release
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

PACKAGES := build-essential cmake ninja-build ccache pkg-config git nodejs npm \
  libtorch-dev libopenblas-dev libdnnl-dev libfmt-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libssl-dev \
  libcpp-httplib-dev libsqlite3-dev libcurl4-openssl-dev libhwy-dev libpng-dev libjpeg62-turbo-dev libwebp-dev libgtest-dev \
  libgmock-dev libbenchmark-dev \
  clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 python3
TEST_PACKAGES := chromium
STARTER_PACKAGES := librsvg2-bin webp

.PHONY: help setup build demo bench starter page journeys test test-fast sanitize fuzz install format tidy clean
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

# The rooms that are finished and proven. A room joins this list when all its tests pass.
TESTED := kernels_tests model_tests weights_tests formats_tests prompt_tests sampling_tests model_golden_tests adapter_tests \
  adapter_golden_tests adapter_slow_tests pipeline_tests pipeline_golden_tests training_tests library_tests image_tests \
  server_tests e2e_tests
# The tests that run the real program.
PROGRAM_TESTS := e2e_txt2img_test e2e_workflow_test cli_tests collection_tests import_tests serve_api_test serve_queue_test \
  serve_safety_test serve_collection_test serve_imports_test serve_training_test serve_page_test serve_clients_test layer_tests format_tests

test: page  ## build everything and run all tests, the light rooms also under sanitizers and fuzzers
	@[ -f build/dev/build.ninja ] || cmake --preset dev
	cmake --build build/dev -j $(JOBS) --target lowrank lowrank_engine $(TESTED)
	OMP_WAIT_POLICY=passive ctest --test-dir build/dev --output-on-failure -j1 -R '^($(subst $(eval) ,|,$(TESTED) $(PROGRAM_TESTS)))$$'
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

install: build  ## install under PREFIX (/usr/local)
	cmake --install $(BUILD) --prefix $(PREFIX)

format:  ## format all sources
	@tools/format.sh

tidy:  ## clang-tidy over the sources (slow)
	@run-clang-tidy-14 -quiet -p build/dev 'src/(base|weights|formats|prompt|image|library)/.*'

clean:  ## remove what was built
	rm -rf build web/dist web/node_modules
