# Everything runs in this folder's own .venv; all that is needed is Python, make and a package registry.
PYTHON ?= python3
BIN := .venv/bin
SAMPLE := samples/circuit-board.png

.PHONY: help demo test quick test-lowest check lint docs reference clean

help:
	@echo "make demo    deblur a sample photo with the bundled weights"
	@echo "make test    run the tests"
	@echo "make quick   run the quick tests: no browser, Ray, stores or slow ones"
	@echo "make test-lowest  run the tests without most extras, with the lowest allowed versions"
	@echo "make check   check format, lint, types and import layers, and run the tests"
	@echo "make docs    build the documentation as a site, in the folder site"
	@echo "make reference  regenerate the manual page and docs/cli-reference.md from the commands"
	@echo "make clean   remove .venv, .venv-lowest, site and the demo's output"

demo: .venv/installed
	@rm -rf demo-output && mkdir demo-output
	@echo "Deblurring $(SAMPLE); this takes up to a minute on two cores."
	$(BIN)/defocusctl deblur $(SAMPLE) --model iniknet --offline --weights bundled --maps --compare -o demo-output/
	@echo
	@echo "Done. The sharper photo is demo-output/$(basename $(notdir $(SAMPLE)))_deblurred.png;"
	@echo "see demo-output/$(basename $(notdir $(SAMPLE)))_deblurred_compare.png for before and after,"
	@echo "and the other pictures in demo-output/ for the coefficient maps."

# Processes with one thread each, two more than the processor has cores, because some wait for others;
# tests/conftest.py says which tests share a process.
PROCESSES := $(shell $(PYTHON) -c "import os; print(min(6, (os.cpu_count() or 1) + 2))")
# Bytecode is kept even where the environment says otherwise: the tests start the command many times.
TEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile

test: .venv/installed-dev
	$(TEST)

quick: .venv/installed-dev
	$(TEST) -m "not (browser or ray or store or slow)"

# Tests that need another extra or the tools in .venv, or compare what the newest Matplotlib draws.
NOT_LOWEST := tests/export tests/integration tests/server tests/training tests/cli/test_train.py \
	tests/cli/test_train_lpips.py \
	tests/models/test_plugins.py tests/test_documentation.py tests/test_gallery.py tests/test_packages.py

# Old packages may use what newer ones have deprecated, so warnings are not errors here.
test-lowest: .venv-lowest/installed
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -W default -m "not browser" $(addprefix --ignore=,$(NOT_LOWEST))

.venv-lowest/installed: pyproject.toml scripts/lowest_versions.py
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) scripts/lowest_versions.py >.venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --constraint .venv-lowest/constraints.txt \
		--editable '.[heif,jxl,raw]' \
		pytest pytest-timeout hypothesis
	@touch $@

check: .venv/installed-dev lint test

lint: .venv/installed-dev
	$(BIN)/ruff format --check src tests benchmarks scripts integrations
	$(BIN)/ruff check src tests benchmarks scripts integrations
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html."

reference: .venv/installed
	$(BIN)/python scripts/command_reference.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing defocusctl and PyTorch into .venv; this takes a few minutes."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing defocusctl and its tools into .venv; this takes a few minutes."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps spandrel==0.4.2  # the tests do without its torchvision
	@touch $@ .venv/installed

clean:
	rm -rf .venv .venv-lowest demo-output site
