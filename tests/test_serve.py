"""examples/serve.py: its answers against float64 NumPy, its server's replies and refusals, and what it measures.

That what digits.py saves is what serve.py computes, for every activation, is in test_digits.py.
"""

import contextlib
import http.client
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import pyleaky

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "serve.py"
WEIGHTS = EXAMPLE.with_name("digits.npz")
SPEC = importlib.util.spec_from_file_location("serve", EXAMPLE)
serve = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(serve)

# The first of scikit-learn's digits.
ZERO = np.array(
    [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
        [0, 4, 12, 0, 0, 8, 8, 0],
        [0, 5, 8, 0, 0, 9, 8, 0],
        [0, 4, 11, 0, 1, 12, 7, 0],
        [0, 2, 14, 5, 10, 12, 0, 0],
        [0, 0, 6, 13, 10, 0, 0, 0],
    ]
)


@pytest.fixture(scope="module")
def network():
    return serve.load_weights(WEIGHTS)


@pytest.fixture(scope="module")
def port(network):
    with serve.Server(network) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def request(port, method, path, body=None):
    """The status of the reply and its JSON."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body)
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(response.read())


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 17, (count, 8, 8))


# ------------------------------------------------------------------------------------------------------- the function


def test_the_weights_are_small_and_are_what_the_docstring_says(network):
    assert WEIGHTS.stat().st_size < 200_000
    assert network.activation == "leaky_relu"
    assert f"leaky ReLU, seed {network.seed}, {network.accuracy:.2%}" in serve.__doc__


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, list])
def test_the_answers_are_those_of_numpy_in_float64(network, count, dtype):
    images = pictures(count)
    with np.load(WEIGHTS) as file:
        x = images.reshape(count, 64).astype(np.float64)
        for layer in (1, 2, 3):
            x = x @ file[f"weight{layer}"].astype(np.float64) + file[f"bias{layer}"]
            if layer < 3:
                x = np.where(x > 0, x, float(file["slopes"][layer - 1]) * x)
    expected = np.exp(x - x.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    labels, probabilities = serve.predict(network, images.tolist() if dtype is list else images.astype(dtype))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    chosen = expected[np.arange(count), labels]
    assert (chosen > expected.max(axis=1) - 1e-5).all()


def test_nearly_all_held_out_digits_are_read(network, capsys):
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    images, labels = serve.held_out(network.seed)
    assert images.shape == (360, 8, 8)
    assert (serve.predict(network, images)[0] == labels).mean() > 0.96
    serve.main(["--evaluate"])
    read, saved = re.fullmatch(
        r"test accuracy ([\d.]+)% of 360 digits, ([\d.]+)% when it was saved\n", capsys.readouterr().out
    ).groups()
    assert float(read) == pytest.approx(float(saved), abs=0.3)  # one digit, should rounding decide it


def test_the_images_are_left_alone(network):
    images = pictures(3).astype(np.float32)
    before = images.copy()
    serve.predict(network, images)
    np.testing.assert_array_equal(images, before)


def test_many_workers_give_the_answers_of_one(network):
    batches = [pictures(count, seed=count) for count in (1, 2, 7, 64)]
    expected = [serve.predict(network, images)[1] for images in batches]

    def work(worker):
        with pyleaky.num_threads(1):
            return [serve.predict(network, images)[1] for _ in range(5) for images in batches]

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(work, range(8)):
            for answer, right in zip(answers, expected * 5, strict=True):
                np.testing.assert_allclose(answer, right, atol=1e-6)


def test_a_file_of_images_is_answered(tmp_path, capsys):
    path = tmp_path / "images.json"
    path.write_text(json.dumps([ZERO.tolist()] * 2))
    serve.main(["--predict", str(path)])
    assert json.loads(capsys.readouterr().out)["digits"] == [0, 0]


@pytest.mark.parametrize(("text", "message"), [(None, "No such file"), ("[", "not JSON"), ("[]", "expected a list")])
def test_a_file_of_something_else_is_named(text, message, tmp_path):
    path = tmp_path / "images.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match=rf"images\.json: .*{message}"):
        serve.main(["--predict", str(path)])


# -------------------------------------------------------------------------------------------------------- the weights


def saved(path, **changes):
    """A copy of the weights with some arrays replaced, or left out where the change is None."""
    with np.load(WEIGHTS) as file:
        arrays = {name: file[name] for name in file} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight2": None}, "weight2"),
        ({"slopes": None}, "slopes"),
        ({"seed": None}, "seed"),
        (
            {"weight1": np.ones((64, 5), np.float32)},
            r"weight1 is float32 \(64, 5\), expected finite float32 \(64, 128\)",
        ),
        ({"bias3": np.ones(10)}, "bias3 is float64"),
        ({"bias3": np.full(10, np.nan, np.float32)}, "bias3 is .*expected finite"),
        ({"bias3": np.array([None])}, "allow_pickle=False"),
        ({"activation": "swish"}, "unknown activation 'swish'"),
        ({"activation": "prelu"}, r"slopes is float32 \(2,\), expected finite float32 \(2, 128\)"),
    ],
)
def test_a_foreign_npz_is_refused(changes, message, tmp_path):
    path = tmp_path / "foreign.npz"
    saved(path, **changes)
    with pytest.raises(
        SystemExit, match=rf"foreign\.npz is no network .*{message}.*expected arrays: weight1 \(64, 128\)"
    ):
        serve.load_weights(path)


@pytest.mark.parametrize("content", [None, b"", b"text", b"PK\x03\x04", "half", "npy"])
def test_a_file_that_is_no_npz_is_refused(content, tmp_path):
    path = tmp_path / "weights.npz"
    if content == "half":
        path.write_bytes(WEIGHTS.read_bytes()[:50_000])
    elif content == "npy":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit, match=r"weights\.npz is no network saved by digits\.py .*expected arrays: weight1"):
        serve.main(["--latency", "1", "--weights", str(path)])


# --------------------------------------------------------------------------------------------------------- the server


def test_images_are_answered(port, network):
    images = [ZERO, *pictures(3)]
    status, content = request(port, "POST", "/predict", json.dumps(np.array(images).tolist()))
    assert status == 200
    labels, probabilities = serve.predict(network, images)
    assert content["digits"] == labels.tolist()
    assert content["digits"][0] == 0
    np.testing.assert_allclose(content["probabilities"], probabilities, atol=2e-6)


def test_health_names_the_network(port, network):
    expected = {"status": "ok", "activation": "leaky_relu", "test_accuracy": network.accuracy}
    assert request(port, "GET", "/health") == (200, expected)


def test_a_connection_is_kept_from_request_to_request(port):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(3):
            connection.request("POST", "/predict", json.dumps([ZERO.tolist()]))
            assert json.loads(connection.getresponse().read())["digits"] == [0]
        assert connection.sock is first


def test_many_clients_get_their_own_answers(port, network):
    def ask(seed):
        images = pictures(1 + seed % 3, seed)
        _, content = request(port, "POST", "/predict", json.dumps(images.tolist()))
        np.testing.assert_allclose(content["probabilities"], serve.predict(network, images)[1], atol=2e-6)

    with ThreadPoolExecutor(16) as pool:
        assert len(list(pool.map(ask, range(64)))) == 64


def with_pixel(pixel):
    text = json.dumps([ZERO.tolist()])
    assert text.endswith("0]]]")
    return text[:-4] + pixel + "]]]"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"pixels", "not JSON"),
        (b"[[[1,", "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"1" * 5000, "not JSON"),
        (b"[]", r"the images are float64 of shape \(0,\)"),
        (b"{}", r"the images are object of shape \(\)"),
        (b"null", r"the images are object of shape \(\)"),
        (b"7", r"the images are int64 of shape \(\)"),
        (b"[[1, 2], [3]]", "rows differ in length"),
        (json.dumps(ZERO.tolist()), r"the images are int64 of shape \(8, 8\)"),
        (json.dumps([[[1] * 7] * 8]), r"the images are int64 of shape \(1, 8, 7\)"),
        (json.dumps([[["1"] * 8] * 8]), r"the images are <U1 of shape \(1, 8, 8\)"),
        (json.dumps([[[True] * 8] * 8]), r"the images are bool of shape \(1, 8, 8\)"),
        (with_pixel("null"), r"the images are object of shape \(1, 8, 8\)"),
        (with_pixel("1" + "0" * 400), r"the images are object of shape \(1, 8, 8\)"),
        (with_pixel("NaN"), r"the pixel at \[0, 7, 7\] is nan"),
        (with_pixel("Infinity"), r"the pixel at \[0, 7, 7\] is inf"),
        (with_pixel("1e400"), r"the pixel at \[0, 7, 7\] is inf"),
        (with_pixel("-1"), r"the pixel at \[0, 7, 7\] is -1"),
        (with_pixel("255"), r"the pixel at \[0, 7, 7\] is 255"),
    ],
)
def test_what_is_no_list_of_images_is_refused(body, message, port):
    status, content = request(port, "POST", "/predict", body)
    assert status == 400
    assert re.search(message, content["error"])
    assert content["error"].endswith("expected a list of images, each 8 rows of 8 numbers from 0 to 16")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/predict"), ("POST", "/health"), ("POST", "/predict/")]
)
def test_an_unknown_path_is_refused(method, path, port):
    status, content = request(port, method, path, "[]" if method == "POST" else None)
    assert (status, content["error"]) == (404, f"there is no {method} {path}, expected GET /health or POST /predict")


def test_an_unknown_method_is_refused_in_json(port):
    assert request(port, "PUT", "/predict", "[]") == (501, {"error": "Unsupported method ('PUT')"})


def test_too_large_a_body_is_refused_and_the_client_that_sends_it_sees_why(port):
    size = serve.MAX_BODY
    message = f"the body has {{}} bytes, expected at most {size}"
    assert request(port, "POST", "/predict", b" " * (4 * size)) == (413, {"error": message.format(4 * size)})
    assert request(port, "POST", "/predict", b" " * (size + 1)) == (413, {"error": message.format(size + 1)})
    padded = json.dumps([ZERO.tolist()]).ljust(size)
    assert request(port, "POST", "/predict", padded)[0] == 200


@pytest.mark.parametrize(
    ("length", "status"), [(None, 411), ("many", 411), ("9" * 5000, 411), ("-5", 413), ("9" * 30, 413)]
)
def test_a_wrong_content_length_is_refused(length, status, port):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.putrequest("POST", "/predict")
        if length:
            connection.putheader("Content-Length", length)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == status
        assert response.headers["Connection"] == "close"
        assert "expected" in json.loads(response.read())["error"]


def test_a_client_that_stops_in_the_middle_is_left(port, monkeypatch):
    monkeypatch.setattr(serve.Handler, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n[[[")
        assert client.recv(100) == b""


HIDDEN = b"GET /hidden HTTP/1.1\r\n\r\n"  # as a body, or as the rest of one
LONG = HIDDEN + b" " * 100_000
# The framing of a body, the body, and the status that refuses it before the path is looked at (None: the body is read).
FRAMINGS = {
    "Content-Length": (b"Content-Length: %d" % len(HIDDEN), HIDDEN, None),
    "100 KB": (b"Content-Length: %d" % len(LONG), LONG, None),
    "spaces": (b"Content-Length: \t %d \t" % len(HIDDEN), HIDDEN, None),
    "empty": (b"Content-Length: 0", b"", None),
    "100-continue": (b"Expect: 100-continue\r\nContent-Length: %d" % len(HIDDEN), HIDDEN, None),
    "chunked": (b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN), 411),
    "Chunked": (b"transfer-encoding: Chunked", b"0\r\n\r\n" + HIDDEN, 411),
    "chunked and Content-Length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"0\r\n\r\n" + HIDDEN, 411),
    "identity": (b"Transfer-Encoding: identity\r\nContent-Length: 0", HIDDEN, 411),
    "no coding": (b"Transfer-Encoding:", HIDDEN, 411),
    "chunked and 100-continue": (b"Expect: 100-continue\r\nTransfer-Encoding: chunked", b"0\r\n\r\n" + HIDDEN, 411),
    "two lengths": (b"Content-Length: 0\r\nContent-Length: %d" % len(HIDDEN), HIDDEN, 400),
    "twice the same": (b"Content-Length: 0\r\ncontent-length: 0", HIDDEN, 400),
    "a list": (b"Content-Length: 0, 0", HIDDEN, 411),
    "a plus": (b"Content-Length: +0", HIDDEN, 411),
    "an underscore": (b"Content-Length: 0_0", HIDDEN, 411),
    "hexadecimal": (b"Content-Length: 0x1b", HIDDEN, 411),
    "a fraction": (b"Content-Length: 0.0", HIDDEN, 411),
    "another script": ("Content-Length: \N{SUPERSCRIPT TWO}".encode("latin-1"), HIDDEN, 411),
    "no digits": (b"Content-Length:", HIDDEN, 411),
    "5000 digits": (b"Content-Length: " + b"0" * 5000, HIDDEN, 411),
    "negative": (b"Content-Length: -1", HIDDEN, 413),
    "huge": (b"Content-Length: " + b"9" * 30, HIDDEN, 413),
    "huge and 100-continue": (b"Expect: 100-continue\r\nContent-Length: " + b"9" * 30, HIDDEN, 413),
    "a space before the colon": (b"Content-Length : %d" % len(HIDDEN), HIDDEN, 400),
    "after no header": (b"no header\r\nContent-Length: %d" % len(HIDDEN), HIDDEN, 400),
    "after two carriage returns": (b"X: 1\r\r\nContent-Length: %d" % len(HIDDEN), HIDDEN, 400),
    "after one carriage return": (b"X: 1\rContent-Length: %d" % len(HIDDEN), HIDDEN, 400),
    "folded": (b"X: 1\r\n Content-Length: %d" % len(HIDDEN), HIDDEN, 400),
}


def exchange(port, data):
    """Each reply to these bytes: its status, its headers and its JSON; the connection must end after them."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as stream:
            received = stream.read()
    replies = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status = int(re.match(rb"HTTP/1\.1 (\d+) ", head)[1])
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        size = int(headers.get("Content-Length", 0))
        # A HEAD's reply has the length of a body and no body.
        body, received = (b"", received) if received.startswith(b"HTTP/") else (received[:size], received[size:])
        replies.append((status, headers, json.loads(body or "null")))
    return replies


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0\r\nConnection: keep-alive"])
def test_a_body_is_never_the_next_request(framing, version, port):
    header, body, refused = FRAMINGS[framing]
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS"):
        for path in (b"/health", b"/predict", b"/unknown"):
            sent = method + b" %s %s\r\nHost: here\r\n%s\r\n\r\n" % (path, version, header)
            replies = exchange(port, sent + body + b"GET /health HTTP/1.1\r\n\r\n")
            if "100-continue" in framing and version == b"HTTP/1.1" and not refused:
                assert replies.pop(0)[0] == 100
            statuses = [status for status, *_ in replies]
            right = path == b"/health" and method in (b"GET", b"HEAD")
            expected = refused or (200 if right else 400 if (method, path) == (b"POST", b"/predict") else None)
            expected = expected or (404 if method in (b"GET", b"HEAD", b"POST") else 501)
            # Refused, the connection ends; else the next request is what comes behind the body.
            assert statuses == [expected, 200][: 1 + (expected == 200)], (method, path)
            for _, headers, content in replies:
                assert "/hidden" not in str(content)
                assert (headers.get("Connection") == "close") == (expected != 200)


