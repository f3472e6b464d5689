# Nothing made by these targets lands in this tree: it may belong to somebody else, be read-only
# for us, or lie where other users cannot reach it. tools/work-dir says where it goes instead.

# Used instead of python3 when set: PYTHON=/usr/bin/python3.12 make test
export PYTHON

.PHONY: help run test lint clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | while IFS='	' read -r target text; do \
		printf 'make %-8s %s\n' "$$target" "$$text"; done

run: ## demonstrate the project with real plugin packages from PyPI
	@sh tools/work-dir run sh tools/run

test: ## run every check there is: linters, types, import contracts, tests on all Pythons
	@sh tools/work-dir check sh tools/check

lint: ## run the checks that are no tests
	@sh tools/work-dir check sh tools/check --session lint

clean: ## remove what the other targets made
	@sh tools/work-dir --clean
