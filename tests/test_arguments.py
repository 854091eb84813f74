"""What every public function says of an argument that it cannot take: numbers, flags, axes, arrays, keywords, names.

NUMBERS has a call for each argument that is a number; an argument with a default that is one, and without a case, fails
the test.  tests/tensors.py has the same for tensors.
"""

import decimal
import fractions
import functools
import inspect
import types

import numpy as np
import pytest
from arrays import assert_same_bits

import pyleaky
from pyleaky import _arguments, diagnostics, init, training

X = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
MASK = np.packbits((X > 0).ravel(), bitorder="little")
BIAS = np.ones(3, np.float32)


def calls_of(function, *given, **named):
    return lambda argument, value: function(*given, **{**named, argument: value})


# function: (a call with an argument replaced, the numbers that may also be an array, those that may not)
NUMBERS = {
    "leaky_relu": (calls_of(pyleaky.leaky_relu, X), ["negative_slope"], []),
    "leaky_relu, return_mask": (calls_of(pyleaky.leaky_relu, X, return_mask=True), ["negative_slope"], []),
    "leaky_relu_backward": (calls_of(pyleaky.leaky_relu_backward, X, X), ["negative_slope"], []),
    "leaky_relu_backward, output": (calls_of(pyleaky.leaky_relu_backward, X, output=X), ["negative_slope"], []),
    "leaky_relu_backward, mask": (calls_of(pyleaky.leaky_relu_backward, X, mask=MASK), ["negative_slope"], []),
    "prelu": (calls_of(pyleaky.prelu, X), ["weight"], []),
    "prelu_backward": (calls_of(pyleaky.prelu_backward, X, X), ["weight"], []),
    "dropout": (calls_of(pyleaky.dropout, X, seed=1), [], ["p"]),
    "dropout_backward": (calls_of(pyleaky.dropout_backward, X, seed=1), [], ["p"]),
    "rrelu": (calls_of(pyleaky.rrelu, X, seed=1), [], ["lower", "upper"]),
    "rrelu, evaluation": (calls_of(pyleaky.rrelu, X, training=False), [], ["lower", "upper"]),
    "rrelu_backward": (calls_of(pyleaky.rrelu_backward, X, X, seed=1), [], ["lower", "upper"]),
}
for _name in ("elu", "celu"):
    _f, _b, _d = (getattr(pyleaky, _name + suffix) for suffix in ("", "_backward", "_double_backward"))
    NUMBERS |= {
        _name: (calls_of(_f, X), ["alpha"], []),
        f"{_name}_backward": (calls_of(_b, X, X), ["alpha"], []),
        f"{_name}_backward, output": (calls_of(_b, X, output=X), ["alpha"], []),
        f"{_name}_double_backward": (calls_of(_d, X, X, X), ["alpha"], []),
    }
for _name, _arrays in (("bias_act", 1), ("bias_act_backward", 2), ("bias_act_double_backward", 3)):
    _f = getattr(pyleaky, _name)
    _call = calls_of(_f, *[X] * _arrays, BIAS, activation="leaky_relu")
    NUMBERS[_name] = _call, [], ["negative_slope", "gain", "clamp"]


def training_call(name, **given):
    """What a function of pyleaky.training makes of two arrays, and returns."""

    def call(argument, value):
        lists = {key: [X.copy(), np.arange(-3.0, 4.0)] for key in ("grads", "params")}
        function = getattr(training, name)
        arguments = {key: lists[key] for key in inspect.signature(function).parameters if key in lists}
        found = function(**arguments, **{**given, argument: value})
        return *lists["grads"], *lists["params"], found

    return call


def monitor_call(monitor):
    """What a monitor reports of its limits."""
    return lambda argument, value: np.array(monitor(**{argument: value}).to_dict()[argument])


