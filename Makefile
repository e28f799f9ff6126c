# make help lists what there is to do.
PREFIX = /usr/local
PYTHON = .venv/bin/python
SUITE = trixie
TESTS ?= choice

# Three tests at a time, since many of them wait. Each begins as soon as a worker is free.
# ARGS="-n0": one after the other.
PYTEST = tools/as_root.sh env PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m pytest -p no:cacheprovider -n3 --maxschedchunk=1

.PHONY: help demo test test-all test-kernels test-bcc test-deb clean-kernels bench check install uninstall deb reproducible man bpf clean setup-demo setup-test setup-check setup-kernels setup-deb

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: setup-demo bpf ## install what is missing, then see ebpf-minimal at work
	@tools/as_root.sh .venv/bin/ebpf-minimal --demo
	@echo "Next: examples/ebpf.md, lesson 0. To see what this machine lacks, as root:"
	@echo "    .venv/bin/ebpf-tour check"

test: setup-test bpf ## install what is missing, then run the tests
	@$(PYTEST) $(ARGS)

test-all: setup-test bpf ## the same with each fault on every tool, of which test takes a choice
	@$(PYTEST) --product $(ARGS)

test-kernels: setup-kernels bpf ## run the tests on other kernels, in virtual machines: KERNELS="6.1 6.1-arm64", TESTS=core or all
	@TESTS=$(TESTS) $(PYTHON) tests/machines/kernels.py $(KERNELS)

test-bcc: bpf ## run them with the BCC of another Debian release, on this kernel: SUITE=trixie
	@tests/machines/bcc.sh $(SUITE) $(ARGS)

test-deb: deb ## install, use and remove the package in a fresh Debian release: SUITE=trixie
	@tools/as_root.sh tests/machines/deb.sh $(SUITE) dist/ebpf-tour_*.deb

clean-kernels: ## remove the kernels and releases that these three have fetched
	@tests/machines/kernels.sh clean

bench: setup-demo bpf ## measure the suite beside C, bcc and bpftrace: build/bench/report.md
	@tools/as_root.sh $(PYTHON) tests/bench/bench.py $(ARGS)

check: setup-check ## lint, types, and whether the generated files are current
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	$(PYTHON) man/generate.py --check

install: setup-demo ## commands and manual pages below /usr/local (PREFIX=...)
	@rm -rf build/wheel
	@.venv/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	@tools/install.sh install $(PREFIX) build/wheel/*.whl

uninstall: ## remove what make install has put there
	@tools/install.sh uninstall $(PREFIX)

deb: setup-deb ## the wheel, its bill of materials and the Debian package, in dist/
	@tools/package.sh dist

reproducible: setup-deb ## build these twice from the last commit, in two directories, and compare
	@tools/reproducible.sh

man: setup-test ## write the manual pages and the README's catalogue anew
	$(PYTHON) man/generate.py

bpf: ## compile bpf/*.bpf.c
	@PYTHONPATH=tools /usr/bin/python3 -m ebpf_tour.build bpf

clean: ## remove what was built, and .venv
	rm -rf .venv build dist tools/*.egg-info bpf/x86 bpf/arm64 bpf/maps/x86 bpf/maps/arm64
	find . -name __pycache__ -prune -exec rm -rf {} +

setup-demo setup-test setup-check setup-kernels setup-deb: setup-%:
	@tools/setup.sh $*
