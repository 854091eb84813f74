"""Outside judges: PyTorch and the ONNX operators' own test vectors.  Skipped where not installed."""

import warnings

import numpy as np
import pytest
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, finfo
from conftest import from_tensor, to_tensor

import pyleaky

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


@every_dtype
@pytest.mark.parametrize("slope", [0.01, 0.2, 1.5, -0.3, 0.0])
def test_torch_leaky_relu(torch, dtype, slope):
    x, grad = (any_bits(np.random.default_rng(seed), 10_000, dtype) for seed in (0, 1))
    # Equal bits for half types as well: PyTorch, too, keeps the slope in float32 and rounds the product once.
    theirs = to_tensor(x.copy()).requires_grad_()
    output = torch.nn.functional.leaky_relu(theirs, slope)
    output.backward(to_tensor(grad))
    assert_same_bits(pyleaky.leaky_relu(x, slope), from_tensor(output))
    assert_same_bits(pyleaky.leaky_relu_backward(grad, x, slope), from_tensor(theirs.grad))


@every_dtype
def test_torch_relu(torch, dtype):
    x, grad = (any_bits(np.random.default_rng(seed), 10_000, dtype) for seed in (0, 1))
    theirs = to_tensor(x.copy()).requires_grad_()
    output = torch.relu(theirs)
    output.backward(to_tensor(grad))
    assert_same_bits(pyleaky.relu(x), from_tensor(output))
    # PyTorch passes the gradient at NaN; here NaN is on the negative side, as for leaky ReLU.
    with np.errstate(invalid="ignore"):  # bfloat16 warns of a signalling NaN
        number = ~np.isnan(x)
    assert_same_bits(pyleaky.relu_backward(grad, x)[number], from_tensor(theirs.grad)[number])


@every_dtype
def test_torch_prelu(torch, dtype):
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=(4, 3, 5, 6)).astype(dtype) for _ in range(2))
    weight = rng.normal(size=3).astype(dtype)
    theirs = [to_tensor(array.copy()).requires_grad_() for array in (x, weight)]
    output = torch.nn.functional.prelu(*theirs)
    output.backward(to_tensor(grad))
    dx, dweight = pyleaky.prelu_backward(grad, x, weight, axis=1)
    assert_same_bits(pyleaky.prelu(x, weight, axis=1), from_tensor(output))
    assert_same_bits(dx, from_tensor(theirs[0].grad))
    # PyTorch sums in float32, and products that it has rounded to the dtype.
    tolerance = (2 if dtype in HALVES else 20) * float(finfo(dtype).eps)
    np.testing.assert_allclose(dweight, from_tensor(theirs[1].grad), rtol=tolerance)


@pytest.fixture(scope="module")
def onnx_cases():
    pytest.importorskip("onnx", reason="ONNX is not installed")
    from onnx.backend.test.case.node import collect_testcases

    # ONNX computes the vectors of all its operators here, with NumPy's warnings about some of them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return collect_testcases()


@pytest.mark.parametrize("operator", ["LeakyRelu", "PRelu", "Relu"])
def test_onnx_vectors(onnx_cases, operator):
    functions = {
        "LeakyRelu": lambda x, node: pyleaky.leaky_relu(x, node.attribute[0].f if node.attribute else 0.01),
        "PRelu": lambda x, slope, node: pyleaky.prelu(x, np.broadcast_to(slope, x.shape)),
        "Relu": lambda x, node: pyleaky.relu(x),
    }
    cases = 0
    for case in onnx_cases:
        (node, *others) = case.model.graph.node
        if others or node.op_type != operator:
            continue
        for inputs, (expected,) in case.data_sets:
            result = functions[operator](*inputs, node=node)
            np.testing.assert_allclose(result, expected, rtol=case.rtol, atol=case.atol)
            assert result.dtype == expected.dtype
            cases += 1
    assert cases >= 1


@pytest.mark.parametrize("slope", [0.01, 0.2, -1.5])
def test_onnxruntime_leaky_relu(slope):
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("LeakyRelu", ["x"], ["y"], alpha=slope)],
        "leaky",
        [helper.make_tensor_value_info("x", kind, ["n"])],
        [helper.make_tensor_value_info("y", kind, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    x = any_bits(np.random.default_rng(0), 10_000, np.float32)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    # ONNX Runtime puts 0 on the positive side, which a negative slope shows in the sign of the zero.
    there = x != 0
    assert_same_bits(pyleaky.leaky_relu(x, slope)[there], session.run(None, {"x": x})[0][there])
