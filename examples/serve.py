"""Serve the network of digits.py: a plain function, `predict`, or a small HTTP server in front of it.

NumPy and pyleaky do all of the work.  The weights beside this file were made by
`python examples/digits.py --save-weights examples/digits.npz`: leaky ReLU, seed 0, 97.22% of the held-out digits right.

    python examples/serve.py                             # http://127.0.0.1:8000 until Ctrl-C
    curl http://127.0.0.1:8000/predict -d '[[[0,0,5,13,9,1,0,0],[0,0,13,15,10,15,5,0],[0,3,15,2,0,11,8,0],
        [0,4,12,0,0,8,8,0],[0,5,8,0,0,9,8,0],[0,4,11,0,1,12,7,0],[0,2,14,5,10,12,0,0],[0,0,6,13,10,0,0,0]]]'
    python examples/serve.py --predict images.json       # the same answer without a server
    python examples/serve.py --latency 10000 --batch 64  # p50, p99 and throughput of predict(); --workers 4 at once
    python examples/serve.py --http-latency 1000         # the same through the server, the client in the same process
    python examples/serve.py --evaluate                  # accuracy on the held-out digits; needs scikit-learn

An image is 8 rows of 8 numbers, 0 (paper) to 16 (ink).  Python's http.server is meant for networks that one trusts.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

if __name__ == "__main__":
    # NumPy's matrix products have threads of their own, whose number is read at import.  For a network this small they
    # gain little, and while other programs held both cores a batch of 64 took 16 ms with two threads, 0.07 with one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import pyleaky

SHAPES = {"weight1": (64, 128), "weight2": (128, 128), "weight3": (128, 10), "bias1": (128,), "bias2": (128,)}
SHAPES |= {"bias3": (10,), "slopes": (2,)}  # one number per hidden layer, or with prelu one per unit: (2, 128)
# In place, since without a backward pass nobody needs the sums again; each takes a layer's sums and its slope.
ACTIVATIONS = {
    "identity": lambda x, slope: x,
    "leaky_relu": lambda x, slope: pyleaky.leaky_relu(x, slope, out=x),
    "prelu": lambda x, slope: pyleaky.prelu(x, slope, out=x),
    "relu": lambda x, slope: pyleaky.relu(x, out=x),
    "elu": lambda x, slope: pyleaky.elu(x, out=x),
    "celu": lambda x, slope: pyleaky.celu(x, out=x),
    "selu": lambda x, slope: pyleaky.selu(x, out=x),
}
MAX_BODY = 1 << 20  # bytes: about 4,000 images
HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r?\n")  # RFC 9112, section 5, without folded lines
IMAGES = "a list of images, each 8 rows of 8 numbers from 0 to 16"


def load_weights(path):
    """The network in this file; SystemExit says what is wrong with it and what was expected."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:  # a pickle could run any code
            arrays = {name: file[name] for name in SHAPES}
            activation, seed, accuracy = str(file["activation"]), int(file["seed"]), float(file["test_accuracy"])
        for name, array in arrays.items():
            shape = (2, 128) if (name, activation) == ("slopes", "prelu") else SHAPES[name]
            if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} is {array.dtype} {array.shape}, expected finite float32 {shape}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {activation!r}")
    except Exception as error:  # each way not to be such a file has an exception type of its own
        expected = ", ".join(f"{name} {shape}" for name, shape in SHAPES.items())
        message = f"{path} is no network saved by digits.py ({type(error).__name__}: {error})"
        raise SystemExit(f"{message}; expected arrays: {expected}, activation, seed, test_accuracy") from None
    layers = [(arrays[f"weight{n}"], arrays[f"bias{n}"]) for n in (1, 2, 3)]
    return SimpleNamespace(layers=layers, slopes=arrays["slopes"], activation=activation, seed=seed, accuracy=accuracy)


def check_images(images):
    """The images as rows of 64 float32; ValueError says what they are instead of what was expected."""
    try:
        pixels = np.asarray(images)
    except ValueError:
        raise ValueError(f"the images' rows differ in length, expected {IMAGES}") from None
    if pixels.dtype.kind not in "iuf" or pixels.shape[1:] != (8, 8) or len(pixels) == 0:
        raise ValueError(f"the images are {pixels.dtype} of shape {pixels.shape}, expected {IMAGES}")
    if not (pixels.min() >= 0 and pixels.max() <= 16):  # put so that NaN fails, too
        wrong = np.argwhere(~((pixels >= 0) & (pixels <= 16)))[0].tolist()
        raise ValueError(f"the pixel at {wrong} is {pixels[*wrong]}, expected {IMAGES}")
    return pixels.reshape(-1, 64).astype(np.float32)


