"""Servers of the Open Inference Protocol for tests, all of the tiny network: one is ours and a
process of its own; the others answer as they are told to, and work otherwise.
"""

import http.server
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from devices import picture
from devices.tensors import HEADER, decoded, encoded
from tests import tiny

EDGEWORTHY = Path(__file__).resolve().parents[2] / "edgeworthy.py"
INPUT = {"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}
OUTPUT = {"name": "logits", "datatype": "FP32", "shape": [-1, tiny.CLASSES]}
MODEL = {"name": "tiny", "platform": "test", "inputs": [INPUT], "outputs": [OUTPUT]}


@contextmanager
def serving(
    *arguments: str | Path, cwd: Path | None = None
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run ``devices serve`` on a free port; give its URL, and the process."""
    command = [sys.executable, str(EDGEWORTHY), "devices", "serve", *map(str, arguments)]
    process = subprocess.Popen(
        [*command, "--port", "0"], cwd=cwd, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    try:
        said = []
        while not (said and said[-1].startswith("serving")):
            line = process.stderr.readline()
            assert line, said
            said.append(line.strip())
        yield said[-1].split()[-1], process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


class Odd(http.server.ThreadingHTTPServer):
    """A server that works, but for what it is told. Its networks are all the tiny one.

    Attributes:
        statuses: those of the next requests to infer; then they are answered.
        names: what its networks are called; each takes images, too, as NAME-image, with `seen`.
        seen: what the scores of images are multiplied by, None: it takes none.
        model: how it describes them.
        factor: what its answers are multiplied by.
        slow_s: how long it thinks about an answer.
        cut: end the connection in the middle of answers.
        text: sent in place of what describes the server.
        refusal: sent with these statuses, and `retry_after`, if it is set.
        shape: that of its answers, where it is another one.
        at: called before every inference, in the connection's thread.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.statuses: deque[int] = deque()
        self.names: tuple[str, ...] = ("tiny",)
        self.seen: float | None = None
        self.model: dict[str, Any] = MODEL
        self.factor, self.slow_s, self.cut, self.text = 1.0, 0.0, False, ""
        self.refusal = b'{"error": "as the test wants it"}'
        self.retry_after: str | None = None
        self.shape: tuple[int, ...] | None = None
        self.at: Callable[[Odd], None] = lambda server: None
        self.inferences, self.is_gone = 0, False

    def vanish(self) -> None:
        """Listen no longer, and answer nobody."""
        self.is_gone = True
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients may leave."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Odd

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Describe the server or its model."""
        if self.path == "/v2":
            about = json.dumps({"name": "odd", "version": "1"})
            self._send(200, (self.server.text or about).encode())
        elif (name := self.path.removeprefix("/v2/models/")) in self.server.names:
            self._send(200, json.dumps({**self.server.model, "name": name}).encode())
        elif self.server.seen is not None and name.removesuffix("-image") in self.server.names:
            taken = {**INPUT, "datatype": "BYTES", "shape": [-1]}
            self._send(200, json.dumps({**MODEL, "name": name, "inputs": [taken]}).encode())
        else:
            self._send(404, b'{"error": "no such thing"}')

    def do_POST(self) -> None:
        """List the models, or infer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v2/repository/index":
            self._send(200, json.dumps([{"name": name} for name in self.server.names]).encode())
            return
        if self.server.statuses:
            self._send(self.server.statuses.popleft(), self.server.refusal)
            return
        self.server.at(self.server)
        time.sleep(self.server.slow_s)
        self.server.inferences += 1
        request, tensors = decoded(body, self.headers.get(HEADER))
        given, factor = tensors["image"], self.server.factor
        if isinstance(given, list):
            steps = {"mean": (0.5,), "std": (0.5,)}
            given = np.stack([picture.row(file, "NCHW", steps) for file in given])
            factor = self.server.seen or 0.0
        logits = tiny.forward(given) * np.float32(factor)
        logits = logits.reshape(self.server.shape or logits.shape)
        content, length = encoded({"model_name": "tiny"}, {"logits": logits}, request)
        self._send(200, content, length)

    def _send(self, status: int, content: bytes, length: int | None = None) -> None:
        if self.server.is_gone:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if length is not None:
            self.send_header(HEADER, str(length))
        if status >= 400 and self.server.retry_after is not None:
            self.send_header("Retry-After", self.server.retry_after)
        self.end_headers()
        if self.server.cut and self.command == "POST":
            self.wfile.write(content[:5])
            self.close_connection = True
        else:
            self.wfile.write(content)


@contextmanager
def odd(port: int = 0) -> Iterator[Odd]:
    """Run a server that a test may tell to misbehave."""
    with Odd(port) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


class Certificate(NamedTuple):
    """PEM files of a certificate and its key."""

    cert: Path
    key: Path


def certificate(folder: Path, name: str = "IP:127.0.0.1") -> Certificate:
    """Make a certificate for a name, as `openssl` writes alternative names."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", str(made.key), "-out", str(made.cert), "-days", "2",
         "-subj", "/CN=test", "-addext", f"subjectAltName={name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@contextmanager
def by_grpc(tls: Certificate | None = None) -> Iterator[str]:
    """Run a gRPC server of the tiny network that counts as Triton does; give its URL."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
        inferences = 0

        def ServerMetadata(self, request, context):
            return service_pb2.ServerMetadataResponse(name="counting", version="2")

        def ModelMetadata(self, request, context):
            if request.name != "tiny":
                context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
            answer = service_pb2.ModelMetadataResponse(name="tiny", platform="test")
            answer.inputs.add(**INPUT)
            answer.outputs.add(**OUTPUT)
            return answer

        def RepositoryIndex(self, request, context):
            answer = service_pb2.RepositoryIndexResponse()
            answer.models.add(name="tiny")
            return answer

        def ModelStatistics(self, request, context):
            answer = service_pb2.ModelStatisticsResponse()
            found = answer.model_stats.add(name="tiny").inference_stats
            found.success.count = self.inferences
            found.queue.ns = 1000 * self.inferences
            found.compute_infer.ns = 5000 * self.inferences
            return answer

        def ModelInfer(self, request, context):
            type(self).inferences += 1
            sent = request.inputs[0]
            image = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(sent.shape)
            answer = service_pb2.ModelInferResponse(model_name="tiny")
            logits = tiny.forward(image)
            answer.outputs.add(name="logits", datatype="FP32", shape=logits.shape)
            answer.raw_output_contents.append(logits.tobytes())
            return answer

    server = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), server)
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = (tls.key.read_bytes(), tls.cert.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    yield f"grpc{'s' if tls else ''}://127.0.0.1:{port}"
    server.stop(None).wait()
