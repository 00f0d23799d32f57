# The words of this house. make help explains them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test test-long bench demo docs release check fuzz dns

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/certfleet/certfleet.Release=$(VERSION)
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)"

STATICCHECK := bin/staticcheck
STATICCHECK_VERSION := v0.8.2

# The race detector needs a C compiler.
RACE ?= $(if $(shell command -v gcc || command -v cc),-race)
# Where goroutines meet; the rest is tested without the detector, which takes minutes more.
RACED := ./internal/acme ./internal/agent ./internal/deliver ./internal/issue ./internal/keystore ./internal/store ./internal/web \
	./internal/work ./internal/probe ./internal/solver/... ./internal/target/redis ./internal/target/sftp ./internal/updater/...
# Walks of days and years in made-up time: ten minutes more with the detector on a
# busy machine, and nothing for it that the others do not show it.
WALKS := ^(TestYearsWithinAllLimits|TestAfterADayOfDowntimeTheHerdKeepsInLane|TestAMigrationGoesAsFastAsTheAccountMayAndNoFaster|TestABacklogStarvesNobody|TestADayByRiver|TestAfterADayOfDowntimeRiverKeepsTheHerdInLane|TestAMigrationStarvesNeitherANewCustomerNorRenewals)$$
BENCH ?= .
FUZZTIME ?= 20s
PLATFORMS ?= linux/amd64 linux/arm64

help: ## say what each word does
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

build: ## build the programs into bin/
	$(GOBUILD) -o bin/ ./cmd/...

test: export CERTFLEET_FULL = 1
test: check ## everything that is checked before a commit; installs the servers that it tests against (Debian, root)
	@if .ci/real; then export CERTFLEET_REAL=1; elif [ -n "$${CI:-}" ]; then exit 1; fi
	set -x
	go test -p 2 -timeout 10m ./...
	if [ -n "$(RACE)" ]; then
		CERTFLEET_REAL= go test $(RACE) -p 2 -timeout 10m -skip '$(WALKS)' $(RACED)
		CERTFLEET_REAL= go test $(RACE) -timeout 5m -run 'OneName|MustFail|Offline|Reload' ./internal/app
	fi

test-long: check ## soak and crash matrices, fuzzing and the DNS providers; an hour at most
	@if .ci/real; then export CERTFLEET_REAL=1; elif [ -n "$${CI:-}" ]; then exit 1; fi
	CERTFLEET_LONG=1 go test -p 2 -timeout 40m ./...
	$(MAKE) --no-print-directory dns fuzz

bench: ## run the benchmarks; BENCH=Seal for some of them
	go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m ./...

demo: ## watch it work, with a CA of its own
	go run ./cmd/certfleet demo

docs: build ## write the man pages into dist/man/
	mkdir -p dist/man
	bin/certfleet man --dir dist/man

release: ## archives for each of PLATFORMS, with checksums, in dist/
	rm -rf dist/release
	for platform in $(PLATFORMS); do
		os=$${platform%/*} arch=$${platform#*/} name=certfleet-$(VERSION)-$$os-$$arch
		mkdir -p dist/release/$$name
		GOOS=$$os GOARCH=$$arch $(GOBUILD) -o dist/release/$$name/ ./cmd/...
		if [ -d dns ]; then (cd dns && GOOS=$$os GOARCH=$$arch $(GOBUILD) -o ../dist/release/$$name/ ./cmd/...); fi
		cp LICENSE $(wildcard README.md CHANGELOG.md) dist/release/$$name/
		tar -C dist/release --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$$(git log -1 --format=%ct)" -cf - $$name | gzip -n > dist/release/$$name.tar.gz
		rm -r dist/release/$$name
	done
	cd dist/release && sha256sum *.tar.gz | tee SHA256SUMS

# The nested module links every DNS provider: minutes to build, so it has its own word.
dns:
	if [ -d dns ]; then cd dns && go vet ./... && go test -timeout 15m ./...; fi

fuzz:
	grep -rEo --include='*_test.go' 'func Fuzz\w+' . | sort | while IFS=: read -r file func; do
		go test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$(dirname "$$file")"
	done

check: $(STATICCHECK)
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "gofmt these:" $$bad; exit 1; fi
	go vet ./...
	@if [ -x $(STATICCHECK) ]; then set -x; $(STATICCHECK) ./...; fi

$(STATICCHECK):
	@if ! GOBIN=$(CURDIR)/bin go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION); then
		echo "staticcheck $(STATICCHECK_VERSION) could not be fetched; the check goes on without it" >&2
		[ -z "$${CI:-}" ]
	fi

.ONESHELL:
