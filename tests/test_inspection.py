from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter import hub
from porter.errors import ModelRejectedError, UsageError
from porter.inspection import inspect, named_labels
from porter.records.base import Task, from_json, to_json
from porter.records.inspection import (
    ExportAttempt,
    Inspection,
    Licence,
    ModelProbe,
    ProcessorFacts,
    TensorInfo,
)
from porter.support import check_supported, reject_unexportable, reject_unloadable, rewritable
from tests.model_folders import VIT_CONFIG, VIT_PROCESSOR, WEIGHTS, write_model

TARGET = "4.57.6"


def looking(folder: Path, task: Task | None = None, ask: Any = None) -> Inspection:
    return inspect(hub.resolve(str(folder)), task=task, ask=ask)


def rejected(folder: Path, task: Task | None = None) -> ModelRejectedError:
    with pytest.raises(ModelRejectedError) as caught:
        looking(folder, task)
    assert caught.value.next_step
    return caught.value


def unsupported(folder: Path, task: Task | None = None, transformers: str = TARGET) -> ModelRejectedError:
    inspection = looking(folder, task)
    with pytest.raises(ModelRejectedError) as caught:
        check_supported(inspection, transformers)
    assert caught.value.next_step
    return caught.value


def test_everything_that_a_vit_says(tmp_path: Path) -> None:
    card = b"---\r\nlicense: apache-2.0\r\npipeline_tag: image-classification\r\n---\r\n# ViT\r\n"
    folder = write_model(tmp_path / "vit", files={"README.md": card, "model.safetensors": WEIGHTS})
    found = looking(folder)
    assert found.model_type == "vit"
    assert found.architecture == "ViTForImageClassification"
    assert (found.task.task, found.task.source) == ("image-classification", "architecture")
    assert found.labels == ("cat", "dog", "fox")
    assert (found.image_size, found.channels) == ((32, 32), 3)
    assert found.licence == Licence(name="apache-2.0", source="README.md")
    assert found.saved_with == "4.57.6"
    assert found.processor == ProcessorFacts(
        kind="ViTImageProcessor",
        size=(32, 32),
        resample=2,
        rescale_factor=1 / 255,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    assert found.tensors == (
        TensorInfo(name="classifier.bias", shape=(3,), dtype="F32", file="model.safetensors"),
        TensorInfo(name="classifier.weight", shape=(3, 32), dtype="F32", file="model.safetensors"),
    )
    assert found.notes == ()
    check_supported(found, TARGET)
    assert from_json(to_json(found), Inspection) == found


KINDS = {
    "BertForSequenceClassification bert": "text model (NLP)",
    "BertModel bert": "text model (NLP)",
    "T5ForConditionalGeneration t5": "text model (NLP)",
    "LlamaForCausalLM llama": "large language model",
    "SomeNewForCausalLM some_new": "large language model",
    "Wav2Vec2ForCTC wav2vec2": "audio model",
    "WhisperForConditionalGeneration whisper": "audio model",
    "LlavaForConditionalGeneration llava": "multimodal model",
    "ViltForQuestionAnswering vilt": "multimodal model",
    "ShieldGemma2ForImageClassification shieldgemma2": "multimodal model",
    "PatchTSTForPrediction patchtst": "time series",
    "SuperPointForKeypointDetection superpoint": "keypoints: computer vision, not supported yet",
    "VitPoseForPoseEstimation vitpose": "keypoints: computer vision, not supported yet",
    "CLIPModel clip": "zero-shot image classification): computer vision, not supported yet",
    "VideoMAEForVideoClassification videomae": "videos: computer vision, not supported yet",
    "SamModel sam": "computer vision, not supported yet",
    "Swin2SRForImageSuperResolution swin2sr": "computer vision, not supported yet",
}


@pytest.mark.parametrize("case", KINDS)
def test_other_kinds_of_models_are_turned_away_in_their_own_words(tmp_path: Path, case: str) -> None:
    architecture, model_type = case.split()
    folder = write_model(tmp_path / "m", architectures=[architecture], model_type=model_type)
    error = rejected(folder)
    assert KINDS[case] in error.what
    assert architecture in error.why or model_type in error.why
    assert rejected(folder, "image-classification").what == error.what


@pytest.mark.parametrize(
    ("tag", "words"), [("text-generation", "language model"), ("keypoint-detection", "not supported yet")]
)
def test_pipeline_tag_turns_a_model_away_where_its_class_says_nothing(
    tmp_path: Path, tag: str, words: str
) -> None:
    card = f"---\npipeline_tag: {tag}\n---\n".encode()
    folder = write_model(
        tmp_path / "m",
        architectures=["Thing"],
        model_type="thing",
        files={"README.md": card, "model.safetensors": WEIGHTS},
    )
    error = rejected(folder)
    assert words in error.what
    assert tag in error.why


TASKS = {
    "ViTForImageClassification vit": "image-classification",
    "DeiTForImageClassificationWithTeacher deit": "image-classification",
    "DetrForObjectDetection detr": "object-detection",
    "SegformerForSemanticSegmentation segformer": "semantic-segmentation",
    "GroundingDinoForObjectDetection grounding-dino": "zero-shot-object-detection",
    "Owlv2ForObjectDetection owlv2": "zero-shot-object-detection",
    "DepthAnythingForDepthEstimation depth_anything": "depth-estimation",
    "SomeNewForImageClassification some_new": "image-classification",
}


@pytest.mark.parametrize("case", TASKS)
def test_architecture_names_the_task(tmp_path: Path, case: str) -> None:
    architecture, model_type = case.split()
    folder = write_model(tmp_path / "m", architectures=[architecture], model_type=model_type)
    choice = looking(folder).task
    assert (choice.task, choice.source) == (TASKS[case], "architecture")
    assert architecture in choice.reason


UNIVERSAL = ["MaskFormerForInstanceSegmentation", "Mask2FormerForUniversalSegmentation"]


@pytest.mark.parametrize("architecture", UNIVERSAL)
def test_universal_segmentation_is_asked_about(tmp_path: Path, architecture: str) -> None:
    card = b"---\npipeline_tag: image-segmentation\n---\n"
    folder = write_model(
        tmp_path / "m",
        architectures=[architecture],
        model_type="mask2former",
        files={"README.md": card, "model.safetensors": WEIGHTS},
    )
    with pytest.raises(UsageError) as caught:
        looking(folder)
    three = ("semantic-segmentation", "instance-segmentation", "panoptic-segmentation")
    assert all(task in caught.value.next_step for task in three)
    assert "--task" in caught.value.next_step
    asked: list[tuple[str, Sequence[Task]]] = []

    def ask(question: str, choices: Sequence[Task]) -> Task:
        asked.append((question, choices))
        return "panoptic-segmentation"

    answered = looking(folder, ask=ask).task
    assert (answered.task, answered.source) == ("panoptic-segmentation", "answer")
    assert asked[0][1] == three
    assert architecture in asked[0][0]
    given = looking(folder, "instance-segmentation").task
    assert (given.task, given.source) == ("instance-segmentation", "option")


def test_pipeline_tag_decides_where_the_class_says_nothing(tmp_path: Path) -> None:
    card = b"---\npipeline_tag: depth-estimation\n---\n"
    folder = write_model(
        tmp_path / "m",
        architectures=["Thing"],
        model_type="thing",
        files={"README.md": card, "model.safetensors": WEIGHTS},
    )
    choice = looking(folder).task
    assert (choice.task, choice.source) == ("depth-estimation", "pipeline tag")


def test_nothing_says_the_task(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", architectures=["Thing"], model_type="thing")
    with pytest.raises(UsageError, match="not clear"):
        looking(folder)
    with pytest.raises(UsageError, match="is not one of"):
        looking(folder, ask=lambda question, choices: "poetry")


def test_option_that_contradicts_the_architecture(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        looking(write_model(tmp_path / "m"), "object-detection")
    assert "ViTForImageClassification" in caught.value.why
    assert "image-classification" in caught.value.next_step


def test_tag_that_contradicts_the_architecture_is_noted(tmp_path: Path) -> None:
    card = b"---\npipeline_tag: depth-estimation\n---\n"
    folder = write_model(tmp_path / "m", files={"README.md": card, "model.safetensors": WEIGHTS})
    found = looking(folder)
    assert found.task.task == "image-classification"
    assert any("depth-estimation" in note for note in found.notes)


def test_missing_architecture_is_taken_from_model_type_and_task(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", architectures=None)
    with pytest.raises(UsageError, match="not clear"):
        looking(folder)
    found = looking(folder, "image-classification")
    assert found.architecture == "ViTForImageClassification"
    assert any("ViTForImageClassification" in note for note in found.notes)
    assert (
        "no single class" in rejected(write_model(tmp_path / "n", architectures=[]), "depth-estimation").why
    )


BROKEN_CONFIGS = {
    "not JSON": b"{'model_type': 'vit'}",
    "empty": b"",
    "a list": b"[1, 2]",
    "null": b"null",
    "not text": b"\xff\xfe\x00",
    "nested too deep": b'{"a":' * 200_000,
    "a lone surrogate": b'{"model_type": "\\ud800"}',
}


@pytest.mark.parametrize("case", BROKEN_CONFIGS)
def test_config_that_does_not_parse(tmp_path: Path, case: str) -> None:
    error = rejected(write_model(tmp_path / "m", BROKEN_CONFIGS[case]))
    assert "config.json" in error.what
    assert error.why


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"weights.bin": b""}, "at its root"),
        ({"model_index.json": b"{}"}, "diffusers"),
        ({"adapter_config.json": b"{}"}, "adapter"),
        ({"model.Q4.gguf": b""}, "GGUF"),
    ],
)
def test_folder_without_a_config(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    error = rejected(write_model(tmp_path / "m", None, None, files=files))
    assert "has no config.json" in error.what
    assert words in error.why


def test_empty_folder(tmp_path: Path) -> None:
    error = rejected(write_model(tmp_path / "m", None, None, files={"README.md": b"# soon"}))
    assert "is empty" in error.what
    assert error.next_step


def test_config_that_lies_deeper_is_pointed_at(tmp_path: Path) -> None:
    write_model(tmp_path / "m" / "checkpoint-10")
    assert str(tmp_path / "m" / "checkpoint-10") in rejected(tmp_path / "m").next_step


def test_no_model_type(tmp_path: Path) -> None:
    assert "no model_type" in rejected(write_model(tmp_path / "m", model_type=None)).what


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"weights.pt": b"x"}, "pickle"),
        ({"flax_model.msgpack": b"x"}, "Flax"),
        ({}, "index"),
    ],
)
def test_no_safetensors_weights(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    error = rejected(write_model(tmp_path / "m", files=files))
    assert words in str(error)
    assert ("save_pretrained" in error.next_step) is True


def test_pickles_are_told_apart_from_tensors(tmp_path: Path) -> None:
    found = looking(write_model(tmp_path / "m", files={"pytorch_model.bin": b"x" * 2_000_000}))
    assert found.tensors == ()
    (note,) = found.notes
    assert "pytorch_model.bin, 2.0 MB" in note
    assert "sandbox" in note
    first = hub.resolve(str(tmp_path / "m")).sha
    (tmp_path / "m" / "pytorch_model.bin").write_bytes(b"y" * 2_000_000)
    assert hub.resolve(str(tmp_path / "m")).sha != first
    index = b'{"weight_map": {"a": "../up.bin"}}'
    error = rejected(write_model(tmp_path / "n", files={"pytorch_model.bin.index.json": index}))
    assert "pytorch_model.bin.index.json is not valid" in error.what


def test_a_broken_weights_file_is_named(tmp_path: Path) -> None:
    error = rejected(write_model(tmp_path / "m", files={"model.safetensors": WEIGHTS[:-2]}))
    assert "model.safetensors" in error.what


def test_type_that_a_later_transformers_brings(tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "m", architectures=["Sam3VideoForImageClassification"], model_type="sam3_video"
    )
    error = unsupported(folder)
    assert TARGET in error.what
    assert "'sam3_video'" in error.why
    assert "release 5." in error.why


def test_type_that_a_later_transformers_dropped(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", architectures=["VanForImageClassification"], model_type="van")
    check_supported(looking(folder), TARGET)
    assert "to 4.57.6 have it" in unsupported(folder, transformers="5.4.0").why


def test_class_that_came_after_its_type(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", architectures=["IJepaForImageClassification"], model_type="ijepa")
    check_supported(looking(folder), TARGET)
    assert "4.40.2" in unsupported(folder, transformers="4.40.2").why


def test_type_that_no_transformers_knows(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", architectures=["ThingForImageClassification"], model_type="thing")
    assert "no transformers knows" in unsupported(folder).what


def test_remote_code_is_named_file_by_file(tmp_path: Path) -> None:
    auto_map = {
        "AutoConfig": "configuration_thing.ThingConfig",
        "AutoModelForImageClassification": ["someone/else--modeling_thing.ThingForImageClassification", None],
    }
    folder = write_model(
        tmp_path / "m",
        architectures=["ThingForImageClassification"],
        model_type="thing",
        auto_map=auto_map,
    )
    error = unsupported(folder)
    assert "configuration_thing.py, modeling_thing.py" in error.what
    assert "'thing'" in error.why
    same = write_model(tmp_path / "n", auto_map=auto_map)
    check_supported(looking(same), TARGET)
    own = write_model(tmp_path / "o", architectures=["MyViTForImageClassification"], auto_map=auto_map)
    assert "MyViTForImageClassification" in unsupported(own).why


def test_bare_network_gets_the_head_that_transformers_has_for_it(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", architectures=["ViTModel"])
    with pytest.raises(UsageError, match="not clear"):
        looking(folder)
    found = looking(folder, "image-classification")
    assert (found.architecture, found.bare) == ("ViTForImageClassification", "ViTModel")
    assert "ViTModel is the bare network: ViTForImageClassification gives it a head" in " ".join(found.notes)
    check_supported(found, TARGET)
    assert looking(write_model(tmp_path / "n")).bare == ""


def test_bare_network_without_a_class_for_the_task_is_turned_away(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", architectures=["DINOv3ViTModel"], model_type="dinov3_vit")
    error = unsupported(folder, "image-classification")
    assert "no head for image-classification" in error.what
    assert "no class of the model type dinov3_vit" in error.why


def test_quantised_weights(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", quantization_config={"quant_method": "bitsandbytes"})
    assert "quantised" in unsupported(folder).what


def test_processor_that_cannot_be_carried_over(tmp_path: Path) -> None:
    processor = {"image_processor_type": "PerceiverImageProcessor", "size": 224}
    error = unsupported(write_model(tmp_path / "m", processor=processor))
    assert "crops before it resizes" in error.why


def test_fast_processor_is_noted(tmp_path: Path) -> None:
    processor = {**VIT_PROCESSOR, "image_processor_type": "ViTImageProcessorFast"}
    found = looking(write_model(tmp_path / "m", processor=processor))
    assert found.processor is not None
    assert found.processor.kind == "ViTImageProcessorFast"
    assert any("torchvision" in note for note in found.notes)
    check_supported(found, TARGET)


def test_processor_of_a_processor_config(tmp_path: Path) -> None:
    nested = json.dumps({"image_processor": VIT_PROCESSOR, "processor_class": "X"}).encode()
    files = {"processor_config.json": nested, "model.safetensors": WEIGHTS}
    found = looking(write_model(tmp_path / "m", processor=None, files=files))
    assert found.processor is not None
    assert found.processor.size == (32, 32)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": "huge"}, "size"),
        ({"size": {"height": 32}}, "size"),
        ({"size": {"height": -1, "width": 32}}, "size"),
        ({"resample": 9}, "resample"),
        ({"rescale_factor": "1/255"}, "rescale_factor"),
        ({"image_mean": ["a"]}, "image_mean"),
        (b"{", "parse"),
        (b"[]", "object"),
    ],
)
def test_processor_with_values_that_none_takes(tmp_path: Path, settings: Any, words: str) -> None:
    processor = {**VIT_PROCESSOR, **settings} if isinstance(settings, dict) else settings
    error = rejected(write_model(tmp_path / "m", processor=processor))
    assert "preprocessor_config.json" in error.what
    assert words in error.what


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"image_processor_type": "MyImageProcessor"}, "not among"),
        ({"image_processor_type": "Siglip2ImageProcessor"}, "varying number of patches"),
        ({"image_processor_type": "DetrImageProcessor"}, "longer side"),
    ],
)
def test_what_a_processor_does_beyond_the_record_is_told(
    tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    found = looking(write_model(tmp_path / "m", processor=settings))
    assert found.processor is not None
    assert any(words in caveat for caveat in found.processor.caveats)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"0": "a", "2": "b"}, "the index 1"),
        ({"1": "a", "2": "b"}, "the index 0"),
        ({"0": "a", "00": "b"}, "twice"),
        ({"zero": "a"}, "not a number"),
    ],
)
def test_labels_that_are_no_table_by_index(tmp_path: Path, labels: dict[str, str], words: str) -> None:
    error = rejected(write_model(tmp_path / "m", id2label=labels))
    assert "id2label" in error.what
    assert words in error.why