def test_a_head_has_the_headers_of_a_get_and_no_body(port):
    for path, status in (("/health", 200), ("/", 404)):
        (head,), (get,) = (exchange(port, f"{method} {path} HTTP/1.1\r\n\r\n".encode()) for method in ("HEAD", "GET"))
        assert head[0] == get[0] == status
        assert head[2] is None
        assert get[2] is not None
        sizes = [int(reply[1]["Content-Length"]) for reply in (head, get)]
        assert sizes[0] == sizes[1] + (path == "/")  # the message names the method


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (b"POST /predict HTTP/1.1\r\nContent-Length: 9\r\n\r\n[]", 400, "ended after 2 bytes, expected 9"),
        (b"GET /health HTTP/1.1\r\nContent-Length: 9\r\n\r\n", 400, "ended after 0 bytes, expected 9"),
        (b"GET /health HTTP/1.1\r\nContent-Le", 400, "the headers are malformed"),
        (b"GET /health HTTP/1.1\r\nContent-Length: 0\r\n", 400, "the headers are malformed"),
        (b"GET /health HTTP/1.1\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431, "Too many headers"),
    ],
)
def test_half_a_request_is_refused(sent, status, message, port):
    ((found, headers, content),) = exchange(port, sent)
    assert (found, headers["Connection"]) == (status, "close")
    assert message in content["error"]


