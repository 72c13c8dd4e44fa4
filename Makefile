# Thin names for what CI runs; everything is written to docs/_build or where the command itself says.
SPHINXBUILD ?= sphinx-build

.PHONY: docs site test notebooks figures lint matrix matrix-diffusers

docs:  ## the pages, warnings as errors, into docs/_build/html, and a picture of each into docs/_build/contact
	$(SPHINXBUILD) -q -N -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html
	python scripts/contact_sheet.py

site: docs  ## the pages and the chapters as notebooks, packed for a web server
	python scripts/site.py

test:
	pytest

notebooks:
	python scripts/run_notebooks.py notebooks/*.py

figures:
	bdia figures

lint:
	ruff check .
	ruff format --check .
	mypy

matrix-diffusers:  ## the reader of configurations against the oldest supported and the newest diffusers; installs both into temporary folders
	python scripts/matrix_diffusers.py

matrix:  ## every interpreter from 3.11 to 3.14 that is found, with the lowest and the latest dependencies
	python scripts/matrix.py
