# gollm's targets. `make help` lists them.

GO        ?= go
# The Go that `make toolchain` fetches where the system's cannot read go.mod; first in PATH.
TOOLCHAIN = golang.org/toolchain@v0.0.1-go1.26.8
export PATH := $(CURDIR)/bin/.goroot/bin:$(PATH)
# Caches of what is fetched: models and the oracle. Not part of the repository.
CACHE     ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/gollm
MODELS    ?= $(CACHE)/models
ORACLE    ?= $(CACHE)/oracle
# A git repository of llama.cpp, whose Metal kernels judge the emulator.
LLAMA     ?= $(ORACLE)/tree.git
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0
PLATFORMS = linux/amd64 linux/arm64 darwin/arm64
FUZZTIME  ?= 10m
# Packages with concurrent code.
RACE      ?= ./engine ./engine/chat ./engine/tokenizer ./engine/internal/... ./gguf/... ./metal/...

export CGO_ENABLED = 0

.PHONY: help doctor build run test test-gpu lint cross unit race model test-models oracle test-oracle record families bench bench-vs-llamacpp fuzz clean asm test-arm64 test-asan metal-judge metal-arm64 ptx clang compiler toolchain

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-17s %s\n", $$1, $$2}' Makefile

build: toolchain ## build bin/gollm
	$(GO) build -trimpath -o bin/gollm ./cmd/gollm

run: build ## build and tell a story with the model inside the binary
	./bin/gollm run -p "Once upon a time" -n 200 --temp 0

test: toolchain lint cross clang unit race ## everything that needs no model and no oracle
	@command -v clang-19 >/dev/null && echo "make test: ok" || \
		echo "make test: ok, but NOT TESTED: Metal kernels on the emulator; clang-19 is missing: apt-get install clang-19 lld-19"

clang: ## install what compiles Metal kernels on Linux, where that may be
	@command -v clang-19 >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -q && apt-get install -y -q --no-install-recommends clang-19 lld-19; } || true

lint: ## gofmt, go vet and staticcheck for every platform
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt needed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	@for p in $(PLATFORMS); do echo "vet $$p"; GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) vet ./... || exit 1; done
	@test -x bin/staticcheck || GOBIN=$(CURDIR)/bin $(GO) install $(STATICCHECK)
	@for p in $(PLATFORMS); do echo "staticcheck $$p"; GOOS=$${p%/*} GOARCH=$${p#*/} ./bin/staticcheck ./... || exit 1; done

cross: ## build the command for every platform, static, and the tests for a Mac
	@for p in $(PLATFORMS); do echo "build $$p"; GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o bin/gollm-$${p%/*}-$${p#*/} ./cmd/gollm || exit 1; done
	@echo "build the tests for darwin/arm64"; GOOS=darwin GOARCH=arm64 $(GO) test -vet=off -ldflags='-s -w' -exec true ./... >/dev/null

unit: ## the tests
	$(GO) test ./...

race: compiler ## the tests of concurrent code under the race detector (needs a C compiler)
	@if command -v cc >/dev/null; then echo "go test -race $(RACE)"; CGO_ENABLED=1 $(GO) test -race $(RACE); \
	else echo "NOT TESTED: the race detector; a C compiler is missing: apt-get install gcc libc6-dev"; test -z "$$CI"; fi

compiler: ## install a C compiler for the race detector, where that may be
	@command -v cc >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -q && apt-get install -y -q --no-install-recommends gcc libc6-dev; } || true

toolchain: ## install Go where there is none or one before 1.21, and that may be
	@command -v $(GO) >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -q && apt-get install -y -q --no-install-recommends golang-go ca-certificates; } || true
	@command -v $(GO) >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/dl"; exit 1; }
	@# Go 1.21 and later fetch the Go that go.mod asks for; where it is older, that is done here.
	@! $(GO) version | grep -qE ' go1\.(1?[0-9]|20)[ .]' || { set -e; bin=$(CURDIR)/bin; mkdir -p $$bin; cd /; \
		t=$(TOOLCHAIN).$$($(GO) env GOOS)-$$($(GO) env GOARCH); echo "fetching $$t"; $(GO) mod download $$t; \
		rm -rf $$bin/.goroot.new; cp -R "$$($(GO) env GOMODCACHE)/$$t" $$bin/.goroot.new; chmod -R u+w $$bin/.goroot.new; \
		chmod +x $$bin/.goroot.new/bin/* $$bin/.goroot.new/pkg/tool/*/*; mv $$bin/.goroot.new $$bin/.goroot; }

model: ## fetch the two real models of the tests (350 MB, once)
	testdata/fetch-models.sh $(MODELS)

test-models: model ## the tests that run the two real models
	GOLLM_MODELS=$(MODELS) $(GO) test -count=1 -timeout 30m -run 'RealModels' ./...

oracle: ## install llama.cpp as the oracle (Linux on x86-64, 330 MB, once)
	testdata/oracle/install.sh $(ORACLE)

