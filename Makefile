# Verbs of Sluice. Each is a script in .make/; `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help setup dev serve build test coverage check bench stage screenshots clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## bring every tool to its pinned version (the other verbs do it when needed)
	@.make/setup

dev: ## gateway, demo provider, demo server and key; PORT=8787 STATE=.wrangler/state
	@.make/dev

serve: ## the gateway on plain workerd; PORT=8787 (0 = any free) STATE=.state
	@.make/serve

build: ## the Worker into build/, where a source has changed
	@.make/build

test: ## all tests: native, then black box against the running gateway
	@.make/test

coverage: ## lines of the pure crates that their own tests run through
	@.make/coverage

check: ## format, lints, purity of the pure crates, scripts, a dry deployment
	@.make/check

bench: ## latency and throughput beside the bare provider, on plain workerd
	@.make/bench

stage: ## a gateway with demo data and a steady load, for work on the console; PORT=8790
	@.make/stage

screenshots: ## pictures of every page of the console into docs/screenshots
	@.make/screenshots

clean: ## what was built; tools and state stay
	rm -rf build target
