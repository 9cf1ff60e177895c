"""How long compare, check and report take on very many records, and how much memory.

    python docs/bench_scale.py --artifacts-dir artifacts --records results/records.jsonl

Multiplies the first record that succeeded: other devices, threads and batches, so that every one
has a key of its own and counts; each with a level of its own. `compare` holds half of them against
the other half, `check` all of them against a baseline of as many, `report` shows them all.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
BUDGET = '[[budget]]\nmax-latency-growth = "10%"\n'
THREADS, BOARDS = 10, 100


def variants(record: dict[str, Any], count: int, seed: int) -> Iterator[bytes]:
    """Yield lines of records that differ in device, threads and batch, and by a factor in time."""
    rng = random.Random(seed)  # noqa: S311  nothing is kept secret with it
    for number in range(count):
        rest, threads = divmod(number, THREADS)
        batch, board = divmod(rest, BOARDS)
        name = f"board{board:02}"
        factor = rng.lognormvariate(0, 0.01)
        yield msgspec.json.encode({
            **record,
            "run": f"{record['run']}-{seed}",
            "device": {**record["device"], "name": name, "fingerprint": name},
            "settings": {**record["settings"], "threads": threads + 1, "batch": batch + 1},
            "rounds": [[int(ns * factor) for ns in samples] for samples in record["rounds"]],
        })  # fmt: skip


def write(path: Path, record: dict[str, Any], count: int, seed: int) -> None:
    """Write a file of records."""
    with path.open("wb") as stream:
        stream.writelines(line + b"\n" for line in variants(record, count, seed))


def measured(arguments: list[str], place: Path) -> tuple[float, float, float, int]:
    """Run `bench`; return seconds of clock and of processor, peak resident MB, and exit code."""
    command = [sys.executable, str(ROOT / "edgeworthy.py"), "bench", *arguments]
    with (place / "out.txt").open("wb") as out:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=place, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    kilo = 1 if sys.platform == "darwin" else 1024
    seconds, worked = time.monotonic() - began, usage.ru_utime + usage.ru_stime
    return seconds, worked, usage.ru_maxrss * kilo / 1e6, os.waitstatus_to_exitcode(status)


def main() -> None:
    """Print a row for each command and number of records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artifacts-dir", type=Path, required=True)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--counts", default="10000,50000,100000")
    parser.add_argument("--samples", type=int, default=15, help="at most, of each round")
    given = parser.parse_args()
    lines = map(msgspec.json.decode, given.records.read_bytes().splitlines())
    record = next(line for line in lines if line["rounds"])
    record["rounds"] = [one[: given.samples] for one in record["rounds"]]
    samples = sum(map(len, record["rounds"]))
    print(f"each record: {len(record['rounds'])} rounds, {samples} samples")
    print("| records | command | seconds | of processor | peak memory | exit code |")
    print("| --: | --- | --: | --: | --: | --: |")
    for count in map(int, given.counts.split(",")):
        with tempfile.TemporaryDirectory() as place:
            row(count, record, given.artifacts_dir.resolve(), Path(place))


def row(count: int, record: dict[str, Any], artifacts: Path, place: Path) -> None:
    """Measure the three commands on `count` records."""
    for name, size, seed in (("a", count // 2, 0), ("b", count // 2, 1), ("c", count, 2)):
        write(place / f"{name}.jsonl", record, size, seed)
    write(place / "before.jsonl", record, count, 3)
    (place / "edgeworthy.toml").write_text(BUDGET)
    where = ["--artifacts-dir", str(artifacts)]
    baseline = ["baseline", *where, "--records", "before.jsonl"]
    if measured(baseline, place)[3] != 0:
        sys.exit((place / "out.txt").read_text())
    for command in (
        ["compare", "a.jsonl", "b.jsonl"],
        ["check", *where, "--records", "c.jsonl", "--only", "latency"],
        ["report", *where, "--records", "c.jsonl"],
    ):
        seconds, worked, memory, code = measured(command, place)
        figures = f"{seconds:.1f} | {worked:.1f} | {memory:.0f} MB | {code}"
        print(f"| {count:,} | {command[0]} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