NUMBERS |= {
    "clip_grad_norm": (training_call("clip_grad_norm", max_norm=0.5), [], ["max_norm", "norm_type"]),
    "clip_grad_value": (training_call("clip_grad_value"), [], ["clip_value"]),
    "l2_penalty": (training_call("l2_penalty"), [], ["weight_decay"]),
    "add_l2_grad": (training_call("add_l2_grad"), [], ["weight_decay"]),
    "decoupled_weight_decay": (
        training_call("decoupled_weight_decay", learning_rate=0.5, weight_decay=0.5),
        [],
        ["learning_rate", "weight_decay"],
    ),
    "UnitMonitor": (monitor_call(diagnostics.UnitMonitor), [], ["rare", "saturation", "saturated_share"]),
    "GradientMonitor": (
        monitor_call(functools.partial(diagnostics.GradientMonitor, vanishing=0)),
        [],
        ["exploding"],
    ),
    "GradientMonitor, vanishing": (monitor_call(diagnostics.GradientMonitor), [], ["vanishing"]),
}
for _name in ("xavier_uniform", "xavier_normal", "he_uniform", "he_normal"):
    _call = calls_of(getattr(init, _name), (3, 4), rng=1)
    NUMBERS[_name] = _call, [], ["gain" if _name.startswith("xavier") else "negative_slope"]

