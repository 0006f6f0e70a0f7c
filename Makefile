# `make search` and `make test` set up everything they need in .venv.

PYTHON ?= python3
# Installed first, so that no other package pulls in another build of them.
TORCH ?= torch==2.13.0
TRITON ?= triton==3.7.1
BIN := .venv/bin
RUN ?= runs/quickstart
SOAK_SECONDS ?= 600
PER_MODULE ?= 20
SEED ?= 0

.PHONY: install search test lint unit soak mutants bench clean

install: .venv/installed

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)" "$(TRITON)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "setuptools>=77"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		--config-settings editable_mode=compat -e ".[dev]"
	$(BIN)/python -m compileall -q genolang
	touch $@

# A real search on embedded data, then the answer trained from scratch.
search: install
	rm -rf $(RUN)
	$(BIN)/genoc search quickstart --threads 1 --jobs 2 --out $(RUN)/search
	$(BIN)/genoc train $(RUN)/search/found.geno --threads 1 --out $(RUN)/train
	$(BIN)/genoc show $(RUN)/search/found.geno -o $(RUN)/found.svg
	@echo; cat $(RUN)/search/found.geno

test: lint unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/genoc fmt --check genolang/specs/*.geno genolang/specs/*/*.geno

unit: install
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not soak"

soak: install
	SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/python -m pytest -m soak

# Faults planted in the package that no test notices; MUTANTS names modules or folders.
mutants: install
	test -s runs/mutants/calls.json || $(BIN)/python -m tests.mutation record
	$(BIN)/python -m tests.mutation run --per-module $(PER_MODULE) --seed $(SEED) $(MUTANTS)

bench: install
	$(BIN)/python -m pytest benches
	$(BIN)/genoc bench kernels --threads 1
	$(BIN)/python -m benches.supernet

clean:
	rm -rf .venv build dist runs *.egg-info
