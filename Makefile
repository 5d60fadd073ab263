# Set-up, runs and checks. `make` alone lists them.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help demo repro test torture lint audit bench lock clean

help:
	@echo 'make demo     set up, then the whole pipeline on garments drawn by the project: offline, in demo/'
	@echo 'make repro    set up, then the whole pipeline on Fashion-MNIST, downloaded'
	@echo 'make test     set up, then every test'
	@echo 'make torture  the long form of the tests that break things on purpose'
	@echo 'make lint     ruff and mypy'
	@echo 'make audit    the dependencies against the public list of known vulnerabilities'
	@echo 'make bench    the benchmarks, with their tables'
	@echo 'make lock     requirements*.txt anew, from pyproject.toml'
	@echo 'make clean    remove the environment, the demo and all caches, DVC'"'"'s too'

.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=…")'
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --require-hashes --requirement requirements.txt
	touch $@

.venv/installed-test: .venv/installed requirements-test.txt
	python -m pip install --quiet --require-hashes --requirement requirements.txt --requirement requirements-test.txt
	touch $@

repro: .venv/installed
	dvc repro

# A copy of the pipeline with a DVC repository of its own, so that nothing outside demo/ changes.
demo: .venv/installed
	rm -rf demo
	mkdir demo
	cp -R stages dvc.yaml .dvcignore demo
	mkdir demo/data && cp data/*.yaml demo/data
	sed 's/source: .*/source: data\/synthetic.yaml/' params.yaml >demo/params.yaml
	cd demo && dvc init --no-scm --quiet && cp -R ../.dvc/config ../.dvc/plots .dvc && dvc config core.no_scm true && dvc repro
	@echo
	@echo 'Done, on synthetic garments. The pictures:'
	@ls demo/data/*/*.png demo/data/*/*.html

# What is held to a time has the machine to itself, after the rest.
test: .venv/installed-test
	pytest -m 'not alone'
	pytest -m alone -n 0

torture: .venv/installed-test
	pytest -m 'not alone' --torture
	pytest -m alone -n 0

lint: .venv/installed-test
	ruff check
	ruff format --check
	mypy

audit: .venv/installed-test
	pip-audit --vulnerability-service osv --disable-pip --require-hashes --progress-spinner off --requirement requirements.txt
	pip-audit --vulnerability-service osv --disable-pip --require-hashes --progress-spinner off --requirement requirements-test.txt

bench: .venv/installed-test
	python -m benchmarks

lock:
	$(PYTHON) -m venv .venv
	python -m pip install --quiet uv
	UV_CUSTOM_COMPILE_COMMAND='make lock' uv pip compile --quiet --universal --upgrade --python-version 3.11 \
		--generate-hashes --no-emit-index-url pyproject.toml --output-file requirements.txt
	UV_CUSTOM_COMPILE_COMMAND='make lock' uv pip compile --quiet --universal --upgrade --python-version 3.11 \
		--generate-hashes --no-emit-index-url --group test --constraint requirements.txt --output-file requirements-test.txt

clean:
	rm -rf .venv .dvc/cache .dvc/tmp demo .*_cache .hypothesis
