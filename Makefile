# Short names for the commands of CONTRIBUTING.md. CI runs .ci/run, which is "make check".

FUZZTIME ?= 20s
CHAOS ?= 10m

.PHONY: check test fmt lint fuzz chaos build packages docs

check: ## all checks and tests; installs what they need
	go run ./test

test: ## the tests of the root module, without installing anything
	go test -race ./...

fmt: ## format all Go files
	gofmt -w .

lint: ## the checks without the tests
	go run ./test -only gofmt,vet,staticcheck

fuzz: ## every fuzz target for FUZZTIME
	@go list ./... | while read -r package; do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz'); do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
		done; \
	done

chaos: ## kills, cuts, damage and full disks for about CHAOS; root may fill a real file system
	WEIR_CHAOS=$(CHAOS) go test -count=1 -v -timeout 2h ./test/chaos

build: ## bin/weir, static
	CGO_ENABLED=0 go build -trimpath -o bin/weir ./cmd/weir

packages: ## bin/*.deb and bin/*.rpm, for VERSION and ARCH if they are set
	sh deploy/package/build.sh

docs: ## documents that are generated from code
	go generate ./...
