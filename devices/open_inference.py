"""A server of the Open Inference Protocol (KServe v2), asked by Triton's client, HTTP or gRPC.

What goes wrong becomes a `devices.device.DeviceError` of one line.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar, NamedTuple, TypeVar

from devices.address import Address, Protocol
from devices.device import ConfigError, DeviceError, TransportError, UnauthorisedError

T = TypeVar("T")
REMEDY = "pip install 'edgeworthy[cloud]'"
# Seconds before each further attempt where the server has too much to do.
BACKOFF_S = (0.2, 0.5, 1.0, 2.0)
CONNECT_S = 5.0
GONE = {"StatusCode.UNAVAILABLE"}


class OverloadError(DeviceError):
    """A server has too much to do; it was asked several times."""

    state: ClassVar[str] = "busy"


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
        "has too much to do ({code}): {said}; try again later",
    ),
    (
        {"408", "504", "StatusCode.DEADLINE_EXCEEDED"},
        TransportError,
        "did not answer in time ({code}): {said}",
    ),
)


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
        self._module = _client_module(where.protocol)
        host = {"Host": where.authority} if where.via and where.protocol == "http" else {}
        name = "Authorization" if where.protocol == "http" else "authorization"
        self._headers = {**host, **({name: f"Bearer {token}"} if token else {})}
        if where.protocol == "http":
            self._client = _http(self._module, where, ca, timeout_s)
        else:
            self._client = _grpc(self._module, where, ca)

    def about(self) -> str:
        """Return the server's name and version.

        Raises:
            DeviceError: see the module.
        """
        found = self._asked(lambda: self._client.get_server_metadata(**self._common()))
        return f"{found.get('name', 'unnamed')} {found.get('version', '')}".strip()

    def model(self, name: str) -> dict[str, Any]:
        """Return the protocol's description of a model; shapes are lists of whole numbers.

        Raises:
            MissingError: there is none; names what is most like it, where the server tells.
            DeviceError: see the module.
        """
        try:
            found: dict[str, Any] = self._asked(
                lambda: self._client.get_model_metadata(name, **self._common())
            )
        except MissingError as error:
            raise MissingError(self._no_model(name, str(error))) from None
        except DeviceError as error:
            if "unknown model" in str(error):  # Triton answers 400
                raise MissingError(self._no_model(name, str(error))) from None
            raise
        for side in ("inputs", "outputs"):
            for tensor in found.setdefault(side, []):
                tensor["shape"] = [int(length) for length in tensor.get("shape", [])]
        return found

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
        return [str(one["name"]) for one in listed]

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
            raise TransportError(f"{self.where.url}: the answer was cut off: {error}") from None
        except Exception as error:  # two clients, and every layer below them
            raise self._explained(error) from None

    def read(self, answer: Any, outputs: Sequence[str]) -> Inferred:
        """Return what an answer holds.

        Raises:
            DeviceError: an output is not there.
        """
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
        import msgspec

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
            return _unreachable(url, error, said)
        for known, kind, told in ANSWERS:
            if status in known:
                return kind(f"{url} {told.format(code=_code(status), said=said)}")
        return DeviceError(f"{url} answers {_code(status)}: {said}")


def patiently(ask: Callable[[], T]) -> T:
    """Ask again after a while, a few times, where the server has too much to do.

    Raises:
        OverloadError: it still has.
    """
    for pause in BACKOFF_S:
        try:
            return ask()
        except OverloadError:
            time.sleep(pause)
    try:
        return ask()
    except OverloadError as error:
        times = 1 + len(BACKOFF_S)
        raise OverloadError(f"{error} (asked {times} times in {sum(BACKOFF_S):g} s)") from None


def _client_module(protocol: Protocol) -> Any:
    try:
        return import_module(f"tritonclient.{protocol}")
    except (ImportError, RuntimeError) as error:
        name = getattr(error, "name", None) or "tritonclient"
        raise DeviceError(f"a server as a device needs {name}; install it: {REMEDY}") from None


def _http(module: Any, where: Address, ca: str | None, timeout_s: float) -> Any:
    import gevent

    # Its loop prints a traceback of all else.
    hub = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)
    settings: dict[str, Any] = {}
    if where.secure:
        settings = {"ssl": True, "ssl_context_factory": lambda: _context(ca, where)}
    return module.InferenceServerClient(
        f"{where.via or where.authority}{where.path}",
        connection_timeout=CONNECT_S,
        network_timeout=timeout_s,
        insecure=where.via is not None,
        **settings,
    )


def _context(ca: str | None, where: Address) -> ssl.SSLContext:
    """Return a context that checks the server's own name, also where the way leads elsewhere."""
    from gevent.ssl import SSLContext

    name = where.host.strip("[]")

    class Named(SSLContext):  # type: ignore[misc]
        def wrap_socket(self, sock: Any, *arguments: Any, **named: Any) -> Any:
            return super().wrap_socket(sock, **{**named, "server_hostname": name})

    context = Named(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(_readable(ca))
    return context


def _grpc(module: Any, where: Address, ca: str | None) -> Any:
    options: list[tuple[str, Any]] = [("grpc.max_send_message_length", -1)]
    options.append(("grpc.max_receive_message_length", -1))
    if where.via:
        options.append(("grpc.ssl_target_name_override", where.host))
        options.append(("grpc.default_authority", where.authority))
    return module.InferenceServerClient(
        where.via or where.authority,
        ssl=where.secure,
        root_certificates=None if ca is None else _readable(ca),
        channel_args=options,
    )


def _readable(ca: str) -> str:
    from pathlib import Path

    path = Path(ca).expanduser()
    if not path.is_file():
        raise ConfigError(f"ca: there is no file {ca}")
    return str(path)


def _message(error: Exception) -> str:
    told = getattr(error, "message", None)
    return str(told() if callable(told) else error) or type(error).__name__


def _is_tls(error: Exception, said: str) -> bool:
    return isinstance(error, ssl.SSLError) or any(
        word in said for word in ("CERTIFICATE_VERIFY_FAILED", "SSL_ERROR", "andshake")
    )


def _unreachable(url: str, error: Exception, said: str) -> DeviceError:
    if isinstance(error, TimeoutError):
        return TransportError(f"{url} did not answer in time")
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


def _code(status: str) -> str:
    return status.removeprefix("StatusCode.")
