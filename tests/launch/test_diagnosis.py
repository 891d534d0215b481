"""Logs of failures held against the catalog; the messages are those that torch, Hydra and TAO print."""

from __future__ import annotations

import pytest

from porter.launch import catalog
from porter.launch.diagnosis import diagnose, stalled
from porter.records.catalog import ErrorPattern
from porter.records.progress import Diagnosis

TRACEBACK = """\
Seed set to 1234
\x1b[38;20m2026-03-01 10:00:00,123 - [TAO Toolkit] - INFO - Train results will be saved at: /r/train\x1b[0m
Error executing job with overrides: ['results_dir=/r']
Traceback (most recent call last):
  File "/tao/core/decorators/workflow.py", line 58, in _func
    runner(cfg, **kwargs)
  File "/tao/cv/net/scripts/train.py", line 140, in main
    run_experiment(experiment_config=cfg,
                   ^^^^^^^^^^^^^^^^^^^^^^
{}

Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.
2026-03-01 10:00:01,123 - [TAO Toolkit] - WARNING - Execution status: FAIL
"""

OUT_OF_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.34 GiB. GPU 0 has a total capacity of "
    "23.65 GiB of which 1.06 GiB is free."
)
ASSERT = (
    "RuntimeError: CUDA error: device-side assert triggered\n"
    "CUDA kernel errors might be asynchronously reported"
)
MISSING = "FileNotFoundError: [Errno 2] No such file or directory: '{}'"
UNKNOWN_KEY = """\
Error merging 'spec.yaml' with schema
Key 'foo' not in '{0}'
    full_key: model.foo
    reference_type={0}
    object_type={0}

Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.
"""
WRONG_TYPE = """\
Error merging 'spec.yaml' with schema
Value 'many' of type 'str' could not be converted to Integer
    full_key: train.num_epochs
    reference_type=TrainExpConfig
    object_type=TrainExpConfig
"""
NO_SECTION = """\
Error merging 'spec.yaml' with schema
Merge error: int is not a subclass of TrainExpConfig. value: 5
    full_key:
    object_type=ExperimentConfig
"""
IN_PYTHON = (
    "omegaconf.errors.ConfigAttributeError: Key 'foo' not in 'ModelConfig'\n    full_key: model.foo\n"
    "    object_type=ModelConfig"
)
SPEC = "the spec has a key or a value"
NO_GPU = "lightning_fabric.utilities.exceptions.MisconfigurationException: No supported gpu backend found!"

BOTH = [
    (
        TRACEBACK.format(
            "ValueError: Dataset size (24) is smaller than the total batch size (64). Not enough data for "
            "train."
        ),
        "fewer images than one batch",
    ),
    (TRACEBACK.format(OUT_OF_MEMORY), "the GPU's memory does not hold"),
    (TRACEBACK.format(f"[rank1]: {OUT_OF_MEMORY}"), "the GPU's memory does not hold"),
    (TRACEBACK.format(MISSING.format("s3://bucket/set/annotations.json")), "a file of S3"),
    (TRACEBACK.format(MISSING.format("s3://bucket/images/1.jpg")), "a file of S3"),
    (TRACEBACK.format(MISSING.format("/data/eval/annotations.json")), "an annotation file is missing"),
    (TRACEBACK.format(MISSING.format("/data/eval/instances.json")), "an annotation file is missing"),
    (TRACEBACK.format(MISSING.format("/data/train/images/000001.JPG")), "the annotations name an image"),
    (TRACEBACK.format(MISSING.format("/data/train/images/a b.png")), "the annotations name an image"),
    (UNKNOWN_KEY.format("ExperimentConfig"), SPEC),
    (UNKNOWN_KEY.format("ModelConfig"), SPEC),
    ("Could not override 'model.foo'.\nKey 'foo' is not in struct\n    full_key: model.foo\n", SPEC),
    (WRONG_TYPE, SPEC),
    (NO_SECTION, SPEC),
    (TRACEBACK.format(IN_PYTHON), SPEC),
    (TRACEBACK.format(NO_GPU), "the job sees no GPU"),
]
DINO = [
    *BOTH,
    (TRACEBACK.format("RuntimeError: selected index k out of range"), "model.num_select"),
    (
        TRACEBACK.format(
            "ValueError: num_feature_levels: 3 does not match the size of return_interm_indices: [1, 2, 3, 4]"
        ),
        "model.num_feature_levels",
    ),
    (
        TRACEBACK.format(
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (16x512 and 64x32)",
        ),
        "model.hidden_dim is other than 256",
    ),
    (TRACEBACK.format(ASSERT), "an annotation has a category id"),
    (TRACEBACK.format(MISSING.format("/results/p/dino_model_latest.pth")), "the checkpoint does not lie"),
    (
        TRACEBACK.format("FileNotFoundError: Checkpoint file not found: /results/p/dino_model_latest.pth"),
        "the checkpoint does not lie",
    ),
    (
        "UserWarning: Total length of `DataLoader` across ranks is zero. Please make sure this was your "
        "intention.\n`Trainer.fit` stopped: No training batches.\n",
        "fewer images than one batch",
    ),
    (
        TRACEBACK.format(
            "RuntimeError: `DataLoader` within local rank has zero length. Please make sure that it returns "
            "at least 1 batch."
        ),
        "fewer images than one batch",
    ),
    (TRACEBACK.format("ValueError: need at least one array to concatenate"), "lists no image"),
]
MAL = [
    *BOTH,
    (TRACEBACK.format("ValueError: Only tiny/small/base/large/huge are supported."), "vit-deit-tiny/16"),
    (TRACEBACK.format(MISSING.format("/results/p/mal_model_latest.pth")), "the checkpoint does not lie"),
]


