"""The NumPy API with a tensor of PyTorch or TensorFlow in each of its arguments, which is a TypeError.

CASES names for each call the argument at fault; tests/test_errors.py fails when an argument of a function has no case.
`main`, which needs TensorFlow, makes every call with tensors of TensorFlow and Keras that have no values, and prints
what is raised, by kind of tensor and call: in a process of its own, which spares the tests that library.
"""

import inspect
import json
import os
import sys
from types import SimpleNamespace

import numpy as np

import pyleaky
from pyleaky import diagnostics, init, training

A, ROW, MASK = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32), np.ones(1, np.uint8)
ARRAYS = SimpleNamespace(a=A, row=ROW, number=np.float32(0.5), mask=MASK)

# t.a, t.row, t.number and t.mask are tensors of the shapes and dtypes of these arrays.
ROWS = pyleaky._core.ROWS
FAMILY = [name for name in ROWS if f"{name}_backward" in ROWS]
CASES = {}
for _name in FAMILY:
    _f, _b = getattr(pyleaky, _name), getattr(pyleaky, f"{_name}_backward")
    CASES |= {
        f"{_name}, out": ("out", lambda t, f=_f: f(A, out=t.a)),
        f"{_name}, out in a tuple": ("out", lambda t, f=_f: f(A, out=(t.a,))),
        f"{_name}, where": ("where", lambda t, f=_f: f(A, where=t.mask, out=np.zeros_like(A))),
        f"{_name}, a list": ("x[1]", lambda t, f=_f: f([ROW, t.row])),
        f"{_name}, nested": ("x[0][1]", lambda t, f=_f: f(([0.5, t.number], [0.5, 0.5]))),
        f"{_name}_backward, grad": ("grad", lambda t, f=_b: f(t.a, A)),
        f"{_name}_backward, x": ("x", lambda t, f=_b: f(A, t.a)),
        f"{_name}_backward, output": ("output", lambda t, f=_b: f(A, output=t.a)),
        f"{_name}_backward, out": ("out", lambda t, f=_b: f(A, A, out=t.a)),
        f"{_name}_backward, a list for grad": ("grad[0]", lambda t, f=_b: f([t.row, ROW], A)),
        f"{_name}_backward, a list for x": ("x[0]", lambda t, f=_b: f(A, [t.row, ROW])),
    }
for _name in ("relu", "leaky_relu"):
    _f, _b = getattr(pyleaky, _name), getattr(pyleaky, f"{_name}_backward")
    CASES |= {
        f"{_name}, return_mask": ("x", lambda t, f=_f: f(t.a, return_mask=True)),
        f"{_name}, return_mask and a list": ("x[0]", lambda t, f=_f: f([t.row], return_mask=True)),
        f"{_name}, return_mask and out": ("out", lambda t, f=_f: f(A, return_mask=True, out=t.a)),
        f"{_name}_backward, mask": ("mask", lambda t, f=_b: f(A, mask=t.mask)),
        f"{_name}_backward, mask and out": ("out", lambda t, f=_b: f(A, mask=MASK, out=t.a)),
        f"{_name}_backward, grad beside a mask": ("grad", lambda t, f=_b: f(t.a, mask=MASK)),
    }
for _name in (name for name in FAMILY if f"{name}_double_backward" in ROWS):
    _d = getattr(pyleaky, f"{_name}_double_backward")
    CASES |= {
        f"{_name}_double_backward, gg": ("gg", lambda t, f=_d: f(t.a, A, A)),
        f"{_name}_double_backward, grad": ("grad", lambda t, f=_d: f(A, t.a, A)),
        f"{_name}_double_backward, x": ("x", lambda t, f=_d: f(A, A, t.a)),
        f"{_name}_double_backward, a list": ("x[1]", lambda t, f=_d: f(A, A, [ROW, t.row])),
    }
