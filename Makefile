# Two commands do all set-up: `make demo` runs the main job, `make test` passes the tests.
# Each makes its own virtual environment and needs neither a GPU nor a checkpoint.
#
#   PYTHON=python3.10    the Python to use, 3.10 to 3.13
#   TORCH_INDEX=URL      an index with CPU wheels of torch. On x86-64 Linux the usual index has CUDA
#                        wheels only, which take 5 GB; PyTorch's own index has others

PYTHON ?= python3
TORCH_INDEX ?=
DEMO_ENV := .venv-demo
TEST_ENV := .venv-test
INSTALL = -m pip install --quiet --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)')

.PHONY: demo demo-bundle test check lint types unit quick cpp resolve clean

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

# The ready bundle of `edge-ovss demo`, which is committed.
demo-bundle: $(DEMO_ENV)/ready
	$(DEMO_ENV)/bin/edge-ovss export --config export/configs/demo.toml --overwrite \
		--out edge_ovss/demo/street.ovss
	$(DEMO_ENV)/bin/edge-ovss selftest edge_ovss/demo/street.ovss

test: lint types unit

# Before a commit: everything of `make test` but the tests that are marked slow.
check: lint types quick

lint: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .

# NumPy 2.2, the last for Python 3.10, has less exact types. mypy checks the code as that of 3.10
# anyway, with the types of the NumPy that is installed.
types: $(TEST_ENV)/ready
	@if $(TEST_ENV)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo '$(TEST_ENV)/bin/mypy'; $(TEST_ENV)/bin/mypy; \
	else echo 'LEFT OUT on Python 3.10: mypy, which needs the types of a later NumPy'; fi

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

# Whether the pins fit together on $(PYTHON): asks the index, installs nothing.
resolve:
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(PYTHON) -m venv "$$dir" && \
		"$$dir/bin/python" $(INSTALL) --dry-run --only-binary=:all: '.[export,tensorrt-rtx,onnxruntime-rtx,bench,test]'

$(DEMO_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO_ENV)
	$(DEMO_ENV)/bin/python $(INSTALL) --editable '.[export]'
	touch $@

$(TEST_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST_ENV)
	$(TEST_ENV)/bin/python $(INSTALL) --editable '.[export,tensorrt-rtx,onnxruntime-rtx,test]'
	touch $@

clean:
	rm -rf $(DEMO_ENV) $(TEST_ENV) out build dist *.egg-info
