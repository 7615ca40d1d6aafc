# `make demo` and `make test` do all the set-up on a machine that has Python 3.11 and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Without an NVIDIA GPU the build for CPUs, which is 200 MB instead of several GB.
TORCH ?= torch==2.13.0
BOUNDED := tests/ops tests/graph tests/laws/test_broken_graphs.py \
	tests/laws/test_model_contract.py::test_compiled_loops_give_what_torch_gives
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,--extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: demo test bounds check install clean

install: $(VENV)/.installed

demo: $(VENV)/.installed
	@rm -rf demo
	$(BIN)/gnnpot train configs/demo.yaml --output demo
	$(BIN)/gnnpot evaluate demo/model.safetensors gnnpot:silicon-demo.xyz
	@echo "The report is at file://$(CURDIR)/demo/report.html"

test: $(VENV)/.tested
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup

# compiled loops with every index checked; machine code of its own beside the usual one
bounds: $(VENV)/.tested
	NUMBA_BOUNDSCHECK=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 $(BOUNDED)

check: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --retries 1 --timeout 15 $(TORCH_INDEX) "$(TORCH)"
	@touch $@

$(VENV)/.installed: $(VENV)/.torch setup.py
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.tested: $(VENV)/.installed setup.py
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
