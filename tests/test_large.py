"""More than 2^31 elements, whose bytes are more than 2^32: every one against the table of all 65,536 halves.

Two arrays of 4.3 GB at most are alive at once.  Nightly only: it takes 9 GB of memory and minutes.
"""

import numpy as np
import pytest
import reference
from arrays import assert_same_bits, canonical
from conftest import nightly

import pyleaky

pytestmark = nightly

N = 2**31 + 70_001
STEP = 2**24
EVERY_HALF = np.arange(2**16, dtype=np.uint16).view(np.float16)
SLOPE = 0.3  # no half and no float32
# What lies around the places where a 32-bit count of elements or bytes would wrap, and the end.
CORNERS = sorted({place + near for place in (0, 2**30, 2**31, N - 3) for near in (0, 1, 2)} | {2**30 - 1, 2**31 - 1})


def pattern(start, stop):
    """Bits of elements start to stop: each run of 65,536 has every half once, in another order than its neighbours."""
    i = np.arange(start, stop, dtype=np.uint64)
    return (i * np.uint64(40503) ^ (i >> np.uint64(16)) * np.uint64(58711)).astype(np.uint16)


def chunks():
    for start in range(0, N, STEP):
        yield start, min(start + STEP, N)


@pytest.fixture(scope="module")
def room():
    return np.empty(N, np.float16)


@pytest.fixture
def x(room):
    for start, stop in chunks():
        room[start:stop] = pattern(start, stop).view(np.float16)
    return room


def in_float32(function, *arrays):
    """The float32 function of the widened halves, rounded once."""
    with np.errstate(all="ignore"):
        return function(*(array.astype(np.float32) for array in arrays)).astype(np.float32).astype(np.float16)


def check(result, of, turned=False):
    """Every element of the result against `of`, its bits as a table of x's."""
    table = canonical(of)
    assert result.shape == (N,)
    for start, stop in chunks():
        bits = pattern(N - stop, N - start)[::-1] if turned else pattern(start, stop)
        if not np.array_equal(canonical(result[start:stop]), table[bits]):
            pytest.fail(f"wrong between elements {start} and {stop}")


FORWARD = {
    "relu": (lambda x, out: pyleaky.relu(x, out=out), reference.relu),
    "leaky_relu": (
        lambda x, out: pyleaky.leaky_relu(x, SLOPE, out=out),
        lambda x: reference.leaky_relu(x, np.float32(SLOPE)),
    ),
    "elu": (lambda x, out: pyleaky.elu(x, out=out), lambda x: reference.elu(x, 1.0)),
    "selu": (lambda x, out: pyleaky.selu(x, out=out), reference.selu),
}
BACKWARD = {
    "leaky_relu": (
        lambda grad, x, out: pyleaky.leaky_relu_backward(grad, x, SLOPE, out=out),
        lambda grad, x: reference.leaky_relu_backward(grad, x, np.float32(SLOPE)),
    ),
    "selu": (lambda grad, x, out: pyleaky.selu_backward(grad, x, out=out), reference.selu_backward),
}


@pytest.mark.parametrize(("function", "of"), FORWARD.values(), ids=FORWARD)
def test_forward_in_place(x, function, of):
    assert function(x, x) is x
    check(x, in_float32(of, EVERY_HALF))


def test_forward_from_a_reversed_view_into_a_fresh_result(x):
    function, of = FORWARD["leaky_relu"]
    check(function(x[::-1], None), in_float32(of, EVERY_HALF), turned=True)


@pytest.mark.parametrize(("function", "of"), BACKWARD.values(), ids=BACKWARD)
def test_backward_in_place(x, function, of):
    """The gradient is x itself, so that one array will do, and 4.3 GB hold grad, x and result."""
    table = in_float32(of, EVERY_HALF, EVERY_HALF)
    table[np.isneginf(EVERY_HALF)] = -np.inf  # not NaN: docs/semantics.md
    assert function(x, x, x) is x
    check(x, table)


def test_the_mask_and_the_gradient_from_it(x):
    _, mask = pyleaky.leaky_relu(x, SLOPE, out=x, return_mask=True)
    assert mask.size == -(-N // 8)
    positive = EVERY_HALF > 0
    for start, stop in chunks():
        expected = np.packbits(positive[pattern(start, stop)], bitorder="little")
        assert np.array_equal(mask[start // 8 : -(-stop // 8)], expected), start
    grad = np.ones(N, np.float16)
    pyleaky.leaky_relu_backward(grad, mask=mask, negative_slope=SLOPE, out=grad)
    check(grad, np.where(positive, np.float16(1), np.float16(np.float32(SLOPE))))


def test_dropout_counts_its_elements(room):
    room.fill(1)
    pyleaky.dropout(room, 0.5, seed=7, out=room)
    places = np.unique(np.concatenate([np.arange(max(at - 2000, 0), min(at + 2000, N)) for at in CORNERS]))
    expected = reference.dropout(np.ones(places.size, np.float32), 0.5, 7, places).astype(np.float16)
    assert_same_bits(room[places], expected)


def test_sums_reach_the_end(room):
    room.fill(0)
    room[CORNERS] = -1
    assert pyleaky.prelu_backward(room, room, 0.25)[1] == len(CORNERS)
    columns = room[: N // 2 * 2].reshape(-1, 2)
    _, dbias = pyleaky.bias_act_backward(columns, columns, np.zeros(2, np.float16), activation="linear", out=columns)
    places = np.array([place for place in CORNERS if place < columns.size])
    assert dbias.tolist() == [-np.sum(places % 2 == 0), -np.sum(places % 2 == 1)]