INDICES = {
    "UnitMonitor": (lambda argument, value: diagnostics.UnitMonitor(axis=value), ["axis"]),
    **{
        name: (calls_of(getattr(init, name), (3, 4), rng=1), ["groups"])
        for name in ("xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "lecun_normal")
    },
    "dropout": (calls_of(pyleaky.dropout, X, seed=1), ["start", "seed"]),
    "dropout_backward": (calls_of(pyleaky.dropout_backward, X, seed=1), ["start", "seed"]),
    "rrelu": (calls_of(pyleaky.rrelu, X, seed=1), ["start", "seed"]),
    "rrelu_backward": (calls_of(pyleaky.rrelu_backward, X, X, seed=1), ["start", "seed"]),
    "bias_act": (calls_of(pyleaky.bias_act, X, BIAS, activation="relu"), ["axis"]),
    "bias_act_backward": (calls_of(pyleaky.bias_act_backward, X, X, BIAS, activation="relu"), ["axis"]),
    "bias_act_double_backward": (
        calls_of(pyleaky.bias_act_double_backward, X, X, X, BIAS, activation="relu"),
        ["axis"],
    ),
    "prelu": (calls_of(pyleaky.prelu, X, BIAS), ["axis"]),
    "prelu_backward": (calls_of(pyleaky.prelu_backward, X, X, BIAS), ["axis"]),
    "set_num_threads": (lambda argument, value: pyleaky.set_num_threads(value), ["num_threads"]),
    "num_threads": (lambda argument, value: pyleaky.num_threads(value), ["num_threads"]),
    "set_cache_limit": (lambda argument, value: pyleaky.set_cache_limit(value), ["limit"]),
}

FLAGS = {
    "relu": (calls_of(pyleaky.relu, X), ["return_mask"]),
    "leaky_relu": (calls_of(pyleaky.leaky_relu, X), ["return_mask"]),
    "dropout": (calls_of(pyleaky.dropout, X, seed=1), ["training", "return_seed"]),
    "dropout_backward": (calls_of(pyleaky.dropout_backward, X, seed=1), ["training"]),
    "rrelu": (calls_of(pyleaky.rrelu, X, seed=1), ["training", "return_seed"]),
    "rrelu_backward": (calls_of(pyleaky.rrelu_backward, X, X, seed=1), ["training"]),
    "bias_act": (calls_of(pyleaky.bias_act, X, BIAS, activation="relu"), ["return_mask"]),
    "clip_grad_norm": (training_call("clip_grad_norm", max_norm=1.0), ["error_if_nonfinite"]),
}

MODULES = (pyleaky, training, init, diagnostics)
NO_NUMBERS = {
    "complex": 1 + 3j,
    "NumPy's complex": np.complex64(1 + 3j),
    "complex, 0-d": np.array(1 + 3j),
    "string": "0.5",
    "bytes": b"1",
    "object": object(),
    "object, 0-d": np.array(object()),
    "a number as an object, 0-d": np.array(0.5, object),
    "dict": {},
    "date": np.datetime64("2020-01-01"),
    "duration": np.timedelta64(1, "s"),
    "function": len,
}
TOO_LARGE = {"int": 10**400, "negative": -(10**5000), "fraction": fractions.Fraction(10**400)}


def cases(table, places=(1, 2)):
    return [(name, argument) for name, entry in table.items() for place in places for argument in entry[place]]


def test_every_number_and_flag_has_a_case():
    covered = {(name.partition(",")[0], argument) for name, argument in cases(NUMBERS)}
    covered |= {(name, argument) for table in (INDICES, FLAGS) for name, argument in cases(table, (1,))}
    functions = {name: getattr(module, name) for module in MODULES for name in module.__all__}
    for name, function in functions.items():
        if not callable(function) or name in ("plot_activations", "show_config", "gain"):
            continue
        for argument, parameter in inspect.signature(function).parameters.items():
            is_number = isinstance(parameter.default, (int, float)) and argument != "where"
            numbers = (
                "seed",
                "gain",
                "clamp",
                "weight",
                "num_threads",
                "limit",
                "groups",
                "learning_rate",
                "weight_decay",
            )
            if is_number or argument in numbers:
                assert (name, argument) in covered


def raised(call, argument, value):
    before = X.copy(), BIAS.copy()
    with pytest.raises((TypeError, ValueError)) as error:
        call(argument, value)
    assert_same_bits(X, before[0])
    assert_same_bits(BIAS, before[1])
    return error.type, str(error.value)


@pytest.mark.parametrize(("name", "argument"), cases(NUMBERS))
def test_what_is_no_number(name, argument):
    call, or_arrays, _ = NUMBERS[name]
    expected = "a number or an array" if argument in or_arrays else "a number"
    given = dict(NO_NUMBERS)
    if not name.startswith("bias_act") or argument == "negative_slope":  # there None stands for a value
        given["None"] = None
    for kind, value in given.items():
        found = raised(call, argument, value)
        assert found == (TypeError, f"{argument} must be {expected}, got {type(value).__name__}"), kind
    for value in TOO_LARGE.values():
        error, message = raised(call, argument, value)
        assert error is ValueError
        assert message.startswith(f"{argument} must be in the range of float64, got ")
        assert len(message) < 100
    if argument not in or_arrays:
        for value in (np.ones(1), np.ones((2, 3)), [0.5], (0.5,)):
            error, message = raised(call, argument, value)
            assert error is TypeError
            assert message.startswith(f"{argument} must be a number, got {type(value).__name__}")


@pytest.mark.parametrize(("name", "argument"), cases(NUMBERS))
def test_whatever_is_a_number_gives_the_same(name, argument):
    call = NUMBERS[name][0]
    value = 1.0 if argument == "p" else 0.25 if argument != "upper" else 0.5
    expected = call(argument, value)
    kinds = [np.float64, np.float32, np.float16, np.longdouble, np.array, fractions.Fraction, decimal.Decimal]
    if value == 1:
        kinds += [int, bool, np.int8, np.bool]
    for kind in kinds:
        for got, wanted in zip(as_tuple(call(argument, kind(value))), as_tuple(expected), strict=True):
            if wanted is not None:
                assert_same_bits(got, wanted)


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("name", "argument"), cases(INDICES, (1,)))
def test_what_is_no_integer(name, argument):
    call = INDICES[name][0]
    threads, limit = pyleaky.get_num_threads(), pyleaky.cache_info().limit
    axis = name.startswith("prelu")
    for value in (1.0, "1", 1j, {}, np.float32(1), True, np.bool(False), object(), np.ones(2, int)):
        error, message = raised(call, argument, value)
        assert error is TypeError
        assert message.startswith(f"{argument} must be an integer")
        assert type(value).__name__ in message
    if argument not in ("seed", "axis"):
        assert raised(call, argument, None)[0] is TypeError
    for value in (-(10**5000), -(2**70), 10**5000 if argument == "axis" else -1):
        if argument == "axis" and value == -1:
            continue
        error, message = raised(call, argument, value)
        assert issubclass(error, ValueError)
        assert message.startswith(argument)
        assert len(message) < 120
    assert (pyleaky.get_num_threads(), pyleaky.cache_info().limit) == (threads, limit)
    if argument == "axis" and name != "UnitMonitor":
        for value, kind, text in [
            ("channel", TypeError, f"axis must be an integer{' or a tuple of integers' * axis}, got str ('channel'); "),
            (5, np.exceptions.AxisError, "axis 5 is out of bounds for array of dimension 2: expected -2 to 1"),
            (-3, np.exceptions.AxisError, "axis -3 is out of bounds for array of dimension 2: expected -2 to 1"),
        ]:
            error, message = raised(call, argument, value)
            assert error is kind
            assert message.startswith(text)


