"""Every error path: its type, its message, and that nothing was changed."""

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
import tensors

import pyleaky
from pyleaky import kernels, training

X = np.linspace(-1, 1, 6)
UNSUPPORTED = {
    "complex128": np.array([1j, 2]),
    "object": np.array([None, 1]),
    "<U1": np.array(["a"]),
    "|S1": np.array([b"a"]),
    r"datetime64\[D\]": np.array(["2020-01-01"], "M8[D]"),
    r"timedelta64\[s\]": np.array([1], "m8[s]"),
    "float8_e4m3fn": np.zeros(2, ml_dtypes.float8_e4m3fn),
    str(np.dtype(np.longdouble)): np.zeros(2, np.longdouble),
}


@pytest.mark.parametrize(("name", "bad"), UNSUPPORTED.items(), ids=UNSUPPORTED)
def test_unsupported_dtypes(name, bad):
    message = rf"{{}} has dtype {name}, expected float16, bfloat16, float32, float64, an integer dtype or bool"
    before, good = bad.copy(), np.zeros(bad.shape)
    for argument, call in [
        ("x", lambda: pyleaky.relu(bad)),
        ("x", lambda: pyleaky.leaky_relu(bad)),
        ("x", lambda: pyleaky.prelu(bad, 0.1)),
        ("negative_slope", lambda: pyleaky.leaky_relu(good, bad)),
        ("weight", lambda: pyleaky.prelu(good, bad)),
        ("grad", lambda: pyleaky.relu_backward(bad, good)),
        ("x", lambda: pyleaky.relu_backward(good, bad)),
        ("output", lambda: pyleaky.relu_backward(good, output=bad)),
        ("grad", lambda: pyleaky.leaky_relu_backward(bad, good)),
        ("x", lambda: pyleaky.leaky_relu_backward(good, bad)),
        ("negative_slope", lambda: pyleaky.leaky_relu_backward(good, good, bad)),
        ("grad", lambda: pyleaky.prelu_backward(bad, good, 0.1)),
        ("x", lambda: pyleaky.prelu_backward(good, bad, 0.1)),
        ("weight", lambda: pyleaky.prelu_backward(good, good, bad)),
    ]:
        with pytest.raises(TypeError, match=message.format(argument)):
            call()
    np.testing.assert_array_equal(bad, before)


@pytest.mark.parametrize("bad", [["a"], [1j], [None], "a", b"a", 1j], ids=repr)
def test_lists_and_objects_that_are_no_numbers(bad):
    with pytest.raises(
        TypeError, match=r"x has dtype .*, expected float16, bfloat16, float32, float64, an integer dtype or bool"
    ):
        pyleaky.leaky_relu(bad)


@pytest.mark.parametrize("bad", ["0.1", b"1", None, 1j, np.complex64(1), object(), {}, {1}, np.array("0.1")], ids=repr)
def test_slopes_that_are_no_numbers(bad):
    for argument, call in [
        ("negative_slope", lambda: pyleaky.leaky_relu(X, bad)),
        ("negative_slope", lambda: pyleaky.leaky_relu_backward(X, X, bad)),
        ("weight", lambda: pyleaky.prelu(X, bad)),
        ("weight", lambda: pyleaky.prelu_backward(X, X, bad)),
    ]:
        with pytest.raises(TypeError, match=f"{argument} must be a number or an array, got {type(bad).__name__}"):
            call()


def test_slopes_that_are_numbers():
    expected = pyleaky.leaky_relu(X, 0.5)
    for good in (Fraction(1, 2), np.float16(0.5), [0.5] * 6, (0.5,) * 6, np.full(6, 0.5)):
        np.testing.assert_array_equal(pyleaky.leaky_relu(X, good), expected)
    assert np.isnan(pyleaky.leaky_relu(X, np.nan)[X <= 0]).all()


