"""A server of the Open Inference Protocol (KServe v2), asked by Triton's client, HTTP or gRPC.

What goes wrong becomes a `devices.device.DeviceError` of one line.
"""

import math
import ssl
import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, NamedTuple, TypeVar

import msgspec

from devices import triton
from devices.address import Address
from devices.device import DeviceError, TransportError, UnauthorisedError

T = TypeVar("T")
# Seconds before each further attempt where the server has too much to do; it may ask for more, but
# for no more than this in all.
BACKOFF_S = (0.2, 0.5, 1.0, 2.0)
PATIENCE_S = 30.0
# The parser's words of a text that does not even begin as JSON does, as what is cut off does.
NO_JSON = "offset 0: Invalid value"
PAGE = (
    "answers with a page, and that is no answer of the Open Inference Protocol; is there a proxy "
    "or a log-in before the server?"
)
GONE = {"StatusCode.UNAVAILABLE"}


class OverloadError(DeviceError):
    """A server has too much to do; `after_s` is how long it asks to be left alone, if it does."""

    state: ClassVar[str] = "busy"
    after_s: float | None = None


class SilentError(TransportError):
    """A server did not answer in time."""


class HungError(DeviceError):
    """A server answers other questions, but not this one."""


class MissingError(DeviceError):
    """A server has no such model or page."""


# What a status means, and what is said of it.
ANSWERS: tuple[tuple[set[str], type[DeviceError], str], ...] = (
    (
        {"401", "403", "StatusCode.UNAUTHENTICATED", "StatusCode.PERMISSION_DENIED"},
        UnauthorisedError,
        "refuses this client ({code}): {said}; name the environment variable with its token by "
        "token_env = 'NAME' in devices.toml",
    ),
    ({"404", "StatusCode.NOT_FOUND"}, MissingError, "answers {code}: {said}"),
    (
        {"429", "503", "StatusCode.RESOURCE_EXHAUSTED"},
        OverloadError,
        "has too much to do ({code}): {said}; go on later with --resume",
    ),
    ({"502"}, TransportError, "cannot be reached behind its gateway ({code}): {said}"),
    (
        {"408", "504", "StatusCode.DEADLINE_EXCEEDED"},
        SilentError,
        "did not answer in time ({code}): {said}",
    ),
)


class _Server(msgspec.Struct):
    """What a server says of itself, or of a model in its index; it may say more."""

    name: str = "unnamed"
    version: str | None = None


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int] = []


class _Model(msgspec.Struct):
    name: str
    platform: str | None = None
    inputs: list[_Tensor] = []
    outputs: list[_Tensor] = []


class Inferred(NamedTuple):
    """An answer: its outputs by name, what it says besides, and its size in bytes."""

    outputs: dict[str, Any]
    parameters: dict[str, Any]
    size: int


