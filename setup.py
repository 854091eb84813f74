"""Builds the extensions; everything that is only metadata is in pyproject.toml.

All sources are compiled at the baseline of the ABI, and src/kernels.c raises the ISA by itself.  The typed-memoryview
layer (kernels.pyx, .pxd, .pyi) is written here from its templates, once per row of src/activations.h.
"""

import os
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

try:
    import numpy as np
    from Cython import Tempita
    from Cython.Build import cythonize
except ModuleNotFoundError as error:
    sys.exit(f"pyleaky needs Cython >= 3.1 and NumPy >= 2.0 to be built, and {error.name} is not installed")
except ImportError as error:
    sys.exit(f"pyleaky needs Cython >= 3.1 and NumPy >= 2.0 to be built, and they cannot be imported: {error}")

if sys.byteorder != "little" or sys.maxsize < 2**32:
    sys.exit(
        f"pyleaky needs a 64-bit little-endian processor, found {platform.machine()} "
        f"({sys.byteorder}-endian, {8 * struct.calcsize('P')} bits)"
    )
if int(np.__version__.split(".")[0]) < 2:
    sys.exit(f"pyleaky needs NumPy >= 2.0 to be built, found NumPy {np.__version__}")

HERE = Path(__file__).parent
UNITS = ("kernels", "dispatch", "driver", "fused", "reductions", "threads", "limits", "memory")
SOURCES = [f"src/{name}.c" for name in UNITS]
WINDOWS, LINUX = os.name == "nt", sys.platform.startswith("linux")
FLAGS = [
    *("-std=c11", "-ffp-contract=off", "-fvisibility=hidden", "-g0"),
    # Cython's own output trips over two of the warnings.
    *("-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers"),
    # Nothing is thrown through C; backtraces of a debugger end here, and the files are a twentieth smaller.
    "-fno-asynchronous-unwind-tables",
]
# Smaller files for next to no time, by GCC; Clang says that it ignores them.
UNALIGNED = [f"-fno-align-{what}" for what in ("functions", "jumps", "labels")]
FEW_COPIES = ["-fno-align-loops", "--param", "max-inline-insns-single=15"]
HARDENING = [] if WINDOWS else ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"]
LINK_HARDENING = ["-Wl,-z,relro,-z,now"] if LINUX else []
THREADS = [] if WINDOWS else ["-pthread"]
# Vectors on the stack, which GCC does not align there: src/kernels.c says more.
MINGW_FLAGS = ["-Wa,-muse-unaligned-vector-move", "-DLEAKY_UNALIGNED_MOVES"] if WINDOWS else []
MINGW = ", of MinGW-w64" if WINDOWS else ""


class Dtype(NamedTuple):
    suffix: str
    element: str


# Half types have no buffer format that Cython reads.
DTYPES = [
    Dtype("f16", "uint16_t"),
    Dtype("bf16", "uint16_t"),
    Dtype("f32", "float"),
    Dtype("f64", "double"),
]


class Row(NamedTuple):
    name: str
    arrays: list[str]
    parameters: list[str]

    def signature(self, array, number):
        """The inputs as they are declared, with $ for the name."""
        return ", ".join(
            [array.replace("$", name) for name in self.arrays] + [number.replace("$", name) for name in self.parameters]
        )


def rows():
    table = (HERE / "src/activations.h").read_text()
    for name, _, parameters, inputs in re.findall(r"^    ROW\((\w+), (\d), (\d), \(([\w, ]+)\)", table, re.MULTILINE):
        names = inputs.split(", ")
        arrays = len(names) - int(parameters)
        yield Row(name, names[:arrays], names[arrays:])


def write_kernels():
    words = {"rows": list(rows()), "dtypes": DTYPES}
    for suffix in ("pyx", "pxd", "pyi"):
        target = HERE / f"pyleaky/kernels.{suffix}"
        text = Tempita.sub(target.with_suffix(f".{suffix}.in").read_text(), **words)
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


def compiler_problem(command):
    """What is wrong with a compiler that is called so; None where nothing is."""
    asked = [*command, "-dM", "-E", "-x", "c", os.devnull]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except OSError:
        return f"{command[0]!r} was not found"
    macros = dict(re.findall(r"^#define (\w+) (\d+)$", done.stdout, re.MULTILINE))
    for name, macro, least in ("Clang", "__clang_major__", 7), ("GCC", "__GNUC__", 8):
        if macro in macros:
            return f"{command[0]!r} is {name} {macros[macro]}" if int(macros[macro]) < least else None
    return f"{command[0]!r} is neither of them"


class build_ext_with_compiler_check(build_ext):
    def initialize_options(self):
        super().initialize_options()
        if WINDOWS:
            self.compiler = "mingw32"

    def build_extensions(self):
        if problem := compiler_problem(getattr(self.compiler, "compiler", ["cc"])):
            raise CompileError(
                f"pyleaky needs a C11 compiler (GCC 8 or newer, Clang 7 or newer{MINGW}), and {problem}; "
                "install one or name it in the environment variable CC"
            )
        super().build_extensions()


def extension(name, sources, *optimization):
    return Extension(
        f"pyleaky.{name}",
        [f"pyleaky/{name}.pyx", *sources],
        depends=[str(path.relative_to(HERE)) for path in (HERE / "src").iterdir()],
        include_dirs=["src", np.get_include()],
        libraries=["m"],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
        ],
        extra_compile_args=[*optimization, *FLAGS, *HARDENING, *THREADS, *MINGW_FLAGS],
        extra_link_args=[*LINK_HARDENING, *THREADS],
    )


write_kernels()
setup(
    ext_modules=cythonize(
        [
            extension("_core", SOURCES, "-O2", "-funswitch-loops", *UNALIGNED),
            # What Cython writes is long and has no loop over elements; for small arrays it is most of a call's time.
            extension("_functions", [], "-O2", *UNALIGNED, *FEW_COPIES),
            # Here a call takes microseconds.
            extension("_fused", [], "-Os"),
            extension("kernels", [], "-Os"),
        ],
        build_dir="build",
        compiler_directives={"language_level": 3, "freethreading_compatible": True},
    ),
    cmdclass={"build_ext": build_ext_with_compiler_check},
    # A path in a .pth file.  The default, a finder behind Python's own, loses to any folder called pyleaky: beside the
    # checkout, `import pyleaky` would give an empty namespace package.
    options={"editable_wheel": {"mode": "compat"}},
)
