# make demo | test | test-all | check | mutants | compare | federation | containers | bench | bench-quick | bench-full | bench-scale | clean      (all install what is missing into .venv first)
# make test leaves out the tests that are marked slow; make test-all runs every one but those of make containers
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --durations=60 --durations-min=4
RUNS := runs
SEED ?= 0
WORKERS ?= 2
export OMP_NUM_THREADS ?= 1

.PHONY: install demo compare federation containers test test-all check mutants bench bench-quick bench-full bench-tables bench-scale clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: install
	$(BIN)/fedefm data synth --out $(RUNS)/demo-data
	@rm -rf $(RUNS)/demo
	$(BIN)/fedefm simulate --job jobs/foundation --sites $(RUNS)/demo-data --out $(RUNS)/demo --seed $(SEED)

compare: install
	$(BIN)/fedefm data synth --out $(RUNS)/demo-data
	@rm -rf $(RUNS)/compare
	$(BIN)/fedefm compare --job jobs/foundation --sites $(RUNS)/demo-data --out $(RUNS)/compare --seed $(SEED)

federation: install
	$(BIN)/fedefm federation --seed $(SEED)

# our image and a federation in containers, with every fault of docs/deploy.md: root, Debian, 30 GB of disk; what is slow
# to make (base, wheels, the image of packages) stays in ~/.cache/fedefm-containers or $$FEDEFM_CONTAINERS
containers: install
	$(BIN)/python -m pytest -q -m containers tests/containers

test: check
	$(PYTEST) -m "not slow"

test-all: check
	HYPOTHESIS_PROFILE=long $(PYTEST) -m "not containers"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# each security check taken out, one at a time: a test must fail; an hour
mutants: install
	$(BIN)/python tests/mutants.py

bench: install
	$(BIN)/python benchmarks/bench_emd.py

# 6 runs of the benchmark: at most 15 minutes on two cores
bench-quick: install
	$(BIN)/python -m benchmarks.fixed run --group quick --workers 2
	$(BIN)/python -m benchmarks.fixed tables

# every run that has no result yet, hours long; may be stopped and started again at any time
bench-full: install
	$(BIN)/python -m benchmarks.fixed run --group all --workers $(WORKERS)
	$(BIN)/python -m benchmarks.fixed tables

bench-tables: install
	$(BIN)/python -m benchmarks.fixed tables

# what a job costs as it grows: rows that have no result yet, about an hour; may be stopped and started again
bench-scale: install
	$(BIN)/python -m benchmarks.scale

clean:
	rm -rf $(RUNS) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