class Endpoint:
    """A server, by one connection that is kept. To be used by one thread."""

    def __init__(
        self,
        where: Address,
        *,
        token: str | None = None,
        ca: str | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            where: its address.
            token: sent as a bearer token.
            ca: a file of certificates (PEM) to trust instead of the system's.
            timeout_s: how long an answer may take.

        Raises:
            DeviceError: the client is not installed.
        """
        self.where, self._timeout_s = where, timeout_s
        self._module, self._client = triton.client(where, ca, timeout_s)
        host = {"Host": where.authority} if where.via and where.protocol == "http" else {}
        name = "Authorization" if where.protocol == "http" else "authorization"
        self._headers = {**host, **({name: f"Bearer {token}"} if token else {})}

    def about(self) -> str:
        """Return the server's name and version.

        Raises:
            DeviceError: see the module.
        """
        found = self._asked(lambda: self._client.get_server_metadata(**self._common()))
        told = self._understood(found, _Server)
        return f"{told.name} {told.version or ''}".strip()

    def model(self, name: str) -> dict[str, Any]:
        """Return the protocol's description of a model; shapes are lists of whole numbers.

        Raises:
            MissingError: there is none; names what is most like it, where the server tells.
            DeviceError: see the module.
        """
        try:
            found = self._asked(lambda: self._client.get_model_metadata(name, **self._common()))
        except MissingError as error:
            raise MissingError(self._no_model(name, str(error))) from None
        except DeviceError as error:
            if "unknown model" in str(error):  # Triton answers 400
                raise MissingError(self._no_model(name, str(error))) from None
            raise
        told: dict[str, Any] = msgspec.to_builtins(self._understood(found, _Model))
        return told

    def _understood(self, found: Any, kind: type[T]) -> T:
        try:
            return msgspec.convert(found, kind, strict=False)  # gRPC's JSON has numbers as texts
        except msgspec.ValidationError as error:
            raise DeviceError(
                f"{self.where.url} does not speak the Open Inference Protocol: {error}"
            ) from None

    def _no_model(self, name: str, said: str) -> str:
        known = self.models()
        close = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        there = f"; there is: {', '.join(known[:8])}" if known else f" ({said})"
        return f"{self.where.url} has no model '{name}'{hint}{there}"

    def models(self) -> list[str]:
        """Return the names of its models, none where it offers no index."""
        try:
            found = self._asked(lambda: self._client.get_model_repository_index(**self._common()))
        except DeviceError:
            return []
        listed = found.get("models", []) if isinstance(found, dict) else found
        try:
            return [one.name for one in msgspec.convert(listed, list[_Server])]
        except msgspec.ValidationError:
            return []

    def tensors(self, given: Sequence[tuple[str, str, Any]]) -> list[Any]:
        """Return the client's inputs: of names, datatypes and arrays (of bytes for BYTES)."""
        made = []
        for name, datatype, array in given:
            tensor = self._module.InferInput(name, list(array.shape), datatype)
            tensor.set_data_from_numpy(array)
            made.append(tensor)
        return made

    def infer(self, model: str, inputs: list[Any], outputs: Sequence[str]) -> Any:
        """Ask for an inference; return the client's answer: see `read`.

        Raises:
            OverloadError: the server has too much to do; ask again.
            DeviceError: see the module.
        """
        limit = {} if self.where.protocol == "http" else {"client_timeout": self._timeout_s}
        wanted = [self._module.InferRequestedOutput(name) for name in outputs]
        try:
            return self._client.infer(
                model, inputs, outputs=wanted, headers=dict(self._headers), **limit
            )
        except ValueError as error:  # it described itself as it should, before
            if NO_JSON in str(error):
                raise DeviceError(f"{self.where.url} {PAGE}") from None
            raise TransportError(f"{self.where.url}: the answer was cut off: {error}") from None
        except Exception as error:  # two clients, and every layer below them
            raise self._explained(error) from None

    def read(self, answer: Any, outputs: Sequence[str]) -> Inferred:
        """Return what an answer holds.

        Raises:
            DeviceError: an output is not there, or is not what the answer says of it.
        """
        try:
            return self._read(answer, outputs)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            said = " ".join(str(error).split())
            raise DeviceError(f"{self.where.url} answers what cannot be read: {said}") from None

    def _read(self, answer: Any, outputs: Sequence[str]) -> Inferred:
        found = {name: answer.as_numpy(name) for name in outputs}
        if missing := [name for name, array in found.items() if array is None]:
            raise DeviceError(f"{self.where.url} answers without output '{missing[0]}'")
        head = answer.get_response()
        if self.where.protocol == "grpc":
            parameters = {
                key: getattr(value, value.WhichOneof("parameter_choice") or "int64_param")
                for key, value in head.parameters.items()
            }
            return Inferred(found, parameters, int(head.ByteSize()))
        size = len(msgspec.json.encode(head)) + sum(
            int(one.get("parameters", {}).get("binary_data_size", 0)) for one in head["outputs"]
        )
        return Inferred(found, dict(head.get("parameters", {})), size)

    def request_bytes(self, model: str, inputs: list[Any], outputs: Sequence[str]) -> int:
        """Return the size of the request that `infer` sends."""
        wanted = [self._module.InferRequestedOutput(name) for name in outputs]
        if self.where.protocol == "http":
            made = self._client.generate_request_body(inputs, outputs=wanted)
            return len(made[0])
        pb = self._module.service_pb2
        request = pb.ModelInferRequest(model_name=model)
        for tensor in inputs:
            request.inputs.add(name=tensor.name(), datatype=tensor.datatype(), shape=tensor.shape())
        request.outputs.extend(
            pb.ModelInferRequest.InferRequestedOutputTensor(name=n) for n in outputs
        )
        request.raw_input_contents.extend(tensor._get_content() for tensor in inputs)
        return int(request.ByteSize())

    def statistics(self, model: str) -> tuple[int, int, int] | None:
        """Return a model's inferences so far, and the nanoseconds that they waited and computed.

        None where the server keeps no such figures: they are Triton's extension.
        """
        try:
            told = self._asked(
                lambda: self._client.get_inference_statistics(model, **self._common())
            )
            found = told["model_stats"][0]["inference_stats"]
        except (DeviceError, LookupError, TypeError):
            return None
        stages = ("compute_input", "compute_infer", "compute_output")
        queue, *compute = (int(found.get(s, {}).get("ns", 0)) for s in ("queue", *stages))
        return int(found.get("success", {}).get("count", 0)), queue, sum(compute)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _common(self) -> dict[str, Any]:
        as_json = {} if self.where.protocol == "http" else {"as_json": True}
        limit = {} if self.where.protocol == "http" else {"client_timeout": self._timeout_s}
        return {"headers": dict(self._headers), **as_json, **limit}

    def _asked(self, ask: Callable[[], Any]) -> Any:
        return patiently(lambda: self._told(ask))

    def _told(self, ask: Callable[[], T]) -> T:
        """Ask once; what goes wrong is told in the words of this module."""
        try:
            return ask()
        except Exception as error:  # two clients, and every layer below them
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> DeviceError:
        status = str(getattr(error, "status", lambda: "")() or "")
        said = " ".join(_message(error).split())[:300]
        url = self.where.url
        if _is_tls(error, said):
            return TransportError(
                f"{url}: TLS failed: {said}; name the certificate to trust by ca = 'FILE' in "
                "devices.toml"
            )
        if not status or status in GONE:
            return _unreachable(url, error, said, self._timeout_s)
        code = status.removeprefix("StatusCode.")
        for known, kind, told in ANSWERS:
            if status in known:
                found = kind(f"{url} {told.format(code=code, said=said)}")
                if isinstance(found, OverloadError):
                    found.after_s = triton.retry_after_s(self._client)
                return found
        return DeviceError(f"{url} answers {code}: {said}")


def patiently(ask: Callable[[], T]) -> T:
    """Ask again after a while, a few times, where the server has too much to do.

    Raises:
        OverloadError: it still has, or asks for more patience than there is.
    """
    pauses, waited, times = iter((*BACKOFF_S, math.inf)), 0.0, 0
    while True:
        times += 1
        try:
            return ask()
        except OverloadError as error:
            pause = max(next(pauses), error.after_s or 0.0)
            if waited + pause > PATIENCE_S:
                raise OverloadError(_tried(error, times, waited)) from None
        time.sleep(pause)
        waited += pause


def _tried(error: OverloadError, times: int, waited: float) -> str:
    asks = "" if error.after_s is None else f"; it asks for {error.after_s:g} s"
    often = "once" if times == 1 else f"{times} times in {waited:g} s"
    return f"{error} (asked {often}{asks})"


def _message(error: Exception) -> str:
    told = getattr(error, "message", None)
    said = str(told() if callable(told) else error) or type(error).__name__
    return "no word of why" if "while decoding the response" in said else said  # a proxy's page


def _is_tls(error: Exception, said: str) -> bool:
    return isinstance(error, ssl.SSLError) or any(
        word in said for word in ("CERTIFICATE_VERIFY_FAILED", "SSL_ERROR", "andshake")
    )


def _unreachable(url: str, error: Exception, said: str, timeout_s: float) -> DeviceError:
    if isinstance(error, TimeoutError):
        return SilentError(f"{url} did not answer in time ({timeout_s:g} s)")
    if _is_cut(error):
        return TransportError(f"{url}: the connection broke off: {said}")
    if isinstance(error, (OSError, EOFError)) or "StatusCode" in str(error):
        return TransportError(
            f"{url} cannot be reached: {said}; is the server there? one of your own is started by "
            "'edgeworthy devices serve ARTIFACT'"
        )
    return DeviceError(f"{url} does not speak the Open Inference Protocol: {said}")


def _is_cut(error: Exception) -> bool:
    return any(kind.__name__ == "HTTPParseError" for kind in type(error).__mro__)
