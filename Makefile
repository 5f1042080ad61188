# The commands of this repository. `make` alone lists them.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
WEB         := cmd/pointingparty/web
E2E         := cmd/internal/e2e
# What `make fuzz` gives each target: a number of runs, or a time. With a time
# the go command now and then takes its own deadline for a failure.
FUZZTIME    ?= 3000x
# How many schedules: some 100 a second on two cores.
SIM         ?= 3000

.DEFAULT_GOAL := help
.PHONY: help setup run run-cluster build test lint sim mutants fuzz golden bench clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(WEB)/node_modules/.package-lock.json $(E2E)/node_modules/.package-lock.json

%/node_modules/.package-lock.json: %/package-lock.json %/package.json
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build: $(WEB)/node_modules/.package-lock.json ## build both commands into bin/
	$(GO) build -o bin/ ./cmd/pointingparty ./cmd/rollcall

run: build ## start the pointing party with an embedded NATS server
	./bin/pointingparty

run-cluster: build ## two replicas of it on two ports, either of which may die
	./cmd/pointingparty/run-cluster

test: setup lint ## everything: lint, race detector, fuzz, Node and browser tests
	$(GO) test -race -timeout 15m ./...
	$(MAKE) --no-print-directory sim
	$(MAKE) --no-print-directory fuzz

lint: setup ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

sim: ## random schedules of a faulty cluster; SIM=n says how many
	$(GO) test ./presence/presencetest -run TestSim -count=1 -timeout 60m -schedules $(SIM)

mutants: ## remove one rule of the protocol after the other: the suite must notice
	$(GO) test ./presence/presencetest -run TestMutants -count=1 -v -timeout 30m -mutants

fuzz: ## every fuzz target for FUZZTIME
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "fuzz $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg >$(FUZZLOG) 2>&1 || { cat $(FUZZLOG); exit 1; }; \
	  done; \
	done
FUZZLOG := $(shell mktemp -u)

golden: ## record the golden output of the scripts again; look at the diff
	$(GO) test ./channel -run TestSession -args -rewrite
	$(GO) test ./presence/presencetest -run TestScenario -args -rewrite

bench: ## the benchmarks, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./crdt ./presence ./channel ./transport/...

clean: ## remove what was built and installed
	rm -rf bin $(WEB)/node_modules $(E2E)/node_modules
