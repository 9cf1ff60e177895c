# make demo: the main job, end to end.   make test: the checks and the tests.
# Both make the environment first if need be; only Python 3.11 to 3.13 must be there.
PYTHON ?= python3
VENV ?= .venv
READY := $(VENV)/.ready

.PHONY: demo test quick check clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"edgeworthy needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	touch $@

demo: $(READY)
	PATH="$(abspath $(VENV))/bin:$$PATH" bash docs/demo.sh

test: check
	$(VENV)/bin/python -m pytest -n 2 --dist loadgroup

quick: check
	$(VENV)/bin/python -m pytest -n 2 --dist loadgroup -m 'not slow'

check: $(READY)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) artifacts results report.md report.html
