# The commands of this repository. `make` alone lists them.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
BENCHSTAT   := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
WEB         := cmd/pointingparty/web
E2E         := cmd/internal/e2e
# What `make fuzz` gives each target: a number of runs, or a time. With a time
# the go command now and then takes its own deadline for a failure.
FUZZTIME    ?= 3000x
# How many schedules, some 100 a second on two cores; and the first one's seed, or
# "random" for one that depends on the time.
SIM         ?= 3000
SEED        ?= 0
# The packages that `make stress` tests, and how often.
PKG         ?= ./...
N           ?= 20

.DEFAULT_GOAL := help
.PHONY: help setup run run-cluster build test test-all lint stress sim mutants fuzz golden api bench bench-save load load-save clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(WEB)/node_modules/.package-lock.json $(E2E)/node_modules/.package-lock.json

%/node_modules/.package-lock.json: %/package-lock.json %/package.json
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build: $(WEB)/node_modules/.package-lock.json ## build the commands into bin/
	$(GO) build -o bin/ ./cmd/pointingparty ./cmd/rollcall ./cmd/rollcall-bench

run: build ## start the pointing party with an embedded NATS server
	./bin/pointingparty

run-cluster: build ## two replicas of it on two ports, either of which may die
	./cmd/pointingparty/run-cluster

test: setup lint ## everything: lint, race detector, fuzz, Node and browser tests
	$(GO) test -race -timeout 15m ./...
	$(GO) test ./transport/websocket # its system calls are others without the race detector
	$(MAKE) --no-print-directory sim
	$(MAKE) --no-print-directory fuzz

# What make test leaves out: every rule removed in turn, ten times the schedules
# and fuzzing, and the packages with the most goroutines on busy processors.
test-all: test ## make test and what takes longer: mutants, long sim and fuzz, stress
	$(MAKE) --no-print-directory mutants
	$(MAKE) --no-print-directory sim SIM=20000
	$(MAKE) --no-print-directory fuzz FUZZTIME=30000x
	$(MAKE) --no-print-directory stress N=5 PKG="./channel ./presence ./transport/longpoll ./transport/natsbus ./transport/websocket"

stress: setup ## the tests of PKG=./... N=20 times each, on busy processors, without the browser
	@GO="$(GO)" ROLLCALL_NO_BROWSER=1 ./scripts/stress $(N) $(PKG)

lint: setup ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

sim: ## random schedules of a faulty cluster; SIM=n says how many, SEED=n (or random) which
	$(GO) test ./presence/presencetest -run TestSim -count=1 -v -timeout 60m -schedules $(SIM) -seed $(SEED:random=$(shell date +%s)000000)

mutants: setup ## remove one rule after the other, of replication and of the contract: the tests must notice
	$(GO) test ./presence/presencetest -run TestMutants -count=1 -v -timeout 30m -mutants
	$(GO) test ./cmd/internal/soak -run TestMutants -count=1 -v -timeout 30m -mutants
	$(GO) test ./channel -run TestMutants -count=1 -v -timeout 60m -parallel 2 -mutants

fuzz: ## every fuzz target for FUZZTIME
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "fuzz $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg >$(FUZZLOG) 2>&1 || { cat $(FUZZLOG); exit 1; }; \
	  done; \
	done
FUZZLOG := $(shell mktemp -u)

golden: ## record the golden output of the scripts again; look at the diff
	$(GO) test ./channel/wire -run TestSession -args -rewrite
	$(GO) test ./channel/internal/admit -run TestStories -args -rewrite
	$(GO) test ./channel/internal/room -run TestStories -args -rewrite
	$(GO) test ./presence/presencetest -run TestScenario -args -rewrite

api: ## record the exported API in testdata/api again; look at the diff
	$(GO) test . -run TestExportedAPI -args -rewrite

# Six runs, from which benchstat tells a difference from noise; one of those that
# build a million presences. What takes milliseconds is done ten times in a row in
# each, as a replica that has run for a while does it; what takes longer, once.
BENCHED     := ./crdt ./presence ./presence/internal/replica ./channel ./transport/...
BENCH_TENS  := MergeMaps|Snapshot|Drop|Down
BENCH_LARGE := FirstAnswer|IdleConnection|Subscriptions
BENCH_HUGE  := Memory|Churn

bench: ## the benchmarks as a table, and compared with the saved ones if there are; about 6 minutes
	@$(MAKE) --no-print-directory bin/bench.txt
	@$(GO) run ./cmd/internal/benchtable bin/bench.txt
	@$(call compare,bench)

bench-save: ## save what the last "make bench" measured, for others to be compared with
	@$(call save,bench)

load: ## rollcall-bench in small sizes, likewise; about 4 minutes
	@$(MAKE) --no-print-directory bin/load.txt
	@$(GO) run ./cmd/internal/benchtable bin/load.txt
	@$(call compare,load)

load-save: ## save what the last "make load" measured
	@$(call save,load)

.PHONY: bin/bench.txt bin/load.txt
bin/bench.txt:
	@mkdir -p bin
	@{ $(describe-machine); \
	$(GO) test -run '^$$' -bench . -skip '$(BENCH_TENS)|$(BENCH_LARGE)|$(BENCH_HUGE)' -benchmem -benchtime 50ms -count 6 $(BENCHED) && \
	$(GO) test -run '^$$' -bench '$(BENCH_TENS)' -benchmem -benchtime 10x -count 6 ./crdt ./presence/internal/replica && \
	$(GO) test -run '^$$' -bench '$(BENCH_LARGE)' -benchmem -benchtime 1x -count 6 $(BENCHED) && \
	$(GO) test -run '^$$' -bench Memory -benchtime 1x ./presence/internal/replica && \
	GOMEMLIMIT=2560MiB $(GO) test -run '^$$' -bench Churn -benchtime 3s ./presence; } >$@ || { cat $@; exit 1; }

bin/load.txt:
	@mkdir -p bin
	@$(GO) build -o bin/ ./cmd/rollcall ./cmd/rollcall-bench
	@{ $(describe-machine); \
	load() { ./bin/rollcall-bench "$$@" --self --benchfmt --repeat 4; }; \
	load fanout --floor --clients 300 --window 1,8,32 --duration 500ms && \
	load conns --floor --clients 1000 --hold 1s && \
	load presence --clients 300 --churn 2s && \
	load remote --duration 2s && \
	load kill --reconnect && \
	load fresh --hold 2s; } >$@ 2>bin/load.log || { tail bin/load.log; exit 1; }

# What the figures are of, as the head of their file.
describe-machine = echo "\# $$(nproc) CPUs ($$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)), $$($(GO) version)"; \
	echo "\# load average when it began: $$(cut -d' ' -f1-3 /proc/loadavg)"
compare = if test -s testdata/bench/$(1).txt; then $(GO) run $(BENCHSTAT) -ignore cpu saved=testdata/bench/$(1).txt new=bin/$(1).txt; fi
save = test -s bin/$(1).txt || { echo "nothing is measured yet: make $(1)"; exit 1; }; \
	mkdir -p testdata/bench && grep -E '^(\#|goos|goarch|pkg|Benchmark)' bin/$(1).txt >testdata/bench/$(1).txt

clean: ## remove what was built and installed
	rm -rf bin $(WEB)/node_modules $(E2E)/node_modules
