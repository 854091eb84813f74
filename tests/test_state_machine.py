"""Hypothesis calls the public functions in any order, on any arrays, while threads, ISA and cache change.

Every result has the bits of the same call on contiguous copies with one thread and the scalar ISA, and that one
lies within what is promised of tests/reference.py.  After every step all arrays, and the results that are kept, hold
what they held, and the cache's figures agree.  A new function needs an entry in FORWARD or a rule.
"""

import numpy as np
import pytest
import reference
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, bfloat16, canonical, compute_type, ulps_apart
from conftest import NIGHTLY
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_bias_act import Reference

import pyleaky
from pyleaky import _core

LARGE = (700, 1001)  # shared among threads, and from float32 on its results are recycled memory
SAMPLE = 1500  # of so many elements the reference is asked
MOST = 6  # arrays, and results that are kept

# Whether it has a parameter.
FORWARD = {"relu": False, "leaky_relu": True, "elu": True, "celu": True, "selu": False}
ULPS = {np.float32: 0.501, np.float64: 1.0}

parameters = st.floats(1 / 64, 8, width=32) | st.sampled_from([0.01, 0.2, 1.0, 3.0])
slopes = parameters | st.floats(-4, 4, width=32)
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(0, 9), min_size=0, max_size=3).map(tuple) | st.sampled_from([(67,), (5, 130), (3, 4, 33)])


def wide(array):
    """As the float dtype that the functions compute in; integers count as float64."""
    with np.errstate(invalid="ignore"):  # which a processor may raise for a signaling NaN
        return array.astype(compute_type(result_type(array)))


def result_type(array):
    native = array.dtype.newbyteorder("=")
    return native.type if native in DTYPES else np.float64


def plain(function, arrays, copied=True):
    """The call on contiguous copies, by one thread and the scalar ISA."""
    before = _core.isa()
    _core.use_isa("scalar")
    try:
        with pyleaky.num_threads(1):
            if copied:
                arrays = [np.array(array, array.dtype.newbyteorder("="), order="C") for array in arrays]
            return function(*arrays)
    finally:
        _core.use_isa(before)


def check_against_reference(name, result, arrays, parameter):
    """Some of the elements of an elementwise result, against the function of that name in tests/reference.py."""
    result = np.asarray(result)
    places = np.arange(result.size) if result.size <= SAMPLE else np.random.default_rng(0).permutation(result.size)
    places = places[:SAMPLE]
    result, *arrays = (np.asarray(array).ravel()[places] for array in (result, *arrays))
    dtype = result.dtype.type
    compute = compute_type(dtype)
    numbers = [] if parameter is None else [compute(parameter)]
    with np.errstate(all="ignore"):
        values = [array.astype(compute) for array in arrays]
        exact = np.asarray(getattr(reference, name)(*values, *numbers))
        if exact.dtype != np.longdouble:
            assert_same_bits(result, exact.astype(compute).astype(dtype))
            return
        if len(values) > 1:  # infinity times exp(x), which rounds to 0 for some x, is infinity or NaN
            fine = np.isfinite(values[0])
            result, exact = result[fine], exact[fine]
        if dtype in HALVES:
            assert (ulps_apart(result, exact.astype(np.float32).astype(dtype)) <= 1).all()
        else:
            assert (reference.ulps(result, exact) <= ULPS[dtype]).all()


class Room:
    """An array and the memory around it, which nobody may write; `before` is what the memory held."""

    def __init__(self, array, memory):
        self.array, self.memory = array, memory
        self.remember()

    def remember(self):
        self.before = self.memory.copy()

    def check_unchanged(self):
        assert np.array_equal(self.memory, self.before), "memory that no call may write has changed"

    def check_only_the_array_changed(self):
        """Whatever the array holds now: around it everything is as it was."""
        offset = self.array.__array_interface__["data"][0] - self.memory.__array_interface__["data"][0]
        of = {"shape": self.array.shape, "dtype": self.array.dtype, "strides": self.array.strides}
        after = self.memory.copy()
        if self.array.size:  # a reversed one without elements begins where NumPy lets no array begin
            np.ndarray(buffer=after, offset=offset, **of)[...] = np.ndarray(buffer=self.before, offset=offset, **of)
        assert np.array_equal(after, self.before), "memory beside `out` has changed"
        self.remember()