BAD_OUTS = {
    "shape": lambda: np.zeros(5),
    "smaller": lambda: np.zeros(()),
    "dtype": lambda: np.zeros(6, np.int64),
    "read-only": lambda: np.broadcast_to(np.zeros(()), 6),
    "list": lambda: [0.0] * 6,
    "two": lambda: (np.zeros(6), np.zeros(6)),
}


@pytest.mark.parametrize("make", BAD_OUTS.values(), ids=BAD_OUTS)
def test_out_is_refused_as_numpy_exp_refuses_it(make):
    out = make()
    with pytest.raises((TypeError, ValueError)) as expected:
        np.exp(X, out=out)
    for ufunc, call in [
        ("relu", lambda: pyleaky.relu(X, out=out)),
        ("leaky_relu_number", lambda: pyleaky.leaky_relu(X, out=out)),
        ("leaky_relu_number", lambda: pyleaky.prelu(X, 0.1, out=out)),
        ("relu_backward", lambda: pyleaky.relu_backward(X, X, out=out)),
        ("leaky_relu_backward_number", lambda: pyleaky.leaky_relu_backward(X, X, out=out)),
    ]:
        with pytest.raises(expected.type) as actual:
            call()
        # The list of operands' shapes that NumPy appends has as many entries as the ufunc has inputs.
        assert str(actual.value).replace(ufunc, "exp").split(" (")[0] == str(expected.value).split(" (")[0]
    assert all((np.asarray(array) == 0).all() for array in (out if isinstance(out, tuple) else [out]))


def test_float32_out_takes_a_float64_result_as_numpy_exp_does():
    out = np.zeros(6, np.float32)
    pyleaky.leaky_relu(X, 0.5, out=out)
    np.testing.assert_array_equal(out, pyleaky.leaky_relu(X, 0.5).astype(np.float32))


def test_backward_shapes():
    grad, x = np.zeros((2, 3)), np.zeros((3, 2))
    out = np.full((2, 3), 7.0)
    message = r"grad has shape \(2, 3\), {} has shape \(3, 2\); they must be equal"
    for argument, call in [
        ("x", lambda: pyleaky.relu_backward(grad, x, out=out)),
        ("output", lambda: pyleaky.relu_backward(grad, output=x, out=out)),
        ("x", lambda: pyleaky.leaky_relu_backward(grad, x, out=out)),
        ("output", lambda: pyleaky.leaky_relu_backward(grad, output=x, out=out)),
        ("x", lambda: pyleaky.prelu_backward(grad, x, 0.1)),
    ]:
        with pytest.raises(ValueError, match=message.format(argument)):
            call()
    with pytest.raises(ValueError, match=r"grad has shape \(\), x has shape \(3, 2\)"):
        pyleaky.relu_backward(1.0, x)
    assert (out == 7).all()


def test_exactly_one_of_x_output_and_mask():
    for function in (pyleaky.relu_backward, pyleaky.leaky_relu_backward):
        message = f"{function.__name__} takes exactly one of x, output and mask, got "
        with pytest.raises(TypeError, match=message + "none"):
            function(X)
        with pytest.raises(TypeError, match=message + "several"):
            function(X, X, output=X)
    for function in (pyleaky.elu_backward, pyleaky.celu_backward, pyleaky.selu_backward):
        message = f"{function.__name__} takes exactly one of x and output, got "
        with pytest.raises(TypeError, match=message + "neither"):
            function(X)
        with pytest.raises(TypeError, match=message + "both"):
            function(X, X, output=X)


@pytest.mark.parametrize("slope", [-0.1, -np.inf, np.nan, np.float32(-1), np.array(-2)])
def test_output_needs_a_slope_of_at_least_zero(slope):
    out = np.full(6, 7.0)
    with pytest.raises(ValueError, match=r"with output, negative_slope must be at least 0 .* got -?\d|nan|inf"):
        pyleaky.leaky_relu_backward(X, output=X, negative_slope=slope, out=out)
    assert (out == 7).all()


