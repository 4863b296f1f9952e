# Everything a contributor does starts here; `make help` lists it. Two commands matter on a fresh machine:
# `make demo` shows the main job, `make test` runs every test. Both install what they need below this directory and the cache.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_DATA ?= benchmarks/data

export PYTHONPATH := operator:.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# NumPy's linear algebra on our small arrays is slower with more threads, and tests run side by side.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements/dev.txt pyproject.toml
	@echo "installing the locked Python dependencies into $(VENV) (about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

venv: $(READY) ## the virtual environment with all locked dependencies

demo: $(READY) ## the main job, end to end: real API server, real Prometheus, two weeks of history
	@$(BIN)/python -m testbed.demo

cluster: $(READY) ## a test bed that stays up until Ctrl-C
	@$(BIN)/python -m testbed up

testbed: $(READY) ## build every component of the test bed into the cache
	@$(BIN)/python -m testbed build

test: $(READY) ## all tests, every tier with its time limit
	@$(BIN)/python tests/tiers.py

lint: $(READY) ## lint and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(READY) ## rewrite to the project's format
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .

types: $(READY) ## strict types
	@$(BIN)/mypy operator/concertmaster testbed benchmarks charts tests/tiers.py tests/support/builders.py

contracts: $(READY) ## import contracts: layers, a pure core, one importer per client
	@$(BIN)/lint-imports --no-cache

generate: $(READY) ## rewrite all generated files
	@$(BIN)/concertmaster crds --write crds --reference docs/reference
	@$(BIN)/python -m charts.sync --write
	@$(BIN)/python -m concertmaster.web.openapi docs/reference/openapi.json

verify: $(READY) ## generated files are fresh
	@$(BIN)/concertmaster crds --check crds
	@$(BIN)/python -m charts.sync --check

check: lint types contracts verify ## all that needs no test

test-unit: $(READY) ## unit, property and golden tests (no cluster, no Go)
	@$(BIN)/pytest -q -n 2 tests/unit tests/property tests/golden

test-cluster: $(READY) ## real API server, Prometheus and Kubernetes parts
	@$(BIN)/python -m testbed build
	@$(BIN)/pytest -q -n 2 --dist loadfile tests/cluster

test-engines: $(READY) ## real Argo and Tekton controllers, in a network namespace
	@$(BIN)/python -m testbed build engines
	@$(BIN)/python -m testbed netns -- $(BIN)/pytest -q tests/engines

test-argo-v4: $(READY) ## the tiers engines and loop on Argo Workflows 4.1 (ARGO_V4_ARCHIVE=its source archive, needed once)
	@$(BIN)/python -m testbed build engines argo-workflow-controller-v4
	@CONCERTMASTER_TESTBED_ARGO=v4 $(BIN)/python -m testbed netns -- $(BIN)/pytest -q tests/engines
	@CONCERTMASTER_TESTBED_ARGO=v4 $(BIN)/python -m testbed netns -- $(BIN)/pytest -q tests/loop

test-engines-newest: $(READY) ## the engines' tests with the newest JobSet, and Tekton with its webhook
	@$(BIN)/python -m testbed build engines newest
	@CONCERTMASTER_TESTBED_ENGINES=newest $(BIN)/python -m testbed netns -- $(BIN)/pytest -q tests/engines

test-loop: $(READY) ## changes made, verified and rolled back under the real Argo controller (minutes)
	@$(BIN)/python -m testbed build engines
	@$(BIN)/python -m testbed netns -- $(BIN)/pytest -q tests/loop

test-chart: $(READY) ## chart, image and rights on the real Helm and API server
	@$(BIN)/python -m testbed build chart
	@$(BIN)/pytest -q -n 2 --dist loadfile tests/chart

test-web: $(READY) ## the pages in a real Chromium, which is installed where there is none (seconds)
	@$(BIN)/python -m testbed.pages.browser
	@$(BIN)/pytest -q tests/web

test-docs: $(READY) ## examples, documents and the demo
	@$(BIN)/pytest -q tests/docs

docs: $(READY) ## the documentation site in build/site, links checked (the first time MkDocs is installed into the cache)
	@$(BIN)/python -m testbed.pages.site

plugin: $(READY) ## the kubectl plugin as an archive with its krew manifest, in dist (BASE=address it will be published below)
	@$(BIN)/python -m plugin.build $(if $(BASE),--base $(BASE))

