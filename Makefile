# Everything runs from .venv, which each target prepares by itself from requirements.lock.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv || echo .tools/bin/uv)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help demo vlm test check bench load chaos audit kafka airflow lock format clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.tools/bin/uv:
	@python3 -m pip --version >/dev/null 2>&1 || { echo "needs uv, or a python3 with pip to get it" >&2; exit 2; }
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools uv

$(VENV)/.ready: requirements.lock pyproject.toml | $(filter .tools/%,$(UV))
	@test -x $(BIN)/python || $(UV) venv --quiet --python 3.11 $(VENV)
	@echo "preparing $(VENV) from requirements.lock (several GB the first time: torch is the index's build)"
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -c "from serving.triton.server import shared_python as find; find()" 2>/dev/null || $(MAKE) --no-print-directory libpython
	@touch $@

# Triton's Python backend needs Python's shared library, which Debian keeps in a package of its own; no root is needed.
.PHONY: libpython
libpython:
	@mkdir -p .tools && cd .tools && apt-get download -qq libpython3.11 && dpkg -x libpython3.11_*.deb libpython && \
	  cp libpython/usr/lib/*/libpython3.11.so.1.0 ../$(VENV)/lib/ || \
	  echo "libpython3.11.so.1.0 was not found: the embedded Triton will say so (Debian: install libpython3.11)" >&2

demo: $(VENV)/.ready  ## the whole loop on the embedded parts, on this machine
	@$(BIN)/precedent demo

vlm: $(VENV)/.ready  ## a tiny VLM from simulated cases to a release: SFT, DPO, StableReinforce, figures and a page
	@$(BIN)/precedent simulate uploads --out .state/vlm/cases --n 4000 --seed 5 --as-cases --plain \
	  --only abuse_and_hate --only sexual_content --only exaggerated_claims --only plagiarism
	@PRECEDENT_VERBOSE=1 $(BIN)/precedent vlm recipe --cases .state/vlm/cases/cases.jsonl --out .state/vlm/tiny

check: $(VENV)/.ready  ## format, lint, strict types, import graph, no pickles, dependencies as locked and licensed
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pytest tests/test_import_graph.py tests/test_unpickled.py tests/test_dependencies.py

test: check  ## every check and test; what CI runs
	@$(BIN)/pytest

bench: $(VENV)/.ready  ## the benchmarks: tables on the terminal, JSON under .state/bench
	@$(BIN)/python -m bench

load: $(VENV)/.ready  ## a steady rate, the highest rates beside others, partitions x workers, on a real Kafka; LONG=1: ten minutes
	@PRECEDENT_LONG=$(LONG) $(BIN)/python -m bench --keep load.sustained load.rates load.scaling

chaos: $(VENV)/.ready  ## parts killed, frozen and filled up while load runs: what is lost, how soon all is well; LONG=1: 50 faults
	@PRECEDENT_LONG=$(LONG) $(BIN)/python -m bench --keep chaos

audit: $(VENV)/.ready  ## known vulnerabilities of what is locked, and what could not be looked up
	@$(BIN)/python deploy/audit.py $(UV)

kafka:  ## a local real Kafka on loopback (needs Java and Maven), in the foreground; NODES=3, SECURITY=SASL_SSL
	@deploy/kafka/run $(if $(NODES),--nodes $(NODES)) $(if $(SECURITY),--security $(SECURITY)) $(if $(BACK_AFTER),--back-after $(BACK_AFTER))

airflow: $(VENV)/.ready  ## a standalone Airflow with the DAGs on loopback, in the foreground
	@deploy/airflow/run

lock:  ## resolve pyproject.toml anew into requirements.lock
	@$(UV) pip compile pyproject.toml --all-extras --generate-hashes --python-version 3.11 --no-header --no-annotate --upgrade -q -o requirements.lock
	@echo "then: make .venv/.ready && $(BIN)/python deploy/images/lock.py names online && $(BIN)/python deploy/images/lock.py names airflow"

format: $(VENV)/.ready
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --fix --quiet .

clean:
	rm -rf $(VENV) .tools .state
