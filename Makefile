# The two commands of the README: `make demo` and `make test`, and `make test-all`, with the tests marked slow.
# Everything stays in .venv.
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := $(VENV)/bin
EXTRAS := eval,datasets,dev
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-all lint docs dist setup clean

demo: setup
	$(BIN)/torchmultiverse demo

# Whoever talks over sockets, kills processes or waits for a browser is tested by itself; the rest side by side, each
# process with one thread (two that share the cores' threads slow each other down several times).
TALKING := tests/contract tests/serve tests/stream/test_render_stream.py tests/unreal/test_stand_in.py \
	tests/engines/test_remote.py tests/engines/test_supervisor.py \
	$(patsubst %,tests/farm/test_%.py,generate many_machines parts pug)
MARKED := -m 'not slow'

test: setup
	$(BIN)/python -m pytest $(MARKED) $(TALKING)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(MARKED) -n logical --maxprocesses 8 --dist loadfile $(TALKING:%=--ignore=%)

test-all: MARKED :=
test-all: test

# Every page is made anew (a page that is kept is not checked), and a warning is an error.
SPHINX := $(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SPHINX) docs build/lint-docs

# The notebooks are run for the site, and not for `make lint`: the tests run them.
docs: setup
	NOTEBOOKS=force $(SPHINX) docs build/docs

# The wheel and the source distribution, checked: the description, and that nothing is missing inside.
dist: setup
	rm -rf dist
	$(BIN)/uv build --quiet --out-dir dist .
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/python tools/release.py check dist

setup: $(INSTALLED)

# uv installs the same packages as pip and is quicker; where it cannot reach the index, pip may. Compiled once here,
# libraries need not be compiled by every process that imports them (torch alone: four seconds).
$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (PYTHON=/path/to/python3 make …)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[$(EXTRAS)]' \
		|| $(BIN)/python -m pip install --quiet -e '.[$(EXTRAS)]'
	-$(BIN)/torchmultiverse doctor --fix --brief
	@touch $(INSTALLED)

clean:
	rm -rf $(VENV) demo build dist docs/api .pytest_cache .mypy_cache .ruff_cache
