"""Rows and results that tests of the matrix share."""

from __future__ import annotations

from typing import Any

import msgspec

from porter.records.matrix import Matrix, MatrixEntry, MatrixGate, MatrixHop, MatrixRow

ENTRY = MatrixEntry(name="vit", source="org/vit", budget=900)

PORTED = MatrixRow(
    name="vit",
    inputs="in",
    code="0123456789ab",
    until=6,
    state="ported",
    as_expected=True,
    source="made",
    model_type="vit",
    architecture="ViTForImageClassification",
    parameters=48340,
    image_size=(32, 32),
    strategy="native",
    strategy_reason="the registry has it as vit_mini",
    source_tensors=40,
    target_tensors=32,
    fates={"fused": 4, "renamed": 20},
    closed=True,
    hops=(
        MatrixHop(
            gate="parity-tao",
            name="Hugging Face -> TAO module",
            state="passed",
            relative=8.5e-7,
            max_abs=2e-6,
            tolerance=1e-5,
            batches=(1,),
        ),
        MatrixHop(
            gate="parity-onnx",
            name="TAO module -> ONNX",
            state="passed",
            relative=7.4e-7,
            max_abs=1e-6,
            tolerance=1e-4,
            batches=(1, 2, 5),
        ),
    ),
    preprocessing=0.0,
    trained=True,
    reloaded=True,
    rtx=1.25,
    gates=(
        MatrixGate(gate="ledger", phase=3, state="passed", summary="closed"),
        MatrixGate(gate="engine-fp32", phase=4, state="rehearsed", summary="profile 1-4-6"),
    ),
    counts={"passed": 61, "rehearsed": 10, "blocked": 4},
    spread=0.68,
    seconds=123.4,
    budget=900,
    peak_bytes=1_234_000_000,
    log="/m/rows/vit/log.txt",
)

COMPOSED = msgspec.structs.replace(
    PORTED,
    name="resnet",
    model_type="resnet",
    architecture="ResNetForImageClassification",
    strategy="compose",
    strategy_reason="a generated backbone holds the model",
    rejected={"native": "no entry fits", "timm": "no rules yet"},
    forced=True,
    hops=(MatrixHop(gate="parity-tao", name="HF -> TAO", state="passed", relative=0.0, tolerance=0.0),),
)

REFUSED = MatrixRow(
    name="dinov3",
    inputs="in",
    code="0123456789ab",
    until=6,
    state="refused",
    as_expected=True,
    reason="dinov3 has no head for image-classification: DINOv3ViTModel is the bare network",
    model_type="dinov3_vit",
    seconds=4.0,
    budget=900,
)

FAILED = MatrixRow(
    name="beit",
    inputs="in",
    code="0123456789ab",
    until=6,
    state="failed",
    as_expected=False,
    reason="gate ledger failed: 1 open: <b>x|y</b>",
    counts={"passed": 3, "failed": 1},
    gates=(MatrixGate(gate="ledger", phase=3, state="failed", summary="1 open: <b>x|y</b>"),),
    seconds=9.0,
    budget=600,
)


def matrix(*rows: MatrixRow, **changes: Any) -> Matrix:
    """Return a matrix of *rows*."""
    totals: dict[str, int] = {}
    for row in rows:
        totals[row.state] = totals.get(row.state, 0) + 1
    values = {
        "porter": "1.0",
        "code": "0123456789ab",
        "list_name": "matrix.toml",
        "until": 6,
        "clones": {"tao-deploy": "7.0.1 of the package index", "tao-pytorch": "7.0.1 at abcdef1234"},
        "machine": "2 CPUs, 24 GB",
        "rows": tuple(sorted(rows, key=lambda row: row.name)),
        "totals": totals,
        "seconds": sum(row.seconds for row in rows),
    }
    return Matrix(**{**values, **changes})