def laid_out(values, layout):
    """A Room with these values in a layout."""
    ndim, size = values.ndim, values.dtype.itemsize
    guard = 64 + (1 if layout == "unaligned" else 0)
    dtype = values.dtype.newbyteorder() if layout == "byte-swapped" and values.dtype != bfloat16 else values.dtype
    axes = range(ndim)[::-1] if layout in ("fortran", "transposed") else range(ndim)
    gap = 2 if layout == "strided" else 1
    # Strides from the last axis to the first, in the order of memory.
    strides, step = [0] * ndim, size * gap
    for axis in reversed(list(axes)):
        strides[axis] = step
        step *= values.shape[axis] * gap
    memory = np.full(max(step, size) + 2 * guard, 0xA5, np.uint8)
    array = np.ndarray(values.shape, dtype, memory, guard, strides)
    if layout == "reversed":
        array = array[(*(slice(None, None, -1) for _ in range(ndim)), ...)]
    array[...] = values
    if layout == "read-only":
        array.flags.writeable = False
    if layout == "broadcast" and ndim and values.shape[0]:
        array = np.broadcast_to(array[:1], values.shape)
    return Room(array, memory)


LAYOUTS = ("contiguous", "fortran", "strided", "reversed", "byte-swapped", "unaligned", "read-only", "broadcast")


