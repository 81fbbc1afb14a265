# Verbs of Sluice. Each is a script in .make/; `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help setup dev serve build test coverage check bench criteria scale story ledger outage availability fuzz soak deploy rollback backup restore release stage screenshots clean

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

bench: ## what the gateway costs beside a bare pass-through, on plain workerd
	@.make/bench

scale: ## many locations before one object and several, simulated at full size; compared with docs/scaling.md
	@.make/scale

story: ## the whole story with curl: configure, proxy, queue, usage, CSV, rotate, disable, delete, audit
	@.make/story

criteria: ## the success criteria SC-001 to SC-006, a figure for each
	@.make/criteria

ledger: ## usage under kills: 20,000 requests of every kind, ten kills, against the provider's ledger
	@.make/ledger

outage: ## usage without D1: five minutes of requests while it fails and hangs
	@.make/outage

availability: ## requests under the fault suite's mix on plain workerd; what part was answered as promised
	@.make/availability

fuzz: ## each parser of outside bytes, guided by coverage; SECONDS=60 for each, TARGET=name for one
	@SECONDS_EACH=$(SECONDS) TARGET=$(TARGET) .make/fuzz

soak: ## mixed load at a moderate rate; MINUTES=60, a line a minute and a verdict
	@MINUTES=$(MINUTES) .make/soak

deploy: ## to Cloudflare, after a plan and a question; ENV=staging|production, DRY_RUN=1 works offline
	@.make/deploy deploy

rollback: ## the version before runs again on Cloudflare; ENV=staging|production VERSION=id
	@.make/deploy rollback

backup: ## the database of Cloudflare into backups/; ENV=staging|production FILE=file
	@.make/deploy backup

restore: ## a backup in the place of the database of Cloudflare; ENV=staging|production FILE=file
	@.make/deploy restore

release: ## what runs without this checkout, as dist/sluice-VERSION-SYSTEM.tar.gz, and a trial of it
	@.make/release

stage: ## a gateway with demo data and a steady load, for work on the console; PORT=8790
	@.make/stage

screenshots: ## pictures of every page of the console into docs/screenshots
	@.make/screenshots

clean: ## what was built; tools and state stay
	rm -rf build target dist