def test_output_needs_a_number():
    with pytest.raises(ValueError, match=r"with output, negative_slope must be a number, got an array of shape \(6,\)"):
        pyleaky.leaky_relu_backward(X, output=X, negative_slope=np.ones(6))


def test_slopes_that_do_not_broadcast():
    message = r"{} has shape \(4,\), which does not broadcast with x of shape \(6,\)"
    with pytest.raises(ValueError, match=message.format("negative_slope")):
        pyleaky.leaky_relu(X, np.ones(4))
    with pytest.raises(ValueError, match=message.format("weight")):
        pyleaky.prelu(X, np.ones(4))
    with pytest.raises(ValueError, match=message.format("negative_slope")):
        pyleaky.leaky_relu_backward(X, X, np.ones(4))
    message = r"{} has shape \(2, 6\), which does not broadcast to x's shape \(6,\)"
    with pytest.raises(ValueError, match=message.format("negative_slope")):
        pyleaky.leaky_relu_backward(X, X, np.ones((2, 6)))
    with pytest.raises(ValueError, match=message.format("weight")):
        pyleaky.prelu_backward(X, X, np.ones((2, 6)))


@pytest.mark.parametrize("function", [pyleaky.prelu, lambda *a, **k: pyleaky.prelu_backward(a[0], *a, **k)])
def test_prelu_weight_and_axis(function):
    x = np.zeros((2, 3, 4))
    for weight, axis, error, message in [
        (np.ones(3), None, ValueError, r"weight has shape \(3,\) and x has 3 dimensions: .*axis=1 .* axis=-1"),
        (np.ones(4), None, ValueError, r"weight has shape \(4,\) and x has 3 dimensions: .*axis=1 .* axis=-1"),
        (np.ones(4), 1, ValueError, r"weight has shape \(4,\), but x has 3 elements along axis 1"),
        (np.ones(3), -1, ValueError, r"weight has shape \(3,\), but x has 4 elements along axis 2"),
        (np.ones((3, 4)), 1, ValueError, r"weight has shape \(3, 4\), but axis names 1 of x's dimensions"),
        (np.ones(3), (1, 2), ValueError, r"weight has shape \(3,\), but axis names 2 of x's dimensions"),
        (np.ones((3, 3)), (1, 1), ValueError, "repeated axis"),
        (np.ones((3, 3)), (1, -2), ValueError, "repeated axis"),
        (np.ones(3), 3, np.exceptions.AxisError, "axis 3 is out of bounds for array of dimension 3"),
        (0.1, -4, np.exceptions.AxisError, "axis -4 is out of bounds for array of dimension 3"),
        (np.ones(3), 1.0, TypeError, "float"),
        (np.ones(3), "1", TypeError, "str"),
    ]:
        with pytest.raises(error, match=message):
            function(x, weight, axis=axis)


# ---------------------------------------------------------------------------------------------- tensors

# Choices, places and counts.
NO_ARRAYS = {"axis", "activation", "dtype", "return_mask", "training", "start", "return_seed", "shape"}
NO_ARRAYS |= {"error_if_nonfinite"}


def test_every_argument_has_a_case_with_a_tensor():
    cases = {**tensors.CASES, **tensors.ALONE}
    covered = {(case.partition(",")[0], argument.partition("[")[0]) for case, (argument, _) in cases.items()}
    functions = [getattr(pyleaky, name) for name in pyleaky.__all__ if callable(getattr(pyleaky, name))]
    functions += [getattr(training, name) for name in training.__all__]
    signatures = {function.__name__: {*inspect.signature(function).parameters} for function in functions}
    for name, parameters in signatures.items():
        if name != "plot_activations" and parameters & {"x", "grad", "mask", "grads", "params"}:
            assert {parameter for parameter in parameters if (name, parameter) not in covered} <= NO_ARRAYS, name


def make_tensors(torch, requires_grad):
    given = {name: torch.from_numpy(np.array(value)) for name, value in vars(tensors.ARRAYS).items()}
    return SimpleNamespace(
        **{name: one.requires_grad_(requires_grad and one.is_floating_point()) for name, one in given.items()}
    )


