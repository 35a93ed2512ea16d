# The commands of this project. What they build stays in the cache directory, so a fresh clone starts warm.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidegate
export CARGO_TARGET_DIR ?= $(CACHE)/target
GATEWAY := $(CARGO_TARGET_DIR)/debug/tidegate
CONFIG := config/demo.toml
NODE_MODULES := web-client/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help run test lint instructions loadtest bench kafka image clean

help: ## Say what there is (the default)
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 20

run: $(NODE_MODULES) ## Start the gateway with the demo page, on the embedded log; CONFIG=FILE: as that file says
	@scripts/setup build
	cargo build --locked --package tidegate
	cd web-client && npm run --silent build
	exec $(GATEWAY) --config $(CONFIG)

test: lint ## Everything that CI checks
	cd web-client && npm test --silent && npm run --silent test:package
	cargo build --workspace --bins --locked
	cargo test --workspace --locked
	cd web-client && TIDEGATE_BIN=$(GATEWAY) npm run --silent test:browsers
	scripts/instructions
	scripts/fuzz-build

lint: $(NODE_MODULES) ## Formatting, lints, licences
	@scripts/setup test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(CACHE)/tools/bin/cargo-deny --locked --log-level error check bans licenses sources
	cd web-client && npm run --silent lint

instructions: ## Count what an event costs; fail where it costs more than recorded
	@scripts/setup test
	scripts/instructions

loadtest: ## Build the gateway and the load test optimised, and say where they are
	@scripts/setup build
	cargo build --release --locked --package tidegate --package tidegate-loadtest
	@echo 'built tidegate and loadtest; to have both on the PATH: export PATH="$(CARGO_TARGET_DIR)/release:$$PATH"'

bench: ## Measure every figure side by side, and write docs/benchmarks.md; BENCH_OPTIONS are those of loadtest bench
	@scripts/setup test
	cargo build --release --locked --package tidegate --package tidegate-loadtest
	cargo build --release --locked --manifest-path loadtest/baselines/Cargo.toml
	$(CARGO_TARGET_DIR)/release/loadtest bench --gateway $(CARGO_TARGET_DIR)/release/tidegate \
		--baseline $(CARGO_TARGET_DIR)/release/baseline $(BENCH_OPTIONS)
	cargo bench --quiet --locked --package tidegate-cel
	$(if $(findstring --only,$(BENCH_OPTIONS)),,$(MAKE) bench-client)

bench-client: $(NODE_MODULES) ## Measure what the browser client costs a page, on an optimised gateway
	@scripts/setup test
	cargo build --release --locked --package tidegate
	cd web-client && npm run --silent build && TIDEGATE_BIN=$(CARGO_TARGET_DIR)/release/tidegate npm run --silent bench

kafka: ## Start a Kafka node on localhost:9092, to try things out
	@scripts/setup test
	scripts/kafka

image: ## Build the container image and try it out; IMAGE_OPTIONS are those of scripts/image
	scripts/image $(IMAGE_OPTIONS)

clean: ## Remove what was built; nothing that a gateway stored
	cargo clean
	rm -rf web-client/dist web-client/node_modules

$(NODE_MODULES): web-client/package.json web-client/package-lock.json
	@scripts/setup build
	cd web-client && npm ci --no-audit --no-fund --silent
	@touch $@