def told(network: str, log: str) -> Diagnosis:
    return diagnose(log, catalog.entry(network).errors)


@pytest.mark.parametrize(
    ("network", "log", "cause"),
    [(name, log, cause) for name, cases in (("dino", DINO), ("mal", MAL)) for log, cause in cases],
)
def test_a_failure_that_the_catalog_knows_is_told_with_what_to_do(network: str, log: str, cause: str) -> None:
    found = told(network, log)
    assert found.cause.startswith(cause) or cause in found.cause
    assert found.fix
    assert found.lines


@pytest.mark.parametrize(("network", "cases"), [("dino", DINO), ("mal", MAL)])
def test_every_pattern_of_the_catalog_is_shown_to_match(network: str, cases: list[tuple[str, str]]) -> None:
    found = {told(network, log).cause for log, _ in cases}
    assert found == {known.cause for known in catalog.entry(network).errors}


@pytest.mark.parametrize("network", catalog.names())
@pytest.mark.parametrize("log", [UNKNOWN_KEY.format("ModelConfig"), WRONG_TYPE, NO_SECTION])
def test_every_network_knows_a_spec_that_its_dataclasses_refuse(network: str, log: str) -> None:
    assert told(network, log).cause.startswith(SPEC)


def test_the_key_of_the_spec_is_shown_with_the_error() -> None:
    lines = told("dino", UNKNOWN_KEY.format("DINOModelConfig")).lines
    assert lines[:2] == ("Key 'foo' not in 'DINOModelConfig'", "full_key: model.foo")


def test_out_of_memory_of_mal_is_answered_with_smaller_crops_and_a_smaller_network() -> None:
    fix = told("mal", OUT_OF_MEMORY).fix
    assert fix.index("dataset.crop_size=384") < fix.index("256") < fix.index("vit-mae-base/16")
    assert "crop_size=512" in catalog.entry("mal").hardware.note


def test_the_last_failure_decides_and_the_others_are_named() -> None:
    log = f"WARNING {MISSING.format('/x/a.jpg')}\nretrying\n{OUT_OF_MEMORY}\ncleaning up\n"
    found = told("dino", log)
    assert found.cause.startswith("the GPU's memory")
    assert found.others == ("the annotations name an image that is not in image_dir",)
    assert found.lines == (OUT_OF_MEMORY,)


def test_in_one_line_the_first_of_the_catalog_decides() -> None:
    known = (
        ErrorPattern(pattern="one", cause="first", fix="a"),
        ErrorPattern(pattern="one two", cause="second", fix="b"),
    )
    assert diagnose("one two", known) == Diagnosis(cause="first", fix="a", lines=("one two",))


def test_an_unknown_failure_is_shown_by_the_exception_that_ended_it() -> None:
    log = TRACEBACK.format("ValueError: first") + TRACEBACK.format("[rank0]: KeyError: 'TAO'")
    found = told("dino", log)
    assert (found.cause, found.fix, found.lines) == ("", "", ("KeyError: 'TAO'",))


def test_what_a_launcher_says_of_its_process_hides_no_exception() -> None:
    launcher = (
        'Traceback (most recent call last):\n  File "/bin/torchrun", line 8, in <module>\n'
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:\n train.py FAILED\n"
    )
    assert told("dino", TRACEBACK.format("KeyError: 'x'") + launcher).lines == ("KeyError: 'x'",)


def test_without_an_exception_the_last_lines_are_shown() -> None:
    log = "one\n\x1b[31mtwo\x1b[0m\n\nEpoch 0:  10%\rEpoch 0:  20%\rkilled\n"
    log += "2026 - [TAO Toolkit] - WARNING - Execution status: FAIL\n"
    assert told("dino", log).lines == ("Epoch 0:  10%", "Epoch 0:  20%", "killed")
    assert told("dino", "") == Diagnosis()
    assert told("dino", "Traceback (most recent call last):\n").lines


def test_a_traceback_that_is_cut_is_no_exception() -> None:
    log = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n'
    assert told("dino", log).lines[0] == "Traceback (most recent call last):"


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "c4nary/of a+key")
    for shown in ("c4nary/of a+key", "c4nary%2Fof%20a%2Bkey"):
        for log in (f"CUDA out of memory {shown}", f"nothing known {shown}"):
            found = told("dino", log)
            assert "c4nary" not in str(found)
            assert "(not shown)" in found.lines[0]


def test_a_long_line_is_cut() -> None:
    assert len(told("dino", "CUDA out of memory " + "x" * 9999).lines[0]) < 600


def test_a_job_that_says_nothing_for_long_is_warned_of() -> None:
    assert stalled("train", 29 * 60) == ""
    warning = stalled("trial-3", 31 * 60 + 5)
    assert warning.startswith("trial-3 has said nothing for 31 minutes")
    assert stalled("train", 61, minutes=1).startswith("train has said nothing for 1 minute")