def test_labels_may_hold_anything_and_repeat(tmp_path: Path) -> None:
    labels = {str(i): label for i, label in enumerate(["crane", 'a "quoted" {x}\nline', "crane"])}
    found = looking(write_model(tmp_path / "m", id2label=labels))
    assert found.labels == ("crane", 'a "quoted" {x}\nline', "crane")
    assert any("'crane'" in note for note in found.notes)


def test_labels_are_ordered_by_number(tmp_path: Path) -> None:
    labels = {str(i): f"c{i}" for i in sorted(range(12), key=str)}
    assert looking(write_model(tmp_path / "m", id2label=labels)).labels == tuple(f"c{i}" for i in range(12))


def test_absent_labels_are_transformers_own(tmp_path: Path) -> None:
    found = looking(write_model(tmp_path / "m", id2label=None))
    assert found.labels == ("LABEL_0", "LABEL_1")
    assert not named_labels(found.labels)
    four = looking(write_model(tmp_path / "n", id2label=None, num_labels=4))
    assert four.labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")
    assert named_labels(("cat", "dog"))
    assert named_labels(("LABEL_1", "LABEL_0"))
    assert not named_labels(())


@pytest.mark.parametrize(
    ("changes", "processor", "size"),
    [
        ({"image_size": [24, 40]}, VIT_PROCESSOR, (24, 40)),
        ({"image_size": None}, VIT_PROCESSOR, (32, 32)),
        ({"image_size": None}, None, (224, 224)),
        ({"image_size": None, "vision_config": {"image_size": 48}}, None, (48, 48)),
        (
            {"architectures": ["ResNetForImageClassification"], "model_type": "resnet", "image_size": None},
            None,
            None,
        ),
    ],
)
def test_image_size(tmp_path: Path, changes: Any, processor: Any, size: Any) -> None:
    assert looking(write_model(tmp_path / "m", processor=processor, **changes)).image_size == size


