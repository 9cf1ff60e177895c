"""How long compare, check and report take on very many records, and how much memory.

    python docs/bench_scale.py --artifacts-dir artifacts --records results/records.jsonl

Multiplies the first record of ten processes, cut to `--rounds` rounds of each and `--samples` of
those: other devices, threads and batches, so that every one has a key of its own and counts; each
process with a level of its own. `compare` holds half of them against the other half, `check` all of
them against a baseline of as many, `report` shows them all.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
BUDGET = '[[budget]]\nmax-latency-growth = "10%"\n'
THREADS, BOARDS, PROCESSES = 10, 100, 10
# How far records, and processes of one of them, lie apart.
BETWEEN, WITHIN = 0.01, 0.004


def variants(record: dict[str, Any], count: int, seed: int) -> Iterator[bytes]:
    """Yield lines of records that differ in device, threads and batch, and by a factor in time."""
    rng = random.Random(seed)  # noqa: S311  nothing is kept secret with it
    for number in range(count):
        rest, threads = divmod(number, THREADS)
        batch, board = divmod(rest, BOARDS)
        name = f"board{board:02}"
        yield msgspec.json.encode({
            **record,
            "run": f"{record['run']}-{seed}",
            "device": {**record["device"], "name": name, "fingerprint": name},
            "settings": {**record["settings"], "threads": threads + 1, "batch": batch + 1},
            "rounds": list(levelled(record, rng)),
        })  # fmt: skip


def levelled(record: dict[str, Any], rng: random.Random) -> Iterator[list[int]]:
    """Yield a record's rounds, the record and each of its processes at a level of its own."""
    level, rounds = rng.lognormvariate(0, BETWEEN), iter(record["rounds"])
    for count in record["processes"]:
        factor = level * rng.lognormvariate(0, WITHIN)
        yield from ([int(ns * factor) for ns in samples] for samples in islice(rounds, count))


def cut(record: dict[str, Any], rounds: int, samples: int) -> dict[str, Any]:
    """Return a record of ten processes of so many rounds, each of so many equal samples."""
    ends = accumulate(record["processes"][:PROCESSES], initial=0)
    kept = [start + number for start in list(ends)[:-1] for number in range(rounds)]
    typical = record["rounds"][0][0]
    copies = record["end_to_end"] and {
        **record["end_to_end"],
        "rounds": [record["end_to_end"]["rounds"][n][: -(-samples // 5)] for n in kept],
    }
    return {
        **record,
        "processes": [rounds] * PROCESSES,
        "rounds": [[typical + n for n in range(samples)] for _ in kept],
        **{name: [record[name][n] for n in kept] for name in ("starts_ns", "usage")},
        "cold": record["cold"][:PROCESSES],
        "end_to_end": copies,
        "proof": {**record["proof"], "verified": True},
    }


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
    parser.add_argument("--counts", default="25000,50000,100000")
    parser.add_argument("--rounds", type=int, default=1, help="of each process, up to 5")
    parser.add_argument("--samples", type=int, default=15, help="of each round")
    given = parser.parse_args()
    lines = map(msgspec.json.decode, given.records.read_bytes().splitlines())
    whole = next(line for line in lines if len(line["processes"]) >= PROCESSES)
    record = cut(whole, given.rounds, given.samples)
    size = len(msgspec.json.encode(record))
    print(f"each record: {PROCESSES} processes, {len(record['rounds'])} rounds, {size:,} bytes")
    print(f"cores: {os.cpu_count()}, load before: {os.getloadavg()[0]:.1f}")
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
