"""What checkers infer for the public functions, told by assert_type: lines for each overload.

mypy and Pyright read this file (`make lint`), and test_typing.py runs it with an assert_type that compares the type
with what the function has really returned, so that no stub can promise what is not so.  In refused() stands what both
have to report, and what is a TypeError at run time.  A new function needs its lines here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, assert_type

import numpy as np
from numpy.typing import NDArray

import pyleaky

if TYPE_CHECKING:
    import dask.array as da
    import xarray as xr

Masked: TypeAlias = np.ma.MaskedArray[tuple[int, int], np.dtype[np.float32]]

F2: NDArray[np.float16] = np.linspace(-2, 3, 6).reshape(2, 3).astype(np.float16)
F4: NDArray[np.float32] = F2.astype(np.float32)
F8: NDArray[np.float64] = F2.astype(np.float64)
I1: NDArray[np.int8] = F2.astype(np.int8)
U8: NDArray[np.uint64] = np.arange(6, dtype=np.uint64).reshape(2, 3)
B: NDArray[np.bool] = F2 > 0
W2: NDArray[np.float16] = np.full(3, 0.25, np.float16)
W4: NDArray[np.float32] = np.full(3, 0.25, np.float32)
W8: NDArray[np.float64] = np.full(3, 0.25)
MASKED: Masked = np.ma.MaskedArray(F4, F4 > 2)
S2, S4, S8 = np.float16(-1), np.float32(-1), np.float64(-1)
RNG = np.random.default_rng(0)
BITS: NDArray[np.uint8] = np.packbits(F2 > 0, bitorder="little")


def out() -> NDArray[np.float32]:
    return np.empty_like(F4)


# ---------------------------------------------------------------------------------------------- forward


def numbers() -> None:
    assert_type(pyleaky.relu(-1.5), np.float64)
    assert_type(pyleaky.relu(-1), np.float64)
    assert_type(pyleaky.relu(True), np.float64)
    assert_type(pyleaky.relu(np.int32(-1)), np.float64)
    assert_type(pyleaky.relu(np.bool(True)), np.float64)
    assert_type(pyleaky.relu(S2), np.float16)
    assert_type(pyleaky.relu(S4), np.float32)
    assert_type(pyleaky.relu(S8), np.float64)
    assert_type(pyleaky.leaky_relu(-1, 0.1), np.float64)
    assert_type(pyleaky.leaky_relu(S4, 0.1), np.float32)
    assert_type(pyleaky.leaky_relu(S4, S8), np.float32)
    assert_type(pyleaky.prelu(-1.0, 0.1), np.float64)
    assert_type(pyleaky.prelu(S2, 0.1), np.float16)
    assert_type(pyleaky.elu(-1), np.float64)
    assert_type(pyleaky.elu(S4), np.float32)
    assert_type(pyleaky.celu(-1.0, 2), np.float64)
    assert_type(pyleaky.celu(S2), np.float16)
    assert_type(pyleaky.selu(-1), np.float64)
    assert_type(pyleaky.selu(S2), np.float16)
    assert_type(pyleaky.dropout(1.0, seed=1), np.float64)
    assert_type(pyleaky.dropout(S4, seed=1), np.float32)
    assert_type(pyleaky.rrelu(-1.0, seed=1), np.float64)
    assert_type(pyleaky.rrelu(S4, seed=1), np.float32)
    assert_type(pyleaky.bias_act(-1.0, activation="leaky_relu"), np.float64)
    assert_type(pyleaky.bias_act(S4, activation="leaky_relu"), np.float32)


def floating_arrays() -> None:
    assert_type(pyleaky.relu(F2), NDArray[np.float16])
    assert_type(pyleaky.relu(F4), NDArray[np.float32])
    assert_type(pyleaky.relu(F8), NDArray[np.float64])
    assert_type(pyleaky.leaky_relu(F2), NDArray[np.float16])
    assert_type(pyleaky.leaky_relu(F4, 0.1), NDArray[np.float32])
    assert_type(pyleaky.leaky_relu(F4, S8), NDArray[np.float32])
    assert_type(pyleaky.leaky_relu(F8, W8, where=B, out=F8.copy()), NDArray[np.float64])
    assert_type(pyleaky.prelu(F2, W2), NDArray[np.float16])
    assert_type(pyleaky.prelu(F4, W4, axis=1), NDArray[np.float32])
    assert_type(pyleaky.prelu(F8, W8, axis=(-1,)), NDArray[np.float64])
    assert_type(pyleaky.prelu(F4, 0.25), NDArray[np.float32])
    assert_type(pyleaky.elu(F2), NDArray[np.float16])
    assert_type(pyleaky.elu(F4, W4), NDArray[np.float32])
    assert_type(pyleaky.celu(F4, 0.5), NDArray[np.float32])
    assert_type(pyleaky.celu(F8, W8), NDArray[np.float64])
    assert_type(pyleaky.selu(F4), NDArray[np.float32])
    assert_type(pyleaky.dropout(F2, 0.1, seed=1, start=5), NDArray[np.float16])
    assert_type(pyleaky.dropout(F4, training=False), NDArray[np.float32])
    assert_type(pyleaky.rrelu(F4, 0.1, 0.2, seed=RNG), NDArray[np.float32])
    assert_type(pyleaky.bias_act(F4, activation="leaky_relu"), NDArray[np.float32])
    assert_type(pyleaky.bias_act(F4, W4, activation="elu", gain=2, clamp=256), NDArray[np.float32])


def what_becomes_float64() -> None:
    assert_type(pyleaky.relu(I1), NDArray[np.float64])
    assert_type(pyleaky.relu(U8), NDArray[np.float64])
    assert_type(pyleaky.relu(B), NDArray[np.float64])
    assert_type(pyleaky.relu([-1.5, 2]), NDArray[np.float64])
    assert_type(pyleaky.relu([[1, 2], [3, 4]]), NDArray[np.float64])
    assert_type(pyleaky.relu(((((True,),),),)), NDArray[np.float64])
    assert_type(pyleaky.relu(range(3)), NDArray[np.float64])
    assert_type(pyleaky.leaky_relu(I1, 0.1), NDArray[np.float64])
    assert_type(pyleaky.prelu(I1, [1, 2, 3], axis=1), NDArray[np.float64])
    assert_type(pyleaky.elu(I1, I1), NDArray[np.float64])
    assert_type(pyleaky.celu(U8), NDArray[np.float64])
    assert_type(pyleaky.selu(B), NDArray[np.float64])
    assert_type(pyleaky.dropout(I1, seed=1), NDArray[np.float64])
    assert_type(pyleaky.rrelu([1.0, -1.0], seed=1), NDArray[np.float64])
    assert_type(pyleaky.bias_act(I1, [1, 2, 3], activation="leaky_relu"), NDArray[np.float64])


def masked_arrays() -> None:
    assert_type(pyleaky.relu(MASKED), Masked)
    assert_type(pyleaky.leaky_relu(MASKED), Masked)
    assert_type(pyleaky.prelu(MASKED, 0.25), Masked)
    assert_type(pyleaky.elu(MASKED), Masked)
    assert_type(pyleaky.celu(MASKED), Masked)
    assert_type(pyleaky.selu(MASKED), Masked)
    assert_type(pyleaky.dropout(MASKED, seed=1), Masked)
    assert_type(pyleaky.rrelu(MASKED, seed=1), Masked)
    assert_type(pyleaky.bias_act(MASKED, activation="leaky_relu"), Masked)


def with_dtype() -> None:
    assert_type(pyleaky.relu(F8, dtype=np.float32), NDArray[np.float32])
    assert_type(pyleaky.relu([1.0], dtype=np.dtype(np.float16)), NDArray[np.float16])
    assert_type(pyleaky.leaky_relu(F8, 0.1, dtype=np.float16), NDArray[np.float16])
    assert_type(pyleaky.prelu(I1, W4, axis=1, dtype=np.float32), NDArray[np.float32])
    assert_type(pyleaky.elu(F4, dtype=np.float64), NDArray[np.float64])
    assert_type(pyleaky.celu(F8, dtype=np.float32), NDArray[np.float32])
    assert_type(pyleaky.selu(F8, dtype=np.float32), NDArray[np.float32])


def with_out() -> None:
    assert_type(pyleaky.relu(F8, out=out()), NDArray[np.float32])
    assert_type(pyleaky.relu(F8, out=(out(),), where=B), NDArray[np.float32])
    assert_type(pyleaky.leaky_relu(F8, W8, out=out(), dtype="f8"), NDArray[np.float32])
    assert_type(pyleaky.prelu(I1, 0.1, out=out()), NDArray[np.float32])
    assert_type(pyleaky.elu(I1, out=out()), NDArray[np.float32])
    assert_type(pyleaky.celu(F8, out=out()), NDArray[np.float32])
    assert_type(pyleaky.selu(F8, out=out()), NDArray[np.float32])
    assert_type(pyleaky.dropout(F8, seed=1, out=out()), NDArray[np.float32])
    assert_type(pyleaky.rrelu(F8, seed=1, out=out()), NDArray[np.float32])
    assert_type(pyleaky.bias_act(F8, W4, out=out(), activation="leaky_relu"), NDArray[np.float32])


def with_more_than_the_result() -> None:
    assert_type(pyleaky.relu(F4, return_mask=True), tuple[NDArray[np.float32], NDArray[np.uint8]])
    assert_type(pyleaky.relu(I1, return_mask=True), tuple[NDArray[np.float64], NDArray[np.uint8]])
    assert_type(pyleaky.relu(F4, return_mask=False), NDArray[np.float32])
    assert_type(pyleaky.leaky_relu(F2, 0.1, return_mask=True), tuple[NDArray[np.float16], NDArray[np.uint8]])
    assert_type(pyleaky.leaky_relu(B, return_mask=True), tuple[NDArray[np.float64], NDArray[np.uint8]])
    assert_type(pyleaky.leaky_relu(F4, out=out(), return_mask=True), tuple[NDArray[np.float32], NDArray[np.uint8]])
    assert_type(pyleaky.leaky_relu(F4, return_mask=bool(B.all())), Any)
    assert_type(
        pyleaky.bias_act(F4, W4, return_mask=True, activation="leaky_relu"),
        tuple[NDArray[np.float32], NDArray[np.uint8]],
    )
    assert_type(
        pyleaky.bias_act([[1, 2]], return_mask=True, activation="leaky_relu"),
        tuple[NDArray[np.float64], NDArray[np.uint8]],
    )
    assert_type(pyleaky.dropout(F4, seed=RNG, return_seed=True), tuple[NDArray[np.float32], int])
    assert_type(pyleaky.dropout(S4, seed=RNG, return_seed=True), tuple[np.float32, int])
    assert_type(pyleaky.dropout([1.0], seed=RNG, return_seed=True), tuple[Any, int])
    assert_type(pyleaky.rrelu(F2, seed=RNG, return_seed=True), tuple[NDArray[np.float16], int])
    assert_type(pyleaky.rrelu(MASKED, seed=1, return_seed=True)[1], int)
    assert_type(pyleaky.rrelu(I1, seed=RNG, return_seed=True, out=out()), tuple[Any, int])
    assert_type(pyleaky.unpack_mask(BITS, (2, 3)), NDArray[np.bool])


# ---------------------------------------------------------------------------------------------- backward


def backward() -> None:
    assert_type(pyleaky.relu_backward(1.0, -1), np.float64)
    assert_type(pyleaky.relu_backward(S4, S4), np.float32)
    assert_type(pyleaky.relu_backward(F4, F4), NDArray[np.float32])
    assert_type(pyleaky.relu_backward(F4, output=F4), NDArray[np.float32])
    assert_type(pyleaky.relu_backward(F4, mask=BITS), NDArray[np.float32])
    assert_type(pyleaky.relu_backward(I1, B), NDArray[np.float64])
    assert_type(pyleaky.relu_backward(F8, F8, out=out()), NDArray[np.float32])
    assert_type(pyleaky.leaky_relu_backward(1.0, -1, 0.1), np.float64)
    assert_type(pyleaky.leaky_relu_backward(S2, output=S2), np.float16)
    assert_type(pyleaky.leaky_relu_backward(F2, F2, W2), NDArray[np.float16])
    assert_type(pyleaky.leaky_relu_backward(F4, mask=BITS), NDArray[np.float32])
    assert_type(pyleaky.leaky_relu_backward([1, 2], [3.0, 4.0]), NDArray[np.float64])
    assert_type(pyleaky.leaky_relu_backward(MASKED, MASKED), Masked)
    assert_type(pyleaky.leaky_relu_backward(F8, mask=BITS, out=out()), NDArray[np.float32])
    assert_type(pyleaky.elu_backward(1, 2), np.float64)
    assert_type(pyleaky.elu_backward(S4, S4), np.float32)
    assert_type(pyleaky.elu_backward(F4, output=F4), NDArray[np.float32])
    assert_type(pyleaky.elu_backward(I1, I1), NDArray[np.float64])
    assert_type(pyleaky.elu_backward(F8, F8, out=out()), NDArray[np.float32])
    assert_type(pyleaky.celu_backward(1, 2), np.float64)
    assert_type(pyleaky.celu_backward(S4, S4, 2.0), np.float32)
    assert_type(pyleaky.celu_backward(F2, F2, W2), NDArray[np.float16])
    assert_type(pyleaky.celu_backward(I1, I1), NDArray[np.float64])
    assert_type(pyleaky.celu_backward(F8, F8, out=out()), NDArray[np.float32])
    assert_type(pyleaky.selu_backward(1, 2), np.float64)
    assert_type(pyleaky.selu_backward(S4, S4), np.float32)
    assert_type(pyleaky.selu_backward(F4, output=F4), NDArray[np.float32])
    assert_type(pyleaky.selu_backward(I1, I1), NDArray[np.float64])
    assert_type(pyleaky.selu_backward(F8, F8, out=(out(),)), NDArray[np.float32])
    assert_type(pyleaky.dropout_backward(1.0, seed=1), np.float64)
    assert_type(pyleaky.dropout_backward(S4, seed=1), np.float32)
    assert_type(pyleaky.dropout_backward(F4, seed=1), NDArray[np.float32])
    assert_type(pyleaky.dropout_backward(I1, seed=1), NDArray[np.float64])
    assert_type(pyleaky.dropout_backward(F8, seed=1, out=out()), NDArray[np.float32])
    assert_type(pyleaky.rrelu_backward(1.0, -1, seed=1), np.float64)
    assert_type(pyleaky.rrelu_backward(S4, S4, seed=1), np.float32)
    assert_type(pyleaky.rrelu_backward(F4, F4, seed=1), NDArray[np.float32])
    assert_type(pyleaky.rrelu_backward(I1, I1, seed=1), NDArray[np.float64])
    assert_type(pyleaky.rrelu_backward(F8, F8, seed=1, out=out()), NDArray[np.float32])


def several_gradients() -> None:
    assert_type(pyleaky.prelu_backward(F4, F4, W4, axis=1), tuple[NDArray[np.float32], NDArray[np.float32]])
    assert_type(pyleaky.prelu_backward(F2, F2, 0.25), tuple[NDArray[np.float16], np.float16])
    assert_type(pyleaky.prelu_backward(I1, I1, 0.25), tuple[NDArray[np.float64], np.float64])
    assert_type(pyleaky.prelu_backward(I1, I1, [1, 2, 3]), tuple[NDArray[np.float64], NDArray[np.float64]])
    assert_type(pyleaky.bias_act_backward(F4, F4, activation="leaky_relu"), tuple[NDArray[np.float32], None])
    assert_type(pyleaky.bias_act_backward(F4, output=F4, activation="leaky_relu"), tuple[NDArray[np.float32], None])
    assert_type(pyleaky.bias_act_backward(I1, I1, activation="leaky_relu"), tuple[NDArray[np.float64], None])
    assert_type(pyleaky.bias_act_backward(S4, S4, activation="leaky_relu"), tuple[np.float32, None])
    assert_type(
        pyleaky.bias_act_backward(F4, F4, W4, activation="leaky_relu"), tuple[NDArray[np.float32], NDArray[np.float32]]
    )
    assert_type(
        pyleaky.bias_act_backward(F4, output=F4, bias=W4, mask=BITS, activation="leaky_relu"),
        tuple[NDArray[np.float32], NDArray[np.float32]],
    )
    assert_type(
        pyleaky.bias_act_backward(I1, I1, [1, 2, 3], activation="leaky_relu"),
        tuple[NDArray[np.float64], NDArray[np.float64]],
    )
    assert_type(pyleaky.bias_act_backward(F8, F8, W4, out=out(), activation="leaky_relu")[0], NDArray[np.float32])


def double_backward() -> None:
    assert_type(pyleaky.elu_double_backward(1, 2, 3.0), tuple[np.float64, np.float64])
    assert_type(pyleaky.elu_double_backward(S4, S4, S4), tuple[np.float32, np.float32])
    assert_type(pyleaky.elu_double_backward(F4, F4, F4, 2.0), tuple[NDArray[np.float32], NDArray[np.float32]])
    assert_type(pyleaky.elu_double_backward(I1, I1, I1), tuple[NDArray[np.float64], NDArray[np.float64]])
    assert_type(pyleaky.celu_double_backward(1, 2, 3.0), tuple[np.float64, np.float64])
    assert_type(pyleaky.celu_double_backward(S4, S4, S4), tuple[np.float32, np.float32])
    assert_type(pyleaky.celu_double_backward(F2, F2, F2, W2), tuple[NDArray[np.float16], NDArray[np.float16]])
    assert_type(pyleaky.celu_double_backward(I1, I1, I1), tuple[NDArray[np.float64], NDArray[np.float64]])
    assert_type(pyleaky.selu_double_backward(1, 2, 3.0), tuple[np.float64, np.float64])
    assert_type(pyleaky.selu_double_backward(S4, S4, S4), tuple[np.float32, np.float32])
    assert_type(pyleaky.selu_double_backward(F4, F4, F4), tuple[NDArray[np.float32], NDArray[np.float32]])
    assert_type(pyleaky.selu_double_backward(I1, I1, I1), tuple[NDArray[np.float64], NDArray[np.float64]])
    assert_type(
        pyleaky.bias_act_double_backward(F4, F4, F4, activation="leaky_relu"),
        tuple[NDArray[np.float32], NDArray[np.float32], None],
    )
    assert_type(
        pyleaky.bias_act_double_backward(F4, F4, F4, W4, activation="leaky_relu"),
        tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    )
    assert_type(
        pyleaky.bias_act_double_backward(S4, S4, S4, activation="leaky_relu"), tuple[np.float32, np.float32, None]
    )
    assert_type(
        pyleaky.bias_act_double_backward(I1, I1, I1, activation="leaky_relu"),
        tuple[NDArray[np.float64], NDArray[np.float64], None],
    )
    assert_type(
        pyleaky.bias_act_double_backward(I1, I1, I1, [1, 2, 3], activation="leaky_relu"),
        tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    )


def what_cannot_be_said() -> None:
    assert_type(pyleaky.relu([F4, F4]), Any)
    assert_type(pyleaky.selu([F4, F4]), Any)
    assert_type(pyleaky.elu([F4, F4]), Any)
    assert_type(pyleaky.celu([F4, F4]), Any)
    assert_type(pyleaky.leaky_relu(F4, I1), Any)
    assert_type(pyleaky.prelu(F4, I1), Any)
    assert_type(pyleaky.relu_backward(F4, I1), Any)
    assert_type(pyleaky.leaky_relu_backward(F4, I1), Any)
    assert_type(pyleaky.elu_backward(F4, I1), Any)
    assert_type(pyleaky.celu_backward(F4, I1), Any)
    assert_type(pyleaky.selu_backward(F4, I1), Any)
    assert_type(pyleaky.elu_double_backward(F4, F4, I1), tuple[Any, Any])
    assert_type(pyleaky.celu_double_backward(F4, F4, I1), tuple[Any, Any])
    assert_type(pyleaky.selu_double_backward(F4, F4, I1), tuple[Any, Any])
    assert_type(pyleaky.dropout([F4], seed=1), Any)
    assert_type(pyleaky.rrelu([F4], seed=1), Any)
    assert_type(pyleaky.dropout_backward([F4], seed=1), Any)
    assert_type(pyleaky.rrelu_backward(F4, I1, seed=1), Any)
    assert_type(pyleaky.bias_act(F4, np.arange(3), activation="leaky_relu"), Any)
    assert_type(pyleaky.prelu_backward(F4, I1, 0.25), tuple[Any, Any])
    assert_type(pyleaky.bias_act_backward(F4, I1, activation="leaky_relu"), tuple[Any, Any])
    assert_type(pyleaky.bias_act_double_backward(F4, F4, I1, activation="leaky_relu"), tuple[Any, Any, Any])


def machine() -> None:
    assert_type(pyleaky.SELU_ALPHA, float)
    assert_type(pyleaky.SELU_SCALE, float)
    assert_type(pyleaky.get_num_threads(), int)
    assert_type(pyleaky.cache_info().hits, int)
    assert_type(pyleaky.show_config("dicts"), dict[str, Any])
    with pyleaky.num_threads(1) as number:
        assert_type(number, pyleaky.num_threads)
    pyleaky.set_num_threads(pyleaky.get_num_threads())
    pyleaky.set_cache_limit(pyleaky.cache_info().limit)
    pyleaky.clear_cache()
    assert_type(pyleaky.init.gain("relu"), float)


# ---------------------------------------------------------------------------------------------- containers


def dask_arrays(x: da.Array) -> None:
    assert_type(pyleaky.relu(x), da.Array)
    assert_type(pyleaky.prelu(x, W4, axis=1), da.Array)
    assert_type(pyleaky.elu(x, 0.5), da.Array)
    assert_type(pyleaky.celu(x), da.Array)
    assert_type(pyleaky.selu(x), da.Array)
    assert_type(pyleaky.dropout(x, seed=1), da.Array)
    assert_type(pyleaky.rrelu(x, seed=1, return_seed=True), tuple[da.Array, int])
    assert_type(pyleaky.dropout_backward(x, seed=1), da.Array)
    assert_type(pyleaky.rrelu_backward(x, x, seed=1), da.Array)
    assert_type(pyleaky.relu_backward(x, x), da.Array)
    assert_type(pyleaky.elu_backward(x, x), da.Array)
    assert_type(pyleaky.selu_backward(x, x), da.Array)
    assert_type(pyleaky.celu_double_backward(x, x, x), tuple[da.Array, da.Array])
    assert_type(pyleaky.bias_act_double_backward(x, x, x, activation="leaky_relu"), tuple[da.Array, da.Array, None])
    assert_type(pyleaky.leaky_relu_backward(x, x), da.Array)
    assert_type(pyleaky.selu_double_backward(x, x, x), tuple[da.Array, da.Array])
    assert_type(pyleaky.dropout(x, seed=1, return_seed=True), tuple[da.Array, int])
    assert_type(pyleaky.bias_act(x, W4, activation="leaky_relu"), da.Array)
    assert_type(pyleaky.prelu_backward(x, x, W4, axis=1), tuple[da.Array, Any])
    assert_type(pyleaky.bias_act_backward(x, x, W4, activation="leaky_relu"), tuple[da.Array, Any])
    assert_type(pyleaky.bias_act_backward(x, x, activation="leaky_relu"), tuple[da.Array, None])
    assert_type(pyleaky.bias_act_double_backward(x, x, x, W4, activation="leaky_relu"), tuple[da.Array, da.Array, Any])


def labelled_arrays(x: xr.DataArray) -> None:
    assert_type(pyleaky.relu(x), xr.DataArray)
    assert_type(pyleaky.leaky_relu(x, W4), xr.DataArray)
    assert_type(pyleaky.prelu(x, W4, axis="channel"), xr.DataArray)
    assert_type(pyleaky.celu_backward(x, x), xr.DataArray)
    assert_type(pyleaky.elu_double_backward(x, x, x), tuple[xr.DataArray, xr.DataArray])
    assert_type(pyleaky.rrelu(x, seed=1), xr.DataArray)
    assert_type(pyleaky.bias_act(x, W4, axis="channel", activation="leaky_relu"), xr.DataArray)
    assert_type(pyleaky.relu(x.to_dataset(name="x")), xr.Dataset)


class Device:
    """For checkers, which see no types in CuPy, an array on a device."""

    __cuda_array_interface__: Any


def device_arrays(x: Device) -> None:
    assert_type(pyleaky.relu(x), Device)
    assert_type(pyleaky.relu(x, return_mask=True), tuple[Device, Device])
    assert_type(pyleaky.leaky_relu(x, 0.1, return_mask=True), tuple[Device, Device])
    assert_type(pyleaky.bias_act(x, return_mask=True, activation="leaky_relu"), tuple[Device, Device])
    assert_type(pyleaky.unpack_mask(pyleaky.relu(x, return_mask=True)[1], (2, 3)), Device)


# ---------------------------------------------------------------------------------------------- what is refused


def refuse(call: Callable[[], object]) -> None:
    """For checkers only; what is called is refused at run time, too."""


def refused() -> None:
    refuse(lambda: pyleaky.relu("abc"))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.relu(["abc"]))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.relu(None))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.relu(1j))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.relu({1.0}))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.relu(F4, out="f4"))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.relu(F4, 0.1))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.relu(F4, negative_slope=0.1))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.leaky_relu(F4, "0.1"))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.leaky_relu(F4, negative_slope=None))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.leaky_relu_backward(F4, F4, mask="x"))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.prelu(F4))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.prelu_backward(F4, F4, 1j))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.elu_backward("x", "x"))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.celu(F4, 1j))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.selu(F4, dtype=1.5))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.selu_double_backward(F4, F4))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.dropout(F4, seed=0.5))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.dropout_backward(F4, seed=RNG))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.rrelu(F4, seed="1"))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.bias_act(F4, clamp="2", activation="leaky_relu"))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.bias_act_backward(F4, F4, W4, axis=1.5, activation="leaky_relu"))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.unpack_mask(BITS, 2.5))  # type: ignore  # pyright: ignore
    refuse(lambda: pyleaky.set_num_threads(1.5))  # type: ignore  # pyright: ignore