@pytest.mark.parametrize("changes", [{"image_size": "big"}, {"image_size": -1}, {"num_channels": "rgb"}])
def test_sizes_that_are_none(tmp_path: Path, changes: Any) -> None:
    error = rejected(write_model(tmp_path / "m", **changes))
    assert next(iter(changes)) in error.what


def test_size_that_the_processor_does_not_make_is_noted(tmp_path: Path) -> None:
    found = looking(write_model(tmp_path / "m", image_size=64))
    assert any("64x64" in note and "32x32" in note for note in found.notes)


def test_a_model_of_any_size_is_fed_what_its_processor_makes(tmp_path: Path) -> None:
    dino: dict[str, Any] = {
        "architectures": ["Dinov2ForImageClassification"],
        "model_type": "dinov2",
        "image_size": 518,
    }
    found = looking(write_model(tmp_path / "m", **dino))
    assert found.image_size == (32, 32)
    assert any("518x518" in note and "32x32" in note for note in found.notes)
    wide = {**VIT_PROCESSOR, "size": {"height": 32, "width": 48}}
    assert looking(write_model(tmp_path / "wide", processor=wide, **dino)).image_size == (32, 48)
    # A ViT refuses another size than its own.
    assert looking(write_model(tmp_path / "vit", image_size=64)).image_size == (64, 64)


