# `make demo` and `make test` do all their own set-up on a machine with Python 3.10+, git, make and a
# package index. The managed environments (about 8 GB, torch included) are built once per user, into the
# cache; both commands share them.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
MATRIX ?= porter-matrix
PY := $(VENV)/bin/python
SETS := tao-pytorch-7.0.1 tao-deploy-7.0.1

.PHONY: demo matrix test real-tao-test containers-test lint set-up environment clean

demo: set-up environment
	@rm -rf $(DEMO)/port
	@$(PY) -m porter.demo $(DEMO)/vit-base-demo
	@$(VENV)/bin/porter port $(DEMO)/vit-base-demo --embedded --yes --workspace $(DEMO)/port

# The port matrix of every family on the embedded kit, and docs/matrix.md from it. Stopped, it goes on where it
# was; MATRIX_ARGS names clones (--tao-pytorch PATH --tao-deploy PATH) or rows (--only NAME).
matrix: set-up environment
	@$(VENV)/bin/porter matrix --workspace $(MATRIX) $(or $(MATRIX_ARGS),--embedded); ended=$$?; \
	  mkdir -p docs && cp $(MATRIX)/matrix.md docs/matrix.md; exit $$ended

test: set-up environment
	$(PY) -m pytest -n 2 --dist loadgroup --durations 15 -m "not real_tao" $(PYTEST_ARGS)

# What needs TAO's own clones, in porter's clone cache (see README); `make test` runs everything else.
real-tao-test: set-up environment
	$(PY) -m pytest -n 2 --dist loadgroup --durations 15 -m real_tao -rs $(PYTEST_ARGS)

# Installs and configures Podman where it is missing (root, apt), and says which engines were covered.
containers-test: set-up environment
	@bash containers/install-podman.sh
	$(PY) -m tests.corpus
	$(PY) -m pytest -n 2 --dist loadgroup --durations 15 -rs $(PYTEST_ARGS) \
	  tests/sandbox tests/corpus tests/e2e/test_containers.py tests/test_doctor.py tests/test_secrets.py
	$(PY) -m tests.engines
	$(PY) benchmarks/sandbox_overhead.py

lint: set-up
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

set-up: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "porter needs Python 3.10 or newer")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

environment: set-up
	@for set in $(SETS); do \
	  $(PY) -c "from porter.sandbox.environments import ensure; ensure('$$set', progress=print)" || exit 1; \
	done

clean:
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache .pytest_cache