@pytest.mark.parametrize(("argument", "call"), tensors.CASES.values(), ids=tensors.CASES)
def test_tensors_that_require_grad(torch, argument, call):
    given = make_tensors(torch, True)
    before = tensors.A.copy(), tensors.ROW.copy()
    with pytest.raises(TypeError, match=rf"(^|, ){re.escape(argument)} (is a|must be) |^return_mask=True is") as error:
        call(given)
    kind, way_out = " that requires grad", ".detach().numpy() is an array without gradient"
    if argument in ("mask", "where"):  # of integers
        kind, way_out = "", ".numpy() is an array"
    message = str(error.value)
    assert f"torch.Tensor{kind}" in message
    assert message.endswith(f"; pyleaky.torch has the activations for tensors, and {argument}{way_out}")
    np.testing.assert_array_equal(tensors.A, before[0])
    np.testing.assert_array_equal(tensors.ROW, before[1])


def test_other_tensors_of_pytorch(torch):
    given = make_tensors(torch, False)
    way_out = r"; pyleaky\.torch has the activations for tensors, and {}\.numpy\(\) is an array$"
    with pytest.raises(
        TypeError, match=r"^x is a torch\.Tensor, but out is a numpy\.ndarray; .*" + way_out.format("x")
    ):
        pyleaky.relu(given.a, out=np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"got torch\.Tensor" + way_out.format(r"grads\[0\]")):
        training.clip_grad_norm([given.a], 1.0)
    with pytest.raises(TypeError, match=r"got torch\.nn\.parameter\.Parameter that requires grad; pyleaky\.torch has"):
        training.clip_grad_norm([torch.nn.Parameter(given.a)], 1.0)
    # What has no gradient to lose is taken as numpy.exp takes it.
    np.testing.assert_array_equal(pyleaky.relu([given.row, given.row]), np.ones((2, 3)))
    np.testing.assert_array_equal(
        pyleaky.bias_act(tensors.A, gain=given.number, activation="leaky_relu"),
        pyleaky.bias_act(tensors.A, gain=0.5, activation="leaky_relu"),
    )
    # Memoryviews: Cython's own message.
    for call in (lambda t: kernels.relu_f32(t, np.ones(3, "f4")), lambda t: kernels.relu_f32(np.ones(3, "f4"), t)):
        with pytest.raises(TypeError, match="a bytes-like object is required, not 'Tensor'"):
            call(given.row)


@pytest.fixture(scope="module")
def without_values():
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    result = run_python(f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import tensors; tensors.main()")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("in a tf.function", r"tensorflow\..*SymbolicTensor"),
        ("of unknown rank", r"tensorflow\..*SymbolicTensor"),
        ("a variable in a tf.function", r"tensorflow\..*Variable"),
        ("of Keras", r"keras\..*KerasTensor"),
    ],
)
def test_tensors_of_tensorflow_without_values(without_values, kind, name):
    cases = {**tensors.CASES, **tensors.ALONE}
    raised = without_values["symbolic"][kind]
    assert raised.keys() == cases.keys()
    for case, (error, message) in raised.items():
        assert error == "TypeError", (case, message)
        assert re.search(rf"(^|, ){re.escape(cases[case][0])} must be ", message), (case, message)
        assert re.search(rf"got {name}.*; pyleaky\.tensorflow has the activations for tensors$", message), message


def test_tensors_of_tensorflow_with_values_are_taken_as_numpy_exp_takes_them(without_values):
    for eager in without_values["eager"]:
        assert eager["differing"] == []
        assert len(eager["refused"]) == 4
        for case, (error, message) in eager["refused"].items():
            argument = tensors.CASES[case][0]
            assert error == "TypeError"
            assert message.startswith(f"{argument} must be ")
            hint = f"; pyleaky.tensorflow has the activations for tensors, and {argument}.numpy() is an array"
            assert message.endswith(hint)


# ---------------------------------------------------------------------------------------------- memoryviews


