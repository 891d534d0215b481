"""Model folders that porter judges without running anything of them: each is refused by name, or harmless."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.model_folders import VIT_CONFIG, VIT_PROCESSOR, WEIGHTS, write_model
from tests.safetensors_files import build, entries, raw
from tests.timm_folders import write_timm


@dataclass(frozen=True)
class Folder:
    """One bad model folder.

    Attributes:
        name: of the case.
        make: writes it; gets the folder of the model, which is not there yet.
        words: what the error tells, file first; empty where the model is harmless and goes on.
    """

    name: str
    make: Callable[[Path], object]
    words: tuple[str, ...] = ()


class Payload:
    """Runs code where it is unpickled: leaves a file in every place that it can reach."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        places = "$PWD $HOME /tmp /var/tmp .."
        return os.system, (f'for d in {places}; do echo ran > "$d/porter-canary-ran"; done',)


def evil_pickle() -> bytes:
    """Return a pickle that runs code."""
    return pickle.dumps(Payload())


def _model(**changes: Any) -> Callable[[Path], object]:
    return lambda folder: write_model(folder, **changes)


def _weights(data: bytes) -> Callable[[Path], object]:
    return lambda folder: write_model(folder, files={"model.safetensors": data})


def _header(text: bytes, data: bytes = b"") -> Callable[[Path], object]:
    return _weights(raw(text, data))


def _one(**changes: Any) -> bytes:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}
    return raw(json.dumps({"a": entry}).encode(), bytes(8))


def _in_its_place(folder: Path) -> None:
    write_model(folder, files={})
    (folder / _ST).mkdir()


def _index(weight_map: Any, *, shards: dict[str, bytes] | None = None) -> Callable[[Path], object]:
    index = json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
    return lambda folder: write_model(folder, files={"model.safetensors.index.json": index, **(shards or {})})


