"""Where a server is, as a person writes it."""

import re
from typing import Literal, NamedTuple

from devices.device import ConfigError

Protocol = Literal["http", "grpc"]


class Address(NamedTuple):
    """Where a server is: `path` is what comes before the protocol's own (HTTP).

    `via` is another host and port to connect to, that leads there.
    """

    protocol: Protocol
    secure: bool
    host: str
    port: int
    path: str = ""
    via: str | None = None

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """As a person writes it."""
        scheme = self.protocol + ("s" if self.secure else "")
        return f"{scheme}://{self.authority}{self.path}"


def address(url: str, protocol: Protocol | None = None) -> Address:
    """Parse ``http[s]://HOST[:PORT][/PATH]``, or ``grpc[s]://HOST:PORT``.

    Raises:
        ConfigError: it is something else.
    """
    found = re.fullmatch(
        r"(?:(https?|grpcs?)://)?(\[[^]]+\]|[^/:@\s]+)(?::(\d+))?(/[^\s?#]*)?", url.strip()
    )
    if not found or int(found[3] or 0) > 65535:
        raise ConfigError(
            f"'{url}' is no address of a server; write it as http://HOST:PORT, https://HOST or "
            "grpc://HOST:PORT"
        )
    scheme = found[1] or protocol or "http"
    spoken: Protocol = "grpc" if scheme.startswith("grpc") else "http"
    if protocol == "grpc":
        spoken = "grpc"
    secure = scheme in ("https", "grpcs")
    usual = {"grpc": 8001, "http": 443 if secure else 80}[spoken]
    return Address(spoken, secure, found[2], int(found[3] or usual), (found[4] or "").rstrip("/"))
