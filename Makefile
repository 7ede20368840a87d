# Each target makes what it needs in .venv and does nothing twice.
PYTHON ?= python3
BIN := .venv/bin
# Bytecode is written below, on all cores: pip would take one. Left to the first import, it would be
# torn by a full disk, which Python does not notice before it reads it.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: help demo test week9 lab report bench lint clean

help:
	@echo 'make demo    both notebooks on generated texts, results/demo/week9.md (minutes)'
	@echo 'make test    all tests'
	@echo 'make week9   both notebooks on IMDb and AG-news, week9.md; trains what has no record'
	@echo 'make report  week9.md, tables, figures, docs/recipe.md and the tickets' cards, from the records alone'
	@echo 'make lab     Jupyter with both notebooks'
	@echo 'make bench   the kernels against the ways of the tutorials'

.venv/ready: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --no-deps -r requirements.txt  # the whole list: nothing is left to resolve
	$(PIP) --no-deps -e .
	$(BIN)/python -m pip check
	$(BIN)/python -m compileall -q -q -j 0 -x '/tests?/' .venv/lib || true  # templates of other versions
	touch $@

QUICK := 'ladder=[0.5]' 'seeds=[0]'

demo: .venv/ready
	$(BIN)/python notebooks/execute.py notebooks/imdb.ipynb results/demo/imdb.ipynb dataset=demo-reviews $(QUICK)
	$(BIN)/python notebooks/execute.py notebooks/agnews.ipynb results/demo/agnews.ipynb dataset=demo-news $(QUICK)
	@echo; echo 'The report on generated texts: results/demo/week9.md'

# Threads that spin while they wait take the cores from the other processes of the tests.
test: export OMP_WAIT_POLICY := passive
test: .venv/ready
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python tests/helpers/compiled.py
# Three on two cores: the tests that start processes wait for them half of the time.
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

week9: .venv/ready
	$(BIN)/python notebooks/execute.py notebooks/imdb.ipynb notebooks/imdb.ipynb
	$(BIN)/python notebooks/execute.py notebooks/agnews.ipynb notebooks/agnews.ipynb
	@echo; echo 'The report: week9.md'

report: .venv/ready
	$(BIN)/lottery report
	$(BIN)/python benchmarks/recipes.py
	$(BIN)/python benchmarks/cards.py

lab: .venv/ready
	$(BIN)/python -m jupyterlab notebooks

bench: .venv/ready
	$(BIN)/lottery bench

clean:
	rm -rf .venv .cache results/demo codes/lottery/kernels/__pycache__
