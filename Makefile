# Every target sets itself up; python3 (3.11 or later) and make are all it takes. `make` alone lists the targets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --system-certs

# Two stamps: what runs the project, and on top of it what works on it. The first is all that the demo waits for.
RUN_READY := $(VENV)/run-ready
DEV_READY := $(VENV)/dev-ready

$(RUN_READY): requirements/run.txt requirements/build.txt requirements/install.sh pyproject.toml
	@requirements/install.sh "$(PYTHON)" $(VENV) requirements/run.txt requirements/build.txt
	@touch $@

$(DEV_READY): requirements/dev.txt $(RUN_READY)
	@requirements/install.sh "$(PYTHON)" $(VENV) requirements/dev.txt
	@touch $@

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(RUN_READY) ## a walk through the whole pipeline in a minute, on this machine alone; ARGS=--pause waits after each step
	@$(VENV)/bin/flowise-telemetry demo $(ARGS)

# On so many processes, which share one broker and one database: three for each of two cores, as they wait half of the time.
# WORKERS=0 is one without any plug-in around it: for a debugger, and for -s.
WORKERS ?= 6
# Tests start some hundred processes: where byte code may not be kept, each compiles all that it imports. A worker that
# crashes ends the run: xdist 3.8 starts another, which often waits for work for ever.
XDIST = -n $(WORKERS) --dist loadgroup --max-worker-restart 0
PYTEST = PYTHONDONTWRITEBYTECODE= $(RUN) -m pytest $(XDIST)

.PHONY: test
test: $(DEV_READY) ## every test; ARGS="-k replay" for some of them, WORKERS=2 on fewer processes than six
	@$(PYTEST) $(ARGS)

.PHONY: test-fast
test-fast: WORKERS = 3
test-fast: $(DEV_READY) ## those that need no broker, no database and no Docker, in a minute
	@NO_SERVICES=1 $(PYTEST) -m "not services and not slow" $(ARGS)

.PHONY: coverage
coverage: $(DEV_READY) ## every test, and how much of the source they run; processes that tests start do not count
	@$(PYTEST) --cov --cov-report term:skip-covered $(ARGS)

# It is imported as kafka-python-ng is, so it has an environment of its own; the one version, as our adapter mends parts of
# it that are not public. What the tests leave out there: the mock cluster, which does not answer it, and warnings about
# sockets and files that it leaves open itself.
KAFKA_PYTHON_3 := .venvs/kafka-python-3

$(KAFKA_PYTHON_3)/ready: requirements/dev.txt requirements/install.sh pyproject.toml
	@requirements/install.sh "$(PYTHON)" $(KAFKA_PYTHON_3) requirements/dev.txt
	@$(KAFKA_PYTHON_3)/bin/uv pip uninstall --quiet --python $(KAFKA_PYTHON_3)/bin/python kafka-python-ng
	@$(KAFKA_PYTHON_3)/bin/uv pip install --quiet --system-certs --python $(KAFKA_PYTHON_3)/bin/python kafka-python==3.0.12
	@touch $@

.PHONY: test-kafka-python-3
test-kafka-python-3: $(KAFKA_PYTHON_3)/ready ## the clients' contract and the service with kafka-python 3 for kafka-python-ng
	@$(KAFKA_PYTHON_3)/bin/python -m pytest $(XDIST) tests/transport tests/consumer/service/test_service.py \
		-k "kafka-python and not embedded and not one_set_of_names" \
		-W "ignore:read_text is deprecated:DeprecationWarning" -W "ignore:open_text is deprecated:DeprecationWarning" \
		-W ignore::pytest.PytestUnraisableExceptionWarning $(ARGS)

# The locks hold the newest polars; this holds the other end of the range that pyproject.toml allows.
POLARS_OLDEST := .venvs/polars-oldest

$(POLARS_OLDEST)/ready: requirements/dev.txt requirements/install.sh pyproject.toml
	@requirements/install.sh "$(PYTHON)" $(POLARS_OLDEST) requirements/dev.txt
	@$(POLARS_OLDEST)/bin/uv pip install --quiet --system-certs --python $(POLARS_OLDEST)/bin/python \
		"polars==$$(sed -n 's/.*"polars>=\([0-9.]*\),.*/\1/p' pyproject.toml)"
	@touch $@

.PHONY: test-polars-oldest
test-polars-oldest: $(POLARS_OLDEST)/ready ## the decoder and the sinks with the oldest polars that is allowed
	@$(POLARS_OLDEST)/bin/python -m pytest $(XDIST) tests/consumer/decoding tests/consumer/sinks $(ARGS)

