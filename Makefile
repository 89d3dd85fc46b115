# `make help` lists the targets. Everything is built by cargo and by integration-tests/testbed/prepare, whose results are
# kept in $ILB_TESTBED_CACHE (default ~/.cache/ilb-testbed), outside the checkout.

CARGO ?= cargo
CACHE ?= $(or $(ILB_TESTBED_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ilb-testbed)
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
SEMVER_CHECKS_VERSION := 0.51.0
SEMVER_CHECKS := $(CACHE)/cargo-semver-checks-$(SEMVER_CHECKS_VERSION)/bin/cargo-semver-checks
MDBOOK_VERSION := 0.5.4
MDBOOK := $(CACHE)/mdbook-$(MDBOOK_VERSION)/bin/mdbook
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(CACHE)/cargo-fuzz-$(CARGO_FUZZ_VERSION)/bin/cargo-fuzz
LIBRARIES := ilb-discovery ilb-connections ilb-traefik-client ilb-reconciler ilb-siblings ilb-controller

.DEFAULT_GOAL := help
.PHONY: help build run test demo chart-test fuzz docs chart-docs helm-lint helm-package image docker-build cluster-test site crates semver quick-start-test release release-prepare release-check release-pack release-push release-sign release-test image-test advisories screenshots chaos apps-test soak bench-discovery bench-propagation bench-apply bench-balance bench-rebalance bench-footprint bench-sizing test-matrix lint fmt testbed clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the release binary: target/release/ilb
	ILB_COMMIT=$$(git rev-parse --short HEAD 2>/dev/null) $(CARGO) build --release --locked -p ilb-bin

run: ## Run ilb against the cluster of your kubeconfig: make run POD_LABELS=app=my-app
	LOG_FORMAT=$(or $(LOG_FORMAT),text) POD_LABELS='$(POD_LABELS)' $(CARGO) run --locked -p ilb-bin

test: testbed ## Run every test, including those on a real API server and a real Traefik
	@integration-tests/testbed/prepare chromium chromedriver helm helm-3 helm-docs postgres initdb psql \
	  pg_basebackup pgbench pgbouncer redis-server mosquitto nats-server ws python-with-clients >/dev/null
	$(CARGO) test --workspace --all-features --locked --no-fail-fast -- --include-ignored

chart-test: testbed ## Test the chart: lint, templates, schema, values, and a real API server (part of `make test`)
	@integration-tests/testbed/prepare helm helm-3 helm-docs >/dev/null
	$(CARGO) test --workspace --all-features --locked --test chart --no-fail-fast -- --include-ignored

fuzz: $(CARGO_FUZZ) ## Fuzz every parser of what others wrote, a minute each (DURATION=60, TARGET=NAME; needs a nightly compiler)
	@# Without a sanitizer: our code is safe, so a mistake is a panic, a hang or a growth of memory, which libFuzzer sees.
	@for target in $(or $(TARGET),$$($(CARGO_FUZZ) list)); do \
	  found=$(or $(CARGO_TARGET_DIR),target)/fuzz-corpus/$$target && mkdir -p $$found && \
	  rustup run nightly $(CARGO_FUZZ) run --sanitizer none $$target $$found fuzz/corpus/$$target -- \
	    -max_total_time=$(or $(DURATION),60) -timeout=10 -print_final_stats=1 || exit 1; \
	done

docs: chart-docs ## Write the generated pages, except for those of apps-test, bench-balance, bench-rebalance, chaos and test-matrix, which take long
	UPDATE_DOCS=1 $(CARGO) test --workspace --all-features --locked --quiet --lib document

chart-docs: ## Write chart/README.md from its template and the comments in chart/values.yaml (part of `make docs`)
	$$(integration-tests/testbed/prepare helm-docs | cut -d= -f2) --sort-values-order=file --skip-version-footer --chart-search-root chart

helm-lint: ## Check the chart as Helm does
	$$(integration-tests/testbed/prepare helm | cut -d= -f2) lint --strict chart --set env.relay=app=my-app

helm-package: ## Pack the chart: target/charts/ilb-VERSION.tgz
	$$(integration-tests/testbed/prepare helm | cut -d= -f2) package chart --destination target/charts

image: ## Build the image and its bill of materials, with docker or without: target/image/ilb-amd64.tar (ARCH=, IMAGE=NAME:TAG)
	@CARGO=$(CARGO) image/build

docker-build: image ## The same as image

image-test: ## Start the images of all machines, under emulation if need be, and build each twice: the same bytes (ARCHES=)
	@CARGO=$(CARGO) image/test

cluster-test: image ## Install the chart on a real one-node cluster and put it through upgrades, crashes and drains (root; 6 minutes; FAMILY=ipv6|dual)
	@$(CARGO) build --quiet --locked -p ilb-cluster-test
	@$(or $(CARGO_TARGET_DIR),target)/debug/cluster-test $(or $(CARGO_TARGET_DIR),target)/image/ilb-amd64.tar $(or $(CARGO_TARGET_DIR),target)/image/testbed

quick-start-test: ## Follow the quick start as it is written, on a real one-node cluster, and measure it (root; CLEAN=yes: as on a new machine)
	@CARGO=$(CARGO) integration-tests/quick-start/test

site: $(MDBOOK) ## Build the site from the documents and check its links: target/site/index.html
	@docs/site/build $(MDBOOK) $(or $(CARGO_TARGET_DIR),target)/site

release: ## Write, check and tag a version, here only: make release VERSION=0.2.0
	@release/tag '$(VERSION)'

release-prepare: ## Write a version everywhere, without a commit: make release-prepare VERSION=0.2.0
	@release/prepare '$(VERSION)'

release-check: ## Check that what is checked out can be released (VERSION=, TAG=)
	@release/check $(VERSION)

crates: ## Pack each library and build it from its package, as for publishing
	@CARGO=$(CARGO) release/crates

semver: ## Compare the libraries with the last release: does the version say what they break?
	@SEMVER_CHECKS=$(SEMVER_CHECKS) release/semver

release-pack: ## Pack images, programs, chart, index and checksums: target/release-files (REGISTRY=, ARCHES=)
	@CARGO=$(CARGO) release/pack

release-push: ## Push images and chart to REGISTRY, and leave their digests in target/release-files
	@release/push

release-test: ## Publish to a registry on loopback, install from it on a real one-node cluster, upgrade, roll back (root)
	@CARGO=$(CARGO) release/test

release-sign: ## Sign what was pushed, and attach the bills of materials (COSIGN_KEY=FILE for a key)
	@release/sign

test-matrix: testbed ## Test versions of Kubernetes, Traefik and Helm and write docs/compatibility.md and docs/traefik-versions.md (half an hour the first time, then 12 minutes)
	$(CARGO) run --locked -p ilb-benches --bin traefik-matrix
	$(CARGO) run --locked -p ilb-benches --bin kubernetes-matrix

demo: ## Watch ilb at work: real pods, real connections, about a minute (DURATION=60s; APP=postgresql: a real application, as root)
	@echo "demo: building the demo (about 2 minutes the first time)" >&2
	@if [ -z '$(APP)' ]; then $(CARGO) run --quiet --locked -p ilb-demo; else \
	  $(CARGO) build --quiet --workspace --all-features --locked --bin apps-test && \
	  APPS='$(APP)' $(or $(CARGO_TARGET_DIR),target)/debug/apps-test demo '$(APP)'; fi

screenshots: testbed ## Take the pictures of the status page in docs/ (8 minutes; DURATION=180 for the seconds of each scene)
	@integration-tests/testbed/prepare chromium chromedriver >/dev/null
	@$(CARGO) build --quiet --workspace --all-features --locked --bin screenshots
	@DURATION=$(DURATION) $(or $(CARGO_TARGET_DIR),target)/debug/screenshots

chaos: testbed ## Make faults at random moments and compare what happens with a model (10 minutes; DURATION=600, SEED=, SETUP=, STEPS=)
	@# Debug builds, those of `make test`; a run of 10 minutes or more writes docs/reliability.md.
	@DURATION=$(DURATION) SEED=$(SEED) SETUP=$(SETUP) STEPS=$(STEPS) $(CARGO) run --quiet --locked -p ilb-chaos

apps-test: testbed ## Put PostgreSQL, pgbouncer, RabbitMQ, MQTT, Redis, NATS, WebSocket and SMTP through restarts and outages (root; APPS=, EVENTS=, JOBS=; UPDATE_DOCS=1 writes docs/applications.md)
	@integration-tests/testbed/prepare postgres initdb psql pg_basebackup pgbench pgbouncer redis-server mosquitto nats-server rabbitmq-server ws python-with-clients >/dev/null
	@# Debug builds, those of `make test`.
	@$(CARGO) build --quiet --workspace --all-features --locked --bin apps-test
	@APPS=$(APPS) EVENTS=$(EVENTS) JOBS=$(JOBS) $(or $(CARGO_TARGET_DIR),target)/debug/apps-test

soak: testbed ## Scale and restart all applications at once, over and over, and fail if anything grows (root; half an hour; DURATION=10m, APPS=)
	@integration-tests/testbed/prepare postgres initdb psql pg_basebackup pgbench pgbouncer redis-server mosquitto nats-server rabbitmq-server ws python-with-clients >/dev/null
	@$(CARGO) build --quiet --workspace --all-features --locked --bin apps-test
	@APPS=$(APPS) DURATION=$(DURATION) $(or $(CARGO_TARGET_DIR),target)/debug/apps-test soak

bench-discovery: testbed ## Measure the costs of following 10 000 pods, and how fast a change becomes a set
	$(CARGO) run --release --locked -p ilb-benches --bin bench-discovery

bench-propagation: testbed ## Measure how fast connections follow a change of the pods
	$(CARGO) run --release --locked -p ilb-benches --bin bench-propagation

bench-apply: testbed ## Measure how long a configuration takes from the call to its proof
	$(CARGO) run --release --locked -p ilb-benches --bin bench-apply

bench-balance: testbed ## Measure how evenly connections are spread, beside HAProxy and nginx (about 75 minutes; some scenarios: SCENARIOS=steady,node-lost)
	$(CARGO) run --release --locked -p ilb-benches --bin bench-balance

bench-rebalance: testbed ## Measure how a scale-out is levelled by closing connections, beside an age limit (25 minutes; some: SCENARIOS=4-to-8-400)
	$(CARGO) run --release --locked -p ilb-benches --bin bench-rebalance

bench-footprint: testbed ## Measure the memory, the processor time and the start of ilb itself (about 5 minutes)
	$(CARGO) run --release --locked -p ilb-benches --bin bench-footprint

bench-sizing: testbed ## Measure what a thousand connections take of a pod: memory, files, processor time (about 3 minutes)
	$(CARGO) run --release --locked -p ilb-benches --bin bench-sizing

advisories: $(CARGO_DENY) ## Look for known vulnerabilities of the dependencies, in the database of RustSec, which is fetched from its host
	$(CARGO_DENY) --locked check advisories

lint: $(CARGO_DENY) ## Check format, lints, each package alone, dependencies, import circles, doc comments, links, versions and workflows
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	@# Each alone, because features of one package must not hide what another one lacks.
	$(CARGO) clippy --locked -p ilb-bin -- -D warnings
	for library in $(LIBRARIES); do \
	  $(CARGO) clippy --locked -p $$library -- -D warnings && \
	  $(CARGO) clippy --locked -p $$library --no-default-features -- -D warnings || exit 1; \
	done
	$(CARGO_DENY) --locked check bans licenses sources
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps --locked
	.ci/import-circles
	.ci/doc-style
	.ci/documents
	.ci/versions
	.ci/workflows

fmt: ## Format the code
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

testbed: ## Prepare etcd, kube-apiserver and Traefik for the tests
	@integration-tests/testbed/prepare >/dev/null

clean: ## Remove everything that was built in the checkout
	$(CARGO) clean

$(CARGO_DENY):
	@echo "lint: building cargo-deny $(CARGO_DENY_VERSION) (about 3 minutes, once)" >&2
	$(CARGO) install cargo-deny --version $(CARGO_DENY_VERSION) --locked --root $(dir $(patsubst %/,%,$(dir $@)))

$(SEMVER_CHECKS):
	@echo "semver: building cargo-semver-checks $(SEMVER_CHECKS_VERSION) (about 5 minutes, once)" >&2
	$(CARGO) install cargo-semver-checks --version $(SEMVER_CHECKS_VERSION) --locked --root $(dir $(patsubst %/,%,$(dir $@)))

$(MDBOOK):
	@echo "site: building mdBook $(MDBOOK_VERSION) (about 2 minutes, once)" >&2
	$(CARGO) install mdbook --version $(MDBOOK_VERSION) --locked --no-default-features --features search --root $(dir $(patsubst %/,%,$(dir $@)))

$(CARGO_FUZZ):
	@echo "fuzz: building cargo-fuzz $(CARGO_FUZZ_VERSION) (about a minute, once)" >&2
	$(CARGO) install cargo-fuzz --version $(CARGO_FUZZ_VERSION) --locked --root $(dir $(patsubst %/,%,$(dir $@)))
