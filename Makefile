# Set-up, runs and checks. `make` alone lists them.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Where PyTorch comes from, if not from where pip has all else: the address that https://pytorch.org/get-started/locally
# shows for the CPU leaves 4 GB of NVIDIA's libraries out. What comes from there is held to its version, not to a hash.
TORCH_INDEX ?=
TORCH := torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z]*

EXTRAS := s3 ssh webdav plots published
LOCKS := requirements.txt requirements-test.txt $(EXTRAS:%=requirements-%.txt)

.PHONY: help demo repro rank heal share plots site s3 ssh webdav test faults torture lint audit wheels bench lock clean purge

help:
	@echo 'make demo     set up, then the whole pipeline on garments drawn by the project: offline, in demo/'
	@echo 'make repro    set up, then the whole pipeline: on Fashion-MNIST, downloaded, or on SOURCE=a folder of pictures'
	@echo 'make rank     the pictures of FOLDER=a folder by how abnormal the trained model finds them, the most first'
	@echo 'make heal     mend what a killed DVC leaves of its own files (make repro does that by itself)'
	@echo 'make plots    dvc plots show, as a page that needs no network'
	@echo 'make s3       set up for a DVC remote of that kind; make ssh, make webdav likewise'
	@echo 'make share    push all that has been run here to the DVC remote, for others not to run it again'
	@echo 'make site     make repro, then its page and its model in site/, to publish'
	@echo 'make test     set up, then the tests, with the quick ones of the faults'
	@echo 'make faults   the other tests that break things on purpose, which take longer'
	@echo 'make torture  every test, the faults in their long form'
	@echo 'make lint     ruff and mypy'
	@echo 'make audit    the dependencies against the public list of known vulnerabilities'
	@echo 'make wheels   whether the lock files can be installed on each Python and system'
	@echo 'make bench    the benchmarks, with their tables'
	@echo 'make lock     requirements*.txt anew, from pyproject.toml'
	@echo 'make clean    remove the environment and what tools cache; data, edits and experiments stay'
	@echo 'make purge    remove the rest that git does not keep: it says what, and asks'

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=…")'
	$(PYTHON) -m venv .venv
ifeq ($(TORCH_INDEX),)
	cp requirements.txt .venv/requirements.txt
	@echo 'Installing, on Linux 5.9 GB, of which 4 GB serve an NVIDIA GPU alone: docs/install.md has a way without.'
else
	awk '/^[a-z]/ { kept = !/^($(TORCH))==/ } kept' requirements.txt >.venv/requirements.txt
	python -m pip install --no-deps --index-url '$(TORCH_INDEX)' $$(grep -oE '^torch(vision)?==[^ ]+' requirements.txt)
endif
	python -m pip install --require-hashes --requirement .venv/requirements.txt
	touch $@

.venv/installed-%: requirements-%.txt .venv/installed
	python -m pip install --quiet --require-hashes --requirement .venv/requirements.txt --requirement $<
	touch $@

s3 ssh webdav: %: .venv/installed-%

repro: .venv/installed heal
ifneq ($(SOURCE),)
	@python tools/source.py '$(SOURCE)'
endif
	dvc repro

# To a file with OUTPUT=ranked.csv
rank: .venv/installed
	@python -m tools.rank '$(FOLDER)' $(if $(OUTPUT),--output '$(OUTPUT)')

heal: .venv/installed
	@python tools/heal.py

# A copy of the pipeline with a DVC repository of its own, so that nothing outside demo/ changes. Once there, it is its
# user's: only a folder that isn't whole is written to.
demo: demo/params.yaml
	@cd demo && python ../tools/heal.py
	cd demo && dvc repro
	@echo
	@echo 'Done, on synthetic garments. Edit demo/params.yaml and say make demo again; rm -rf demo for a new one. The pictures:'
	@ls demo/data/*/*.png demo/data/*/*.html

demo/params.yaml: | .venv/installed
	mkdir -p demo/data
	cp -R stages uses dvc.yaml .dvcignore demo
	cp data/*.yaml demo/data
	cd demo && dvc init --no-scm --quiet --force && cp -R ../.dvc/config ../.dvc/plots .dvc && dvc config core.no_scm true
	sed 's/source: .*/source: data\/synthetic.yaml/' params.yaml >$@

share: .venv/installed
	python tools/share.py $(REMOTE)

plots: .venv/plots.html
	dvc plots show --html-template $<

.venv/plots.html: .venv/installed-plots tools/offline_plots.py
	python tools/offline_plots.py $@

site: repro
	mkdir -p site
	cp data/explore/explorer.html site/index.html
	cp data/train/autoencoder.safetensors site

test: .venv/installed-test
	pytest -m 'not faults'

faults: .venv/installed-test
	pytest -m faults

torture: .venv/installed-test
	pytest --torture

lint: .venv/installed-test
	ruff check
	ruff format --check
	mypy

audit: .venv/installed-test
	@python -c 'import requests; requests.head("https://api.osv.dev", timeout=20)' 2>/dev/null || \
		{ echo 'No audit: api.osv.dev, which knows the vulnerabilities, is out of reach.'; exit 1; }
	@for lock in $(LOCKS); do \
		pip-audit --vulnerability-service osv --disable-pip --require-hashes --progress-spinner off --requirement $$lock || exit; \
	done

# PyTorch has no wheels for Intel's Macs, and wants macOS 14 on Apple's; one package of DVC's is only to be had as source.
wheels: .venv/installed-test
	@for python in 3.11 3.12 3.13 3.14; do \
		for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin; do \
			echo "Python $$python, $$platform"; \
			MACOSX_DEPLOYMENT_TARGET=14.0 uv pip install --quiet --dry-run --target .venv/wheels --no-deps --require-hashes \
				--only-binary :all: --no-binary antlr4-python3-runtime --python-version $$python \
				--python-platform $$platform $(LOCKS:%=--requirement %) || exit; \
		done; \
	done

bench: .venv/installed-test
	python -m benchmarks

COMPILE = UV_CUSTOM_COMPILE_COMMAND='make lock' uv pip compile --quiet --universal --upgrade --python-version 3.11 \
	--generate-hashes --no-emit-index-url --output-file

lock:
	$(PYTHON) -m venv .venv
	python -m pip install --quiet uv
	$(COMPILE) requirements.txt pyproject.toml
	$(COMPILE) requirements-test.txt --group test --constraint requirements.txt
	$(MAKE) $(EXTRAS:%=lock-%)

# An extra's lock holds what comes on top of requirements.txt, without uv's list of what that is.
lock-%:
	$(COMPILE) .venv/lock pyproject.toml --extra $* --constraint requirements.txt \
		$$(sed -n 's/^\([a-z][a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.txt)
	sed '/^# The following packages were excluded/,$$d' .venv/lock >requirements-$*.txt

clean:
	rm -rf .venv .*_cache .hypothesis dvc_plots site

# DVC's cache is the only copy of what experiments made and git doesn't keep.
purge:
	@echo 'To be removed for good: demo/ with its edits; the arrays, models and pages of every experiment; the queue:'
	@du -sh .dvc/cache .dvc/tmp demo 2>/dev/null; true
	@printf 'Type yes to remove them: '; read answer; test "$$answer" = yes || { echo 'Nothing is removed.'; exit 1; }
	rm -rf .dvc/cache .dvc/tmp demo
	$(MAKE) clean