@pytest.mark.parametrize(
    ("name", "text", "licence"),
    [
        (
            "README.md",
            "---\nlicense: other\nlicense_name: my-licence\n---\n",
            Licence(name="my-licence", source="README.md"),
        ),
        ("README.md", "---\nlicense:\n- mit\n- bsd\n---\n", Licence(name="mit, bsd", source="README.md")),
        ("README.md", "---\nlicense: [unclosed\n---\n", Licence()),
        ("README.md", "# no front matter\n---\nlicense: mit\n---\n", Licence()),
        ("LICENSE", "\n   Apache License\n   Version 2.0", Licence(name="apache-2.0", source="LICENSE")),
        ("LICENSE.txt", "Do what you want", Licence(name="see LICENSE.txt", source="LICENSE.txt")),
    ],
)
def test_licence(tmp_path: Path, name: str, text: str, licence: Licence) -> None:
    folder = write_model(tmp_path / "m", files={name: text.encode(), "model.safetensors": WEIGHTS})
    assert looking(folder).licence == licence


PROBE = ModelProbe(transformers=TARGET, state=())


def test_unfilled_weights(tmp_path: Path) -> None:
    found = looking(write_model(tmp_path / "m"))
    probe = ModelProbe(transformers=TARGET, state=(), missing=("head.weight",))
    with pytest.raises(ModelRejectedError) as caught:
        reject_unloadable(found, probe)
    assert "head.weight" in caught.value.why
    tied = ModelProbe(
        transformers=TARGET,
        state=(),
        missing=("head.weight",),
        tied=(("classifier.weight", "head.weight"),),
    )
    reject_unloadable(found, tied)
    reject_unloadable(found, PROBE)


