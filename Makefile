# Two commands do all set-up: `make demo` runs the main job, `make test` passes the tests.
# Each makes its own virtual environment and needs neither a GPU nor a checkpoint.

PYTHON ?= python3
DEMO_ENV := .venv-demo
TEST_ENV := .venv-test
INSTALL := -m pip install --quiet --constraint constraints.txt

.PHONY: demo test check lint types unit quick cpp clean

# make demo PICTURE=street.jpg segments that image (or folder) too.
PICTURE ?=
DEMO_BUNDLE := out/demo/sed-tiny-ade150.ovss

demo: $(DEMO_ENV)/ready
	rm -rf out/demo
	$(DEMO_ENV)/bin/edge-ovss export --vocab ade150 --out $(DEMO_BUNDLE) \
		--slots auto --calibration 'synthetic://street?count=12&seed=2000000'
	$(DEMO_ENV)/bin/edge-ovss selftest $(DEMO_BUNDLE)
	$(DEMO_ENV)/bin/edge-ovss run $(DEMO_BUNDLE) \
		'synthetic://street?count=4&seed=1000000' --out out/demo/pictures
	$(if $(PICTURE),$(DEMO_ENV)/bin/edge-ovss run $(DEMO_BUNDLE) '$(PICTURE)' --out out/demo/yours)

test: lint types unit

# Before a commit: everything of `make test` but the tests that are marked slow.
check: lint types quick

lint: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .

types: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/mypy

# Each worker runs whole files on a core of its own. For one process: make unit WORKERS=0.
WORKERS ?= 2
PYTEST := $(TEST_ENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile

unit: $(TEST_ENV)/ready
	$(PYTEST)

quick: $(TEST_ENV)/ready
	$(PYTEST) -m 'not slow'

# The C++ runtime: builds, and runs its own tests (Debian packages: see runtime/README.md).
cpp: $(TEST_ENV)/ready
	PYTHON=$(CURDIR)/$(TEST_ENV)/bin/python bash runtime/ci.sh

$(DEMO_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO_ENV)
	$(DEMO_ENV)/bin/python $(INSTALL) --editable '.[export]'
	touch $@

$(TEST_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST_ENV)
	$(TEST_ENV)/bin/python $(INSTALL) --editable '.[export,tensorrt-rtx,test]'
	touch $@

clean:
	rm -rf $(DEMO_ENV) $(TEST_ENV) out build dist *.egg-info
