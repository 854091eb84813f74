"""One call or more of every public function, for the tests that make each of them many times or under watch.

`calls` gives the calls on arrays of one shape and dtype, with what they take, so that arguments can be looked at before
and after; `kernel_calls` those of pyleaky.kernels.  tests/tensors.py has the calls with arguments of a wrong type.
"""

import inspect
from typing import Any, NamedTuple

import numpy as np

import pyleaky
from pyleaky import diagnostics, init, kernels, training

# Not activations: classes and functions that are called by methods of their own, and what takes milliseconds.
NOT_HERE = {"plot_activations"}


class Call(NamedTuple):
    name: str
    function: Any
    args: tuple
    kwargs: dict

    def __call__(self):
        return self.function(*self.args, **self.kwargs)


def enter_num_threads():
    with pyleaky.num_threads(2):
        return pyleaky.get_num_threads()


def monitor_units(monitor, x, mask):
    monitor.update("x", x)
    monitor.update("output", output=x)
    monitor.update("mask", mask=mask, shape=x.shape)
    monitor.end_period()
    return monitor.to_dict(), monitor.summary()


def monitor_gradients(monitor, grads, params):
    monitor.update(grads, params, 0.1)
    return monitor.to_dict(), monitor.summary()


def activation_calls(shape, dtype, rng):
    """The calls of the activations; the last axis has the weights, and an array that is written is no call's input."""

    def array(*given):
        return rng.normal(size=given or shape).astype(dtype)

    x, grad, gg, out = array(), array(), array(), array()
    spread = np.empty((*shape[:-1], 2 * shape[-1]), dtype)[..., ::2]
    spread[...] = x
    weight, where = array(shape[-1]), rng.random(shape) < 0.5
    mask = np.packbits((x > 0).ravel(), bitorder="little")

    def add(name, *args, **kwargs):
        found.append(Call(name, getattr(pyleaky, name), args, kwargs))

    found = []
    for name in ("relu", "leaky_relu", "elu", "celu", "selu"):
        backward = f"{name}_backward"
        add(name, x)
        add(name, x, out=out)
        add(name, x, out=out, where=where)
        add(name, spread)
        add(name, x, dtype=np.float64)
        add(backward, grad, x)
        add(backward, grad, x, out=out)
        add(backward, grad, output=x)
        add(backward, spread, x)
    for name in ("relu", "leaky_relu"):
        add(name, x, return_mask=True)
        add(name, x, return_mask=True, out=out)
        add(f"{name}_backward", grad, mask=mask)
        add(f"{name}_backward", grad, mask=mask, out=out)
    add("leaky_relu", x, 0.3)
    add("leaky_relu", x, weight)
    add("leaky_relu_backward", grad, x, weight)
    for name in ("elu", "celu"):
        add(name, x, 0.7)
        add(name, x, weight)
        add(f"{name}_double_backward", gg, grad, x, 0.7)
    add("selu_double_backward", gg, grad, x)
    add("prelu", x, weight, axis=-1)
    add("prelu", x, weight, axis=-1, out=out)
    add("prelu", x, 0.25)
    add("prelu_backward", grad, x, weight, axis=-1)
    add("prelu_backward", grad, x, 0.25)
    for name in ("dropout", "dropout_backward", "rrelu"):
        add(name, x, seed=7)
        add(name, x, seed=7, start=5, out=out)
        add(name, x, training=False, seed=7)
    for name in ("dropout", "rrelu"):
        add(name, x, seed=np.random.default_rng(0), return_seed=True)
    add("rrelu_backward", grad, x, seed=7)
    add("rrelu_backward", grad, x, seed=7, out=out)
    for activation in ("linear", "relu", "leaky_relu", "elu", "selu"):
        settings = {"axis": -1, "activation": activation, "negative_slope": 0.2, "gain": None, "clamp": 2.0}
        add("bias_act", x, weight, **settings)
        add("bias_act_backward", grad, x, weight, **settings)
        add("bias_act_double_backward", gg, grad, x, weight, **settings)
    settings = {"axis": -1, "activation": "leaky_relu"}
    add("bias_act", x, weight, **settings, return_mask=True, out=out)
    add("bias_act_backward", grad, output=x, bias=weight, **settings, mask=mask, out=out)
    add("unpack_mask", mask, shape)
    return found


