"""The ledger as a file beside the checkpoint."""

from __future__ import annotations

import json

import msgspec

from porter.gates.ledgers import ledger_path, write_ledger
from porter.records.base import from_json
from porter.records.ledger import LedgerFile
from porter.records.weights import Conversion, LedgerRow, TargetModule, WeightPlan
from porter.report.terminal import summarise
from tests.report.conftest import Make
from tests.report.sample import Sample
from tests.weights.tables import LAYERS, source_table, target_table


def conversion(sample: Sample) -> Conversion:
    checkpoint = sample.workspace.results / "checkpoint" / f"{sample.session.options.name}.pth"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write_bytes(b"weights")
    return Conversion(
        checkpoint=str(checkpoint),
        safetensors=str(checkpoint.with_suffix(".safetensors")),
        sha256="a" * 64,
        size=7,
        tensors=1,
        parameters=1,
        dtypes={"F32": 1},
        largest_tensor=1,
        baseline_anon=1,
        peak_anon=1,
        limit_anon=1,
        seconds=1.0,
    )


def test_the_file_says_what_became_of_every_tensor_and_how(make: Make) -> None:
    sample = make()
    session, done = sample.session, conversion(sample)
    plan = session.journal.made("weight-plan", WeightPlan)
    built = session.journal.made("target", TargetModule)
    path = write_ledger(session, plan, built, done, "vit")
    assert summarise(sample.workspace).paths["ledger"] == path
    raw = json.loads(ledger_path(done.checkpoint).read_bytes())
    assert (raw["format"], raw["version"]) == ("porter-ledger", 1)
    made = from_json(ledger_path(done.checkpoint).read_bytes(), LedgerFile)
    assert (made.source.revision, made.strategy, made.rules) == ("5" * 40, "timm", "vit")
    assert (made.checkpoint.file, made.checkpoint.safetensors) == (
        f"{made.name}.pth",
        f"{made.name}.safetensors",
    )
    assert {name for row in made.rows for name in row.sources} == {each.name for each in source_table()}
    assert [each.target for each in made.operations] == list(target_table())
    assert made.fates == {"dropped": 2, "fused": 2 * LAYERS, "renamed": 8 + 10 * LAYERS}
    assert made.irreversible == ("vit.pooler.dense.bias", "vit.pooler.dense.weight")


def test_measured_effects_stay_until_the_plan_is_another(make: Make) -> None:
    sample = make()
    session, done = sample.session, conversion(sample)
    plan = session.journal.made("weight-plan", WeightPlan)
    built = session.journal.made("target", TargetModule)

    def inert_rows() -> list[LedgerRow]:
        made = from_json(ledger_path(done.checkpoint).read_bytes(), LedgerFile)
        return [row for row in made.rows if row.inert is not None]

    write_ledger(session, plan, built, done, "vit")
    assert inert_rows() == []
    first, *rest = plan.ledger.rows
    rows = (msgspec.structs.replace(first, inert=2e-9), *rest)
    noted = msgspec.structs.replace(plan, ledger=msgspec.structs.replace(plan.ledger, rows=rows))
    write_ledger(session, noted, built, done, "vit")
    write_ledger(session, plan, built, done, "vit")
    assert [row.inert for row in inert_rows()] == [2e-9]
    write_ledger(session, plan, built, msgspec.structs.replace(done, sha256="b" * 64), "vit")
    assert inert_rows() == []
