PYTHON ?= python3
ENGINE ?= docker
IMAGE ?= service-reflector:latest
MINUTES ?= 10
REPLICAS ?= 1
export KUBECTL ?= kubectl

VENV := .venv
TOX := .tox/runner

# Folders too: their times change when a file is removed.
SOURCES := setup.py pyproject.toml README.md \
  $(shell find servicereflector twisted -name __pycache__ -prune -o \( -type d -o -name '*.py' -o -path '*/status/*' \) -print)

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/installed ## Try it: two clusters in one process (ARGS=--once for a tour that ends)
	@$(VENV)/bin/service-reflector demo $(ARGS)

.PHONY: test
test: $(TOX)/installed ## Run what CI runs (ARGS='-e tests -- -k words' for a part of it)
	$(TOX)/bin/tox run $(ARGS)

.PHONY: differential
differential: $(TOX)/installed ## Compare the Emitter with a real API server, case by case
	$(TOX)/bin/tox run -e tests -- -k differential

.PHONY: chaos
chaos: $(TOX)/installed ## Every fault in turn, on real API servers (half an hour; CI tries a part)
	CHAOS=all $(TOX)/bin/tox run -e tests -- -k chaos

.PHONY: soak
soak: $(VENV)/installed ## Faults at random: does anything grow? (MINUTES=10 SEED=1 REPLICAS=1)
	PYTHONPATH=tests $(VENV)/bin/python -m chaos.soak --minutes $(MINUTES) --replicas $(REPLICAS) \
	  $(if $(SEED),--seed $(SEED))

.PHONY: simulate
simulate: $(TOX)/installed ## Search for what breaks meshes under faults (ARGS='--seconds 600 --workers 2', REPLAY=...)
	$(TOX)/bin/tox run -q -e simulate -- $(ARGS) $(if $(REPLAY),--replay '$(REPLAY)')

.PHONY: fuzz
fuzz: $(TOX)/installed ## Give every parser bad bytes (ARGS='--executions 100000')
	$(TOX)/bin/tox run -q -e fuzz -- $(ARGS)

.PHONY: bench
bench: $(TOX)/installed ## Measure everything beside a real kube-apiserver: half an hour, needs Go (ARGS='--only lists')
	$(TOX)/bin/tox run -q -e bench -- --json=$(CURDIR)/figures.json $(ARGS)

.PHONY: audit
audit: $(TOX)/installed ## Look for known vulnerabilities of the dependencies (needs the internet)
	$(TOX)/bin/tox run -e audit

.PHONY: pythons
pythons: $(TOX)/installed ## Run a quick part of the tests with each Python from 3.10 that is here
	$(TOX)/bin/tox run --skip-missing-interpreters true -e py310,py311,py312,py313,py314

.PHONY: sbom
sbom: $(VENV)/installed $(TOX)/installed ## Write sbom.json: what the program is installed with
	$(TOX)/bin/tox run -q -e sbom

.PHONY: docs
docs: $(TOX)/installed ## Build the documents as a site, in .tox/site
	$(TOX)/bin/tox run -q -e docs
	@echo "Open file://$(CURDIR)/.tox/site/index.html"

.PHONY: flags
flags: $(VENV)/installed ## Write docs/flags.md anew, after a change of a flag
	PYTHONPATH=tests $(VENV)/bin/python -m documents.flagpage

.PHONY: recording
recording: $(VENV)/installed ## Write README's recording of the demo anew
	PYTHONPATH=tests $(VENV)/bin/python -m documents.recording

.PHONY: lint
lint: $(TOX)/installed ## Check style, layers and types
	$(TOX)/bin/tox run -e lint

.PHONY: envtest
envtest: ## Build the real kube-apiserver and etcd that the tests use (Debian 12, once, 5 minutes)
	tests/envtest/build.sh

.PHONY: image
image: ## Build the container image (ENGINE=docker IMAGE=service-reflector:latest)
	$(ENGINE) build --tag $(IMAGE) \
	  --build-arg VERSION="$$(sed -n 's/^__version__ = "\(.*\)"$$/\1/p' servicereflector/__init__.py)" \
	  --build-arg REVISION="$$(git rev-parse HEAD)" \
	  --build-arg CREATED="$$(git log -1 --format=%cI)" $(if $(BASE),--build-arg BASE=$(BASE)) .

.PHONY: manifests
manifests: ## Render overlays as the single files of manifests/ (KUBECTL=kubectl)
	manifests/render.sh quickstart > manifests/service-reflector.yaml
	manifests/render.sh emitter > manifests/emitter.yaml
	manifests/render.sh reflector > manifests/reflector.yaml
	manifests/render.sh one-namespace > manifests/one-namespace.yaml
	cp manifests/components/network-policies/network-policies.yaml manifests

.PHONY: clean
clean: ## Remove all that these targets made here
	rm -rf $(VENV) sbom.json .tox .hypothesis .mypy_cache .ruff_cache .import_linter_cache build dist *.egg-info
	find servicereflector tests twisted -name __pycache__ -prune -exec rm -rf {} +

# Not editable, which would hide the twistd plugin. A build/ that is left would bring removed
# modules back.
$(VENV)/installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	rm -rf build
	$(VENV)/bin/python -m pip install --quiet .
	@touch $@

$(TOX)/installed:
	$(PYTHON) -m venv $(TOX)
	$(TOX)/bin/python -m pip install --quiet 'tox>=4.67'
	@touch $@
