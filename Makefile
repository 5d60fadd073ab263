# Set-up, runs and checks. `make` alone lists them.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Another index for PyTorch: the address for CPUs on https://pytorch.org/get-started/locally saves 4 GB of NVIDIA's
# libraries. pip checks the versions of its packages, but not their hashes.
TORCH_INDEX ?=
TORCH := torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z]*

EXTRAS := s3 ssh webdav plots published heic latents onnx
LOCKS := requirements.txt requirements-test.txt $(EXTRAS:%=requirements-%.txt)

.PHONY: help demo repro latents encode onnx rank heal share plots site s3 ssh webdav heic test faults torture lint audit wheels bench lock clean purge

help:
	@echo 'make demo     set up, then run the pipeline on synthetic garments in demo/, without network'
	@echo 'make repro    set up, then run the pipeline on the pictures in SOURCE=a folder, or on Fashion-MNIST'
	@echo 'make latents  write the latents of all images to latents.parquet and latents.csv'
	@echo 'make encode   write the latents of the pictures in FOLDER=a folder to OUTPUT=a .parquet or .csv'
	@echo 'make onnx     write the trained model as one file, autoencoder.onnx'
	@echo 'make rank     list the pictures in FOLDER=a folder by anomaly score, most abnormal first'
	@echo 'make heal     repair files of DVC after a kill (make repro does this too)'
	@echo 'make plots    run dvc plots show; the page needs no network'
	@echo 'make s3       install support for DVC remotes on S3; likewise make ssh, make webdav'
	@echo 'make heic     install support for HEIC pictures'
	@echo 'make share    push the run cache to the DVC remote, so that others need not run the same stages'
	@echo 'make site     run make repro, then copy the page and the model to site/'
	@echo 'make test     set up, then run the tests, without the slow fault tests'
	@echo 'make faults   run the slow fault tests: kills, full disks, broken files'
	@echo 'make torture  run all tests, the fault tests with more cases'
	@echo 'make lint     run ruff, mypy, and biome for the page (needs npm)'
	@echo 'make audit    check the dependencies for known vulnerabilities'
	@echo 'make wheels   check that the lock files can be installed on each Python and system'
	@echo 'make bench    run the benchmarks and print their tables'
	@echo 'make lock     update requirements*.txt from pyproject.toml'
	@echo 'make clean    remove the environment and caches of tools; keeps data, edits and experiments'
	@echo 'make purge    remove everything that git does not keep, after a question'

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=…")'
	$(PYTHON) -m venv .venv
ifeq ($(TORCH_INDEX),)
	cp requirements.txt .venv/requirements.txt
	@echo 'Installing: 5.9 GB on Linux, 4 GB of it only for NVIDIA GPUs. docs/install.md describes how to leave these out.'
else
	awk '/^[a-z]/ { kept = !/^($(TORCH))==/ } kept' requirements.txt >.venv/requirements.txt
	python -m pip install --no-deps --index-url '$(TORCH_INDEX)' $$(grep -oE '^torch(vision)?==[^ ]+' requirements.txt)
endif
	python -m pip install --require-hashes --requirement .venv/requirements.txt
	touch $@

.venv/installed-%: requirements-%.txt .venv/installed
	python -m pip install --quiet --require-hashes --requirement .venv/requirements.txt --requirement $<
	touch $@

s3 ssh webdav heic: %: .venv/installed-%

repro: .venv/installed heal
	@python tools/set_source.py '$(SOURCE)'
	dvc repro

# Prints CSV; OUTPUT=ranked.csv writes a file
rank: .venv/installed
	@python -m tools.rank '$(FOLDER)' $(if $(OUTPUT),--output '$(OUTPUT)')

latents: .venv/installed-latents
	@python -m tools.latents $(or $(OUTPUT),latents.parquet latents.csv)

# Prints CSV; OUTPUT=new.parquet writes a file
encode: .venv/installed-latents
	@python -m tools.encode '$(FOLDER)' $(if $(OUTPUT),--output '$(OUTPUT)')

onnx: .venv/installed-onnx
	@python -m tools.to_onnx $(or $(OUTPUT),autoencoder.onnx)

heal: .venv/installed
	@python tools/heal.py

# A copy of the pipeline with its own DVC repository, so that nothing outside demo/ changes. An existing copy keeps the
# user's edits.
demo: demo/params.yaml
	@cd demo && python ../tools/heal.py
	cd demo && dvc repro
	@echo
	@echo 'Done, on synthetic garments. To change it, edit demo/params.yaml and type make demo; to start over, rm -rf demo. The pictures:'
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
	cp -f data/explore/explorer.html site/index.html
	cp -f data/train/autoencoder.safetensors site

test: .venv/installed-test
	pytest -m 'not faults'

faults: .venv/installed-test
	pytest -m faults

torture: .venv/installed-test
	pytest --torture

node_modules: package.json package-lock.json
	npm ci --silent
	touch $@

lint: .venv/installed-test node_modules
	ruff check
	ruff format --check
	mypy
	npx biome ci

audit: .venv/installed-test
	@python -c 'import requests; requests.head("https://api.osv.dev", timeout=20)' 2>/dev/null || \
		{ echo 'No audit: api.osv.dev, the database of vulnerabilities, is unreachable.'; exit 1; }
	@for lock in $(LOCKS); do \
		pip-audit --vulnerability-service osv --disable-pip --require-hashes --progress-spinner off --requirement $$lock || exit; \
	done

# PyTorch has no wheels for Intel Macs and needs macOS 14 on Apple silicon. antlr4-python3-runtime has no wheel at all.
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

# The lock file of an extra lists only packages that requirements.txt lacks.
lock-%:
	$(COMPILE) .venv/lock pyproject.toml --extra $* --constraint requirements.txt \
		$$(sed -n 's/^\([a-z][a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.txt)
	sed '/^# The following packages were excluded/,$$d' .venv/lock >requirements-$*.txt

clean:
	rm -rf .venv node_modules .*_cache dvc_plots site

# DVC's cache has the only copy of experiments' files that git doesn't keep.
purge:
	@echo 'This permanently removes demo/ with its edits; the arrays, models and pages of all experiments; the queue:'
	@du -sh .dvc/cache .dvc/tmp demo 2>/dev/null; true
	@printf 'Type yes to remove them: '; read answer; test "$$answer" = yes || { echo 'Nothing was removed.'; exit 1; }
	rm -rf .dvc/cache .dvc/tmp demo
	$(MAKE) clean
