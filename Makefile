# The commands that a newcomer needs; CMakePresets.json holds the build settings.
BUILD := build/release
PREFIX ?= /usr/local
MODEL ?=

.PHONY: all run test bench evidence format lint fuzz sanitize faults mutants install clean

all: $(BUILD)/build.ninja
	@cmake --build $(BUILD)

$(BUILD)/build.ninja: CMakePresets.json CMakeLists.txt
	@scripts/setup.sh
	@cmake --preset release >/dev/null

run: all ## build, then show what the program does
	@scripts/demo.sh $(BUILD)/mlxcel $(MODEL)

test: all ## build, then run every test
	@scripts/test.sh release

bench: all ## rewrite the figures in bench/results/
	@bench/run.sh

evidence: all ## measure the models of ../shared/fixtures/trained again and rewrite evidence/
	@bench/evidence.sh

format: ## rewrite all C sources in the project's style
	@scripts/setup.sh --lint
	@scripts/lint.sh --fix

lint: ## formatting, include law, clang-tidy, cppcheck, shellcheck, warnings with gcc and clang
	@scripts/setup.sh --lint
	@scripts/lint.sh

fuzz: ## each fuzz target for a minute, under the sanitizers
	@scripts/setup.sh --lint
	@scripts/fuzz.sh 60

faults: all ## no memory, signals and files cut short, at 2,500 moments and more
	@for what in "alloc 2500" "signals 5" "truncate 30"; do tests/guest/run.sh $(BUILD)/mlxcel \
	  $(BUILD)/tests/guest/faults_run $(BUILD)/tests/guest/libfaults.so $$what || exit; done

sanitize: ## the tests under address, undefined-behaviour and thread sanitizers
	@scripts/setup.sh
	@scripts/test.sh asan
	@scripts/test.sh tsan

mutants: ## change the sources in small ways, each of which the tests must notice
	@scripts/setup.sh
	@scripts/mutants.sh named

install: all ## program, libraries, header, pkg-config file, man page, completions
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	@rm -rf build