for _name in (name for name in FAMILY if ROWS[name].parameters):
    _f, _b = getattr(pyleaky, _name), getattr(pyleaky, f"{_name}_backward")
    _parameter = [*inspect.signature(_f).parameters][1]
    CASES |= {
        f"{_name}, {_parameter}": (_parameter, lambda t, f=_f: f(A, t.number)),
        f"{_name}, a {_parameter} for each": (_parameter, lambda t, f=_f: f(A, t.row)),
        f"{_name}_backward, {_parameter}": (_parameter, lambda t, f=_b: f(A, A, t.number)),
        f"{_name}_backward, output and {_parameter}": (
            _parameter,
            lambda t, f=_b, parameter=_parameter: f(A, output=A, **{parameter: t.number}),
        ),
    }
    if f"{_name}_double_backward" in ROWS:
        _d = getattr(pyleaky, f"{_name}_double_backward")
        CASES[f"{_name}_double_backward, {_parameter}"] = _parameter, lambda t, f=_d: f(A, A, A, t.number)
for _argument in ("negative_slope", "gain", "clamp"):
    CASES |= {
        f"{_f.__name__}, {_argument}": (
            _argument,
            lambda t, f=_f, given=_given, k=_argument: f(*given, activation="leaky_relu", **{k: t.number}),
        )
        for _f, _given in (
            (pyleaky.bias_act, [A]),
            (pyleaky.bias_act_backward, [A, A]),
            (pyleaky.bias_act_double_backward, [A, A, A]),
        )
    }
for _place, _argument in enumerate(("lower", "upper")):
    _bounds = lambda t, k=_place: [0.0, t.number] if k else [t.number, 1.0]  # noqa: E731
    CASES |= {
        f"rrelu, {_argument}": (_argument, lambda t, b=_bounds: pyleaky.rrelu(A, *b(t), seed=1)),
        f"rrelu_backward, {_argument}": (_argument, lambda t, b=_bounds: pyleaky.rrelu_backward(A, A, *b(t), seed=1)),
    }
