# Two commands: `make demo` runs everything on the sandbox, `make test` runs the tests. Both make their own environment.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
EXTRAS ?= sandbox,test,lint,docs
# Processes of the suite: many tests wait, so that a core has room for two.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(2 * os.cpu_count(), 8))')
PYTEST_ARGS ?=
COVERAGE ?= --cov --cov-report=term:skip-covered --cov-fail-under=90
ONLY ?=
EXAMPLES ?= 50

# The tests start hundreds of processes: without byte code that is kept each would compile Airflow anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help environment demo ui test test-cluster test-faults test-models test-kills test-concurrent test-untrusted test-matrix lint docs benchmark clean

help:
	@echo "make demo             sandbox, Airflow and the DAGs on this machine; ends with a report (about two minutes)"
	@echo "make ui               the same, and Airflow stays open in the browser until Ctrl-C"
	@echo "make test             the tests, without the cluster's and the longer ones below; of the faults a choice"
	@echo "make test-cluster     the cluster of docker/ as processes: Celery, Redis, Postgres, an S3 lake (about five minutes)"
	@echo "Longer ones, which write their results into the documentation:"
	@echo "make test-faults      every fault of the APIs at two rates in every pipeline (about ten minutes)"
	@echo "make test-kills       SIGKILL of every task and part of an Airflow, outages, a full lake (about half an hour or more)"
	@echo "make test-concurrent  a year's backfill and all else at once (about 20 minutes)"
	@echo "make test-models      EXAMPLES=50 times as many and always other examples of every property (about an hour or more)"
	@echo "make test-untrusted   every hostile answer at every place, and the parsers fuzzed (about 40 minutes)"
	@echo "make test-matrix      those of make test on every supported Python and Airflow (an hour or two)"
	@echo "make lint             ruff, mypy, and the linters of docker/"
	@echo "make docs             the documentation, into build/docs"
	@echo "make benchmark        the figures that the documentation quotes"
	@echo "make clean            remove environments and what the demo left"

# Without --no-compile a third of the time goes into byte code of modules that nothing imports.
$(INSTALLED): setup.cfg pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit(f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint $(CONSTRAINTS) --editable ".[$(EXTRAS)]"
	touch $@

environment: $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/python -m locus_stem.demo --folder .demo

ui: $(INSTALLED)
	$(BIN)/python -m locus_stem.demo --folder .demo --stay

# Up to twice more where it fails: some tests measure time, and processes of the suite share the cores. Each is told of as
# a rerun. Those that look for races or secrets are not run again (NEVER_AGAIN in tests/conftest.py).
test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup --reruns 2 $(COVERAGE) $(PYTEST_ARGS)

test-matrix: $(INSTALLED)
	$(BIN)/python scripts/test_matrix.py --pytest-args "$(PYTEST_ARGS)" $(ONLY)

test-concurrent: $(INSTALLED)
	CONCURRENT_RUNS=year $(BIN)/python -m pytest $(PYTEST_ARGS) tests/system/test_concurrent_runs.py

$(VENV)/.cluster: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint $(CONSTRAINTS) --editable ".[cluster,s3]"
	touch $@

test-cluster: $(VENV)/.cluster
	scripts/install_services.sh
	$(BIN)/python -m pytest tests/cluster $(PYTEST_ARGS)

test-kills: $(VENV)/.cluster
	scripts/install_services.sh
	$(BIN)/python -m pytest tests/kills $(PYTEST_ARGS)

test-untrusted: $(INSTALLED)
	UNTRUSTED=all $(BIN)/python -m pytest --numprocesses $(WORKERS) $(PYTEST_ARGS) tests/integration/untrusted
	FUZZ_EXAMPLES=20000 $(BIN)/python -m pytest --numprocesses $(WORKERS) $(PYTEST_ARGS) tests/unit/untrusted

test-models: $(INSTALLED)
	EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest --numprocesses $(WORKERS) $(PYTEST_ARGS) tests/unit/tables tests/unit/planning

test-faults: $(INSTALLED)
	$(BIN)/python -m pytest tests/faults --faults all --numprocesses 2 $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker/compose.yaml
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/shellcheck docker/*.sh scripts/*.sh .ci/run

docs: $(INSTALLED)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env -d build/doctrees provider/docs build/docs
	@echo "The documentation is in build/docs/index.html"

benchmark: $(INSTALLED)
	$(BIN)/python benchmarks/api_pipeline.py
	$(BIN)/python benchmarks/extract.py
	$(BIN)/python benchmarks/airflow_run.py
	$(BIN)/python benchmarks/load.py

clean:
	rm -rf .venv .venv-* .demo build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
