"""Triton's clients of the Open Inference Protocol, HTTP and gRPC, made for an address."""

import ssl
import time
from email.utils import parsedate_to_datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from devices.address import Address, Protocol
from devices.device import ConfigError, DeviceError

REMEDY = "pip install 'edgeworthy[cloud]'"
CONNECT_S = 5.0


def client(where: Address, ca: str | None, timeout_s: float) -> tuple[Any, Any]:
    """Return the module of an address's protocol, and a client; nothing is sent yet.

    Args:
        where: the server.
        ca: a file of certificates (PEM) to trust instead of the system's.
        timeout_s: how long an answer over HTTP may take.

    Raises:
        DeviceError: the client is not installed, or there is no such file.
    """
    module = _module(where.protocol)
    if where.protocol == "grpc":
        return module, _grpc(module, where, ca)
    return module, _http(module, where, ca, timeout_s)


def retry_after_s(client: Any) -> float | None:
    """Return for how many seconds a server asks to be left alone, by its last answer over HTTP."""
    told = str(getattr(client, "retry_after", None) or "").strip()
    if told.isdecimal():
        return float(told)
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None


def _module(protocol: Protocol) -> Any:
    try:
        return import_module(f"tritonclient.{protocol}")
    except (ImportError, RuntimeError) as error:
        # The client hides what it lacks behind an error of its own.
        name = getattr(error.__cause__ or error, "name", None) or "tritonclient"
        needed = "grpcio" if name == "grpc" else name
        raise DeviceError(f"a server as a device needs {needed}; install it: {REMEDY}") from None


def _http(module: Any, where: Address, ca: str | None, timeout_s: float) -> Any:
    import gevent

    # Its loop prints a traceback of all else.
    hub = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)
    settings: dict[str, Any] = {}
    if where.secure:
        _context(ca, where)  # refused here, before there is half a client that complains
        # It hands over certificates of its own (`cafile`): neither the system's nor those named.
        settings = {"ssl": True, "ssl_context_factory": lambda **_: _context(ca, where)}
    return _attentive(module.InferenceServerClient)(
        f"{where.via or where.authority}{where.path}",
        connection_timeout=CONNECT_S,
        network_timeout=timeout_s,
        **settings,
    )


def _attentive(base: Any) -> Any:
    """Return the client as a class that keeps what its errors leave out of a refusal."""

    class Attentive(base):  # type: ignore[misc]
        retry_after: str | None = None

        def _get(self, *arguments: Any, **named: Any) -> Any:
            return self._noted(super()._get(*arguments, **named))

        def _post(self, *arguments: Any, **named: Any) -> Any:
            return self._noted(super()._post(*arguments, **named))

        def _noted(self, response: Any) -> Any:
            self.retry_after = response.get("Retry-After")
            return response

    return Attentive


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
        try:
            context.load_verify_locations(_readable(ca))
        except OSError as error:
            told = getattr(error, "reason", None) or error
            raise ConfigError(f"ca: {ca} holds no certificate to trust (PEM): {told}") from None
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
    path = Path(ca).expanduser()
    if not path.is_file():
        raise ConfigError(f"ca: there is no file {ca}")
    return str(path)
