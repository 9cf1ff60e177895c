"""What a device elsewhere is, by `devices.facts`, which runs there without being written there."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devices import facts
from devices.device import DeviceError

if TYPE_CHECKING:
    from devices.transport import Ran, Transport

# Refuses an old Python before anything is compiled that it does not know.
SURVEY = "import sys; exec(sys.argv.pop(1)) if sys.version_info >= (3, 9) else sys.exit('too old')"


def ask(
    name: str, transport: "Transport", python: Sequence[str], cpus: Sequence[int] | None
) -> dict[str, str]:
    """Return the facts.

    Args:
        name: the device's, for what goes wrong.
        transport: the way to it.
        python: the words that start Python there.
        cpus: the cores that workers are bound to, None for all.

    Raises:
        TransportError: it cannot be reached.
        DeviceError: it does not let this host in, or has no Python that will do.
    """
    source = Path(facts.__file__).read_text(encoding="utf-8")
    cores = [",".join(map(str, cpus))] if cpus else []
    ran = transport.run(shlex.join([*python, "-c", SURVEY, source, *cores]))
    if ran.code:
        raise DeviceError(f"device '{name}': {_no_python(python[0], ran)}")
    try:
        return dict(json.loads(ran.out))
    except ValueError:
        said = f"it answered '{ran.out.strip()[:80]}'"
        raise DeviceError(f"device '{name}': {python[0]} is no Python there: {said}") from None


def _no_python(python: str, ran: "Ran") -> str:
    if "too old" in ran.err or "SyntaxError" in ran.err:
        return (
            f"{python} there is older than 3.9; install a newer one there, and name it by "
            "python = 'PATH' in devices.toml"
        )
    if ran.code in (126, 127):
        return (
            f"there is no {python}; install Python 3.9 or newer there (Debian: apt install "
            "python3), or name it by python = 'PATH' in devices.toml"
        )
    words = ran.err.strip().splitlines()[-1:] or [f"exit code {ran.code}"]
    return f"{python} does not work there: {words[0]}"
