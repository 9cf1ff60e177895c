"""Print where exported files run and stay the same function, as Markdown tables.

    edgeworthy devices add ort-1-30 --python /opt/ort-1.30/bin/python
    python docs/portability.py --device cpu --device ort-1-30 artifacts/*/*

A device is another environment on this machine (or `cpu`, this one): each of its runtimes, the
reference evaluators among them, runs every artifact's golden inputs. A cell holds the least PSNR in
dB of an output against the float original; what is refuted or does not run is explained below the
tables. Exit status: 0 every file is proved wherever it was tried; 1 one is not.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from devices.local import LocalDevice
from devices.registry import find
from devices.workers import Workers
from export.artifact import OtherProof, load
from export.cli_prove import prove_by_all

Column = tuple[str, str]  # a device's name and a runtime
# The proofs of each artifact, by its key.
Found = dict[str, dict[Column, OtherProof]]


def tried(devices: list[str], directories: list[Path]) -> Found:
    """Run every artifact in every runtime of every device."""
    found: Found = {load(directory).key: {} for directory in directories}
    for name in devices:
        device = find(name)
        assert isinstance(device, LocalDevice)
        device.info()
        with Workers(device) as workers:
            for directory in directories:
                manifest = load(directory)
                for proof in prove_by_all(workers, directory, manifest):
                    found[manifest.key][name, proof.runtime] = proof
                print(f"{manifest.key} on {name}", file=sys.stderr)
    return found


def tables(found: Found) -> Iterator[str]:
    """Yield the lines of one table for each set of runtimes: a file a line, a runtime a column."""
    for columns in dict.fromkeys(tuple(proofs) for proofs in found.values()):
        alike = {key: proofs for key, proofs in found.items() if tuple(proofs) == columns}
        yield f"| file | {' | '.join(heading(column, alike) for column in columns)} |"
        yield f"|---|{'--:|' * len(columns)}"
        for key, proofs in alike.items():
            yield f"| `{key}` | {' | '.join(cell(proofs[column]) for column in columns)} |"
        yield ""


def heading(column: Column, found: Mapping[str, Mapping[Column, OtherProof]]) -> str:
    """Return a runtime with the version that some file was proved by."""
    versions = (proofs[column].runtime_version for proofs in found.values())
    version = next(filter(None, versions), column[0])
    return f"{column[1]}: {version}"


def cell(proof: OtherProof) -> str:
    """Return a proof in a word: its PSNR, failed, or not run."""
    if proof.verified is None:
        return "not run"
    figure = "" if proof.psnr_db is None else f"{proof.psnr_db:.0f} dB"
    return figure if proof.verified else f"**failed** {figure}".strip()


def reasons(found: Found) -> Iterator[str]:
    """Yield a line for each reason why files are not proved, without the runtime's own words."""
    files: dict[str, list[str]] = {}
    for key, proofs in found.items():
        for (device, _), proof in proofs.items():
            if proof.verified is not True:
                reason = f"{device}: {str(proof.reason).partition(' (it said: ')[0]}"
                files.setdefault(reason, []).append(f"`{key}`")
    for reason, keys in files.items():
        yield f"- {', '.join(keys)}, {reason}"


def main() -> None:
    """Print the tables of the artifacts named on the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("artifacts", nargs="+", type=Path)
    options.add_argument("--device", action="append")
    given = options.parse_args()
    found = tried(given.device or ["cpu"], given.artifacts)
    told = list(reasons(found))
    print("\n".join([*tables(found), *told]))
    sys.exit(bool(told))


if __name__ == "__main__":
    main()