class Machine(RuleBasedStateMachine):
    @initialize(isa=st.sampled_from(_core.isas()), threads=st.integers(1, 3))
    def begin(self, isa, threads):
        self.settings = pyleaky.get_num_threads(), pyleaky.cache_info().limit, _core.isa()
        self.rooms, self.kept, self.limit = [], [], self.settings[1]
        _core.use_isa(isa)
        pyleaky.set_num_threads(threads)
        info = pyleaky.cache_info()
        self.counted = info.hits + info.misses

    def teardown(self):
        if hasattr(self, "settings"):
            threads, limit, isa = self.settings
            pyleaky.set_num_threads(threads)
            pyleaky.set_cache_limit(limit)
            _core.use_isa(isa)

    # ---- what there is

    def has_array(self):
        return bool(self.rooms)

    def add(self, room):
        self.rooms.append(room)
        del self.rooms[:-MOST]

    def keep(self, result):
        """A result, which must stay as it is however much memory is recycled."""
        for array in result if isinstance(result, tuple) else (result,):
            if isinstance(array, np.ndarray):
                for other, _ in self.kept:
                    assert not np.may_share_memory(array, other), "two results live in the same memory"
                self.kept.append((array, array.tobytes()))
        del self.kept[:-MOST]

    def pick(self, data):
        return data.draw(st.sampled_from(self.rooms), label="array")

    def like(self, data, array):
        """Another array of the shape and dtype, for a gradient: of any layout, or one that is there already."""
        fitting = [r for r in self.rooms if r.array.shape == array.shape and r.array.dtype == array.dtype]
        if fitting and data.draw(st.booleans(), label="shared"):
            return data.draw(st.sampled_from(fitting), label="gradient").array
        rng = np.random.default_rng(data.draw(seeds, label="seed"))
        dtype = result_type(array)
        return laid_out(any_bits(rng, array.shape, dtype), data.draw(st.sampled_from(LAYOUTS), label="layout")).array

    @rule(shape=shapes, dtype=st.sampled_from(DTYPES), layout=st.sampled_from(LAYOUTS), seed=seeds)
    def make(self, shape, dtype, layout, seed):
        self.add(laid_out(any_bits(np.random.default_rng(seed), shape, dtype), layout))

    @rule(dtype=st.sampled_from(DTYPES), layout=st.sampled_from(LAYOUTS), seed=seeds)
    def make_large(self, dtype, layout, seed):
        self.add(laid_out(any_bits(np.random.default_rng(seed), LARGE, dtype), layout))

    @rule(shape=shapes, dtype=st.sampled_from([np.int8, np.uint32, np.int64, np.bool_]), seed=seeds)
    def make_integers(self, shape, dtype, seed):
        values = np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)
        self.add(laid_out(values if dtype is np.bool_ else values - dtype(50), "contiguous"))

    @rule(length=st.integers(2, 200), shift=st.integers(0, 20), dtype=st.sampled_from(DTYPES), seed=seeds)
    def make_two_that_overlap(self, length, shift, dtype, seed):
        """Both in one memory, so the call changes its input; what is kept is the output and the memory around it."""
        room = laid_out(any_bits(np.random.default_rng(seed), length + shift, dtype), "contiguous")
        x, out = room.array[:length], room.array[shift:]
        expected = plain(lambda x: pyleaky.leaky_relu(x, 0.3), [x])
        assert pyleaky.leaky_relu(x, 0.3, out=out) is out
        assert_same_bits(out, expected)
        inside = Room(out, room.memory)
        inside.before = room.before
        inside.check_only_the_array_changed()
        self.add(inside)

    # ---- what is called

    def call(self, function, arrays, copied=True):
        """The call, which must have the bits of the plain one."""
        result, expected = function(*arrays), plain(function, arrays, copied)
        for one, other in zip(*(r if isinstance(r, tuple) else (r,) for r in (result, expected)), strict=True):
            if one is not None:
                assert_same_bits(one, other)
        if arrays and not isinstance(result, tuple):
            assert np.asarray(result).dtype == result_type(arrays[0])
        return result

    def parameter(self, data, name):
        if not FORWARD[name]:
            return ()
        return (data.draw(slopes if name == "leaky_relu" else parameters, label="parameter"),)

    @precondition(has_array)
    @rule(data=st.data(), name=st.sampled_from(sorted(FORWARD)))
    def forward(self, data, name):
        x, numbers = self.pick(data).array, self.parameter(data, name)
        result = self.call(lambda x: getattr(pyleaky, name)(x, *numbers), [x])
        check_against_reference(name, result, [x], *numbers or (None,))
        self.keep(result)

    @precondition(has_array)
    @rule(data=st.data(), name=st.sampled_from(sorted(FORWARD)), in_place=st.booleans(), masked=st.booleans())
    def forward_with_out(self, data, name, in_place, masked):
        room, numbers = self.pick(data), self.parameter(data, name)
        x, function = room.array, getattr(pyleaky, name)
        if in_place and x.flags.writeable and x.dtype.kind not in "biu":
            target = room
        else:
            values = np.full(x.shape, 7, result_type(x))
            target = laid_out(values, data.draw(st.sampled_from(LAYOUTS[:6]), label="layout of out"))
        out = target.array
        before, expected = out.copy(), plain(lambda x: function(x, *numbers), [x])
        where = np.random.default_rng(0).random(x.shape) < 0.5 if masked else True
        assert function(x, *numbers, out=out, where=where) is out
        if masked:
            assert np.array_equal(canonical(np.where(where, 0, out)), canonical(np.where(where, 0, before)))
            assert_same_bits(np.asarray(out, result_type(x))[where], np.asarray(expected)[where])
        else:
            assert_same_bits(out.astype(result_type(x)), expected)
        target.check_only_the_array_changed()

    @precondition(has_array)
    @rule(data=st.data(), name=st.sampled_from(sorted(FORWARD)))
    def out_that_is_refused(self, data, name):
        """Nothing has changed afterwards, which the invariants see."""
        x = self.pick(data).array
        fixed = laid_out(np.zeros(x.shape, result_type(x)), "read-only")
        too_few_dimensions = [np.zeros(x.shape[1:], result_type(x))] if x.ndim else []
        for out in (fixed.array, np.zeros(x.shape, np.int8), *too_few_dimensions):
            with pytest.raises((ValueError, TypeError)):
                getattr(pyleaky, name)(x, out=out)
        fixed.check_unchanged()

    @precondition(has_array)
    @rule(data=st.data(), name=st.sampled_from(sorted(FORWARD)), in_place=st.booleans())
    def backward(self, data, name, in_place):
        x, numbers = self.pick(data).array, self.parameter(data, name)
        grad, function = self.like(data, x), getattr(pyleaky, f"{name}_backward")
        grad = grad.astype(result_type(x)) if x.dtype.kind in "biu" else grad
        result = self.call(lambda grad, x: function(grad, x, *numbers), [grad, x])
        check_against_reference(f"{name}_backward", result, [grad, x], *numbers or (None,))
        if in_place:
            out = np.array(grad, result_type(x), order="C")
            assert function(out, x, *numbers, out=out) is out
            assert_same_bits(out, result)
        self.keep(result)

    @precondition(has_array)
    @rule(data=st.data(), name=st.sampled_from(["elu", "celu", "selu"]))
    def double_backward(self, data, name):
        x, numbers = self.pick(data).array, self.parameter(data, name)
        gg, grad = self.like(data, x), self.like(data, x)
        function = getattr(pyleaky, f"{name}_double_backward")
        self.keep(self.call(lambda gg, grad, x: function(gg, grad, x, *numbers), [gg, grad, x]))

    @precondition(has_array)
    @rule(data=st.data(), slope=st.floats(1 / 64, 4, width=32), name=st.sampled_from(["relu", "leaky_relu"]))
    def saved_state(self, data, slope, name):
        """The gradient from the mask is the gradient from x, and so is that from the output where no sign is lost."""
        x = self.pick(data).array
        grad = self.like(data, x)
        grad = grad.astype(result_type(x)) if x.dtype.kind in "biu" else grad
        numbers = (slope,) if name == "leaky_relu" else ()
        options = {"negative_slope": slope} if numbers else {}
        function, back = getattr(pyleaky, name), getattr(pyleaky, f"{name}_backward")
        y, mask = function(x, *numbers, return_mask=True)
        with np.errstate(all="ignore"):
            positive = x > 0
        np.testing.assert_array_equal(mask, np.packbits(positive.ravel(), bitorder="little"))
        np.testing.assert_array_equal(pyleaky.unpack_mask(mask, x.shape), positive)
        assert_same_bits(y, function(x, *numbers))
        expected = back(grad, x, *numbers)
        assert_same_bits(back(grad, mask=mask, **options), expected)
        assert_same_bits(back(grad, output=y, **options), expected)
        self.keep((y, mask))

    @precondition(has_array)
    @rule(data=st.data())
    def prelu(self, data):
        x = self.pick(data).array
        axis = data.draw(st.integers(-x.ndim, x.ndim - 1), label="axis") if x.ndim else None
        weight = (
            np.array(0.3, result_type(x)) if axis is None else np.linspace(-1, 1, x.shape[axis]).astype(result_type(x))
        )
        result = self.call(lambda x, weight: pyleaky.prelu(x, weight, axis=axis), [x, weight])
        laid = (
            weight if axis is None else np.moveaxis(np.broadcast_to(weight, np.moveaxis(x, axis, -1).shape), -1, axis)
        )
        with np.errstate(all="ignore"):
            expected = np.where(x > 0, wide(x), wide(laid) * wide(x)).astype(result_type(x))
        assert_same_bits(result, expected)
        grad = self.like(data, x)

        # The sum's order is that of the layout, so its bits are promised for any ISA and number of threads only.
        def gradients(g, x, w):
            return pyleaky.prelu_backward(g, x, w, axis=axis)

        dx, dweight = self.call(gradients, [grad, x, weight], copied=False)
        assert_same_bits(dx, plain(gradients, [grad, x, weight])[0])
        self.keep((result, dx, dweight))

    @precondition(has_array)
    @rule(data=st.data(), p=st.floats(0, 1), seed=st.integers(0, 2**64 - 1), start=st.integers(0, 2**50))
    def random(self, data, p, seed, start):
        x = self.pick(data).array
        places = np.arange(x.size, dtype=np.uint64)[:SAMPLE]
        some, indices = wide(x).ravel()[:SAMPLE], places + np.uint64(start)
        dropped = self.call(lambda x: pyleaky.dropout(x, p, seed=seed, start=start), [x])
        leaked = self.call(lambda x: pyleaky.rrelu(x, seed=seed, start=start), [x])
        with np.errstate(all="ignore"):
            expected = reference.dropout(some, p, seed, indices).astype(result_type(x))
            slopes = reference.rrelu_slopes(some.dtype, 1 / 8, 1 / 3, seed, indices)
            assert_same_bits(np.asarray(dropped).ravel()[:SAMPLE], expected)
            expected = reference.leaky_relu(some, slopes).astype(result_type(x))
            assert_same_bits(np.asarray(leaked).ravel()[:SAMPLE], expected)
        self.keep((dropped, leaked))

    @precondition(has_array)
    @rule(
        data=st.data(),
        activation=st.sampled_from(["linear", "relu", "leaky_relu", "elu", "selu"]),
        clamp=st.none() | st.floats(0.5, 300, width=32),
    )
    def bias_act(self, data, activation, clamp):
        x = self.pick(data).array
        if x.ndim == 0:
            return
        axis = data.draw(st.integers(-x.ndim, x.ndim - 1), label="axis")
        bias = np.linspace(-1, 1, x.shape[axis]).astype(result_type(x))
        options = {"axis": axis, "activation": activation, "negative_slope": 0.2, "gain": None}
        options |= {} if clamp is None else {"clamp": clamp}
        y, mask = self.call(lambda x, b: pyleaky.bias_act(x, b, **options, return_mask=True), [x, bias])
        expected = Reference(x.astype(result_type(x)), bias, **options)
        exponential = activation in ("elu", "selu")
        loose = (2 if result_type(x) is np.float64 else 1) if exponential else 0
        assert (ulps_apart(np.asarray(y), expected.y) <= loose).all()
        grad = self.like(data, x)
        dx, dbias = self.call(lambda g, x, b: pyleaky.bias_act_backward(g, x, b, **options), [grad, x, bias])
        if not exponential:
            with np.errstate(all="ignore"):
                assert_same_bits(dx, expected.dx(grad.astype(result_type(x))).astype(result_type(x)))
        self.keep((y, mask, dx, dbias))

    # ---- what changes around the calls

    @rule(count=st.integers(1, 5))
    def change_threads(self, count):
        pyleaky.set_num_threads(count)
        assert pyleaky.get_num_threads() == count

    @rule(isa=st.sampled_from(_core.isas()))
    def change_isa(self, isa):
        _core.use_isa(isa)
        assert _core.isa() == isa

    @rule(limit=st.sampled_from([0, 2**20, 2**22, 2**24, 2**30]))
    def change_cache_limit(self, limit):
        pyleaky.set_cache_limit(limit)
        self.limit = limit

    @rule()
    def clear_cache(self):
        pyleaky.clear_cache()
        info = pyleaky.cache_info()
        assert (info.cached, info.blocks) == (0, 0)

    @rule(data=st.data())
    def drop_a_result(self, data):
        if self.kept:
            del self.kept[data.draw(st.integers(0, len(self.kept) - 1), label="result")]

    # ---- what always holds

    @invariant()
    def arrays_hold_what_they_held(self):
        for room in self.rooms:
            room.check_unchanged()

    @invariant()
    def results_hold_what_they_held(self):
        for array, before in self.kept:
            assert array.tobytes() == before, "a result has changed after it was returned"

    @invariant()
    def the_cache_agrees_with_itself(self):
        info = pyleaky.cache_info()
        assert info.limit == self.limit
        assert 0 <= info.cached <= info.limit
        assert (info.cached == 0) == (info.blocks == 0)
        assert info.hits + info.misses >= self.counted
        self.counted = info.hits + info.misses


TestAnyOrder = Machine.TestCase
TestAnyOrder.settings = settings(
    max_examples=1000 if NIGHTLY else 40,
    stateful_step_count=60 if NIGHTLY else 40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