def _linked(name: str, target: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        write_model(folder)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return make


def _fifo(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        write_model(folder)
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return make


def _labels(*labels: str) -> Callable[[Path], object]:
    table = {str(number): label for number, label in enumerate(labels)}
    weights = build(
        {"classifier.weight": ("F32", (len(labels), 32)), "classifier.bias": ("F32", (len(labels),))}
    )
    return lambda folder: write_model(folder, files={"model.safetensors": weights}, id2label=table)


_VIT: dict[str, Any] = {"classifier.weight": ("F32", (3, 32)), "classifier.bias": ("F32", (3,))}
_TWO = entries({"a": ("F32", (2,)), "b": ("F32", (2,))})
_HUGE = struct.pack("<Q", 1 << 62) + b"{}"
_ST, _IX, _CF, _PP = (
    "model.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "preprocessor_config.json",
)

_CODE = b"import os\nos.system('touch /tmp/porter-canary-ran')\n"

FOLDERS: tuple[Folder, ...] = (
    # Weights that are something else
    Folder("pickle named safetensors", _weights(evil_pickle()), (_ST,)),
    Folder("zip named safetensors", _weights(b"PK\x03\x04" + bytes(60)), (_ST,)),
    Folder("empty safetensors", _weights(b""), (_ST,)),
    Folder("seven bytes of safetensors", _weights(b"1234567"), (_ST,)),
    Folder("script named safetensors", _weights(b"#!/bin/sh\ntouch /tmp/porter-canary-ran\n"), (_ST,)),
    Folder("safetensors is a folder", _in_its_place, (_ST,)),
    Folder("safetensors is a pipe", _fifo(_ST), (_ST,)),
    Folder("config is a pipe", _fifo(_CF), (_CF,)),
    # Headers
    Folder("header of 2^62 bytes", _weights(_HUGE), (_ST, "header")),
    Folder("header longer than the file", _weights(raw(b"{}", length=4096)), (_ST,)),
    Folder("header of 200 MB claimed", _weights(raw(b"{}", length=200_000_000)), (_ST,)),
    Folder("header is no JSON", _header(b"not json"), (_ST,)),
    Folder("header nested 100000 deep", _header(b"[" * 100_000), (_ST,)),
    Folder("header object nested 100000 deep", _header(b'{"a":' * 100_000), (_ST,)),
    Folder("header with a name twice", _header(b'{"a": {}, "a": {}}'), (_ST,)),
    Folder("header with NaN", _header(b'{"a": NaN}'), (_ST,)),
    Folder(
        "tensors overlap",
        _header(json.dumps({**_TWO, "c": _TWO["a"]}).encode(), bytes(16)),
        (_ST, "overlaps"),
    ),
    Folder("offsets backwards", _weights(_one(data_offsets=[8, 0])), (_ST,)),
    Folder("offsets negative", _weights(_one(data_offsets=[-8, 0])), (_ST,)),
    Folder("offsets of 2^63", _weights(_one(data_offsets=[0, 2**63])), (_ST,)),
    Folder("offsets as text", _weights(_one(data_offsets=["0", "8"])), (_ST,)),
    Folder("shape negative", _weights(_one(shape=[-2])), (_ST,)),
    Folder("shape of 10^30", _weights(_one(shape=[10**30])), (_ST,)),
    Folder("shape overflows to what is there", _weights(_one(shape=[2**32, 2**32, 2])), (_ST,)),
    Folder("shape of 5000 dimensions", _weights(_one(shape=[1] * 5000)), (_ST,)),
    Folder("dtype of its own", _weights(_one(dtype="PICKLE")), (_ST,)),
    Folder("data cut off", _weights(WEIGHTS[:-1]), (_ST, "cut off")),
    Folder("data goes on", _weights(WEIGHTS + evil_pickle()), (_ST, "goes on")),
    # Names of tensors
    Folder("tensor name with a path", _weights(build({**_VIT, **{"../../etc/passwd": ("F32", (2,))}}))),
    Folder("tensor name with braces", _weights(build({**_VIT, **{"{{ 7*7 }}{% raw %}": ("F32", (2,))}}))),
    Folder("tensor name with a terminal escape", _weights(build({**_VIT, **{"a\x1b[2Jb\n": ("F32", (2,))}}))),
    Folder("tensor name of a keyword", _weights(build({**_VIT, **{"import.class.weight": ("F32", (2,))}}))),
    # Indexes
    Folder("shard outside, relative", _index({"a": "../outside.safetensors"}), (_IX,)),
    Folder("shard outside, absolute", _index({"a": "/etc/passwd"}), (_IX,)),
    Folder("shard with a NUL", _index({"a": "model\u0000.safetensors"}), (_IX,)),
    Folder("shard with a backslash", _index({"a": "..\\outside.safetensors"}), (_IX,)),
    Folder(
        "shard is a pickle",
        _index({"a": "pytorch_model.bin"}, shards={"pytorch_model.bin": evil_pickle()}),
        (_IX,),
    ),
    Folder(
        "shard is not there", _index({"a": "model-00001-of-00001.safetensors"}), ("model-00001-of-00001",)
    ),
    Folder("index maps to a number", _index({"a": 5}), (_IX,)),
    Folder("index is a list", _index([]), (_IX,)),
    Folder("index is empty", _index({}), (_IX,)),
    # Links
    Folder("weights link to a secret", _linked(_ST, "/etc/shadow"), (_ST,)),
    Folder("weights link to a device", _linked(_ST, "/dev/zero"), (_ST,)),
    Folder("config links to a secret", _linked(_CF, "/etc/shadow"), (_CF,)),
    Folder("config links to itself", _linked(_CF, _CF), (_CF,)),
    Folder("config links to a device", _linked(_CF, "/dev/zero"), (_CF,)),
    Folder("processor links to a device", _linked(_PP, "/dev/zero"), (_PP,)),
    Folder("card links to a device", _linked("README.md", "/dev/zero"), ("README.md",)),
    # Configs
    Folder("config is a pickle", _model(config=evil_pickle()), (_CF,)),
    Folder("config nested 200000 deep", _model(config=b'{"a":' * 200_000), (_CF,)),
    Folder(
        "config with a number of a million digits",
        _model(config=b'{"hidden_size": ' + b"9" * 10**6 + b"}"),
        (_CF,),
    ),
    Folder("config with a lone surrogate", _model(config=b'{"model_type": "\\ud800"}'), (_CF,)),
    Folder("model type with a path", _model(model_type="../../evil"), ("../../evil",)),
    Folder("model type of a number", _model(model_type=5), (_CF,)),
    Folder(
        "architecture with code", _model(architectures=["__import__('os').system('id')"]), ("__import__",)
    ),
    Folder("architectures of a wrong type", _model(architectures={"a": 1}), (_CF,)),
    Folder(
        "remote code", _model(auto_map={"AutoModel": "modeling.Evil"}, model_type="evilnet"), ("modeling",)
    ),
    Folder(
        "remote code of another repository",
        _model(auto_map={"AutoModel": "o/r--modeling.E"}, model_type="x"),
        ("modeling.py",),
    ),
    Folder("hidden size of 10^9", _model(hidden_size=10**9), (_CF, "hidden_size is 1000000000")),
    Folder("10^9 layers", _model(num_hidden_layers=10**9), (_CF, "num_hidden_layers")),
    Folder("10^9 labels", _model(id2label=None, num_labels=10**9), (_CF, "num_labels")),
    Folder("image size of 10^9", _model(image_size=10**9), (_CF, "image_size")),
    Folder(
        "sizes hidden in a part", _model(backbone_config={"hidden_size": 10**12}), (_CF, "backbone_config")
    ),
    Folder("image size of text", _model(image_size="big"), (_CF,)),
    Folder("image size negative", _model(image_size=-1), (_CF,)),
    Folder(
        "channels infinite",
        _model(config=json.dumps({**VIT_CONFIG, "num_channels": float("inf")}).encode()),
        (_CF,),
    ),
    Folder(
        "timm of another repository",
        lambda f: write_timm(f, architecture="hf-hub:evil/model"),
        (_CF, "hf-hub:evil/model"),
    ),
    Folder(
        "timm with another checkpoint",
        lambda f: write_timm(f, model_args={"checkpoint_path": "/etc/shadow"}),
        (_CF, "checkpoint_path"),
    ),
    Folder(
        "timm with code for an argument",
        lambda f: write_timm(f, model_args={"__import__('os').system('id')": 1}),
        (_CF, "__import__"),
    ),
    Folder(
        "timm 10^9 wide",
        lambda f: write_timm(f, model_args={"embed_dim": 10**9}),
        (_CF, "embed_dim is 1000000000"),
    ),
    Folder("quantised", _model(quantization_config={"quant_method": "bitsandbytes"}), ("quantis",)),
    # Processors
    Folder("processor is a pickle", _model(processor=evil_pickle()), (_PP,)),
    Folder(
        "processor with NaN", _model(processor={**VIT_PROCESSOR, "image_mean": [float("nan")] * 3}), (_PP,)
    ),
    Folder(
        "processor with infinity", _model(processor={**VIT_PROCESSOR, "rescale_factor": float("inf")}), (_PP,)
    ),
    Folder(
        "processor that divides by zero", _model(processor={**VIT_PROCESSOR, "image_std": [0, 0, 0]}), (_PP,)
    ),
    Folder(
        "processor size of 10^9",
        _model(processor={**VIT_PROCESSOR, "size": {"height": 10**9, "width": 9}}),
        (_PP,),
    ),
    Folder(
        "processor class with code",
        _model(processor={**VIT_PROCESSOR, "image_processor_type": "os.system"}),
        ("os.system",),
    ),
    # Labels that go on: generated text has to hold them
    Folder("labels with paths", _labels("../../../etc/cron.d/evil", "/etc/passwd", "..")),
    Folder("labels with quotes", _labels('it\'s "quoted"', "'''", '"""\nimport os\n"""')),
    Folder("labels with braces", _labels("{{ 7*7 }}", "{% include '/etc/passwd' %}", "${results_dir}")),
    Folder("labels with YAML tags", _labels("!!python/object/apply:os.system [id]", "&a [*a]", "- : #")),
    Folder("labels with controls", _labels("a\u0000b", "a\u001b[2Jb", "a\r\nb")),
    Folder("labels with Unicode tricks", _labels("a\u202eb", "\u200b", "\uff0e\uff0e\uff0f")),
    Folder("labels of keywords", _labels("import", "None", "__class__")),
    Folder("labels of a wrong type", _model(id2label={"0": {"a": 1}, "1": "b", "2": "c"}), (_CF,)),
    Folder("label numbers with a path", _model(id2label={"../0": "a", "1": "b", "2": "c"}), (_CF,)),
    Folder("label numbers with a hole", _model(id2label={"0": "a", "7": "b", "2": "c"}), (_CF,)),
    # Folders and files beside
    Folder(
        "startup files beside",
        lambda f: write_model(f, files={_ST: WEIGHTS, "sitecustomize.py": _CODE, "torch.py": _CODE}),
    ),
    Folder("weights in a subfolder", _model(files={"sub/model.safetensors": WEIGHTS}), ("safetensors",)),
)