def predict(network, images):
    """The digit on each of the n images (n, 8, 8), and the probability of every digit (n, 10)."""
    x = check_images(images)
    for (weight, bias), slope in zip(network.layers[:-1], network.slopes, strict=True):
        x = ACTIVATIONS[network.activation](x @ weight + bias, slope)
    weight, bias = network.layers[-1]
    logits = x @ weight + bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))  # or exp would overflow
    return logits.argmax(axis=1), odds / odds.sum(axis=1, keepdims=True)


def predict_json(network, text):
    """Images in JSON to digits and probabilities for JSON; ValueError if they are none."""
    try:
        images = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error}), expected {IMAGES}") from None
    digits, probabilities = predict(network, images)
    return {"digits": digits.tolist(), "probabilities": probabilities.astype(float).round(6).tolist()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection, and its thread, for the next request
    disable_nagle_algorithm = True  # header and body are two packets, and Nagle would hold the second for 40 ms
    timeout = 10  # seconds, for a client that stops in the middle

    def parse_request(self):
        """The request line, the headers and, whatever the method and the path, the body, which goes to `self.body`.

        An unread body would be taken for the next request.  So a request is refused, and its connection closed, unless
        its headers leave no doubt where the body ends.
        """
        self.body, self.waits, stream, lines = b"", False, self.rfile, []
        self.rfile = SimpleNamespace(readline=lambda size=-1: lines.append(stream.readline(size)) or lines[-1])
        try:
            if not super().parse_request():
                return False
        finally:
            self.rfile = stream
        if lines.pop() not in (b"\r\n", b"\n") or not all(map(HEADER.fullmatch, lines)):
            return self.send_error(400, "the headers are malformed, expected lines of the form 'name: value'")
        lengths = self.headers.get_all("Content-Length", [] if self.command == "POST" else ["0"])
        if len(lengths) > 1:
            return self.send_error(400, f"there are {len(lengths)} Content-Length headers, expected one")
        try:
            if "Transfer-Encoding" in self.headers or not re.fullmatch("-?[0-9]+", lengths[0].strip(" \t")):
                raise ValueError
            length = int(lengths[0])
        except (IndexError, ValueError):  # int refuses more than 4,300 digits
            return self.send_error(411, "expected a Content-Length header: the bytes in the body, as a decimal number")
        if not 0 <= length <= MAX_BODY:
            return self.send_error(413, f"the body has {length} bytes, expected at most {MAX_BODY}")
        if self.waits and length:
            self.send_response_only(100)
            self.end_headers()
        self.body = self.rfile.read(length)
        if len(self.body) < length:
            return self.send_error(400, f"the body ended after {len(self.body)} bytes, expected {length}")
        return True

    def handle_expect_100(self):
        """Nothing yet: parse_request asks for the body once its length is known to be right."""
        self.waits = True
        return True

    def finish(self):
        """Close in two steps: closed on a client that still sends, it would see a reset instead of the reply."""
        super().finish()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            end, left = time.monotonic() + self.timeout, 16 * MAX_BODY
            while left > 0 and time.monotonic() < end and (data := self.connection.recv(1 << 16)):
                left -= len(data)

    def reply(self, code, content):
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code >= 400:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code, message=None, explain=None):
        """Errors are JSON, those that the base class finds included."""
        self.reply(code, {"error": message or self.responses[code][0]})

    def log_request(self, code="-", size="-"):
        """Nothing: a line per request would be a good part of the work."""

    def unknown(self):
        self.send_error(404, f"there is no {self.command} {self.path}, expected GET /health or POST /predict")

    def do_GET(self):
        if self.path != "/health":
            return self.unknown()
        network = self.server.network
        self.reply(200, {"status": "ok", "activation": network.activation, "test_accuracy": network.accuracy})

    do_HEAD = do_GET

    def do_POST(self):
        if self.path != "/predict":
            return self.unknown()
        try:
            # Each connection has a thread already, and these fill the cores: a call that also shared its own work
            # among threads would only take cores from the others.  The answer does not depend on it.
            with pyleaky.num_threads(1):
                content = predict_json(self.server.network, self.body)
        except ValueError as error:
            return self.send_error(400, str(error))
        self.reply(200, content)


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # of the default, 5, the next client that connects at the same moment waits for a second

    def __init__(self, network, host="127.0.0.1", port=0):
        super().__init__((host, port), Handler)
        self.network = network


