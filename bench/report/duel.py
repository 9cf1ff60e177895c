"""What `bench decide` prints."""

from collections.abc import Iterator

from bench import units
from bench.duel import Duel
from bench.sequential import ERROR

WORDS = {
    "within": "not slower than allowed",
    "slower": "slower than allowed",
    "undecided": "undecided: the time was up",
}


def lines(found: Duel, max_seconds: float) -> Iterator[str]:
    """Yield the decision, what it rests on, and what it took."""
    yield f"{WORDS[found.word]}: {found.now}"
    yield f"against {found.before}"
    interval = f"{found.low:.4g} to {found.high:.4g} with {1 - ERROR:.0%}, whenever looked at"
    yield f"ratio {found.ratio:.4g} ({interval}); allowed up to {1 + found.limit:.4g}"
    if found.floor is not None:
        yield f"the device's noise is {units.percent(found.floor)} by 'bench calibrate'"
    plural = "es" if found.processes > 1 else ""
    effort = f"{found.processes} process{plural} of each, {found.rounds} rounds"
    whole = f"{found.spent:.0%} of --max-seconds {max_seconds:g}"
    if found.word == "undecided":
        yield f"after {effort}: --max-seconds {2 * max_seconds:g}, or a quieter machine, may do"
    else:
        of = round(found.rounds / found.spent)
        yield f"after {effort}, {whole}: a run of fixed length would have made {of}"
