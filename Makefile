# Two commands: `make run` and `make test`. The others are parts of these or regenerate what is generated.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SCANNERS := .cache/scanners
SCANNERS_READY := $(SCANNERS)/.ready

# Half of the time of many tests is waiting for processes, so a small machine runs more of them than it has cores.
WORKERS ?= $(shell $(PYTHON) -c 'import os; n = os.cpu_count() or 1; print(max(n, min(2 * n, 8)))')

# `make run ONCE=1 RUNTIME_URL=http://127.0.0.1:8188`; everything else by `ARGS="..."`
RUN_FLAGS := $(if $(ONCE),--once) $(if $(RUNTIME_URL),--runtime-url $(RUNTIME_URL)) $(ARGS)

# Hundreds of processes load the same modules, so Python must keep what it compiled, whatever the caller's shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test environments docs bench-agent explore lock clean
.DEFAULT_GOAL := run

run: $(READY)
	@$(BIN)/python -m local $(RUN_FLAGS)

# Each installs what it needs by itself; `make --jobs=2 environments` has both installed at once.
environments: $(READY) $(SCANNERS_READY)

test: environments
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/python -m local.helm lint
	$(BIN)/mypy .
	$(BIN)/python -m pytest -n $(WORKERS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "$(PYTHON) is no Python 3.11 or newer; name one with PYTHON=python3.12."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python cannot make $(VENV); install its venv module (python3-venv)."; exit 1; }

# Compiling every module of the AWS SDK takes longer than all the rest; Python compiles what it imports.
$(READY): requirements/dev.lock pyproject.toml | $(BIN)/python
	@echo "installing what is locked in requirements/dev.lock into $(VENV) (once, about half a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/dev.lock \
		|| { echo "The packages could not be installed; look at pip's message above, then run make again."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable . \
		|| { echo "The project itself could not be installed; look at pip's message above."; exit 1; }
	@touch $@

# checkov and hadolint: what they need can't stand beside what dev.lock holds. It waits for no other installation.
$(SCANNERS_READY): requirements/scanners.lock | $(BIN)/python
	@test -x $(SCANNERS)/bin/python || $(BIN)/python -m venv $(SCANNERS)
	@echo "installing what is locked in requirements/scanners.lock into $(SCANNERS) (once, about half a minute)"
	@$(SCANNERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: --require-hashes -r requirements/scanners.lock \
		|| { echo "The scanners could not be installed; look at pip's message above, then run make again."; exit 1; }
	@touch $@

# What is generated; tests compare it with its source.
docs: $(READY)
	$(BIN)/python -m functions.api.openapi
	$(BIN)/python -m local.chart_docs
	$(BIN)/python -m components.settings_docs

# How busy the agent keeps its runtime; seven minutes, on a machine that does nothing else.
bench-agent: $(READY)
	$(BIN)/python -m bench.agent

# What becomes of jobs in 20,000 schedules in which agents die, stand still and lose their calls; a quarter of an hour.
explore: $(READY)
	$(BIN)/python -m tests.agent.model.explore $(ARGS)

lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 requirements/dev.in -o requirements/dev.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 -c requirements/dev.lock requirements/agent.in -o requirements/agent.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 requirements/scanners.in -o requirements/scanners.lock

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis out build
