"""A server as a device: whatever speaks the Open Inference Protocol, measured as clients see it.

An invocation is one request on a connection that is kept: making the payload, sending it, waiting,
and receiving the answer. What the server says of its own part goes into the record's stages.
"""

import os
import time
from collections.abc import Iterator
from typing import Annotated, Literal, Self

import msgspec

from devices import facts
from devices.address import Address, address
from devices.cloud_session import PROBE_TIMEOUT_S, CloudSession, reported
from devices.device import (
    Cloud,
    ConfigError,
    DeviceInfo,
    Job,
    Limits,
    Step,
)
from devices.network import Passage, Profile, check
from devices.open_inference import (
    Endpoint,
)

PREFIX = "cloud:"
RUNTIME = "open-inference"
Payload = Literal["tensor", "jpeg", "png"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a ``[devices.NAME]`` table with ``kind = "cloud"``."""

    url: Annotated[str, msgspec.Meta(min_length=1)]
    protocol: Literal["http", "grpc"] | None = None
    model: str | None = None
    payload: Payload = "tensor"
    token_env: str | None = None
    ca: str | None = None


class CloudDevice:
    """A server; nothing is sent before it is needed."""

    limits = Limits()

    def __init__(self, name: str, settings: Settings, profile: Profile | None = None) -> None:
        """Describe the device.

        Args:
            name: what records call it.
            settings: where it is, and how it is asked.
            profile: the link to it, which is made when it is needed; None for that which there is.

        Raises:
            ConfigError: the address is none.
        """
        self.name, self.kind = name, "cloud"
        self._settings, self.profile = settings, profile
        self.where = address(settings.url, settings.protocol)
        self.machine = f"cloud {self.where.authority}"
        self._passage: Passage | None = None

    @property
    def network(self) -> str | None:
        """The name of the link to it, None for that which there is."""
        return None if self.profile is None else self.profile.name

    def over(self, profile: Profile) -> Self:
        """Return the same server behind a link."""
        return type(self)(self.name, self._settings, profile)

    def info(self) -> DeviceInfo:
        """Ask the server what it is.

        Raises:
            TransportError: it cannot be reached.
            DeviceError: it refuses this client, is no such server, or no link can be made here.
        """
        if self.profile is not None:
            check()
        endpoint = self._endpoint(PROBE_TIMEOUT_S, direct=True)
        try:
            found = {"processor": endpoint.about(), "url": self.where.url}
        finally:
            endpoint.close()
        return DeviceInfo(
            name=self.name,
            kind=self.kind,
            fingerprint=facts.fingerprint(found),
            emulated=False,
            facts=found,
        )

    def runtimes(self, format: str) -> list[str]:
        """Return the protocol's name: what runs a file there is the server's own affair."""
        return [RUNTIME]

    def references(self, format: str) -> list[str]:
        """Return nothing."""
        return []

    def probe(self, runtime: str) -> str:
        """Return the server's name and version.

        Raises:
            WorkerError: it does not answer.
        """
        return str(reported("start", self.info).facts["processor"])

    def open(self, job: Job) -> "CloudSession":
        """Connect to the server and find the artifact's model there.

        Raises:
            WorkerError: that failed, or the model is not like the artifact.
        """
        reported("start", self._way)  # a link is made once, and is no part of loading
        begin = time.perf_counter_ns()
        endpoint = reported("start", lambda: self._endpoint(job.timeout_s))
        try:
            link = self._passage.link if self._passage else None
            cloud = Cloud(
                url=self.where.url,
                protocol=self.where.protocol,
                server="",
                payload=self._settings.payload,
                request_bytes=0,
                response_bytes=0,
                link=link,
            )
            return CloudSession(
                endpoint,
                job,
                self._settings.model,
                cloud,
                begin_ns=begin,
                direct=lambda timeout_s: self._endpoint(timeout_s, direct=True),
            )
        except BaseException:
            endpoint.close()
            raise

    def _endpoint(self, timeout_s: float, *, direct: bool = False) -> Endpoint:
        where, variable = self.where, self._settings.token_env
        token = os.environ.get(variable, "").strip() if variable else None
        if variable and not token:
            raise ConfigError(f"device '{self.name}': token_env: {variable} is not set to a token")
        if not direct:
            where = self._way()
        return Endpoint(where, token=token, ca=self._settings.ca, timeout_s=timeout_s)

    def _way(self) -> Address:
        """Return where to connect to: the server itself, or the near end of the link to it."""
        if self.profile is None:
            return self.where
        if self._passage is None or not self._passage.is_open:
            self._passage = Passage(self.profile, self.where.host.strip("[]"), self.where.port)
        return self.where._replace(via=self._passage.authority)


def make(name: str, settings: Settings) -> CloudDevice:
    """Return the device that a ``[devices.NAME]`` table describes."""
    return CloudDevice(name, settings)


def named(name: str) -> CloudDevice | None:
    """Return the server of ``cloud:URL``, None for any other name."""
    if not name.startswith(PREFIX):
        return None
    return CloudDevice(name, Settings(url=name.removeprefix(PREFIX)))


def steps(device: CloudDevice) -> Iterator[Step]:
    """Yield what can be told of a server before a model is asked for."""
    endpoint = device._endpoint(PROBE_TIMEOUT_S, direct=True)
    try:
        yield Step(True, "server", f"{device.where.url}: {endpoint.about()}")
        models = endpoint.models()
    finally:
        endpoint.close()
    yield Step(True if models else None, "models", ", ".join(models) or "it offers no list")
