"""Outside judges: PyTorch and the ONNX operators' own test vectors.  Skipped where not installed."""

import warnings

import numpy as np
import pytest
from arrays import DTYPES, any_bits, assert_same_bits

import pyleaky

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@every_dtype
@pytest.mark.parametrize("slope", [0.01, 0.2, 1.5, -0.3, 0.0])
def test_torch_leaky_relu(torch, dtype, slope):
    x, grad = (any_bits(np.random.default_rng(seed), 10_000, dtype) for seed in (0, 1))
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    output = torch.nn.functional.leaky_relu(theirs, slope)
    output.backward(torch.from_numpy(grad))
    assert_same_bits(pyleaky.leaky_relu(x, slope), output.detach().numpy())
    assert_same_bits(pyleaky.leaky_relu_backward(grad, x, slope), theirs.grad.numpy())


@every_dtype
def test_torch_relu(torch, dtype):
    x, grad = (any_bits(np.random.default_rng(seed), 10_000, dtype) for seed in (0, 1))
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    output = torch.relu(theirs)
    output.backward(torch.from_numpy(grad))
    assert_same_bits(pyleaky.relu(x), output.detach().numpy())
    # PyTorch passes the gradient at NaN; here NaN is on the negative side, as for leaky ReLU.
    number = ~np.isnan(x)
    assert_same_bits(pyleaky.relu_backward(grad, x)[number], theirs.grad.numpy()[number])


@every_dtype
def test_torch_prelu(torch, dtype):
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=(4, 3, 5, 6)).astype(dtype) for _ in range(2))
    weight = rng.normal(size=3).astype(dtype)
    theirs = [torch.from_numpy(array.copy()).requires_grad_() for array in (x, weight)]
    output = torch.nn.functional.prelu(*theirs)
    output.backward(torch.from_numpy(grad))
    dx, dweight = pyleaky.prelu_backward(grad, x, weight, axis=1)
    assert_same_bits(pyleaky.prelu(x, weight, axis=1), output.detach().numpy())
    assert_same_bits(dx, theirs[0].grad.numpy())
    np.testing.assert_allclose(dweight, theirs[1].grad.numpy(), rtol=20 * np.finfo(dtype).eps)


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