CASES |= {
    "leaky_relu, a list of slopes": ("negative_slope[2]", lambda t: pyleaky.leaky_relu(A, [0.1, 0.2, t.number])),
    "leaky_relu, return_mask and slope": (
        "negative_slope",
        lambda t: pyleaky.leaky_relu(A, t.number, return_mask=True),
    ),
    "leaky_relu_backward, mask and slope": (
        "negative_slope",
        lambda t: pyleaky.leaky_relu_backward(A, mask=MASK, negative_slope=t.number),
    ),
    "prelu, where": ("where", lambda t: pyleaky.prelu(A, 0.1, where=t.mask, out=np.zeros_like(A))),
    "prelu, x": ("x", lambda t: pyleaky.prelu(t.a, ROW, axis=1)),
    "prelu, weight": ("weight", lambda t: pyleaky.prelu(A, t.row)),
    "prelu, weight and axis": ("weight", lambda t: pyleaky.prelu(A, t.row, axis=1)),
    "prelu, one weight": ("weight", lambda t: pyleaky.prelu(A, t.number)),
    "prelu, a list of weights": ("weight[0]", lambda t: pyleaky.prelu(A, [t.number] * 3, axis=1)),
    "prelu, out": ("out", lambda t: pyleaky.prelu(A, ROW, axis=1, out=t.a)),
    "prelu_backward, grad": ("grad", lambda t: pyleaky.prelu_backward(t.a, A, ROW, axis=1)),
    "prelu_backward, x": ("x", lambda t: pyleaky.prelu_backward(A, t.a, ROW, axis=1)),
    "prelu_backward, weight": ("weight", lambda t: pyleaky.prelu_backward(A, A, t.row, axis=1)),
    "prelu_backward, one weight": ("weight", lambda t: pyleaky.prelu_backward(A, A, t.number)),
    "prelu_backward, a list": ("x[1]", lambda t: pyleaky.prelu_backward(A, [ROW, t.row], 0.1)),
    "dropout, a list": ("x[0]", lambda t: pyleaky.dropout([t.row], seed=1)),
    "dropout, p": ("p", lambda t: pyleaky.dropout(A, t.number, seed=1)),
    "dropout, seed": ("seed", lambda t: pyleaky.dropout(A, seed=t.number)),
    "dropout, out": ("out", lambda t: pyleaky.dropout(A, seed=1, out=t.a)),
    "dropout_backward, p": ("p", lambda t: pyleaky.dropout_backward(A, t.number, seed=1)),
    "dropout_backward, seed": ("seed", lambda t: pyleaky.dropout_backward(A, seed=t.number)),
    "dropout_backward, out": ("out", lambda t: pyleaky.dropout_backward(A, seed=1, out=t.a)),
    "rrelu, seed": ("seed", lambda t: pyleaky.rrelu(A, seed=t.number)),
    "rrelu, out": ("out", lambda t: pyleaky.rrelu(A, seed=1, out=t.a)),
    "rrelu_backward, grad": ("grad", lambda t: pyleaky.rrelu_backward(t.a, A, seed=1)),
    "rrelu_backward, x": ("x", lambda t: pyleaky.rrelu_backward(A, t.a, seed=1)),
    "rrelu_backward, seed": ("seed", lambda t: pyleaky.rrelu_backward(A, A, seed=t.number)),
    "rrelu_backward, out": ("out", lambda t: pyleaky.rrelu_backward(A, A, seed=1, out=t.a)),
    "rrelu_backward, a list": ("x[0]", lambda t: pyleaky.rrelu_backward(A, [t.row, ROW], seed=1)),
    "bias_act, x": ("x", lambda t: pyleaky.bias_act(t.a, ROW, activation="leaky_relu")),
    "bias_act, bias": ("bias", lambda t: pyleaky.bias_act(A, t.row, activation="leaky_relu")),
    "bias_act, a list for bias": ("bias[0]", lambda t: pyleaky.bias_act(A, [t.number] * 3, activation="leaky_relu")),
    "bias_act, return_mask": ("x", lambda t: pyleaky.bias_act(t.a, return_mask=True, activation="leaky_relu")),
    "bias_act, out": ("out", lambda t: pyleaky.bias_act(A, out=t.a, activation="leaky_relu")),
    "bias_act_backward, grad": ("grad", lambda t: pyleaky.bias_act_backward(t.a, A, activation="leaky_relu")),
    "bias_act_backward, x": ("x", lambda t: pyleaky.bias_act_backward(A, t.a, activation="leaky_relu")),
    "bias_act_backward, bias": ("bias", lambda t: pyleaky.bias_act_backward(A, A, t.row, activation="leaky_relu")),
    "bias_act_backward, output": (
        "output",
        lambda t: pyleaky.bias_act_backward(A, output=t.a, activation="leaky_relu"),
    ),
    "bias_act_backward, mask": ("mask", lambda t: pyleaky.bias_act_backward(A, mask=t.mask, activation="leaky_relu")),
    "bias_act_backward, grad beside a mask": (
        "grad",
        lambda t: pyleaky.bias_act_backward(t.a, mask=MASK, activation="leaky_relu"),
    ),
    "bias_act_backward, out": ("out", lambda t: pyleaky.bias_act_backward(A, A, out=t.a, activation="leaky_relu")),
    "bias_act_backward, a list": (
        "grad[0]",
        lambda t: pyleaky.bias_act_backward([t.row, ROW], A, activation="leaky_relu"),
    ),
    "bias_act_double_backward, gg": (
        "gg",
        lambda t: pyleaky.bias_act_double_backward(t.a, A, A, activation="leaky_relu"),
    ),
    "bias_act_double_backward, grad": (
        "grad",
        lambda t: pyleaky.bias_act_double_backward(A, t.a, A, activation="leaky_relu"),
    ),
    "bias_act_double_backward, x": (
        "x",
        lambda t: pyleaky.bias_act_double_backward(A, A, t.a, activation="leaky_relu"),
    ),
    "bias_act_double_backward, bias": (
        "bias",
        lambda t: pyleaky.bias_act_double_backward(A, A, A, t.row, activation="leaky_relu"),
    ),
    "unpack_mask": ("mask", lambda t: pyleaky.unpack_mask(t.mask, 6)),
    "relu_backward, a masked array": ("x", lambda t: pyleaky.relu_backward(np.ma.array(A), t.a)),
    "rrelu_backward, a masked array": ("grad", lambda t: pyleaky.rrelu_backward(t.a, np.ma.array(A), seed=1)),
    "rrelu_backward, a masked array and a list": (
        "grad[0]",
        lambda t: pyleaky.rrelu_backward([t.row, ROW], np.ma.array(A), seed=1),
    ),
}
CASES |= {
    "clip_grad_norm, a tensor": ("grads", lambda t: training.clip_grad_norm(t.a, 1.0)),
    "clip_grad_norm, a list": ("grads[1]", lambda t: training.clip_grad_norm([A, t.a], 1.0)),
    "clip_grad_norm, a dict's values": ("grads[0]", lambda t: training.clip_grad_norm({"w": t.a}.values(), 1.0)),
    "clip_grad_norm, a dict": ("grads['w']", lambda t: training.clip_grad_norm({"w": t.a}, 1.0)),
    "clip_grad_norm, max_norm": ("max_norm", lambda t: training.clip_grad_norm([A], t.number)),
    "clip_grad_value, a list": ("grads[0]", lambda t: training.clip_grad_value([t.a], 1.0)),
    "clip_grad_value, clip_value": ("clip_value", lambda t: training.clip_grad_value([A], t.number)),
    "clip_grad_norm, norm_type": ("norm_type", lambda t: training.clip_grad_norm([A], 1.0, t.number)),
    "l2_penalty, weight_decay": ("weight_decay", lambda t: training.l2_penalty([A], t.number)),
    "add_l2_grad, weight_decay": ("weight_decay", lambda t: training.add_l2_grad([A], [A.copy()], t.number)),
    "decoupled_weight_decay, weight_decay": (
        "weight_decay",
        lambda t: training.decoupled_weight_decay([A], 0.1, t.number),
    ),
    "l2_penalty, a dict": ("params['w']", lambda t: training.l2_penalty({"w": t.a}, 0.1)),
    "add_l2_grad, grads": ("grads[0]", lambda t: training.add_l2_grad([t.a], [A], 0.1)),
    "add_l2_grad, params": ("params['w']", lambda t: training.add_l2_grad({"w": A}, {"w": t.a}, 0.1)),
    "decoupled_weight_decay": ("params[0]", lambda t: training.decoupled_weight_decay([t.a], 0.1, 0.1)),
    "decoupled_weight_decay, learning_rate": (
        "learning_rate",
        lambda t: training.decoupled_weight_decay([A], t.number, 0.1),
    ),
    "UnitMonitor.update, x": ("x", lambda t: diagnostics.UnitMonitor().update("h", t.a)),
    "UnitMonitor.update, output": ("output", lambda t: diagnostics.UnitMonitor().update("h", output=t.a)),
    "UnitMonitor.update, mask": ("mask", lambda t: diagnostics.UnitMonitor().update("h", mask=t.mask, shape=(2, 3))),
    "UnitMonitor, prelu's weights": ("param", lambda t: diagnostics.UnitMonitor("prelu", t.row)),
    "GradientMonitor.update": ("grads", lambda t: diagnostics.GradientMonitor().update(t.a)),
    "GradientMonitor.update, grads": ("grads['w']", lambda t: diagnostics.GradientMonitor().update({"w": t.a})),
    "GradientMonitor.update, params": (
        "params['w']",
        lambda t: diagnostics.GradientMonitor().update({"w": A}, {"w": t.a}),
    ),
    "GradientMonitor.update, updates": (
        "updates['w']",
        lambda t: diagnostics.GradientMonitor().update({"w": A}, {"w": A}, updates={"w": t.a}),
    ),
    "gain, a slope": ("param", lambda t: init.gain("leaky_relu", t.number)),
    "gain, weights": ("param", lambda t: init.gain("prelu", t.row)),
    "he_normal": (
        "negative_slope",
        lambda t: init.he_normal((2, 3), negative_slope=t.number, rng=np.random.default_rng(0)),
    ),
}

