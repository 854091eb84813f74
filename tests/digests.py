"""What every public function returns, as digests: `python tests/digests.py > tests/digests.txt` after a change of bits.

They are the same on every ISA, architecture, thread count and version of NumPy, so the committed table says which bits
a version of pyleaky gives.  A change of it is a minor release and is named in CHANGELOG.md (tests/release.py).  A row
of src/activations.h is in by itself; to add another function, add its call.  What NumPy's own random numbers or its pow
go into is left out.
"""

import hashlib
import sys

import numpy as np
from arrays import DTYPES, canonical, specials

import pyleaky
from pyleaky import _core, training

SHAPE = (6, 19, 37)


def numbers(dtype, multiplier):
    """Between -8 and 8, and all that is special, in no order that matters; the same on every machine."""
    count = np.prod(SHAPE)
    words = np.arange(count, dtype=np.uint64) * np.uint64(multiplier) % np.uint64(2**32)
    array = (words.astype(np.float64) / 2**28 - 8).astype(dtype)
    array[: 2 * len(specials(dtype))] = np.repeat(specials(dtype), 2)
    return array.reshape(SHAPE)


def finite(array):
    """For sums, which infinities and NaN would make the same whatever else goes in."""
    with np.errstate(invalid="ignore"):
        return np.where(abs(array) < 100, array, array.dtype.type(1))


def calls(dtype):
    """(name, its results) for each function that computes."""
    x, grad, gg = (numbers(dtype, multiplier) for multiplier in (2654435761, 2246822519, 3266489917))
    tame, tame_grad, tame_gg = finite(x), finite(grad), finite(gg)
    weight = np.linspace(-0.5, 1.5, SHAPE[1]).astype(dtype)
    bias = np.linspace(-2, 2, SHAPE[1]).astype(dtype)
    # Every row of the table that has a public function by its name, with the default of its parameter and another.
    for name, row in _core.ROWS.items():
        if name not in pyleaky.__all__:
            continue
        arrays = [{"x": x, "grad": grad, "gg": gg}[what] for what in row.inputs if what in ("x", "grad", "gg")]
        for parameter in ((), (0.7,)) if row.parameters else ((),):
            y = getattr(pyleaky, name)(*arrays, *parameter)
            yield name, y
            if f"{name}_backward_from_output" in _core.ROWS or name in ("relu", "leaky_relu"):
                backward = f"{name}_backward"
                yield backward, getattr(pyleaky, backward)(grad, None, *parameter, output=y)
    yield "leaky_relu", pyleaky.leaky_relu(x, 0.2, return_mask=True)
    mask = pyleaky.relu(x, return_mask=True)[1]
    yield "leaky_relu_backward", pyleaky.leaky_relu_backward(grad, mask=mask, negative_slope=-0.1)
    yield "unpack_mask", pyleaky.unpack_mask(mask, SHAPE)
    yield "prelu", pyleaky.prelu(x, weight, axis=1)
    yield "prelu_backward", pyleaky.prelu_backward(tame_grad, tame, weight, axis=1)
    yield "prelu_backward", pyleaky.prelu_backward(tame_grad, tame, weight[:1])
    yield "dropout", pyleaky.dropout(x, 0.3, seed=2**40 + 7, start=5)
    yield "dropout_backward", pyleaky.dropout_backward(grad, 0.3, seed=2**40 + 7, start=5)
    yield "rrelu", pyleaky.rrelu(x, seed=11)
    yield "rrelu_backward", pyleaky.rrelu_backward(grad, x, seed=11)
    for activation in "linear", "relu", "leaky_relu", "elu", "selu":
        settings = {"activation": activation, "negative_slope": 0.2, "gain": None, "clamp": 3.0}
        yield "bias_act", pyleaky.bias_act(x, bias, **settings)
        yield "bias_act_backward", pyleaky.bias_act_backward(tame_grad, tame, bias, **settings)
        yield "bias_act_double_backward", pyleaky.bias_act_double_backward(tame_gg, tame_grad, tame, bias, **settings)
    yield "clip_grad_norm", (training.clip_grad_norm([copy := tame.copy()], 1.5), copy)
    yield "clip_grad_norm", (training.clip_grad_norm([copy := tame.copy()], 1.5, norm_type=1), copy)
    yield "l2_penalty", training.l2_penalty([tame], 0.01)
    for name in "clip_grad_value", "add_l2_grad", "decoupled_weight_decay":
        copy = tame.copy()
        rest = {"clip_grad_value": (0.5,), "add_l2_grad": ([tame_grad], 0.1), "decoupled_weight_decay": (0.1, 0.01)}
        getattr(training, name)([copy], *rest[name])
        yield name, copy


def digest(results):
    total = hashlib.sha256()
    for result in results:
        for array in result if isinstance(result, tuple) else (result,):
            total.update(canonical(array).tobytes())
    return total.hexdigest()[:16]


def table():
    """{function: its digests, in the order of DTYPES}"""
    columns = []
    for dtype in DTYPES:
        results = {}
        for name, result in calls(dtype):
            results.setdefault(name, []).append(result)
        columns.append({name: digest(result) for name, result in results.items()})
    return {name: [column[name] for column in columns] for name in columns[0]}


def text():
    head = ["", *(np.dtype(dtype).name for dtype in DTYPES)]
    lines = [[name, *digests] for name, digests in sorted(table().items())]
    return "".join("".join(f"{cell:<26}" for cell in line).rstrip() + "\n" for line in [head, *lines])


if __name__ == "__main__":
    sys.stdout.write(text())