test-oracle: oracle model ## derive again all that was recorded, with fresh seeds
	GOLLM_ORACLE=$(ORACLE) GOLLM_MODELS=$(MODELS) $(GO) test -count=1 -timeout 60m -skip RealModels ./...

record: oracle ## record the families' logits again (CASE=REGEXP for some)
	$(GO) run ./engine/internal/arch/record -oracle $(ORACLE) $(if $(CASE),-case $(CASE))

# Processors with each kind of arm64 kernels, and that kind.
ARM64 = cortex-a72=neon neoverse-n1=dotprod max=i8mm

# What the collector waits for is no measure of an emulated processor.
test-arm64: ## the CPU kernels and executor as linux/arm64 under qemu-user (apt-get install qemu-user)
	@for p in $(ARM64); do cpu=$${p%=*}; echo "$$cpu:"; GOARCH=arm64 GOLLM_KERNELS=$${p#*=} \
	$(GO) test -count=1 -exec "qemu-aarch64 -cpu $$cpu" ./engine/internal/exec/cpu/kernel -skip AssemblyIsCurrent || exit 1; done
	GOARCH=arm64 $(GO) test -timeout 30m -exec "qemu-aarch64 -cpu max" ./engine/internal/exec/cpu -skip CollectorIsNotStalled

doctor: ## check this machine; where there is no Metal, the emulated GPU (needs clang-19)
	$(GO) run -tags emu ./cmd/gollm doctor

asm: ## make the CPU kernels' assembly from their C (needs clang-19 and lld-19)
	cd engine/internal/exec/cpu/kernel && $(GO) run ../c2s -o . csrc/*_*.c

test-gpu: model ## every kernel, family, quantisation and mutant, and the real models, on the emulator (an hour)
	GOLLM_LONG=1 $(GO) test -count=1 ./shaders
	GOLLM_LONG=1 GOLLM_MODELS=$(MODELS) $(GO) test -count=1 -timeout 120m ./engine/internal/exec/gpu -mutants 1000

test-asan: ## the kernels and the executor on the emulator, every access and what C++ leaves undefined checked
	GOLLM_EMU=sanitize $(GO) test -count=1 -timeout 60m ./shaders ./engine/internal/exec/gpu

metal-judge: ## compile and run llama.cpp's Metal kernels in the emulator (LLAMA=a git repository of it)
	$(GO) run ./metal/emu/internal/judge -git $(LLAMA) -full -o metal/emu/internal/judge/TABLE.md

metal-arm64: ## Metal's messages by arm64's calling convention (needs qemu-user and libc6-arm64-cross)
	GOARCH=arm64 $(GO) test -count=1 -exec 'qemu-aarch64 -L /usr/aarch64-linux-gnu' ./metal ./metal/emu ./metal/internal/objc

# NVIDIA's assembler, which needs no GPU, out of the package that has the least besides it.
PTXAS     ?= $(CACHE)/ptxas/nvidia/cuda_nvcc/bin/ptxas
PTX        = $(GO) run ./metal/emu/internal/cuda/ptx -ptxas $(PTXAS)

$(PTXAS):
	@mkdir -p $(CACHE)/ptxas
	python3 -m pip download -q --no-deps --only-binary :all: --platform manylinux2014_x86_64 -d $(CACHE)/ptxas nvidia-cuda-nvcc-cu12==12.9.86
	cd $(CACHE)/ptxas && python3 -m zipfile -e nvidia_cuda_nvcc_cu12-*.whl . && chmod +x $@ && rm nvidia_cuda_nvcc_cu12-*.whl && touch $@

ptx: $(PTXAS) ## assemble every kernel for NVIDIA GPUs, without one (Linux on x86-64; needs python3 with pip)
	$(PTX) $(filter-out shaders/attention%,$(wildcard shaders/*.metal))
	$(PTX) -set 0=64 -set 1=64 -set 6=8 shaders/attention.metal
	$(PTX) -set 0=64 -set 1=64 -set 6=4 shaders/attention_tiles.metal
	GOLLM_PTXAS=$(PTXAS) $(GO) test -count=1 ./metal/emu/internal/simt

families: ## write docs/FAMILIES.md, the table of families with their errors
	$(GO) run ./engine/internal/arch/record -table docs/FAMILIES.md

bench: build ## tokens a second of the model inside the binary
	./bin/gollm bench

bench-vs-llamacpp: build model oracle ## time gollm and llama.cpp in turn, on an idle machine (CELLS=REGEXP for some; ROUNDS, THREADS)
	$(GO) build -o bin/versus ./bench/internal/versus
	./bin/versus -models $(MODELS) -gollm ./bin/gollm -make
	./bin/versus -models $(MODELS) -gollm ./bin/gollm -oracle $(ORACLE) -cells '$(or $(CELLS),.)' -rounds $(or $(ROUNDS),5) $(if $(THREADS),-threads $(THREADS))

fuzz: ## every fuzz target for FUZZTIME
	@for d in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$d/*_test.go | cut -c6-); do \
			echo "$$d $$f"; $(GO) test ./$$d -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x || exit 1; done; done

clean: ## remove what was built
	rm -rf bin