def test_model_without_any_way_to_onnx(tmp_path: Path) -> None:
    found = looking(write_model(tmp_path / "m"))
    vague = ExportAttempt(opset=18, attention="eager", exporter="dynamo", ok=False, error="went wrong")
    telling = ExportAttempt(
        opset=17,
        attention="eager",
        ok=False,
        error="no",
        operator="aten::linalg_det",
        module="vit.encoder.layer.0",
        workaround="rewrite vit.encoder.layer.0 without it",
    )
    probe = ModelProbe(transformers=TARGET, state=(), exports=(telling, vague))
    with pytest.raises(ModelRejectedError) as caught:
        reject_unexportable(found, probe)
    text = str(caught.value)
    for words in ("aten::linalg_det", "vit.encoder.layer.0", "opset 17 eager", "dynamo", "rewrite"):
        assert words in text
    fine = ExportAttempt(opset=18, attention="eager", ok=True)
    reject_unexportable(found, ModelProbe(transformers=TARGET, state=(), exports=(telling, fine)))
    reject_unexportable(found, PROBE)


@pytest.mark.parametrize(
    ("changes", "is_rewritable"),
    [
        ({"operator": "aten::col2im"}, True),
        ({"operator": "aten::_upsample_bicubic2d_aa"}, True),
        ({"error": "ONNX Runtime differs from torch by 4.0e-03 (relative), more than 1e-03"}, True),
        ({"operator": "aten::linalg_det"}, False),
        ({"operator": "aten::col2im", "ok": True}, False),
    ],
)
def test_an_exporter_that_stops_where_a_copy_is_rewritten_is_no_end(
    tmp_path: Path, changes: dict[str, object], is_rewritable: bool
) -> None:
    found = looking(write_model(tmp_path / "m"))
    attempt = msgspec.structs.replace(ExportAttempt(opset=17, attention="eager", ok=False), **changes)
    by_another = ExportAttempt(opset=18, attention="eager", exporter="dynamo", ok=True)
    probe = ModelProbe(transformers=TARGET, state=(), exports=(attempt, by_another))
    assert (rewritable(found, probe) == attempt) == is_rewritable
    alone = msgspec.structs.replace(probe, exports=(attempt,))
    if is_rewritable:
        reject_unexportable(found, alone)
    elif not attempt.ok:
        with pytest.raises(ModelRejectedError):
            reject_unexportable(found, alone)
    detector = msgspec.structs.replace(found.task, task="object-detection")
    assert rewritable(msgspec.structs.replace(found, task=detector), probe) is None


def test_config_is_kept_as_it_stands(tmp_path: Path) -> None:
    assert looking(write_model(tmp_path / "m")).config == VIT_CONFIG
