"""A weight plan while it is being made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from porter.records.inspection import TensorInfo
from porter.records.weights import Fate, LedgerRow, Operation


class Draft:
    """The tables, and the rows and operations found so far."""

    def __init__(
        self, source: Sequence[TensorInfo], target: Sequence[TensorInfo], tied: Sequence[Sequence[str]]
    ) -> None:
        self.rows: list[LedgerRow] = []
        self.operations: list[Operation] = []
        self.done_sources: set[str] = set()
        self.done_targets: set[str] = set()
        self.source = self._table(source, is_source=True)
        self.target = self._table(target, is_source=False)
        self.tied = {name: tuple(group) for group in tied for name in group}
        self._order = {each.name: place for place, each in enumerate(target)}

    def _table(self, tensors: Sequence[TensorInfo], *, is_source: bool) -> dict[str, TensorInfo]:
        counts = Counter(each.name for each in tensors)
        for name, count in sorted(counts.items()):
            if count > 1:
                files = ", ".join(sorted({each.file for each in tensors if each.name == name} - {""}))
                reason = f"{name} is listed {count} times" + (f" ({files})" if files else "")
                names = (name,) * count
                self.rows.append(
                    LedgerRow(
                        fate="leftover",
                        sources=names if is_source else (),
                        targets=() if is_source else names,
                        reason=reason,
                    )
                )
        return {each.name: each for each in tensors if counts[each.name] == 1}

    def find(self, name: str) -> TensorInfo | None:
        """Return the source tensor, or the tied twin that the files hold in its place."""
        if name in self.source:
            return self.source[name]
        twins = sorted(twin for twin in self.tied.get(name, ()) if twin in self.source)
        return self.source[twins[0]] if twins else None

    def open_sources(self) -> list[str]:
        """Return the source names that have no row yet."""
        return [name for name in self.source if name not in self.done_sources]

    def row(self, fate: Fate, sources: Iterable[str], targets: Iterable[str], reason: str = "") -> None:
        """Add a row; its names are accounted for from now on."""
        sources, targets = tuple(sources), tuple(targets)
        self.rows.append(LedgerRow(fate=fate, sources=sources, targets=targets, reason=reason))
        self.done_sources.update(sources)
        self.done_targets.update(targets)

    def leave(self, sources: Iterable[str], targets: Iterable[str], reason: str) -> None:
        """Put those of the names that exist and have no row yet into one leftover row."""
        left = tuple(each for each in sources if each in self.source and each not in self.done_sources)
        right = tuple(each for each in targets if each in self.target and each not in self.done_targets)
        if left or right:
            self.row("leftover", left, right, reason)

    def leave_rest(self) -> None:
        """Give every name that has no row yet one: a spare tied twin is dropped, the rest is left over."""
        for name in sorted(self.open_sources()):
            twins = [each for each in self.tied.get(name, ()) if each != name and each in self.done_sources]
            if twins and self.fate_of(twins[0]) != "leftover":
                self.row("dropped", [name], (), f"shares its storage with {twins[0]}")
            else:
                self.row("leftover", [name], (), "no rule says what becomes of it")
        for name in self.target:
            if name not in self.done_targets:
                self.row("leftover", (), [name], "nothing fills it")

    def fate_of(self, source: str) -> Fate:
        """Return the fate of an accounted source name."""
        return next(row.fate for row in self.rows if source in row.sources)

    def sorted_rows(self) -> tuple[LedgerRow, ...]:
        """Rows in the order of the targets, then those without one by source name."""

        def key(row: LedgerRow) -> tuple[int, tuple[str, ...]]:
            places = [self._order[name] for name in row.targets]
            return (min(places, default=len(self._order)), row.sources)

        return tuple(sorted(join_tied(self.rows), key=key))

    def sorted_operations(self) -> tuple[Operation, ...]:
        """Return the operations in the order of the targets."""
        return tuple(sorted(self.operations, key=lambda each: self._order[each.target.name]))


def join_tied(rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    """Join the rows in which one stored tensor fills several targets, so that it has one row."""
    by_source: dict[str, list[LedgerRow]] = {}
    for row in rows:
        for name in dict.fromkeys(row.sources):
            by_source.setdefault(name, []).append(row)
    joined: list[LedgerRow] = []
    merged: dict[str, list[LedgerRow]] = {n: r for n, r in by_source.items() if len(r) > 1}
    for row in rows:
        group = merged.get(row.sources[0], []) if len(row.sources) == 1 else []
        if len(group) < 2 or not all(each.sources == row.sources for each in group):
            joined.append(row)
        elif group[0] is row:
            targets = tuple(name for each in group for name in each.targets)
            reason = "; ".join(dict.fromkeys(each.reason for each in group if each.reason))
            joined.append(LedgerRow(fate=_common(group), sources=row.sources, targets=targets, reason=reason))
    return joined


def _common(rows: Sequence[LedgerRow]) -> Fate:
    """Return the fate of a row that joins *rows*: the one that says most."""
    fates = [row.fate for row in rows if row.fate not in {"kept", "renamed"}]
    return fates[0] if fates else "kept" if all(row.fate == "kept" for row in rows) else "renamed"