@pytest.mark.parametrize(("name", "argument"), cases(FLAGS, (1,)))
def test_what_is_no_flag(name, argument):
    call = FLAGS[name][0]
    for value in (np.ones(2), None, "False", 2, 0.0, [], object()):
        error, message = raised(call, argument, value)
        assert error is TypeError
        assert message == f"{argument} must be True or False, got {type(value).__name__}"
    for value in (False, np.bool(False), 0):
        call(argument, value)


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (pyleaky.dropout, {"return_seed": np.ones(2)}),
        (pyleaky.dropout, {"training": np.ones(2)}),
        (pyleaky.dropout, {"p": 1.5}),
        (pyleaky.rrelu, {"return_seed": np.ones(2)}),
        (pyleaky.rrelu, {"start": -1}),
    ],
)
def test_nothing_is_written_and_no_generator_moves_before_an_error(function, given):
    out, generator = np.full_like(X, 7), np.random.default_rng(3)
    before = generator.bit_generator.state
    with pytest.raises((TypeError, ValueError)):
        function(X, seed=generator, out=out, **given)
    assert (out == 7).all()
    assert generator.bit_generator.state == before


# ---------------------------------------------------------------------------------------------- arrays


def array_calls():
    """(argument, call) for each array argument of each function."""
    pairs = []
    for name in ("relu", "leaky_relu", "elu", "celu", "selu"):
        forward, backward = getattr(pyleaky, name), getattr(pyleaky, f"{name}_backward")
        pairs.append((f"{name}: x", forward))
        pairs.append((f"{name}_backward: grad", lambda bad, f=backward: f(bad, X)))
        pairs.append((f"{name}_backward: x", lambda bad, f=backward: f(X, bad)))
        pairs.append((f"{name}_backward: output", lambda bad, f=backward: f(X, output=bad)))
    for name in ("elu", "celu", "selu"):
        double = getattr(pyleaky, f"{name}_double_backward")
        for place, argument in enumerate(("gg", "grad", "x")):

            def call(bad, double=double, place=place):
                return double(*(bad if k == place else X for k in range(3)))

            pairs.append((f"{name}_double_backward: {argument}", call))
    return dict(
        [
            *pairs,
            ("prelu: x", lambda bad: pyleaky.prelu(bad, BIAS, axis=1)),
            ("prelu_backward: grad", lambda bad: pyleaky.prelu_backward(bad, X, BIAS, axis=1)),
            ("prelu_backward: x", lambda bad: pyleaky.prelu_backward(X, bad, BIAS, axis=1)),
            ("dropout: x", lambda bad: pyleaky.dropout(bad, seed=1)),
            ("dropout_backward: grad", lambda bad: pyleaky.dropout_backward(bad, seed=1)),
            ("rrelu: x", lambda bad: pyleaky.rrelu(bad, seed=1)),
            ("rrelu_backward: grad", lambda bad: pyleaky.rrelu_backward(bad, X, seed=1)),
            ("rrelu_backward: x", lambda bad: pyleaky.rrelu_backward(X, bad, seed=1)),
            ("bias_act: x", lambda bad: pyleaky.bias_act(bad, BIAS, activation="relu")),
            ("bias_act: bias", lambda bad: pyleaky.bias_act(X, bad, activation="relu")),
            ("bias_act_backward: grad", lambda bad: pyleaky.bias_act_backward(bad, X, BIAS, activation="relu")),
            ("bias_act_backward: x", lambda bad: pyleaky.bias_act_backward(X, bad, BIAS, activation="relu")),
            ("bias_act_double_backward: gg", lambda bad: pyleaky.bias_act_double_backward(bad, X, X, activation="elu")),
        ]
    )


ARRAYS = array_calls()
TAKES_NONE = {case for case in ARRAYS if case.endswith(": bias")}
TAKES_NONE |= {case for case in ARRAYS if case.endswith(("_backward: x", "_backward: output")) and "double" not in case}
TAKES_NONE -= {"prelu_backward: x", "rrelu_backward: x"}
NO_ARRAYS = {
    "dict": {"a": 1.0},
    "set": {1.0, 2.0},
    "generator": (number for number in (1.0, 2.0)),
    "object": object(),
    "class": float,
    "module": types,
}


