"""Any shape, stride, dtype and slope that hypothesis finds, against NumPy's own select."""

import numpy as np
from arrays import DTYPES, HALVES, assert_same_bits, compute_type
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pyleaky


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_shape_stride_and_dtype(data):
    dtype = data.draw(st.sampled_from(DTYPES))
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7))
    if dtype in HALVES:
        x = data.draw(hnp.arrays(np.uint16, shape)).view(dtype)
    else:
        elements = st.floats(width=8 * np.dtype(dtype).itemsize, allow_subnormal=True)
        x = data.draw(hnp.arrays(dtype, shape, elements=elements))
    x = x[data.draw(hnp.basic_indices(shape, allow_ellipsis=False, allow_newaxis=True))]
    slope = data.draw(st.floats(-10, 10, width=32))
    compute = compute_type(dtype)
    with np.errstate(all="ignore"):
        expected = np.where(x > 0, x, (compute(slope) * x.astype(compute)).astype(dtype))
        expected_relu = np.where(x < 0, dtype(0), x)
    assert_same_bits(pyleaky.leaky_relu(x, slope), expected)
    assert_same_bits(pyleaky.relu(x), expected_relu)
    assert_same_bits(pyleaky.leaky_relu_backward(x, x, slope), expected)


@settings(max_examples=100, deadline=None)
@given(
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_slopes_broadcast(shapes, seed):
    rng = np.random.default_rng(seed)
    x, slope = (rng.normal(size=shape) for shape in shapes.input_shapes)
    np.testing.assert_array_equal(pyleaky.leaky_relu(x, slope), np.where(x > 0, x, slope * x))
