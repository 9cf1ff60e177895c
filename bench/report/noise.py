"""The table of `bench calibrate`."""

from bench import units
from bench.noise import NoiseProfile, Spread
from bench.report.document import Cell, Column, Report, Table, figure, word

NOTES = (
    "false alarms: said to be faster or slower than itself, of how many; then the 95 % interval",
    "noise floor: what differs from process to process or run to run, and no more rounds lessen",
    "detectable: a change this large is found in 95 % of runs of this length, noise floor included",
)


def report(profile: NoiseProfile) -> Report:
    """Return the report on a device's noise."""
    titles = ("comparisons", "false alarms", "are", "noise floor", "detectable")
    left = Column("compared", right=False)
    return Report(
        title=f"Noise of {profile.device} ({profile.fingerprint})",
        tables=(
            Table(
                title=f"{profile.artifact} against itself, {profile.runtime}, "
                f"threads={profile.threads}, processes={profile.processes}",
                columns=(left, *map(Column, titles)),
                rows=(
                    _row("in one run", profile.within),
                    _row("in two runs", profile.between),
                ),
            ),
        ),
        notes=NOTES,
    )


def _row(name: str, spread: Spread) -> tuple[Cell, ...]:
    interval = f"{100 * spread.alarms_low:.1f} to {100 * spread.alarms_high:.1f} %"
    return (
        word(name),
        figure(spread.comparisons, units.count),
        figure(spread.alarms, units.count),
        word(interval),
        figure(spread.floor, units.percent),
        figure(spread.detectable, units.percent),
    )
