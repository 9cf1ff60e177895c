"""``edgeworthy devices serve``: a server that offers artifacts, to be measured as the cloud."""

import os
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from models.finite import Finite

if TYPE_CHECKING:
    from bench.matrix import Artifact
    from devices.local import LocalDevice
    from devices.server import Served

REMEDY = "install what it needs: pip install 'edgeworthy[cloud]'"


@click.command()
@click.argument("patterns", nargs=-1, required=True, metavar="ARTIFACT...")
@click.option(
    "--artifacts-dir",
    "root",
    type=click.Path(path_type=Path),
    default=Path("artifacts"),
    show_default=True,
    help="Where the artifacts are.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0: any that is free.",
)
@click.option(
    "--device",
    "name",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Device of this machine that computes: cpu, gpu, gpu:1.",
)
@click.option("--runtime", help="Runtime to use (default: the first that fits each file).")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--body-limit",
    "limit_mb",
    type=Finite(min=0, min_open=True),
    default=16.0,
    show_default=True,
    help="Largest request in megabytes.",
)
@click.option(
    "--token-env", metavar="NAME", help="Ask for the bearer token that this variable holds."
)
@click.option("--cert", type=click.Path(exists=True), help="TLS certificate (PEM), with --key.")
@click.option("--key", type=click.Path(exists=True), help="Its private key (PEM).")
def serve(
    *,
    patterns: tuple[str, ...],
    root: Path,
    host: str,
    port: int,
    name: str,
    runtime: str | None,
    threads: int,
    limit_mb: float,
    token_env: str | None,
    cert: str | None,
    key: str | None,
) -> None:
    """Serve artifacts by the Open Inference Protocol (HTTP), until it is ended.

    Each is a model MODEL-VARIANT; one of images also takes JPEG and PNG, as MODEL-VARIANT-image.
    Answers tell how long a request waited and how long the inference took.
    """
    from devices.device import DeviceError

    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together")
    try:
        import uvicorn

        from devices.server import Server
    except ImportError as error:
        raise DeviceError(f"devices serve needs {error.name}; {REMEDY}") from None
    from bench.matrix import select
    from bench.measurement import tool_version

    token, device = secret(token_env), _computing(name)
    chosen = select(root, patterns)
    models = [model for artifact in chosen for model in _models(artifact, device, runtime, threads)]
    app = Server(models, tool_version(), int(limit_mb * 1e6)).app(token)
    _check(cert, key)
    with _listening(host, port) as listener:
        url = f"http{'s' if cert else ''}://{_shown(host)}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, ssl_certfile=cert, ssl_keyfile=key
        )
        server = uvicorn.Server(config)
        _tell(url, [model.name for model in models], chosen[0].manifest.key)
        _run(lambda: server.run(sockets=[listener]))


def secret(variable: str | None) -> str | None:
    """Return the bearer token that an environment variable holds, None if none is asked for.

    Raises:
        DeviceError: it holds none.
    """
    from devices.device import ConfigError

    if variable is None:
        return None
    if not (token := os.environ.get(variable, "").strip()):
        raise ConfigError(f"--token-env {variable}: set {variable} to a token first")
    return token


def _check(cert: str | None, key: str | None) -> None:
    from devices.device import ConfigError

    if cert is None:
        return
    try:
        # An encrypted key would ask for its password.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, lambda: "")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--cert {cert}, --key {key}: not a certificate and its private key (PEM, without a "
            f"password): {getattr(error, 'reason', None) or error}"
        ) from None


def _listening(host: str, port: int) -> socket.socket:
    from devices.device import ConfigError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
        # Connections inherit it; else an answer's body waits 40 ms for its header's receipt.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {_shown(host)}:{port}: {error.strerror or error}; "
            "choose another with --port, or --port 0 for any"
        ) from None


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tell(url: str, names: list[str], artifact: str) -> None:
    click.echo(f"serving {', '.join(names)} on {url}", err=True)
    click.echo(f"measure: bench run --device cloud:{url} --artifact {artifact}", err=True)


def _run(serve_all: Callable[[], None]) -> None:
    """Serve until a signal ends it: requests at work are answered first."""
    try:
        serve_all()
    except KeyboardInterrupt:
        click.echo("interrupted; the server has ended", err=True)
        sys.exit(130)


def _computing(name: str) -> "LocalDevice":
    """Return a device of this machine, and have this process use it as a worker would.

    Raises:
        DeviceError: it is none of this machine's, or not there.
    """
    from devices.device import DeviceError
    from devices.local import LocalDevice
    from devices.registry import find

    device = find(name)
    if not isinstance(device, LocalDevice):
        raise DeviceError(f"device '{name}' is not this machine's: serve on cpu or gpu")
    device.info()
    as_here = LocalDevice().environment().items()
    os.environ.update(dict(device.environment().items() - as_here))
    return device


def _models(
    artifact: "Artifact", device: "LocalDevice", runtime: str | None, threads: int
) -> "list[Served]":
    from devices.device import DeviceError
    from devices.serving import ImageModel, Model

    manifest = artifact.manifest
    there = device.runtimes(manifest.format)
    if runtime not in (None, *there) or not there:
        known = f"there is: {', '.join(there)}" if there else "none is installed"
        wanted = f"runtime {runtime}" if runtime else "runtime"
        raise DeviceError(f"no {wanted} on {device.name} for {manifest.key}; {known}")
    name = manifest.key.replace("/", "-")
    model = Model(name, artifact.path, runtime or there[0], threads)
    decode = _decoder(artifact)
    return [model, *([ImageModel(model, decode)] if decode else [])]


def _decoder(artifact: "Artifact") -> Callable[[bytes], Any] | None:
    """Return what turns an image into the artifact's input, None where it takes no images."""
    from dataclasses import replace
    from io import BytesIO

    contract = artifact.manifest.contract
    steps, taken = contract.preprocessing, contract.inputs[0]
    if steps is None or len(contract.inputs) > 1:
        return None
    from PIL import Image

    from models.images import fit, normalise

    def decode(file: bytes) -> Any:
        with Image.open(BytesIO(file), formats=("JPEG", "PNG")) as image:
            # An app that knows the network's size sends it: resizing would only cut off the border.
            fits = image.size == steps.size[::-1]
            pixels = fit(image, replace(steps, resize=None) if fits else steps)
            planes = normalise(pixels[None], steps)[0]
        return planes.transpose(1, 2, 0) if taken.layout == "NHWC" else planes

    return decode