def test_a_body_is_asked_for_only_when_its_length_is_right(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client, client.makefile("rb") as stream:
        body = json.dumps([ZERO.tolist()]).encode()
        head = b"POST /predict HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        client.sendall(head % len(body))
        assert stream.readline() + stream.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
    assert exchange(port, head % 10**9)[0][0] == 413


@pytest.mark.parametrize("port", ["taken", "99999", "-1"])
def test_a_port_that_cannot_be_had_is_named(port):
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = str(other.getsockname()[1]) if port == "taken" else port
        with pytest.raises(SystemExit, match=f"cannot serve on 127.0.0.1, port {number}: "):
            serve.main(["--port", number])


def test_control_c_ends_the_server(monkeypatch, capsys):
    def interrupt(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(serve.Server, "serve_forever", interrupt)
    serve.main(["--port", "0"])
    assert re.fullmatch(r"serving on http://127\.0\.0\.1:\d+ until Ctrl-C\n", capsys.readouterr().out)


def test_the_script_serves_with_numpy_and_pyleaky_alone():
    refuse = "import runpy, sys; sys.modules |= dict.fromkeys(['matplotlib', 'scipy', 'sklearn', 'tqdm']); "
    script = refuse + f"sys.argv = ['serve.py', '--port', '0']; runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            port = re.fullmatch(r"serving on http://127\.0\.0\.1:(\d+) until Ctrl-C\n", process.stdout.readline())[1]
            status, content = request(int(port), "POST", "/predict", json.dumps([ZERO.tolist()]))
            assert (status, content["digits"]) == (200, [0])
        finally:
            process.terminate()


# ---------------------------------------------------------------------------------------------------- the measurements


@pytest.mark.parametrize("option", ["--latency", "--http-latency"])
@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (3, 4)])
def test_latency_and_throughput_are_printed(option, batch, workers, capsys):
    serve.main([option, "20", "--batch", str(batch), "--workers", str(workers)])
    number = r"([\d.]+)"
    match = re.fullmatch(
        rf"batch {batch}, workers {workers}, calls 20 each: p50 {number} us, p99 {number} us, "
        rf"throughput {number} calls/s, {number} images/s\n",
        capsys.readouterr().out,
    )
    p50, p99, calls, images = map(float, match.groups())
    assert 0 < p50 <= p99
    assert calls > 0
    assert images == pytest.approx(batch * calls, rel=0.1)