def measure(calls, count, batch):
    """Make every call `count` times, each in a thread of its own and all at once, and print how long they took."""
    barrier = threading.Barrier(len(calls))

    def work(call):
        # As in the server: one thread per call where several workers fill the cores, else all of them.
        with pyleaky.num_threads(1 if len(calls) > 1 else pyleaky.get_num_threads()):
            barrier.wait()
            stamps = [time.perf_counter_ns()]
            for _ in range(count):
                call()
                stamps.append(time.perf_counter_ns())
        return stamps

    for call in calls:
        call()  # warm
    with ThreadPoolExecutor(len(calls)) as pool:
        stamps = np.array(list(pool.map(work, calls)))
    p50, p99 = np.percentile(np.diff(stamps) / 1e3, [50, 99])
    rate = 1e9 * count * len(calls) / (stamps.max() - stamps.min())
    print(f"batch {batch}, workers {len(calls)}, calls {count} each: p50 {p50:.1f} us, p99 {p99:.1f} us, ", end="")
    print(f"throughput {rate:.0f} calls/s, {batch * rate:.0f} images/s")


def measure_http(network, images, count, workers):
    body = json.dumps(images.tolist())

    def post(connection):
        connection.request("POST", "/predict", body)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise SystemExit(f"the server answered {response.status}: {content.decode()}")

    with Server(network) as server, contextlib.ExitStack() as stack:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()  # seconds until it sees the shutdown
        stack.callback(server.shutdown)
        connections = [http.client.HTTPConnection("127.0.0.1", server.server_port) for _ in range(workers)]
        for connection in connections:
            stack.enter_context(contextlib.closing(connection))
        measure([partial(post, connection) for connection in connections], count, len(images))


def held_out(seed):
    """The images (n, 8, 8) and labels that digits.py holds out with this seed."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    _, images, _, labels = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=seed)
    return images.reshape(-1, 8, 8), labels


def positive(text):
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def main(argv=None):
    parser = argparse.ArgumentParser(description="Serve the digits network over HTTP, or one of the modes below.")
    weights = Path(__file__).with_name("digits.npz")
    parser.add_argument("--weights", default=weights, help="file that digits.py --save-weights wrote (digits.npz)")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (%(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to serve on, 0 for a free one (%(default)s)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--predict", metavar="JSON", help="answer for the images in this file")
    mode.add_argument("--latency", type=positive, metavar="N", help="time N calls of predict() per worker")
    mode.add_argument("--http-latency", type=positive, metavar="N", help="time N requests per worker to a server here")
    mode.add_argument("--evaluate", action="store_true", help="print the accuracy on the held-out digits")
    parser.add_argument("--batch", type=positive, default=1, help="images in each timed call (%(default)s)")
    parser.add_argument("--workers", type=positive, default=1, help="threads that call at once (%(default)s)")
    arguments = parser.parse_args(argv)
    network = load_weights(arguments.weights)
    images = np.random.default_rng(0).integers(0, 17, (arguments.batch, 8, 8))
    if arguments.predict:
        try:
            print(json.dumps(predict_json(network, Path(arguments.predict).read_bytes())))
        except (OSError, ValueError) as error:
            raise SystemExit(f"{arguments.predict}: {error}") from None
    elif arguments.latency:
        measure([partial(predict, network, images)] * arguments.workers, arguments.latency, arguments.batch)
    elif arguments.http_latency:
        measure_http(network, images, arguments.http_latency, arguments.workers)
    elif arguments.evaluate:
        images, labels = held_out(network.seed)
        accuracy = (predict(network, images)[0] == labels).mean()
        print(f"test accuracy {accuracy:.2%} of {len(labels)} digits, {network.accuracy:.2%} when it was saved")
    else:
        try:
            server = Server(network, arguments.host, arguments.port)
        except (OSError, OverflowError) as error:
            raise SystemExit(f"cannot serve on {arguments.host}, port {arguments.port}: {error}") from None
        with server, contextlib.suppress(KeyboardInterrupt):
            print(f"serving on http://{arguments.host}:{server.server_port} until Ctrl-C", flush=True)
            server.serve_forever()


if __name__ == "__main__":
    main()
