"""The peers: how each library computes what pyleaky does, on the same arrays and with the same number of threads.

To add a peer, write a function that gives its statements for a job, and add a line to PEERS.  A library is imported
when it is first needed, and one that is not installed is left out.
"""

import ast
import contextlib
import functools
import importlib
import math
import operator
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _functions import FUNCTIONS, HALF
from _measure import OURS, Contender

import pyleaky

FRESH, OUT, IN_PLACE, FIRST, KEPT = MODES = ("fresh", "out", "in place", "first", "kept")
DIRECTIONS = ("forward", "backward")
KEPT_RESULTS = 8
SMALL = 64  # up to here np.negative stands beside, the cheapest ufunc there is
EDGE = 1 << 18  # how many elements are checked at each end of a result


@dataclass(frozen=True)
class Job:
    """
    What the contenders of one group do.

    Modes: "fresh" makes a result and drops the one before; "out" stores it in a given array; "in place" in x (or grad,
    backward); "first" makes one in memory that nobody has used before; "kept" makes eight of those and keeps them all.
    """

    function: str
    direction: str
    dtype: str
    size: int
    mode: str
    threads: int

    @property
    def has_out(self):
        return self.mode in (OUT, IN_PLACE)

    @property
    def entry(self):
        return FUNCTIONS[self.function]

    @property
    def text(self):
        return getattr(self.entry, self.direction)

    @property
    def has_sum(self):
        return ".sum(" in self.text.formula

    @property
    def inputs(self):
        """The arrays in the formula."""
        arrays = ("x", "grad", "weight") if self.entry.channels else ("x", "grad")
        return [name for name in arrays if re.search(rf"\b{name}\b", self.text.formula)]

    @property
    def out_argument(self):
        return ", out=out" if self.has_out else ""


# ---------------------------------------------------------------------------------------------------------- the peers
#
# Each function takes a job, its names and the peer's modules, may add to the names, and gives the statements by label;
# a statement of None: the library cannot do that.


def in_pyleaky(job, names):
    return {OURS: f"{job.text.pyleaky[:-1]}{job.out_argument})"}


def in_numpy(job, names):
    return {label: statements[job.has_out] for label, statements in job.text.numpy.items()}


def in_numexpr(job, names, numexpr):
    if job.dtype in HALF or job.has_sum:
        return {}
    kind = {"float32": float, "float64": np.double}[job.dtype]  # its own words for them
    operands = [*job.inputs, *job.entry.numbers]
    names["numexpr_call"] = numexpr.NumExpr(job.text.formula, signature=[(name, kind) for name in operands])
    return {"NumExpr": f"numexpr_call({', '.join(operands)}{job.out_argument}, ex_uses_vml=False)"}


def in_numba(job, names, numba):
    if job.dtype in HALF or job.has_sum:
        return {}
    names["numba_call"] = compiled_by_numba(job.function, job.direction, job.dtype, job.threads > 1)
    return {"Numba": f"numba_call({', '.join(job.inputs)}{job.out_argument})"}


@functools.cache
def compiled_by_numba(function, direction, dtype, parallel):
    """The formula as one ufunc, with branches instead of `where`, so that only one side is computed."""
    job = Job(function, direction, dtype, 0, FRESH, 1)

    class Branches(ast.NodeTransformer):
        def visit_Call(self, node):
            self.generic_visit(node)
            return ast.IfExp(*node.args) if node.func.id == "where" else node

    words = {name: np.dtype(dtype).type(number) for name, number in job.entry.numbers.items()}
    words |= {"exp": math.exp, "expm1": math.expm1}
    scalar = ast.unparse(Branches().visit(ast.parse(job.text.formula, mode="eval")))
    vectorize = importlib.import_module("numba").vectorize
    signature = f"{dtype}({', '.join(dtype for _ in job.inputs)})"
    decorate = vectorize([signature], target="parallel" if parallel else "cpu")
    return decorate(eval(f"lambda {', '.join(job.inputs)}: {scalar}", words))


