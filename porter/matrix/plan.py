"""Which rows run, and which results stand; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from porter.records.base import Record, digest
from porter.records.matrix import MatrixEntry, MatrixRow


class Decision(Record, frozen=True, kw_only=True):
    """What becomes of a row.

    Attributes:
        run: whether it runs.
        why: the reason, where it has a result already.
    """

    entry: MatrixEntry
    inputs: str
    run: bool
    why: str = ""


def inputs_of(entry: MatrixEntry, model: str, common: Mapping[str, object]) -> str:
    """Return the digest of what the result of a row rests on.

    How long it may take, how much memory it is reckoned to need and what is expected of it do not change
    what comes out.

    Args:
        entry: the row.
        model: fingerprint of its model.
        common: what is the same for all rows: porter, its templates, the clones' commits, the last phase.
    """
    bare = msgspec.structs.replace(entry, budget=0, memory_gb=0.0, expected="ported")
    return digest([bare, model, dict(common)])


def decide(entry: MatrixEntry, inputs: str, result: MatrixRow | None, *, again: bool = False) -> Decision:
    """Return whether a row runs.

    A result stands when it is of the same inputs and the row ended as the list expects it. Any other end is
    tried again: it may have been the machine's, or mended since.
    """
    if result is None:
        return Decision(entry=entry, inputs=inputs, run=True)
    if again:
        return Decision(entry=entry, inputs=inputs, run=True, why="--again was given")
    if result.inputs != inputs:
        return Decision(entry=entry, inputs=inputs, run=True, why="the model, porter or the clones changed")
    if result.state != entry.expected:
        return Decision(entry=entry, inputs=inputs, run=True, why=f"it ended {result.state}")
    return Decision(entry=entry, inputs=inputs, run=False)


def standing(
    decisions: Sequence[Decision], results: Mapping[str, MatrixRow]
) -> tuple[tuple[MatrixRow, ...], tuple[str, ...]]:
    """Return the results of these inputs, judged by the list as it is now, and the names that have none."""
    rows, waiting = [], []
    for decision in decisions:
        entry, result = decision.entry, results.get(decision.entry.name)
        if result is not None and result.inputs == decision.inputs:
            as_expected = result.state == entry.expected
            rows.append(msgspec.structs.replace(result, as_expected=as_expected, budget=entry.budget))
        else:
            waiting.append(entry.name)
    return tuple(sorted(rows, key=lambda row: row.name)), tuple(sorted(waiting))


def network_name(entry: MatrixEntry) -> str:
    """Return what a row's network is called in TAO."""
    return f"matrix_{entry.name.replace('-', '_')}"


def port_arguments(
    entry: MatrixEntry, model: str, workspace: str, until: int, where: Sequence[str]
) -> tuple[str, ...]:
    """Return the arguments of `porter` that port a row; pure.

    Args:
        entry: the row.
        model: hub id or folder.
        workspace: folder of the port.
        until: last phase.
        where: options that say into which clones, and where runs go.
    """
    options = [("--revision", entry.revision), ("--task", entry.task), ("--strategy", entry.strategy)]
    given = [text for name, value in options if value for text in (name, value)]
    for key, value in sorted(entry.settings.items()):
        given += ["--set", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    return (
        *("port", model, "--name", network_name(entry), "--workspace", workspace),
        *("--until", str(until), *where, *given, "--yes", "--json"),
    )