.PHONY: test-objects
test-objects: $(DEV_READY) ## Delta on a real object storage (SeaweedFS): contract, promotions, kill loops, faults; a quarter of an hour
	@TEST_OBJECTS=1 $(RUN) -m pytest tests/consumer/sinks -k "s3 or bucket" $(ARGS)

.PHONY: test-clickhouse
test-clickhouse: $(DEV_READY) ## the ClickHouse sink on a server (Docker, or CLICKHOUSE_URL): contract, kills, logins, roles; five minutes
	@TEST_CLICKHOUSE=1 $(PYTEST) tests/consumer/sinks tests/consumer/replay/test_kills.py -k clickhouse $(ARGS)

# Real programs that an app may be made of, on each interpreter that is asked for: PYTHONS="python3.11 python3.12".
PYTHONS ?= $(PYTHON)
SMOKE ?=

.PHONY: test-apps
test-apps: $(DEV_READY) ## the producer in gunicorn, Celery, uWSGI, gevent, PyInstaller; PYTHONS="python3.11 python3.13", SMOKE=1 for a part of it
	@export APP_SMOKE=$(SMOKE); APP_PYTHONS=$$(tests/apps/install.sh $(VENV)/bin/uv .venvs $(PYTHONS)) && \
		export APP_PYTHONS && $(PYTEST) tests/apps $(ARGS)

# PostHog's clients of this age and of that, for Node (needs npm) and Python; the suite has a smoke without them.
GATEWAY_CLIENTS := .venvs/gateway-clients

.PHONY: test-gateway
test-gateway: $(DEV_READY) ## the gateway with the real posthog-node 3.6.3, the newest one and posthog-python (needs node and npm); a minute
	@export GATEWAY_CLIENTS=$$(tests/posthog/install.sh $(abspath $(GATEWAY_CLIENTS)) $(VENV)/bin/uv "$(PYTHON)") && \
		$(RUN) -m pytest tests/posthog $(ARGS)

# Producers of other languages. KafkaJS and avsc are installed; Kafka's and Avro's jars are fetched by Maven.
LANGUAGE_CLIENTS := .venvs/language-clients

.PHONY: test-languages
test-languages: $(DEV_READY) ## KafkaJS with avsc, and Java's Kafka and Avro, as producers before our consumer (needs node, npm, java, mvn); a minute
	@export LANGUAGE_CLIENTS=$$(tests/languages/install.sh $(abspath $(LANGUAGE_CLIENTS))) && \
		$(RUN) -m pytest tests/languages $(ARGS)

# Trials of the whole pipeline by faults. SEED=… repeats a run, ONLY="retention" takes some of them, ARGS more.
SEED ?=
ONLY ?=

.PHONY: chaos
chaos: $(DEV_READY) ## faults of processes, brokers, network and sinks (needs java and mvn), and an account of each; half an hour; SMOKE=1: two minutes
	@$(RUN) -m tests.chaos $(if $(SMOKE),--smoke) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)") $(ARGS)

.PHONY: test-security
test-security: $(DEV_READY) ## logins, certificates and least rights on a Kafka with an authorizer (needs java and mvn); four minutes
	@TEST_SECURITY=1 $(RUN) -m pytest tests/security $(ARGS)

# What renders manifests and asks metrics: the suite does with what it can read of them.
DEPLOY_TOOLS := $(abspath .venvs/deploy)

.PHONY: test-deploy
test-deploy: $(DEV_READY) ## manifests as kustomize renders them, alerts and dashboard in a Prometheus (needs go, and that or apt); a minute
	@tests/deploy/install.sh $(DEPLOY_TOOLS)
	@KUSTOMIZE=$(DEPLOY_TOOLS)/bin/kustomize PROMETHEUS=$(DEPLOY_TOOLS)/bin/prometheus PATH="$(DEPLOY_TOOLS)/bin:$$PATH" \
		$(RUN) -m pytest tests/deploy tests/consumer/monitoring/test_alerts.py $(ARGS)

.PHONY: test-registry
test-registry: $(DEV_READY) ## a real schema registry (Docker, or java 21 and mvn), Confluent's serializers and ours, both Kafka clients; a minute
	@TEST_REGISTRY=1 $(RUN) -m pytest -s tests/registry $(ARGS)

.PHONY: test-report
test-report: $(DEV_READY) ## the report's page in a headless Chromium (CHROMIUM=/path/to/one): charts, keyboard, phone, axe-core; a minute
	@TEST_BROWSER=1 $(RUN) -m pytest tests/report/page $(ARGS)

.PHONY: test-crash
test-crash: $(DEV_READY) ## a PostgreSQL that is killed under a consumer whose commits wait for no disk; a minute
	@TEST_CRASH=1 $(RUN) -m pytest tests/consumer/service/test_crashed_server.py $(ARGS)

