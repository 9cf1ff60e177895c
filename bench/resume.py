"""What need not be measured again: cells whose records are there already, and are good enough."""

from collections.abc import Iterable, Sequence

from bench.accuracy import AccuracyTest
from bench.matrix import Cell
from bench.record import BenchError, Record
from bench.scenario import covers
from bench.verdict import verdict


def resume(
    cells: Sequence[Cell], records: Iterable[Record], accuracy: AccuracyTest | None
) -> tuple[list[Cell], list[Record]]:
    """Split into what is still to be measured and the records that make the rest unnecessary.

    A record will do if nothing failed in it, it is of the same files on the same device, with the
    same runtime, threads, batch, streams and scenario, at least as precise as now asked for, of
    several processes where those are asked for, and holds the accuracy where that is wanted.

    Raises:
        BenchError: there are predecessors, which are measured in turns with their successors.
    """
    by_key = {cell.key: cell for cell in cells if not cell.beside}
    if len(by_key) < len(cells):
        raise BenchError("--beside measures both anew, in turns; leave out --resume")
    done: dict[tuple[str, ...], Record] = {}
    for record in records:
        cell = by_key.get(record.key)
        if cell is not None and _will_do(record, cell, accuracy):
            done[record.key] = record
    return [cell for key, cell in by_key.items() if key not in done], list(done.values())


def _will_do(record: Record, cell: Cell, accuracy: AccuracyTest | None) -> bool:
    return (
        record.counts
        and record.manifest.files == cell.artifact.manifest.files
        and record.device.fingerprint == cell.target.info.fingerprint
        and record.settings.precision_target <= cell.effort.precision_target
        and _accuracy_will_do(record, accuracy)
        and (record.several or cell.processes == 1)
        and (record.sustained is not None or cell.effort.sustained_s is None)
        and (record.settings.streams is not None or cell.streams is None)
        and covers(record.scenario, cell.effort.scenario)
        and verdict(record).word in _good_enough(record)
    )


def _good_enough(record: Record) -> set[str]:
    """Return the verdicts that measuring again would not better: that of a shortened run is one."""
    shortened = {"too short"} if record.scenario and record.scenario.shortened else set()
    return {"valid", "unproved", "emulated"} | shortened


def _accuracy_will_do(record: Record, wanted: AccuracyTest | None) -> bool:
    if wanted is None or wanted.misfit(record.manifest):
        return True
    return record.accuracy is not None and record.accuracy.fingerprint == wanted.images.fingerprint
