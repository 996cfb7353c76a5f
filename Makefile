# make demo   set everything up and run the benchmark on the embedded corpus
# make test   set everything up, lint, and run the tests
# Both need python3 (3.11 or later) with venv, and make; both reuse .venv while it is current.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint install

demo: install
	$(BIN)/python run_benchmark.py -u emotion2vec fbank mfcc prosody opensmile -t demo --results results/demo

test: install lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: .venv/installed

# torch goes first: an open range would bring several GB of CUDA packages where a CPU build is at hand.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("emorep needs Python 3.11 or later") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,opensmile,phonemes,lora,rooms,speech,slurm,ray]'
	touch $@
