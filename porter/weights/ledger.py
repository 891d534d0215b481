"""Reading a ledger: what is open in it, and what parity could not see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from porter.records.inspection import TensorInfo
from porter.records.remap import RemapRules
from porter.records.weights import Ledger, LedgerRow, SwapCheck, WeightPlan
from porter.weights.remap import inert_reason


def open_reasons(ledger: Ledger) -> tuple[str, ...]:
    """Return one line per leftover; empty when the ledger is closed."""
    return tuple(f"{_names(row)}: {row.reason}" for row in ledger.leftovers)


def audit(plan: WeightPlan, source: Sequence[TensorInfo], target: Sequence[TensorInfo]) -> tuple[str, ...]:
    """Return everything that keeps *plan* from accounting for both tables; empty when it does.

    It counts afresh and trusts nothing that the planner did: every tensor stands in exactly one
    row, every row that fills targets has its operations, and every operation takes what its row says.
    """
    problems = list(open_reasons(plan.ledger))
    rows = plan.ledger.rows
    problems += _count("source", source, [name for row in rows for name in row.sources])
    problems += _count("target", target, [name for row in rows for name in row.targets])
    made = Counter(each.target.name for each in plan.operations)
    row_of = {name: row for row in rows for name in row.targets}
    tables = {each.name: each for each in target}, {each.name: each for each in source}
    computed = {each.name for each in plan.computed}
    for name, row in row_of.items():
        wanted = 0 if row.fate == "leftover" or name in computed else 1
        if made[name] != wanted:
            problems.append(f"{name}: {made[name]} operations make it, {wanted} must")
    for each in plan.operations:
        held = row_of.get(each.target.name)
        names = tuple(part.name for part in each.sources)
        if held is None or tables[0].get(each.target.name) != each.target:
            problems.append(f"{each.target.name}: its operation makes something that the target lacks")
        elif held.fate != "initialised" and names != held.sources:
            problems.append(
                f"{each.target.name}: the operation reads {names}, the ledger says {held.sources}"
            )
        problems += [
            f"{each.target.name}: {part.name} is not a tensor of the source"
            for part in each.sources
            if tables[1].get(part.name) != part
        ]
    gone = {name for row in rows if row.fate == "dropped" for name in row.sources}
    problems += [f"{name}: the ledger does not drop it" for name in plan.zeros if name not in gone]
    initialised = {name for row in rows if row.fate == "initialised" for name in row.targets}
    problems += [f"{name}: the ledger does not say that it is computed" for name in computed - initialised]
    return tuple(problems)


def note_inert(
    plan: WeightPlan, swaps: Sequence[SwapCheck], rules: RemapRules
) -> tuple[WeightPlan, tuple[str, ...]]:
    """Write the measured effect of unseen swaps into the ledger.

    A tensor is inert when exchanging it with its own kind in another layer changes nothing that
    parity can see; value-level identity then holds it. Only tensors that the rules expect to be
    inert may be.

    Returns:
        the plan with :attr:`LedgerRow.inert` set on the rows concerned (the largest unseen effect),
        and one line per swap that should have been seen.
    """
    names = [part.name for each in plan.operations for part in each.sources]
    effects: dict[str, float] = {}
    unexplained: list[str] = []
    for swap in swaps:
        if swap.caught:
            continue
        pair = (swap.first, swap.second)
        if all(inert_reason(rules, name, names) for name in pair):
            for name in pair:
                effects[name] = max(effects.get(name, 0.0), swap.relative)
        else:
            unexplained.append(
                f"swapping {pair[0]} and {pair[1]} changes the output by {swap.relative:.1e} only"
            )
    rows = []
    for row in plan.ledger.rows:
        measured = [effects[name] for name in row.sources if name in effects]
        if measured:
            inert = [name for name in row.sources if name in effects]
            note = f"{', '.join(inert)} inert ({inert_reason(rules, inert[0], names)}), held by identity"
            reason = f"{row.reason}; {note}" if row.reason else note
            row = msgspec.structs.replace(row, inert=max(measured), reason=reason)
        rows.append(row)
    noted = msgspec.structs.replace(plan, ledger=Ledger(rows=tuple(rows)))
    return noted, tuple(unexplained)


def _names(row: LedgerRow) -> str:
    left, right = ", ".join(row.sources), ", ".join(row.targets)
    return f"{left} -> {right}" if left and right else left or right


def _count(side: str, table: Sequence[TensorInfo], listed: Sequence[str]) -> list[str]:
    there, here = Counter(each.name for each in table), Counter(listed)
    return [
        f"{name}: {there[name]} times in the {side}, {here[name]} times in the ledger"
        for name in sorted(there.keys() | here.keys())
        if there[name] != here[name]
    ]
