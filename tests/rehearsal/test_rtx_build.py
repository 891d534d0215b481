"""TensorRT-RTX takes what it should, and what it refuses is named with its module."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.probes.rtx_build import source_module
from porter.records.engines import RtxAnswer, RtxRequest
from porter.records.sandbox import Environment, Mount
from porter.sandbox.base import run_probe
from porter.sandbox.host import HostSandbox
from tests.rehearsal.inside import run_inside

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def graphs(deploy_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs") / "shown"  # made for others to read, unlike the one it is in
    folder.mkdir()
    script = ["-m", "tests.rehearsal.graphs", str(folder)]
    made = run_inside(deploy_environment, script, home=folder, packages=[ROOT])
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def answer_on(
    deploy_environment: Environment, graphs: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> RtxAnswer:
    """What the probe answers to the test's graph and batches, in the sandbox as porter runs it."""
    name, batches, *sides = request.param
    return run_probe(
        HostSandbox(deploy_environment, tmp_path / "runs"),
        "rtx_build",
        RtxRequest(onnx=str(graphs / f"{name}.onnx"), batches=batches, sides=tuple(sides)),
        RtxAnswer,
        mounts=[Mount(path=str(graphs))],
    )


def on(name: str, *batches: int) -> pytest.MarkDecorator:
    """Ask the probe about a graph of graphs.py."""
    return pytest.mark.parametrize("answer_on", [(name, batches)], indirect=True, ids=[name])


@pytest.mark.deploy_env
@pytest.mark.parametrize(
    "answer_on",
    [
        ("dynamic", (1, 4, 6)),
        ("static", ()),
        ("static", (1, 4, 6)),
        ("external", (1, 2, 2)),
        ("scaled", (1, 2, 4)),
        ("wide", (1, 2, 4), (28, 28), (56, 56), (56, 112)),
    ],
    indirect=True,
)
def test_a_graph_is_parsed_and_built(answer_on: RtxAnswer) -> None:
    assert answer_on.parsed
    assert answer_on.engine_bytes > 10_000
    assert answer_on.refusals == ()
    assert answer_on.messages == ()


@pytest.mark.deploy_env
@on("dynamic", 1, 4, 6)
def test_shapes_are_told_as_the_parser_sees_them(answer_on: RtxAnswer) -> None:
    assert answer_on.inputs == {"images": (-1, 3, 8, 8)}
    assert answer_on.outputs == {"logits": (-1, 3)}


@pytest.mark.deploy_env
@on("dynamic")
def test_a_dynamic_batch_needs_a_profile(answer_on: RtxAnswer) -> None:
    assert answer_on.parsed
    assert answer_on.engine_bytes == 0
    assert "no optimization profile" in answer_on.messages[0]


@pytest.mark.deploy_env
@on("wide", 1, 2, 4)
def test_only_the_batch_may_be_dynamic(answer_on: RtxAnswer) -> None:
    assert answer_on.parsed
    assert answer_on.engine_bytes == 0
    assert answer_on.messages[0] == "x has the shape [-1, 3, -1, -1], and only axis 0 may be dynamic"


@pytest.mark.deploy_env
@on("refused")
def test_every_refused_node_is_named_with_its_module(answer_on: RtxAnswer) -> None:
    assert not answer_on.parsed
    assert answer_on.engine_bytes == 0
    told = [(item.operator, item.node, item.module, item.code) for item in answer_on.refusals]
    assert told == [
        ("Det", "/blocks/blocks.0/attn/Det", "blocks.0.attn", "UNSUPPORTED_NODE"),
        ("Det", "", "", "UNSUPPORTED_NODE"),
        ("Gadget", "/model/head/Gadget", "model.head", "INVALID_NODE"),
    ]
    assert answer_on.refusals[0].function == "checkDet"
    assert "Plugin not found" in answer_on.refusals[2].description


@pytest.mark.deploy_env
@on("damaged")
def test_a_damaged_file_is_no_node_of_any_module(answer_on: RtxAnswer) -> None:
    assert not answer_on.parsed
    (refusal,) = answer_on.refusals
    assert (refusal.operator, refusal.node, refusal.module) == ("", "", "")
    assert refusal.code == "MODEL_DESERIALIZE_FAILED"


@pytest.mark.parametrize(
    ("node", "module"),
    [
        ("/blocks.0/attn/qkv/MatMul", "blocks.0.attn.qkv"),
        ("/model/layer1/layer1.0/conv1/Conv", "model.layer1.0.conv1"),
        ("/features/features.0/features.0.1/Relu", "features.0.1"),
        ("/layer/layer_norm/Add_1", "layer.layer_norm"),
        ("/Gemm", ""),
        ("Identity_57", ""),
        ("blocks/0/Conv", ""),
        ("", ""),
    ],
)
def test_the_module_that_a_node_came_from(node: str, module: str) -> None:
    assert source_module(node) == module