def in_onnxruntime(job, names, onnxruntime, onnx):
    if not job.text.onnx or job.dtype == "bfloat16":
        return {}
    operator_name, attributes = job.text.onnx
    if job.dtype == "float64" and any(float(np.float32(value)) != value for value in attributes.values()):
        return {}  # an attribute is a float32
    arrays = {"x": names["x"]} | ({"weight": np.atleast_1d(names["weight"])} if operator_name == "PRelu" else {})
    helper = onnx.helper
    kind = helper.np_dtype_to_tensor_dtype(names["x"].dtype)
    node = helper.make_node(operator_name, list(arrays), ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        job.function,
        [helper.make_tensor_value_info(name, kind, array.shape) for name, array in arrays.items()],
        [helper.make_tensor_value_info("y", kind, names["x"].shape)],
    )
    # The oldest opset with every dtype of these operators, and the format that came with it.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.enable_cpu_mem_arena = job.mode == FRESH  # which keeps what was freed, as our cache does
    options.log_severity_level = 4  # what it lacks is no news
    lacks = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except (lacks.NotImplemented, lacks.InvalidGraph):
        return {}
    if not job.has_out:
        names |= {"onnx_run": session.run, "onnx_feeds": arrays, "onnx_outputs": ["y"]}
        return {"ONNX Runtime": "onnx_run(onnx_outputs, onnx_feeds)"}
    binding = session.io_binding()
    for name, array in arrays.items():
        binding.bind_input(name, "cpu", 0, kind, array.shape, array.ctypes.data)
    binding.bind_output("y", "cpu", 0, kind, names["out"].shape, names["out"].ctypes.data)
    names |= {"onnx_run": session.run_with_iobinding, "onnx_binding": binding, "onnx_arrays": arrays}
    return {"ONNX Runtime": "onnx_run(onnx_binding)"}


def in_jax(job, names, jax):
    if job.has_out:
        return {}
    jax.config.update("jax_enable_x64", True)
    names["jax_call"] = compiled_by_jax(job.function, job.direction, job.threads > 1)
    operands = {f"jax_{name}": jax.device_put(names[name]) for name in job.inputs}
    names |= operands
    names["jax_call"].lower(*operands.values()).compile()  # for this shape
    call = f"jax_call({', '.join(f'jax_{name}' for name in job.inputs)})"
    names["jax_ready"] = jax.block_until_ready
    return {"JAX": f"jax_ready({call})" if job.has_sum else f"{call}.block_until_ready()"}


@functools.cache
def compiled_by_jax(function, direction, parallel):
    job = Job(function, direction, "", 0, FRESH, 1)
    jax = importlib.import_module("jax")
    words = {name: getattr(jax.numpy, name) for name in ("where", "exp", "expm1")} | job.entry.numbers
    formula = eval(f"lambda {', '.join(job.inputs)}: ({job.text.formula})", words)
    # The nearest there is to a number of threads.
    return jax.jit(formula, compiler_options={"xla_cpu_multi_thread_eigen": parallel})


def in_torch(job, names, torch):
    add_tensors(names, torch)
    return {"PyTorch": job.text.torch[job.has_out]}


def add_tensors(names, torch):
    def as_tensor(array):
        # torch.from_numpy refuses the bfloat16 of ml_dtypes.
        if array.dtype != "bfloat16":
            return torch.from_numpy(array)
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)

    arrays = names.keys() & {"x", "grad", "weight", "out"}
    with torch.inference_mode():
        names |= {f"tensor_{name}": as_tensor(np.atleast_1d(names[name])) for name in arrays}


def from_torch(tensor):
    return tensor.double().numpy().astype(str(tensor.dtype).removeprefix("torch."))


def negative(job, names):
    if job.direction == "backward" or job.size > SMALL:
        return {}
    return {"np.negative": f"np.negative(x{job.out_argument})"}


def copy_by_numpy(job, names):
    return {"np.copyto": "np.copyto(out, x)"} if job.mode == OUT else {}


def copy_by_torch(job, names, torch):
    if job.mode != OUT:
        return {}
    add_tensors(names, torch)
    return {"Tensor.copy_": "tensor_out.copy_(tensor_x)"}


@dataclass(frozen=True)
class Peer:
    """
    A library, or a yardstick (which computes something else, so its result is not checked), and where it comes from.

    The modules but NumPy and pyleaky are passed to `statements`; where one has set_num_threads, that is called, and
    NumPy runs on one thread.  Peers of one name count as one, by the fastest.
    """

    name: str
    statements: Callable
    modules: tuple = ()
    to_numpy: Callable = np.asarray
    yardstick: bool = False


PEERS = (
    Peer(OURS, in_pyleaky),
    Peer("NumPy", in_numpy),
    Peer("NumExpr", in_numexpr, ("numexpr",)),
    Peer("Numba", in_numba, ("numba",)),
    Peer("ONNX Runtime", in_onnxruntime, ("onnxruntime", "onnx"), operator.itemgetter(0)),
    Peer("JAX", in_jax, ("jax",)),
    Peer("PyTorch", in_torch, ("torch",), from_torch),
    Peer("np.negative", negative, yardstick=True),
    Peer("copy", copy_by_numpy, yardstick=True),
    Peer("copy", copy_by_torch, ("torch",), yardstick=True),
)