def calls(shape, dtype, rng):
    """Those of the activations, and of everything else that is public, init, training and diagnostics included."""
    a, b = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    # A limit that holds what the process keeps already, and a number of threads that it has.
    limit, threads = pyleaky.cache_info().limit, pyleaky.get_num_threads()
    mask = np.packbits((a > 0).ravel(), bitorder="little")
    found = activation_calls(shape, dtype, rng)
    found += [
        Call("a list", pyleaky.leaky_relu, ([[-1.0, 2.0], [3.0, -4.0]],), {}),
        Call("a number", pyleaky.elu, (-1.5,), {}),
        Call("a 0-d array", pyleaky.selu, (np.array(-1, dtype),), {}),
        Call("integers", pyleaky.relu, (np.arange(-3, 3),), {}),
        Call("masked", pyleaky.leaky_relu, (np.ma.array(a, mask=a > 1),), {}),
        Call("swapped bytes", pyleaky.leaky_relu, (a.astype(a.dtype.newbyteorder()),), {}),
        Call("get_num_threads", pyleaky.get_num_threads, (), {}),
        Call("set_num_threads", pyleaky.set_num_threads, (threads,), {}),
        Call("num_threads", enter_num_threads, (), {}),
        Call("cache_info", pyleaky.cache_info, (), {}),
        Call("set_cache_limit", pyleaky.set_cache_limit, (limit,), {}),
        Call("clear_cache", pyleaky.clear_cache, (), {}),
        Call("show_config", pyleaky.show_config, ("dicts",), {}),
        Call("clip_grad_norm", training.clip_grad_norm, ([a, b], 1.0), {}),
        Call("clip_grad_norm, 3", training.clip_grad_norm, ([a, b], 1.0, 3.0), {}),
        Call("clip_grad_value", training.clip_grad_value, ([a, b], 1.0), {}),
        Call("l2_penalty", training.l2_penalty, ({"a": a, "b": b}, 0.1), {}),
        Call("add_l2_grad", training.add_l2_grad, ([a], [b], 0.0), {}),
        Call("decoupled_weight_decay", training.decoupled_weight_decay, ([a], 0.1, 0.0), {}),
        Call("gain", init.gain, ("leaky_relu", 0.2), {}),
        Call("gain, weights", init.gain, ("prelu", np.array([0.1, 0.2])), {}),
        *(
            Call(name, getattr(init, name), ((2, 4),), {"rng": np.random.default_rng(0)})
            for name in ("xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "lecun_normal")
        ),
        # The monitors keep what they have seen, so each call has one of its own.
        Call("UnitMonitor", lambda *given: monitor_units(diagnostics.UnitMonitor(), *given), (a, mask), {}),
        Call(
            "GradientMonitor",
            lambda *given: monitor_gradients(diagnostics.GradientMonitor(), *given),
            ({"w": a}, {"w": b}),
            {},
        ),
    ]
    return found


def public_names():
    """Those of pyleaky and of its modules on which nothing else depends, that can be called."""
    modules = (pyleaky, init, training, diagnostics)
    return {name for module in modules for name in module.__all__ if callable(getattr(module, name))}


def kernel_calls():
    """Every function of pyleaky.kernels, on eight elements."""
    names = [name for name in dir(kernels) if name.rsplit("_", 1)[-1] in ("f16", "bf16", "f32", "f64")]
    # Every function with an activation takes ELU; norm takes 1, 2 and infinity for p, dropout any probability.
    numbers = {
        "inner": 1,
        "activation": kernels.Activation.ELU,
        "seed": 7,
        "start": 0,
        "p": 1.0,
        "lower": 0.1,
        "upper": 0.3,
    }
    found = []
    for name in names:
        function, suffix = getattr(kernels, name), name.rsplit("_", 1)[-1]
        dtype = {"f16": np.uint16, "bf16": np.uint16, "f32": np.float32, "f64": np.float64}[suffix]
        args = []
        for parameter in inspect.signature(function).parameters:
            if parameter in ("x", "grad", "gg", "output", "w", "out", "dx"):
                args.append(np.zeros(8, dtype))
            elif parameter in ("bias", "weight"):
                args.append(np.zeros(2, dtype))
            elif parameter in ("bias_grad", "weight_grad"):
                args.append(np.zeros(2))
            elif parameter == "mask":
                args.append(np.zeros(1, np.uint8))
            else:
                args.append(numbers.get(parameter, 0.5))
        found.append(Call(f"kernels.{name}", function, tuple(args), {}))
    return found
