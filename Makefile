# make help lists the targets.
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT     ?= $(shell git rev-parse HEAD 2>/dev/null)
CC         := $(shell go env CC 2>/dev/null)
# The race detector needs a C compiler.
RACE       := $(if $(shell command -v $(CC)),-race)
BENCHFLAGS ?=
FUZZTIME   ?= 30s

# What ships is built from its own list of versions; go.work is for editors and for `go test work`.
export GOWORK := off

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The program's own packages, then what the race detector would take minutes for or falsify. All
# that runs without it is compiled once, without C, as what ships is. The longest package comes first.
PLAIN = CGO_ENABLED=0 go test -count=1 -vet=off -timeout 30m
TEST_PROGRAM = go test -timeout 20m $(1) $(RACE) ./internal/source ./... || status=1; \
	$(if $(RACE),$(PLAIN) $(2) ./internal/registry ./internal/source || status=1;)
# Those that measure or read so much that they skip under the race detector.
LARGE := '(Memory|Bounded|ShareABudget|ThousandsOfEntries|WithoutEnd|^TestPeaksOfHostileAnswers)$$'
# With the race detector these take a sample of all requests.
SWEEPS := '^Test(EveryRequest(OfARelease)?Fails|EverySourceRequestFails|OneOfTwoDies)$$'

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## bin/multi-registry-push, as it ships
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)" -o bin/multi-registry-push .

image: ## the action's container image, by the Docker engine
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t multi-registry-push .

# Go takes a result out of its cache even if a file outside the module has changed: those in
# test look at pages, recipes and testdata, so they run anew.
test: ## what proves the behaviour, in about six minutes on two idle cores
	@$(if $(RACE),:,echo "no C compiler ($(CC)): testing without -race")
	@echo "Testing the program's packages, then the program from outside; tests that need what is not installed say so and skip."
	@status=0; \
	$(call TEST_PROGRAM,-vet=off,-run $(LARGE)) \
	(cd test && $(PLAIN) -parallel 4 -short ./e2e ./...) || status=1; \
	exit $$status

test-all: ## that and the rest: with -race, every fault, the container; REQUIRE_ALL=1: none may be skipped
	@status=0; \
	$(call TEST_PROGRAM) \
	(cd test && go test -count=1 -timeout 30m -parallel 4 $(RACE) ./e2e ./...) || status=1; \
	$(if $(RACE),(cd test && $(PLAIN) -parallel 4 -run $(SWEEPS) ./e2e) || status=1;) \
	exit $$status

demo: ## publish a real image to three registries on this machine
	@echo "Building program and demo; where nothing has been built yet, this takes half a minute."
	@CGO_ENABLED=0 go build -v -gcflags='all=-N -l' -ldflags='-s -w' -o out/demo/ . ./demo 2>&1 | { n=0; while read -r line; do \
		case $$line in *[!a-zA-Z0-9./_-]*) echo "$$line" ;; *) n=$$((n + 1)); [ $$((n % 25)) -ne 0 ] || echo "  $$n packages" ;; esac; done; }
	@out/demo/demo out/demo/multi-registry-push

bench: ## measure against other tools; BENCHFLAGS=-help shows how
	cd test && go run ./bench $(BENCHFLAGS)

soak: ## hundreds of publishes, with and without faults, where "make test" does some
	cd test && SOAK=1 go test -count=1 -timeout 2h -run '^TestSoak' -v ./...

fuzz: ## each fuzz target for FUZZTIME
	@grep -rn --include='*_test.go' '^func Fuzz' . | sed 's/^\(.*\)\/[^/]*:[0-9]*:func \(Fuzz[A-Za-z0-9_]*\).*/\1 \2/' | \
	while read -r folder target; do \
		echo "$$folder $$target"; \
		(cd $$folder && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) .) </dev/null || exit 1; \
	done

lint: ## gofmt, and the linters of .golangci.yml
	go run $(GOLANGCI) run ./...
	cd test && go run $(GOLANGCI) run --config ../.golangci.yml ./...

generate: ## what is generated from code
	go generate ./...

clean: ## what the targets above have built
	rm -rf bin dist out

.PHONY: help build image test test-all demo bench soak fuzz lint generate clean
