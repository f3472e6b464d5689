# Nothing made by these targets lands in this tree: it may belong to somebody else, be read-only
# for us, or lie where other users cannot reach it. tools/work-dir says where it goes instead.

# Used instead of python3 when set: PYTHON=/usr/bin/python3.12 make test
export PYTHON

.PHONY: help run test test-long test-systems test-fleet torture bench lint docs dist deb rpm collection clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | while IFS='	' read -r target text; do \
		printf 'make %-12s %s\n' "$$target" "$$text"; done

run: ## demonstrate the project with real plugin packages from PyPI
	@sh tools/work-dir run sh tools/run

test: ## run the checks: linters, types, import contracts, tests; or some: make test ARGS="-k scan"
	@sh tools/work-dir check sh tools/check $(if $(ARGS),--some $(ARGS))

test-long: ## run all that, the longer tests, and the Pythons in between, for more than an hour
	@DROPIN_CACHE_LONG=1 sh tools/work-dir check sh tools/check --session lint tests packages

test-systems: ## build, install and test on Debian bookworm, trixie, forky and sid, for some hours; or SUITES=sid
	@status=0; for suite in $(or $(SUITES),bookworm trixie forky sid); do \
		printf '%s\n' "$$suite:"; \
		DROPIN_CACHE_SUITE=$$suite DROPIN_CACHE_LONG=1 sh tools/work-dir check \
			sh tools/check --session packages -- tests/packages/test_debian*.py || status=1; \
	done; exit $$status

test-fleet: ## try the Ansible collection on four booted hosts, and make images, for an hour
	@DROPIN_CACHE_LONG=1 sh tools/work-dir check sh tools/check --session packages -- \
		tests/packages/test_ansible.py tests/packages/test_fleet.py tests/packages/test_images.py

torture: ## count what happens under faults, races and load, for an hour and a half, and print a table
	@DROPIN_CACHE_TORTURE=1 sh tools/work-dir check sh tools/check --session torture

bench: ## measure against stock Twisted; options: make bench ARGS="--rows 'trigger-*'"
	@sh tools/work-dir bench sh tools/bench $(ARGS)

lint: ## run the checks that are no tests
	@sh tools/work-dir check sh tools/check --session lint

docs: ## build the documentation site; links to elsewhere, too: make docs ARGS=--external
	@sh tools/work-dir docs sh tools/docs $(ARGS)

dist: ## build the sdist and the wheel of the last commit into dist/, twice, and try the wheel
	@sh tools/work-dir dist sh tools/dist

deb: ## build the Debian packages into dist/
	@sh tools/deb

rpm: ## build the RPM packages into dist/
	@sh tools/work-dir rpm sh tools/rpm

collection: ## build the Ansible collection into dist/
	@sh tools/work-dir collection sh tools/collection

clean: ## remove what the other targets made
	@sh tools/work-dir --clean