@pytest.mark.parametrize("case", ARRAYS)
def test_what_is_no_array(case):
    argument = case.rpartition(" ")[2]
    for value in NO_ARRAYS.values():
        with pytest.raises(TypeError) as error:
            ARRAYS[case](value)
        expected = f"{argument} must be an array, a number or a nested list of numbers, got {type(value).__name__}"
        assert str(error.value) == expected
    with pytest.raises(ValueError, match=f"^{argument} is a nested list whose parts have different lengths"):
        ARRAYS[case]([[1.0, 2.0, 3.0], [1.0]])
    if case not in TAKES_NONE:
        with pytest.raises(TypeError, match=f"^{argument} must be an array, a number .*, got None$"):
            ARRAYS[case](None)
    for value in ([["a"] * 3] * 2, np.full((2, 3), 1j), np.full((2, 3), None), "abc", b"abc", 1j, [1j], [None]):
        with pytest.raises(
            TypeError, match=f"^{argument} has dtype .*, expected float16, bfloat16, float32, float64, "
        ):
            ARRAYS[case](value)


@pytest.mark.parametrize("case", ARRAYS)
def test_sparse_matrices_and_frames_of_polars(case):
    argument = case.rpartition(" ")[2]
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    for value in (sparse.csr_matrix(X), sparse.coo_array(X)):
        with pytest.raises(
            TypeError, match=f"^{argument} must be a dense array, got a sparse {type(value).__name__}; "
        ):
            ARRAYS[case](value)
    polars = pytest.importorskip("polars", reason="Polars is not installed")
    frame = polars.DataFrame({"a": [1.0, 2.0]})
    for value in (frame, frame.lazy()):
        with pytest.raises(TypeError, match=rf"^{argument} must be an array or a Series, got polars\.\w*Frame; "):
            ARRAYS[case](value)


def test_sequences_and_buffers_are_arrays():
    for value in (range(-2, 2), memoryview(np.array([-1.0, 2.0])), [[1, -2], [3, -4]], (True, False)):
        assert_same_bits(pyleaky.leaky_relu(value, 0.5), pyleaky.leaky_relu(np.asarray(value), 0.5))


def test_out_of_the_wrong_shape_is_named():
    for function in (pyleaky.relu, pyleaky.leaky_relu, pyleaky.elu, pyleaky.celu, pyleaky.selu):
        for shape in ((4,), (3, 2), (2, 4), (3,)):
            out = np.full(shape, 7.0, np.float32)
            with pytest.raises(ValueError) as error:  # noqa: PT011
                function(X, out=out)
            assert str(error.value).endswith(f": out has shape {shape}, the result has shape (2, 3)")
            assert (out == 7).all()


def test_dtypes_to_compute_in():
    names = {int: "int64", "u1": "uint8", complex: "complex128", object: "object", "q7": "'q7'"}
    for function in (pyleaky.relu, pyleaky.leaky_relu, pyleaky.elu, pyleaky.celu, pyleaky.selu):
        for dtype, text in names.items():
            with pytest.raises(TypeError, match=rf"^dtype must be one of float16, .*, float64, got {text}$"):
                function(X, dtype=dtype)
    with pytest.raises(TypeError, match=r"^dtype must be one of float16, .*, float64, got int64$"):
        pyleaky.relu(X, dtype=int, return_mask=True)


def test_a_weight_does_not_enlarge_x():
    for call in (
        lambda: pyleaky.prelu(-np.ones(3), np.ones((2, 3))),
        lambda: pyleaky.prelu_backward(np.ones(3), -np.ones(3), np.ones((2, 3))),
        lambda: pyleaky.prelu(-1.0, np.ones(3)),
    ):
        with pytest.raises(ValueError, match=r"^weight has shape .*, which does not broadcast to x's shape \((3,)?\)$"):
            call()


# ---------------------------------------------------------------------------------------------- masks


class Liar(np.ndarray):
    """A subclass that says of its shape what it was told to."""

    claimed = None

    @property
    def shape(self):
        return self.claimed or np.ndarray.shape.__get__(self)

    @property
    def size(self):
        return int(np.prod(self.shape))


