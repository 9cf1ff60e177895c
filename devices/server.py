"""A server that speaks the HTTP part of the Open Inference Protocol, for people who have none.

Its answers tell in `parameters` what a request took there: `queue_ns` and `compute_ns`.
"""

import hmac
import time
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from devices.serving import Answer
from devices.tensors import HEADER, RequestError, check, decoded, encoded
from devices.worker import JobError

NAME = "edgeworthy"
EXTENSIONS = ["binary_tensor_data", "model_repository"]


class Served(Protocol):
    """What answers requests for a model."""

    name: str

    def metadata(self) -> dict[str, Any]:
        """Return the protocol's description of it."""

    def infer(self, tensors: dict[str, Any], arrived_ns: int) -> Answer:
        """Run once."""


class Guard:
    """Lets in who has the token; everybody may ask whether the server is there."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._right = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or pass on."""
        if scope["type"] == "http" and not scope["path"].startswith("/v2/health/"):
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._right):
                refusal = _error(401, "a bearer token is expected")
                refusal.headers["WWW-Authenticate"] = "Bearer"
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Server:
    """The protocol's paths over some models."""

    def __init__(self, models: Sequence[Served], version: str, body_limit: int) -> None:
        """Take the models; `body_limit` is in bytes."""
        self._models = {model.name: model for model in models}
        self._version, self._limit = version, body_limit

    def app(self, token: str | None) -> Starlette:
        """Return the ASGI application; with a token nothing else lets in."""
        model = "/v2/models/{name:path}"
        routes = [
            Route("/v2", self._about),
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._live),
            Route("/v2/repository/index", self._index, methods=["POST"]),
            Route(f"{model}/ready", self._ready),
            Route(f"{model}/infer", self._infer, methods=["POST"]),
            Route(model, self._metadata),
        ]
        guard = [Middleware(Guard, token=token)] if token else []
        return Starlette(routes=routes, middleware=guard)

    async def _live(self, request: Request) -> Response:
        return _json({"live": True})

    async def _about(self, request: Request) -> Response:
        return _json({"name": NAME, "version": self._version, "extensions": EXTENSIONS})

    async def _index(self, request: Request) -> Response:
        return _json([{"name": name, "state": "READY", "reason": ""} for name in self._models])

    async def _ready(self, request: Request) -> Response:
        found = self._find(request)
        return found if isinstance(found, Response) else _json({"name": found.name, "ready": True})

    async def _metadata(self, request: Request) -> Response:
        found = self._find(request)
        return found if isinstance(found, Response) else _json(found.metadata())

    def _find(self, request: Request) -> Served | Response:
        name = request.path_params["name"]
        if model := self._models.get(name):
            return model
        close = get_close_matches(name, self._models, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return _error(404, f"no model '{name}'{hint}")

    async def _infer(self, request: Request) -> Response:
        model = self._find(request)
        if isinstance(model, Response):
            return model
        body = await self._body(request)
        if body is None:
            return _error(413, f"the body is larger than {self._limit} bytes")
        arrived_ns = time.perf_counter_ns()
        try:
            asked, tensors = decoded(body, request.headers.get(HEADER))
            check(asked, [output["name"] for output in model.metadata()["outputs"]])
            answer = await run_in_threadpool(model.infer, tensors, arrived_ns)
        except RequestError as error:
            return _error(400, str(error))
        except JobError as error:
            return _error(500, str(error))
        took = {"queue_ns": answer.queue_ns, "compute_ns": answer.compute_ns}
        head = {"model_name": model.name, "id": asked.id, "parameters": took}
        content, length = encoded(head, answer.outputs, asked)
        if length is None:
            return Response(content, media_type="application/json")
        headers = {HEADER: str(length)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def _body(self, request: Request) -> bytes | None:
        """Return the body, None if it is larger than it may be."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._limit:
                return None
        return bytes(body)


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _error(status: int, text: str) -> Response:
    return _json({"error": text}, status)
