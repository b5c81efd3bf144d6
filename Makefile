# Every target first makes what it needs; from the second time on, that takes a moment.
# PYTHON is any Python 3.10 or newer: it only makes .venv/.

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
RUN = .venv/Scripts/python
else
RUN = .venv/bin/python
endif

.PHONY: help demo comfyui test fuzz lint benchmark setup

help:
	@echo "make demo        faces drawn and edited by AU values (grid.png, edits.png), written to demo/"
	@echo "make comfyui     ComfyUI in the browser, on the bundled model"
	@echo "make test        all tests"
	@echo "make fuzz        thousands of damaged files, read by everything that reads files"
	@echo "make lint        style checks"
	@echo "make benchmark   the figures in benchmarks/"
	@echo "make setup       only make what the others need"

demo:
	@$(PYTHON) tools/setup.py --for demo
	@$(RUN) -m au_adapter demo

comfyui:
	@$(PYTHON) tools/setup.py --for demo
	@$(RUN) -m tools.server

test:
	@$(PYTHON) tools/setup.py --for test
	@$(RUN) -m pytest

fuzz:
	@$(PYTHON) tools/setup.py --for test
	@PYTHONPATH=tests $(RUN) -m fuzz

lint:
	@$(PYTHON) tools/setup.py --for test
	@$(RUN) -m ruff check .

benchmark:
	@$(PYTHON) tools/setup.py --for test
	@$(RUN) -m benchmarks

setup:
	@$(PYTHON) tools/setup.py --for test