bench: $(READY) ## accuracy against public data (BENCH_DATA=directory), and traces of Nextflow (TRACES=directory)
	@$(BIN)/python -m benchmarks.accuracy.run --data $(BENCH_DATA)
	@$(BIN)/python -m benchmarks.nested --data $(BENCH_DATA) $(if $(TRACES),--traces $(TRACES))
	@$(BIN)/python -m benchmarks.page

bench-through: $(READY) ## sizing through Prometheus and the operator against the adapter (BENCH_DATA=directory; about 10 minutes)
	@$(BIN)/python -m benchmarks.accuracy.through --data $(BENCH_DATA)
	@$(BIN)/python -m benchmarks.page

bench-speed: $(READY) ## CPU time of an analysis, of its parts and of a status (about 3 minutes)
	@$(BIN)/python -m benchmarks.accuracy.speed
	@$(BIN)/python -m benchmarks.page

bench-looks: $(READY) ## what one analysis cycle costs Prometheus and the operator (about 3 minutes)
	@$(BIN)/python -m benchmarks.scale.looks
	@$(BIN)/python -m benchmarks.page

bench-fleet: $(READY) ## one operator with SIZE workflows (200) of RUNS runs (14): cycles, queries, requests, memory (20 minutes and more)
	@$(BIN)/python -m benchmarks.scale.fleet $(if $(SIZE),--workflows $(SIZE)) $(if $(RUNS),--runs $(RUNS)) $(if $(EVERY),--every $(EVERY)) $(if $(AHEAD),--ahead $(AHEAD)) $(if $(KEPT),--kept $(KEPT))
	@$(BIN)/python -m benchmarks.page

bench-shards: $(READY) ## four shards with SIZE workflows (200) of RUNS runs (14) on PostgreSQL; one is killed (20 minutes and more)
	@$(BIN)/python -m benchmarks.scale.shards $(if $(SIZE),--workflows $(SIZE)) $(if $(RUNS),--runs $(RUNS)) $(if $(EVERY),--every $(EVERY)) $(if $(AHEAD),--ahead $(AHEAD))
	@$(BIN)/python -m benchmarks.page

bench-idle: $(READY) ## CPU of a cycle in which nothing has happened, with 200, 1,000 and 10,000 workflows (about 2 minutes)
	@$(BIN)/python -m benchmarks.scale.idle
	@$(BIN)/python -m benchmarks.page

bench-quiet: $(READY) ## cycles in which nothing has happened, SIZE workflows (200) on a real API server (10 to 20 minutes)
	@$(BIN)/python -m benchmarks.scale.quiet $(if $(SIZE),--workflows $(SIZE))
	@$(BIN)/python -m benchmarks.page

bench-retention: $(READY) ## deleting and reading runs of SQLite and PostgreSQL (about 3 minutes)
	@$(BIN)/python -m benchmarks.scale.retention
	@$(BIN)/python -m benchmarks.page

bench-analyze: $(READY) ## analyze on two weeks of 13 workflows, without a cluster (about a minute)
	@$(BIN)/python -m benchmarks.scale.analyze
	@$(BIN)/python -m benchmarks.page

bench-krr: $(READY) ## KRR=DIR (a checkout of robusta-dev/krr, KRR_PYTHON its interpreter) beside analyze on one store (about 5 minutes)
	@test -n "$(KRR)" || { echo "set KRR to a checkout of robusta-dev/krr" >&2; exit 1; }
	@$(BIN)/python -m benchmarks.scale.krr --krr $(KRR) $(if $(KRR_PYTHON),--python $(KRR_PYTHON)) $(if $(SIZE),--workflows $(SIZE))
	@$(BIN)/python -m benchmarks.page

bench-advice: $(READY) ## planted problems and healthy workflows: what is recommended, and how it ranks (about 40 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.advice
	@$(BIN)/python -m benchmarks.page

bench-fresh: $(READY) ## do published intervals hold the effect on fresh runs? (24 SEEDS: about 20 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.advice.fresh $(if $(SEEDS),--seeds $(SEEDS))
	@$(BIN)/python -m benchmarks.page

bench-gaps: $(READY) ## recommendations when data are missing, stale, partial or distorted (about 10 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.gaps
	@$(BIN)/python -m benchmarks.page

bench-healthy: $(READY) ## healthy workflows of many kinds: what is recommended for them all the same (about 10 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.healthy
	@$(BIN)/python -m benchmarks.page

bench-graphs: $(READY) ## planted problems in graphs of any shape: are they found, and do intervals hold? (about 10 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.graphs
	@$(BIN)/python -m benchmarks.page