@pytest.mark.parametrize(("option", "server"), [("--latency", False), ("--http-latency", True)])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_call_is_kept_to_one_thread_where_there_are_several(option, server, workers, monkeypatch, capsys):
    before, predict, seen = pyleaky.get_num_threads(), serve.predict, []

    def record(network, images):
        seen.append(pyleaky.get_num_threads())
        return predict(network, images)

    monkeypatch.setattr(serve, "predict", record)
    pyleaky.set_num_threads(5)
    try:
        serve.main([option, "10", "--workers", str(workers)])
    finally:
        pyleaky.set_num_threads(before)
    assert len(seen) == 11 * workers  # the first call of each warms up, from the main thread
    assert set(seen[workers:]) == ({1} if server or workers > 1 else {5})


def test_a_batch_that_the_server_refuses_ends_the_measurement():
    with pytest.raises(SystemExit, match=r"the server answered 413: .*expected at most"):
        serve.main(["--http-latency", "5", "--batch", "9000"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--latency", "0"], "argument --latency: 0 is below 1"),
        (["--latency", "many"], "argument --latency: invalid positive value: 'many'"),
        (["--workers", "0"], "argument --workers: 0 is below 1"),
        (["--batch", "-1"], "argument --batch: -1 is below 1"),
        (["--latency", "1", "--evaluate"], "argument --evaluate: not allowed with argument --latency"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as raised:
        serve.main(arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


def test_importing_the_module_leaves_the_environment_alone(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    SPEC.loader.exec_module(importlib.util.module_from_spec(SPEC))
    assert "OMP_NUM_THREADS" not in os.environ