def test_memoryview_errors():
    x, out = np.linspace(-1, 1, 8, dtype=np.float32), np.full(8, 7, np.float32)
    fixed = out.copy()
    fixed.flags.writeable = False
    for error, message, call in [
        (ValueError, "x has 7 elements, out has 8", lambda: kernels.relu_f32(x[1:], out)),
        (ValueError, "grad has 7 elements, out has 8", lambda: kernels.relu_backward_f32(x[1:], x, out)),
        (ValueError, "x has 7 elements, out has 8", lambda: kernels.relu_backward_f32(x, x[1:], out)),
        (ValueError, "x has 4 elements, out has 8", lambda: kernels.leaky_relu_f32(x[::2], 0.1, out)),
        (ValueError, "out overlaps x without being it", lambda: kernels.relu_f32(out[1:], out[:-1])),
        (ValueError, "out overlaps x without being it", lambda: kernels.relu_f32(out[::-1], out)),
        (ValueError, "out overlaps grad without being it", lambda: kernels.relu_backward_f32(out[:-1], x[1:], out[1:])),
        (ValueError, "(?i)not C.contiguous", lambda: kernels.relu_f32(x[::2], out[::2])),
        (ValueError, "read-only", lambda: kernels.relu_f32(x, fixed)),
        (ValueError, "expected 'const float' but got 'double'", lambda: kernels.relu_f32(x.astype(float), out)),
        (ValueError, "(?i)wrong number of dimensions", lambda: kernels.relu_f32(x.reshape(2, 4), out)),
        (TypeError, "real number|float", lambda: kernels.leaky_relu_f32(x, "a", out)),
    ]:
        with pytest.raises(error, match=message):
            call()
    assert (out == 7).all()
    assert (fixed == 7).all()


# ---------------------------------------------------------------------------------------------- import, configuration


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx512 ", "neon" if "neon" not in pyleaky._core.isas() else "avx2"])
def test_unknown_isa_is_an_import_error(name):
    result = run_python("import pyleaky", PYLEAKY_ISA=name)
    assert result.returncode == 1
    supported = ", ".join(pyleaky._core.isas())
    assert f"ImportError: PYLEAKY_ISA is {name!r}, which this build on this CPU does not support" in result.stderr
    assert f"supported: {supported}" in result.stderr


def test_isa_by_environment():
    for name in pyleaky._core.isas():
        result = run_python("import pyleaky; print(pyleaky.show_config(mode='dicts')['ISA in use'])", PYLEAKY_ISA=name)
        assert result.stdout.strip() == name
    result = run_python("import pyleaky; print(pyleaky.show_config(mode='dicts')['ISA in use'])", PYLEAKY_ISA="")
    assert result.stdout.strip() == pyleaky._core.isas()[-1]


def test_use_isa_refuses_what_is_not_there():
    before = pyleaky._core.isa()
    with pytest.raises(ValueError, match="ISA 'mmx' is not supported here; supported: scalar"):
        pyleaky._core.use_isa("mmx")
    assert pyleaky._core.isa() == before


def test_old_numpy_at_import():
    result = run_python("import numpy; numpy.__version__ = '1.26.4'; import pyleaky")
    assert result.returncode == 1
    assert "needs NumPy 2.0 or newer, found NumPy 1.26.4" in result.stderr


def test_show_config(capsys):
    config = pyleaky.show_config(mode="dicts")
    assert config["pyleaky"] == pyleaky.__version__
    assert config["NumPy"] == np.__version__
    assert config["ISA in use"] in config["ISAs available"]
    assert pyleaky.show_config() is None
    printed = capsys.readouterr().out
    assert all(key in printed for key in config)
    with pytest.raises(ValueError, match="mode is 'json', expected 'stdout' or 'dicts'"):
        pyleaky.show_config(mode="json")
    result = subprocess.run([sys.executable, "-m", "pyleaky"], capture_output=True, text=True, check=True)
    assert result.stdout == printed