@functools.cache
def modules(names):
    """None where one of them is not installed."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError:
        return None


def versions():
    installed = {peer.modules[0]: modules(peer.modules) for peer in PEERS if peer.modules}
    return {name: found and found[0].__version__ for name, found in installed.items()}


@contextlib.contextmanager
def using(threads):
    """All libraries that contenders have imported use so many threads, and PyTorch goes without autograd's share."""
    imported = {name: sys.modules[name] for peer in PEERS for name in peer.modules if name in sys.modules}
    for module in imported.values():
        if hasattr(module, "set_num_threads"):
            module.set_num_threads(threads)
    without_autograd = imported["torch"].inference_mode() if "torch" in imported else contextlib.nullcontext()
    with pyleaky.num_threads(threads), without_autograd:
        yield


# -------------------------------------------------------------------------------------------------------- contenders


@functools.lru_cache(maxsize=1)
def drawn(dtype, size):
    rng = np.random.default_rng(0)
    kind = "float64" if dtype == "float64" else "float32"
    return [rng.standard_normal(size, kind).astype(dtype, copy=False) for _ in range(2)]


def arrays(job):
    """What the statements find: the inputs, and with `out` that, and scratch and mask besides."""
    shape = (-1, job.entry.channels or job.size)
    names = dict(zip(("x", "grad"), (array.reshape(shape) for array in drawn(job.dtype, job.size)), strict=True))
    if job.entry.channels:
        names["weight"] = np.linspace(0, 0.5, job.entry.channels).astype(job.dtype)
    else:
        names = {name: array.reshape(-1) for name, array in names.items()}
    names |= {name: np.dtype(job.dtype).type(number) for name, number in job.entry.numbers.items()}
    if job.mode == IN_PLACE:
        name = "x" if job.direction == "forward" else "grad"
        start = names[name].copy()
        if job.direction == "backward" or not job.entry.tolerance:
            # Where repeated products end, but for the subnormal numbers on the way.
            start[names["x"] < 0] = 0
        names |= {"start": start, "out": start.copy()}
        names[name] = names["out"]
    elif job.has_out:
        names |= {"start": np.nan, "out": np.empty_like(names["x"])}
    if job.has_out:
        names |= {"scratch": np.empty_like(names["x"]), "mask": np.empty(names["x"].shape, bool)}
    return names


def contenders(job, only=None):
    """Those who can do the job, pyleaky first, and the names in their statements; `only` names the peers wanted."""
    names = arrays(job)
    found = []
    for peer in PEERS:
        libraries = modules(peer.modules) if only is None or peer.name in only else None
        if libraries is None:
            continue
        for label, statement in peer.statements(job, names, *libraries).items():
            if statement:
                arrays_moved = 2 if job.direction == "forward" or peer.yardstick else 3
                found.append(
                    Contender(
                        label,
                        timed(job, bind(statement, names)),
                        arrays_moved * names["x"].nbytes,
                        peer.name,
                        peer.yardstick,
                        job.has_out,
                        peer.to_numpy,
                        "clear_cache()" if job.mode in (FIRST, KEPT) else None,
                        KEPT_RESULTS if job.mode == KEPT else 1,
                    )
                )
    return found, names | {"clear_cache": pyleaky.clear_cache}


def timed(job, statement):
    if job.mode == FIRST:
        return f"kept = {statement}"
    if job.mode == KEPT:
        return f"kept = [{statement} for _ in range({KEPT_RESULTS})]"
    return statement


def bind(statement, names):
    """Look up the dotted names that begin with a module, so that this is not timed."""

    def look_up(match):
        root, path = match.groups()
        name = f"{root}_{path.replace('.', '_')}"
        names[name] = operator.attrgetter(path)(np if root == "np" else importlib.import_module(root))
        return name

    return re.sub(r"\b(np|pyleaky|torch)\.([\w.]*\w)", look_up, statement)


# ------------------------------------------------------------------------------------------------------------ checks


def agree(ours, theirs, tolerance):
    """Whether two results are of one dtype and at most `tolerance` units of the last place apart, as are their sums."""
    if isinstance(ours, tuple):
        terms = ours[0].size // ours[1].size
        return agree(ours[0], theirs[0], tolerance) and agree_as_sums(ours[1], theirs[1], terms)
    if ours.dtype != theirs.dtype:
        return False
    unit = float(np.spacing(ours.dtype.type(1)))
    ends = np.r_[0 : min(EDGE, ours.size), max(0, ours.size - EDGE) : ours.size]
    ours, theirs = (array.reshape(-1)[ends].astype(float) for array in (ours, theirs))
    return bool((np.abs(ours - theirs) <= tolerance * unit * (np.abs(ours) + 0.25)).all())


def agree_as_sums(ours, theirs, terms):
    """The error of a sum goes with the size of its terms of both signs, not with its own."""
    limit = terms * float(np.spacing(ours.dtype.type(1)))
    errors = np.abs(ours.astype(float) - theirs.astype(float))
    return ours.dtype == theirs.dtype and bool((errors <= limit).all())