# Its own environment: what audits the dependencies is none of them.
AUDIT := .venvs/audit

$(AUDIT)/ready:
	@"$(PYTHON)" -m venv $(AUDIT) && $(AUDIT)/bin/pip install --quiet "pip-audit>=2.9,<3"
	@touch $@

.PHONY: audit
audit: $(AUDIT)/ready ## known vulnerabilities of what a release depends on, by pip-audit; asks the network
	@$(AUDIT)/bin/pip-audit --require-hashes --disable-pip --requirement requirements/run.txt $(ARGS)

.PHONY: lint
lint: $(DEV_READY) ## ruff, mypy, and whether the generated files are up to date; changes nothing
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m flowise_telemetry_schemas.generate --check
	$(RUN) -m docs.site.manual --check

.PHONY: format
format: $(DEV_READY) ## lays the source out and mends what ruff can
	$(RUN) -m ruff check --fix-only --quiet .
	$(RUN) -m ruff format .

.PHONY: hooks
hooks: $(DEV_READY) ## lint before every commit from now on (pre-commit)
	@$(RUN) -m pre_commit install

RULES := deploy/kubernetes/monitoring/rules.yaml

.PHONY: generate
generate: $(RUN_READY) ## event classes and the disclosure document from the schemas, the manual page, the alerts as Kubernetes has them
	$(RUN) -m flowise_telemetry_schemas.generate
	$(RUN) -m docs.site.manual
	@{ sed '/^spec:/q' $(RULES); sed 's/^./  &/' deploy/prometheus/alerts.yml; } > $(RULES).new && mv $(RULES).new $(RULES)

# The project's own environment writes the reference out of the code; this one, which has MkDocs alone, makes the site.
DOCS := .venvs/docs

$(DOCS)/ready: requirements/docs.txt requirements/install.sh
	@requirements/install.sh "$(PYTHON)" $(DOCS) requirements/docs.txt
	@touch $@

.PHONY: docs
docs: $(RUN_READY) $(DOCS)/ready ## the documentation as a site, in build/site, without a broken link; asks no network
	@rm -rf build/reference build/site
	@$(RUN) -m docs.site build/reference
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict $(ARGS)
	@echo "build/site/index.html; with search: python3 -m http.server --directory build/site"

.PHONY: bench
bench: export BENCH_SMOKE = $(SMOKE)
bench: $(DEV_READY) ## what an event costs at each stage; producer, consumer and replay next to their peers, in 40 minutes; SMOKE=1: that all of it runs, without peers
	@$(RUN) -m bench $(ARGS)
	@$(RUN) -m bench.producer
	@$(RUN) -m bench.gateway
	@$(RUN) -m bench.consumer
	@$(RUN) -m bench.delta
	@$(RUN) -m bench.clickhouse
	@$(RUN) -m bench.clickhouse_graphs
	@$(RUN) -m bench.replay
	@$(RUN) -m bench.report

.PHONY: bench-large
bench-large: $(DEV_READY) ## memory with millions of events waiting, cost with 20 million in the sink; an hour and more
	@$(RUN) -m bench.large $(ARGS)

.PHONY: kafka
kafka: $(DEV_READY) ## a local broker for development, until Ctrl-C
	@$(RUN) -m tests.services.kafka

.PHONY: lock
lock: $(DEV_READY) ## resolves pyproject.toml anew into requirements/*.txt; ARGS=--upgrade for newer versions
	$(LOCK) $(ARGS) pyproject.toml --all-extras --output-file requirements/run.txt
	$(LOCK) $(ARGS) --group build --constraints requirements/run.txt --output-file requirements/build.txt
	$(LOCK) $(ARGS) pyproject.toml --all-extras --group build --group dev --constraints requirements/run.txt \
		--constraints requirements/build.txt --output-file requirements/dev.txt
	$(LOCK) $(ARGS) --group docs --group build --constraints requirements/dev.txt --output-file requirements/docs.txt

.PHONY: build
build: $(RUN_READY) ## wheel and sdist, in dist/
	@rm -rf dist
	@$(RUN) -m hatchling build

.PHONY: sbom
sbom: $(DEV_READY) ## what a release is made of with all extras, as CycloneDX, in dist/sbom.cdx.json
	@mkdir -p dist
	@$(RUN) -m cyclonedx_py requirements requirements/run.txt --pyproject pyproject.toml --mc-type library \
		--output-reproducible --output-format JSON --output-file dist/sbom.cdx.json

.PHONY: clean
clean: ## removes the environment and everything made by the other targets
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .demo .cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
