# Fengsui: `make run` shows it, `make test` proves it, `make help` lists the rest.
# Every target installs what it needs or says in one sentence what is missing; see scripts/need.

.DEFAULT_GOAL := help
.PHONY: help run build console vet check test screens torture bench model lint clean need-go need-node need-browser need-postgres engines tally

# Caches go to HOME as usual, or into the clone where there is no HOME that can be written.
ifneq ($(shell d="$$HOME"; [ -n "$$d" ] && { [ -w "$$d" ] || mkdir -p "$$d" 2>/dev/null; } && [ -w "$$d" ] && echo yes),yes)
export HOME := $(CURDIR)/.cache/home
endif
export PATH := $(PATH):/usr/local/go/bin:/usr/lib/go/bin
# With -trimpath everywhere, what make run compiled make test need not compile again. Without symbols linking takes half the time,
# and make test links some eighty programs.
export GOFLAGS := $(strip $(filter-out -buildvcs% -trimpath -ldflags=-s,$(GOFLAGS)) -buildvcs=false -trimpath -ldflags=-s)
export GOTOOLCHAIN ?= local
export GOWORK := off
export CGO_ENABLED := 0
# Node's own list of certificates knows nothing of those that this machine was told to trust.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export NODE_EXTRA_CA_CERTS ?= /etc/ssl/certs/ca-certificates.crt
endif

JOBS ?= 2            # packages tested at once
KILLS ?= 100         # how often make torture kills
STORM_KILLS ?= 30    # how often its part with several nodes and gateways kills; 300 takes half an hour
TORTURE_TIME ?= 15m  # and how long it may take
SAMPLES ?= ../shared/data   # where the public samples for make model lie
ARGS ?=              # more arguments for the command of make run and make bench

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r t d; do printf '  make %-9s %s\n' "$$t" "$$d"; done

run: build ## build, then start a simulated model, Fengsui in front of it and gentle traffic
	@exec bin/fengsui demo $(ARGS)

build: need-go console ## build bin/fengsui, with the console where Node.js 20 is there
	@GOGC=400 go build -o bin/fengsui ./cmd/fengsui

console: need-go ## build the console into web/dist; without Node.js 20 it says so and goes on
	@scripts/console

vet: need-go ## gofmt and vet of everything, the torture tests too
	@$(gofmt)
	@go vet -tags torture ./...

check: need-node vet tally ## the quick round before a commit: gofmt, vet, build, short tests
	@go build ./...
	@scripts/check -p $$(($(strip $(JOBS)) + 1)) -timeout 2m # one more: some always wait for what takes time

test: need-go need-node need-browser need-postgres console tally ## the whole suite: the platform on both databases, the official OpenAI clients for Go and Node, and the console in a browser
	@scripts/suite -p $(strip $(JOBS)) -timeout 9m

engines: need-go need-postgres tally ## every test that opens a store, on SQLite and on PostgreSQL, as many on both
	@scripts/engines -p $(strip $(JOBS)) -timeout 9m

screens: need-go need-node need-browser console ## a picture of every page, in both languages and shades, wide and narrow, into dist/screens
	@rm -rf dist/screens && FENGSUI_SCREENS=$(CURDIR)/dist/screens go test -count=1 -timeout 20m -run TestScreens ./e2e/browser && ls dist/screens | wc -l

torture: need-go need-postgres tally ## kill -9 at random instants, several nodes on PostgreSQL, gateways cut off, an upgrade under load, every fault in turn: nothing is lost; KILLS=100 STORM_KILLS=30
	@[ -d e2e/torture ] || { echo "make $@: there are no torture tests in this tree (e2e/torture)." >&2; exit 1; }
	@bin/tally -- -count=1 -p 1 -tags torture -timeout $(strip $(TORTURE_TIME)) ./e2e/nodes ./e2e/gates ./e2e/upgrade
	@FENGSUI_TORTURE_KILLS=$(strip $(KILLS)) bin/tally -logs -- -count=1 -p 1 -run Torture -tags torture -timeout $(strip $(TORTURE_TIME)) ./e2e/torture/...
	@FENGSUI_STORM_KILLS=$(strip $(STORM_KILLS)) bin/tally -logs -- -count=1 -p 1 -tags torture -timeout 45m ./e2e/storm

bench: need-go console ## measure; every figure in the documents comes from here
	@[ -d bench ] || { echo "make $@: there are no benchmarks in this tree (bench)." >&2; exit 1; }
	@go run ./bench $(ARGS)

model: need-go ## train the classifiers that ship again, from the public samples in SAMPLES, and say how right they are
	@go run ./bench -only accuracy -samples $(strip $(SAMPLES)) -model internal/inspect/classify/shipped/shipped.model -card docs/models/shipped.md

lint: vet ## gofmt, vet, the pinned staticcheck, and the pins of stack-critical modules
	@go -C tools build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	@bin/staticcheck ./...
	@cd tools && ../bin/staticcheck ./...
	@go test -count=1 -run TestPins ./internal/house

clean: ## remove what the other targets built; data folders stay
	@[ ! -d .cache ] || chmod -R u+w .cache
	@rm -rf bin dist .cache e2e/sdk/node/node_modules e2e/oidc/node/node_modules e2e/browser/node_modules

need-go:
	@scripts/need write go

need-node:
	@scripts/need node

need-browser:
	@scripts/need browser

need-postgres:
	@scripts/need postgres

tally: need-go
	@go -C tools build -o ../bin/tally ./tally

define gofmt
rough=$$("$$(go env GOROOT)/bin/gofmt" -l $(wildcard bench cmd e2e internal tools)) || exit 1; \
if [ -n "$$rough" ]; then echo "not formatted, run gofmt -w on:" $$rough >&2; exit 1; fi
endef
