# Needs Python 3.11 and make, nothing else. `make` lists what there is.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PORT ?= 8501

BIN := $(VENV)/bin
CORE := $(BIN)/python -m core
EXTRA := .venv-extra
STREAMLIT := $(BIN)/streamlit run app.py --server.address 127.0.0.1 --server.port $(PORT) --server.headless true
FAST := -m "not browser and not server and not extra and not soak"
JOINED := mirror scaling optional_start
BENCHES := $(filter-out __init__ asking full_home live_model plain_sweep $(JOINED),$(basename $(notdir $(wildcard bench/*.py))))

# Test processes side by side; each makes its own sample projects once. A number, or "auto": one per core.
TEST_PROCESSES ?= auto
# COVERAGE=1 measures; every measured process leaves a file, which `make coverage` adds up.
PYTEST := $(BIN)/python -m $(if $(COVERAGE),coverage run -m )pytest

.DEFAULT_GOAL := help
.PHONY: help run serve demo test check check-rest coverage lint types bench soak retrain-future-skills lock clean

help: ## list what there is
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 24

run: demo ## the demo on http://127.0.0.1:8501: sample projects, one account per role, this machine only
	GREENLIGHT_DEMO=1 $(STREAMLIT)

serve: $(VENV)/.installed ## the console without the demo; the first start prints a one-time code
	$(STREAMLIT)

demo: $(VENV)/.installed ## prepare the demo's projects, data and accounts; safe to repeat
	$(CORE) demo

test: $(VENV)/.installed-dev ## the quick tests
	$(if $(COVERAGE),$(BIN)/python -m coverage erase)
	$(PYTEST) $(FAST) -n $(TEST_PROCESSES) --dist worksteal

check: ## everything that a change must pass: all tests but the soak, ruff, mypy
	$(MAKE) test
	$(MAKE) check-rest

check-rest: $(VENV)/.installed-dev $(EXTRA)/.installed ## what check does after the quick tests
	PYTHONPATH=$(CURDIR)/$(EXTRA) $(PYTEST) -m "(browser or server or extra) and not soak" -n $(TEST_PROCESSES) --dist loadfile
	$(MAKE) lint types

coverage: ## the lines of core, storage and api that the tests of check run: check, and longer
	$(MAKE) test COVERAGE=1
	$(MAKE) check-rest COVERAGE=1
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --skip-covered --fail-under=90

lint: $(VENV)/.installed-dev ## ruff
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev ## mypy
	$(BIN)/mypy

bench: $(VENV)/.installed-dev $(EXTRA)/.installed ## benchmarks against plain scripts; each prints ratios
	set -e; for name in $(BENCHES); do echo "== $$name"; $(BIN)/python -m bench.$$name; done
	set -e; for name in $(JOINED); do echo "== $$name"; PYTHONPATH=$(CURDIR)/$(EXTRA) $(BIN)/python -m bench.$$name; done

soak: $(VENV)/.installed-dev ## the long doses
	$(BIN)/python -m pytest -m soak --timeout 0

retrain-future-skills: demo ## retrain future_skills: fresh export, training, comparison with what is live, request; as scientist
	$(CORE) retrain future_skills --reason "make retrain-future-skills" --as scientist

lock: $(VENV)/.installed-dev ## resolve the requirements anew
	set -e; for name in requirements requirements-dev requirements-extra; do \
		$(BIN)/pip-compile -q --upgrade --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --strip-extras \
			-o $$name.txt $$name.in; done

clean: ## remove what tests and checks left behind; no data, no models
	rm -rf .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis $(EXTRA)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "Greenlight needs Python 3.11; name it with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv is not complete; on Debian: apt-get install python3-venv"; exit 1; }

# The stamp is written last: an installation that was interrupted is done again.
$(VENV)/.installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	@touch $@

# Beside the environment, not in it: the other tests run as an installation without them does.
$(EXTRA)/.installed: requirements-extra.txt requirements.txt $(VENV)/.installed-dev
	mkdir -p $(EXTRA)
	grep -E '^[a-z0-9].*==' requirements-extra.txt | grep -vxFf requirements.txt -f requirements-dev.txt > $(EXTRA)/requirements.txt
	$(BIN)/python -m pip install -q --no-deps --upgrade --target $(EXTRA) -r $(EXTRA)/requirements.txt
	@touch $@