def test_a_mask_has_the_length_of_its_memory():
    x = np.linspace(-1, 1, 4096, dtype=np.float32)
    y, mask = pyleaky.bias_act(x, activation="leaky_relu", axis=0, return_mask=True)
    for length in (0, 1, 511, 513, 4096):
        liar = np.zeros(length, np.uint8).view(Liar)
        liar.claimed = (512,)
        for call in (
            lambda mask: pyleaky.relu_backward(x, mask=mask),
            lambda mask: pyleaky.leaky_relu_backward(x, mask=mask),
            lambda mask: pyleaky.bias_act_backward(x, output=y, mask=mask, activation="leaky_relu"),
            lambda mask: pyleaky.bias_act_backward(x, mask=mask, activation="leaky_relu"),
            lambda mask: pyleaky.unpack_mask(mask, 4096),
        ):
            with pytest.raises(ValueError, match=f"^mask has {length} bytes, but .* needs 512, a bit per element$"):
                call(liar)
    honest = mask.view(Liar)
    assert_same_bits(pyleaky.relu_backward(x, mask=honest), pyleaky.relu_backward(x, mask=mask))


# ---------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: pyleaky.leaky_relu(X, alpha=0.1), "did you mean negative_slope?"),
        (lambda: pyleaky.leaky_relu(X, slope=0.1), "did you mean negative_slope?"),
        (lambda: pyleaky.leaky_relu_backward(X, X, alpha=0.1), "did you mean negative_slope?"),
        (lambda: pyleaky.elu(X, negative_slope=0.1), "did you mean alpha?"),
        (lambda: pyleaky.prelu(X, alpha=0.1), "did you mean weight?"),
        (lambda: pyleaky.prelu(X, 0.1, dim=1), "did you mean axis?"),
        (lambda: pyleaky.relu(X, inplace=True), "out=x stores the result in x"),
        (lambda: pyleaky.dropout(X, rate=0.1, seed=1), "did you mean p?"),
        (lambda: pyleaky.dropout(X, 0.5, rng=1), "did you mean seed?"),
        (lambda: pyleaky.bias_act(X, b=BIAS, activation="relu"), "did you mean bias?"),
        (lambda: pyleaky.relu(X, outt=X), "did you mean out?"),
        (lambda: pyleaky.relu(X, qqq=X), "expected x, out, where, dtype, return_mask"),
        (lambda: pyleaky.dropout(X, 0.5, 42), "keyword-only: seed, start, training, out, return_seed"),
        (lambda: pyleaky.relu(X, X), "keyword-only: out, where, dtype, return_mask"),
    ],
)
def test_calls_with_words_from_elsewhere(call, hint):
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value).endswith(f"; {hint}")


@pytest.mark.parametrize("name", ["lrelu", "LeakyReLU", "leaky-relu", "leaky_rel"])
def test_activations_by_other_names(name):
    with pytest.raises(ValueError, match=r"got '.*'; did you mean 'leaky_relu'\?$"):
        pyleaky.bias_act(X, activation=name)


@pytest.mark.parametrize("name", _arguments.NAMES)
def test_names_from_elsewhere(name):
    meant = _arguments.NAMES[name]
    if meant in ("linear", "leaky_relu"):  # names of activations rather than of functions
        return
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}'; .*pyleaky\.{meant}"):
        getattr(pyleaky, name)
    module, _, function = meant.rpartition(".")
    for other in ("init", "training"):
        with pytest.raises(AttributeError, match=rf"^module 'pyleaky\.{other}' has no attribute '{name}'; .*{meant}"):
            getattr(getattr(pyleaky, other), name)
    assert not module or function in getattr(pyleaky, module).__all__


def test_functions_of_a_submodule_are_found():
    for name, where in (("clip_grad_norm", "training"), ("he_normal", "init"), ("UnitMonitor", "diagnostics")):
        with pytest.raises(AttributeError, match=rf"has no attribute '{name}'; it is pyleaky\.{where}\.{name}$"):
            getattr(pyleaky, name)
    with pytest.raises(AttributeError, match=r"^module 'pyleaky' has no attribute 'nothing_like_it'$"):
        _ = pyleaky.nothing_like_it
