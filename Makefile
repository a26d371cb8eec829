# Two commands: `make demo` runs everything on the sandbox, `make test` runs the tests. Both make their own environment.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
AIRFLOW ?=
PYTEST_ARGS ?=
COVERAGE ?= --cov --cov-report=term:skip-covered --cov-fail-under=90

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo ui test test-faults lint docs benchmark clean

help:
	@echo "make demo       sandbox, Airflow and the DAGs on this machine; ends with a report (about two minutes)"
	@echo "make ui         the same, and Airflow stays open in the browser until Ctrl-C"
	@echo "make test       every test"
	@echo "make test-faults  every fault on every pipeline, into the documentation (about 25 minutes)"
	@echo "make lint       ruff and mypy"
	@echo "make docs       the documentation, into build/docs"
	@echo "make benchmark  the figures that the documentation quotes"
	@echo "make clean      remove environments and what the demo left"

$(INSTALLED): setup.cfg pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit(f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) $(AIRFLOW) --editable ".[sandbox,test,lint]"
	touch $@

demo: $(INSTALLED)
	$(BIN)/python -m locus_stem.demo --folder .demo

ui: $(INSTALLED)
	$(BIN)/python -m locus_stem.demo --folder .demo --stay

test: $(INSTALLED)
	$(BIN)/python -m pytest $(COVERAGE) $(PYTEST_ARGS)

test-faults: $(INSTALLED)
	$(BIN)/python -m pytest tests/faults --faults all --numprocesses 2 $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) $(AIRFLOW) --editable ".[docs]"
	touch $@

docs: $(VENV)/.docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env -d build/doctrees provider/docs build/docs
	@echo "The documentation is in build/docs/index.html"

benchmark: $(INSTALLED)
	$(BIN)/python benchmarks/api_pipeline.py
	$(BIN)/python benchmarks/extract.py
	$(BIN)/python benchmarks/airflow_run.py
	$(BIN)/python benchmarks/load.py

clean:
	rm -rf .venv .venv-* .demo build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