# With nothing but tensors, which is fine for those of PyTorch.
ALONE = {name: ("x", lambda t, name=name: getattr(pyleaky, name)(t.a)) for name in FAMILY} | {
    "prelu": ("x", lambda t: pyleaky.prelu(t.a, t.row, axis=1)),
    "relu_backward": ("grad", lambda t: pyleaky.relu_backward(t.a, t.a)),
    "prelu_backward": ("grad", lambda t: pyleaky.prelu_backward(t.a, t.a, t.row, axis=1)),
    "selu_double_backward": ("gg", lambda t: pyleaky.selu_double_backward(t.a, t.a, t.a)),
    "dropout": ("x", lambda t: pyleaky.dropout(t.a, seed=1)),
    "dropout_backward": ("grad", lambda t: pyleaky.dropout_backward(t.a, seed=1)),
    "rrelu": ("x", lambda t: pyleaky.rrelu(t.a, seed=1)),
    "bias_act": ("x", lambda t: pyleaky.bias_act(t.a, t.row, activation="leaky_relu")),
    "bias_act_backward": ("grad", lambda t: pyleaky.bias_act_backward(t.a, t.a, t.row, activation="leaky_relu")),
}


def raised(t):
    """What each call raises: the name of the type, and the message."""
    found = {}
    for case, (_, call) in {**CASES, **ALONE}.items():
        try:
            found[case] = ("nothing", repr(call(t)))
        except Exception as error:
            found[case] = (type(error).__name__, str(error))
    return found


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def eager(make):
    """Tensors with values are taken as numpy.exp takes them: the calls of which that is not so, and what is refused."""
    t = SimpleNamespace(**{name: make(value) for name, value in vars(ARRAYS).items()})
    calls = {
        **{case: call for case, (_, call) in ALONE.items()},
        "one slope": lambda t: pyleaky.leaky_relu(A, t.number),
        "a list": lambda t: pyleaky.relu([t.row, t.row]),
        "gain": lambda t: pyleaky.bias_act(A, gain=t.number, negative_slope=t.number, activation="leaky_relu"),
        "bias": lambda t: pyleaky.bias_act_backward(A, A, t.row, activation="leaky_relu")[1],
        "weight": lambda t: pyleaky.prelu_backward(A, A, t.row, axis=1)[1],
        "param": lambda t: init.gain("prelu", t.row),
    }
    differing = []
    for case, call in calls.items():
        for got, expected in zip(as_tuple(call(t)), as_tuple(call(ARRAYS)), strict=True):
            if type(got) is not type(expected) or not np.array_equal(got, expected):
                differing.append(case)
    refused = {}
    for case in ("relu, out", "bias_act, out", "clip_grad_norm, a tensor", "relu, return_mask"):
        try:
            CASES[case][1](t)
        except Exception as error:
            refused[case] = (type(error).__name__, str(error))
    return {"differing": differing, "refused": refused}


def main():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    found = {}
    values = vars(ARRAYS)

    def traced(kind, make, specs):
        # Without AutoGraph, which would rewrite the calls.
        @tf.function(autograph=False, input_signature=specs)
        def function(*tensors):
            found[kind] = raised(SimpleNamespace(**dict(zip(values, make(*tensors), strict=True))))
            return 0

        function(*map(tf.constant, values.values()))

    known = [tf.TensorSpec(np.shape(value), value.dtype) for value in values.values()]
    traced("in a tf.function", lambda *tensors: tensors, known)
    unknown = [tf.TensorSpec(None, value.dtype) for value in values.values()]
    traced("of unknown rank", lambda *tensors: tensors, unknown)
    variables = [tf.Variable(value) for value in values.values()]
    traced("a variable in a tf.function", lambda *_: variables, known)
    symbolic = {name: keras.KerasTensor(np.shape(value), value.dtype.name) for name, value in values.items()}
    found["of Keras"] = raised(SimpleNamespace(**symbolic))
    json.dump({"symbolic": found, "eager": [eager(kind) for kind in (tf.constant, tf.Variable)]}, sys.stdout)
