"""A slowdown of 5 % is caught by the gate, and equal artifacts pass it 20 times of 20.

    python docs/demonstrate.py [--place results/demonstration] [--checks 20]

Exports a network of twenty equal layers, finds the device's noise with it by `bench calibrate`
(kept in `--place`, not where yours is), measures it, and keeps that as baseline of a 3 % budget.
Exported anew and unchanged, it is measured beside the baseline's own file (`bench run --beside`)
and checked, again and again: every failure is a false alarm. At last it is exported with a
twenty-first layer, 5 % more work, and checked once more; `bench decide` measures both until it is
decided. About twenty minutes on a quiet machine. What was done is kept in `--place`, and the same
command goes on where it was interrupted.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = 20
KEY = "chain-make/onnx-fp32"
BUDGET = '[[budget]]\nmax-latency-growth = "3%"\n'
WORDS = {0: "pass", 1: "fail", 3: "cannot tell"}
NETWORK = """
from torch import nn

def make():
    layers = [nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()) for _ in range({layers})]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
"""


class Demonstration:
    """A directory in which the steps are taken, each of them once."""

    def __init__(self, place: Path) -> None:
        self._place = place
        place.mkdir(parents=True, exist_ok=True)
        (place / "edgeworthy.toml").write_text(BUDGET)

    def _command(self, *words: str) -> tuple[int, str]:
        command = [sys.executable, str(ROOT / "edgeworthy.py"), *words]
        environment = os.environ | {"XDG_STATE_HOME": str((self._place / "state").resolve())}
        done = subprocess.run(
            command, cwd=self._place, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode not in WORDS:
            sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
        return done.returncode, done.stdout

    def export(self, layers: int, name: str) -> Path:
        """Export the network of so many layers, and return where it is."""
        where = self._place / name
        if not (where / KEY).is_dir():
            (self._place / "chain.py").write_text(NETWORK.format(layers=layers))
            words = ["--model", "chain.py:make", "--input", "1x64x14x14", "--format", "onnx"]
            self._command("export", *words, "--out", where.name)
        return where

    def calibrate(self, where: Path) -> str:
        """Find the device's noise, and return what was found."""
        kept = self._place / "calibrated.txt"
        if not kept.exists():
            words = ["--artifact", KEY, "--artifacts-dir", where.name, "--minutes", "3"]
            code, said = self._command("bench", "calibrate", *words)
            if code:
                sys.exit(f"the machine is too busy to calibrate\n{said}")
            kept.write_text(said)
        return kept.read_text()

    def measured(self, where: Path, name: str, before: Path | None = None) -> str:
        """Measure the network there into a file of its own, and return that file's name."""
        file = f"{name}.jsonl"
        if not (self._place / file).exists():
            words = ["--artifacts-dir", where.name, "--precision-target", "0.5%"]
            words += ["--beside", before.name] if before else []
            self._command("bench", "run", *words, "--out", "now.part")
            (self._place / "now.part").rename(self._place / file)
        return file

    def baseline(self, where: Path) -> None:
        """Keep a first measurement as the baseline."""
        if not (self._place / "edgeworthy-baseline.json").exists():
            records = self.measured(where, "baseline")
            self._command("bench", "baseline", "--artifacts-dir", where.name, "--records", records)

    def check(self, where: Path, name: str, before: Path) -> tuple[int, str]:
        """Measure again, hold it against the baseline, and return exit code and reason."""
        records = self.measured(where, name, before)
        words = ["--artifacts-dir", where.name, "--records", records, "--json"]
        code, said = self._command("bench", "check", *words)
        return code, json.loads(said)[0]["reason"]

    def decide(self, before: Path, now: Path) -> tuple[int, str]:
        """Measure both side by side until it is decided."""
        words = [str((where / KEY).resolve()) for where in (before, now)]
        return self._command("bench", "decide", *words, "--out", "decided.part")

    def clear(self) -> None:
        """Forget a measurement that was interrupted."""
        for part in self._place.glob("*.part"):
            part.unlink()


def main() -> None:
    """Print a line for each check, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--place", type=Path, default=Path("results/demonstration"))
    parser.add_argument("--checks", type=int, default=20)
    parser.add_argument("--afresh", action="store_true", help="forget what was done before")
    given = parser.parse_args()
    if given.afresh:
        shutil.rmtree(given.place, ignore_errors=True)
    steps = Demonstration(given.place)
    steps.clear()
    before, same = (steps.export(LAYERS, name) for name in ("before", "same"))
    slower = steps.export(LAYERS + 1, "slower")
    print(steps.calibrate(before), flush=True)
    steps.baseline(before)
    found = Counter[str]()
    for number in range(1, given.checks + 1):
        code, reason = steps.check(same, f"check{number:02}", before)
        found[WORDS[code]] += 1
        print(f"unchanged, check {number}: {told(code, reason)}", flush=True)
    counts = ", ".join(f"{found[word]} {word}" for word in WORDS.values())
    print(f"unchanged: {given.checks} checks: {counts}; false alarms: {found['fail']}")
    code, reason = steps.check(slower, "slower", before)
    print(f"one layer more (+{1 / LAYERS:.0%}): {told(code, reason)}", flush=True)
    for what, now in (("unchanged", same), ("one layer more", slower)):
        code, said = steps.decide(before, now)
        print(f"bench decide, {what}: {WORDS[code]}: {brief(said)}", flush=True)


def told(code: int, reason: str) -> str:
    """Return the verdict and its reason, which may begin with it."""
    return reason if reason.startswith(WORDS[code]) else f"{WORDS[code]}: {reason}"


def brief(said: str) -> str:
    """Return what `bench decide` said in one line, without the names of what it measured."""
    return "; ".join(line for line in said.splitlines() if re.match("ratio|after", line))


if __name__ == "__main__":
    main()