bench-clusters: $(READY) ## workflows that share a cluster: do recommendations on scheduling hold there? (6 to 10 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.clusters
	@$(BIN)/python -m benchmarks.page

bench-resources: $(READY) ## requests, limits, GPUs, disks and volumes: are recommended ones enough for later runs? (about 6 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.resources $(if $(SEEDS),--seeds $(SEEDS))
	@$(BIN)/python -m benchmarks.page

bench-days: $(READY) ## memory that changes from day to day: what recommended requests leave to later runs (about 2 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.days
	@$(BIN)/python -m benchmarks.page

bench-series: $(READY) ## series of other laws: change points, comparisons, degraded runs, forecasts (about 7 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.series
	@$(BIN)/python -m benchmarks.page

bench-rises: $(READY) ## workflows that become slower: is it reported, with the right date, day after day (about a minute)
	@nice -n 5 $(BIN)/python -m benchmarks.series.rises
	@$(BIN)/python -m benchmarks.page

bench-lives: $(READY) ## workflows followed over weeks: verdicts on changes, and what is published day by day (about 9 minutes)
	@nice -n 5 $(BIN)/python -m benchmarks.lives
	@$(BIN)/python -m benchmarks.page

bench-late: $(READY) ## runs in progress: error of the expected end, precision and lead time of late runs (about 3 minutes)
	@$(BIN)/python -m benchmarks.accuracy.late_runs
	@$(BIN)/python -m benchmarks.page

bench-history: $(READY) ## size of 400 days of daily rows, scaled to 10,000 workflows (about 2 minutes)
	@$(BIN)/python -m benchmarks.scale.history_size
	@$(BIN)/python -m benchmarks.page

bench-pages: $(READY) ## the dashboard with 10,000 workflows: seconds of each page by what its reader may see (about 1 minute)
	@$(BIN)/python -m benchmarks.scale.pages
	@$(BIN)/python -m benchmarks.page

chaos: $(READY) ## faults of every kind against a running operator; CAMPAIGN=name runs one (each at most 20 minutes), SEED=1
	@nice -n 5 $(BIN)/python -m benchmarks.chaos $(CAMPAIGN) --seed $(or $(SEED),1)
	@$(BIN)/python -m benchmarks.page

bench-torture: $(READY) ## awkward workflows on the real controllers against the engines' own status (half an hour for each Argo)
	@$(BIN)/python -m testbed build engines
	@$(BIN)/python -m testbed netns -- $(BIN)/python -m benchmarks.torture
	@test -z "$$ARGO_V4_ARCHIVE" || CONCERTMASTER_TESTBED_ARGO=v4 $(BIN)/python -m testbed netns -- $(BIN)/python -m benchmarks.torture
	@$(BIN)/python -m benchmarks.page

bench-queues: $(READY) ## Jobs in queues of the real Kueue against the conditions of their Workloads (three minutes; prints a table)
	@$(BIN)/python -m testbed build cluster queues
	@$(BIN)/python -m benchmarks.queues

bench-changes: $(READY) ## changes through the whole loop, simulated and with real parts: promised against measured (about 35 minutes)
	@$(BIN)/python -m benchmarks.changes.campaigns
	@$(BIN)/python -m benchmarks.changes.moved
	@$(BIN)/python -m testbed build engines
	@$(BIN)/python -m testbed netns -- $(BIN)/python -m benchmarks.changes.loop
	@$(BIN)/python -m benchmarks.page

lock: ## renew the locked requirements (needs uv)
	@uv pip compile --universal --generate-hashes --no-header --quiet --extra postgresql pyproject.toml -o requirements/runtime.txt
	@uv pip compile --universal --generate-hashes --no-header --quiet --extra postgresql --extra dev pyproject.toml -o requirements/dev.txt
	@uv pip compile --universal --generate-hashes --no-header --quiet --python-version 3.11 --group pyproject.toml:docs -o requirements/docs.txt

clean: ## remove what was built here (the test bed's cache stays)
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

.PHONY: help venv demo cluster testbed test lint format types contracts generate verify check test-unit test-cluster test-engines test-argo-v4 test-engines-newest test-loop test-chart test-web test-docs docs plugin bench bench-through bench-looks bench-fleet bench-shards bench-advice bench-fresh bench-gaps bench-graphs bench-clusters bench-healthy bench-changes bench-torture bench-queues chaos lock clean bench-late bench-history bench-pages bench-analyze bench-krr bench-idle bench-quiet bench-retention bench-speed bench-resources bench-days bench-series bench-rises bench-lives
