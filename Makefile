# `make` alone lists the commands. Each installs what it needs first, so each is enough on a fresh clone.
# Written for the make 3.81 of macOS; every path is relative, so a space in the clone's own path does no harm.

.DEFAULT_GOAL := help
.PHONY: help demo up down status train peers test lint
.SUFFIXES:

DEMO := .venv/demo.stamp
DEV := .venv/dev.stamp
NITAMONO := .venv/bin/nitamono
# A DATA that happens to be in the environment is not meant for us.
DATA_OPTION := $(if $(filter command line,$(origin DATA)),--data "$$DATA")

help: ## List the commands
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-14s %s\n", $$1, $$2 }'

demo: $(DEMO) ## Start everything, index a marketplace (or DATA=path/to/listings.jsonl), show similar items, run an experiment
	@$(NITAMONO) demo run $(DATA_OPTION)

up: $(DEMO) ## Start Elasticsearch, Redis, the workers and the API
	@$(NITAMONO) demo up

down: $(DEMO) ## Stop them; the data stays
	@$(NITAMONO) demo down

status: $(DEMO) ## Show which of them run, where, and since when
	@$(NITAMONO) demo status || true

train: .venv/train.stamp ## Install what training and comparing encoders need (torch: 6 GB on Linux, with CUDA)

peers: .venv/peers.stamp ## Install the vector stores that `python -m bench.peers` compares with nitamono

# Bytecode is written: each of the hundreds of processes that tests start would compile our code again.
test: $(DEV) ## Run all tests, on services of their own (ARGS="-k price" is handed to pytest)
	@PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest --numprocesses 4 --no-loadscope-reorder $(ARGS)

lint: $(DEV) ## Check style, types and the layers of imports
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

.venv/%.stamp: requirements/%.txt requirements/uv.txt pyproject.toml demo/local_services/bootstrap.sh
	@sh demo/local_services/bootstrap.sh $*
	@touch $@
