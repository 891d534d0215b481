"""A bare network gets a head: rows for the classes of the dataset, which have yet to learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from porter import safetensors, timm_configs
from porter.atomic import fresh_folder
from porter.errors import ModelRejectedError
from porter.hub import files
from porter.inspection import HEAD_STEP, completed
from porter.records.inspection import DatasetFacts, Inspection, WithHead
from porter.records.probes import AddHead, HeadAdded
from porter.session import PortSession


def add(session: PortSession, inspection: Inspection) -> Inspection:
    """Return the inspection of the network with its head; one that has a head comes back as it is.

    Raises:
        ModelRejectedError: its weights do not fill the class beside the head.
    """
    if not inspection.bare:
        return inspection
    source = inspection.source
    labels = session.journal.made("dataset", DatasetFacts).classes
    made = session.journal.step(
        HEAD_STEP,
        {
            "source": source,
            "architecture": inspection.architecture,
            "labels": labels,
            "environment": session.runtimes.environment().digest,
        },
        WithHead,
        lambda: _add(session, inspection, labels),
        outputs=lambda done: [Path(done.folder)],
    )
    return completed(inspection, head=made)


def _add(session: PortSession, inspection: Inspection, labels: tuple[str, ...]) -> WithHead:
    source, config = inspection.source, _config(inspection, labels)
    origin = Path(source.folder)
    with fresh_folder(session.workspace.state / "headed") as folder:
        target = folder / safetensors.SINGLE_FILE
        request = AddHead(
            folder=str(origin),
            tensors=inspection.tensors,
            architecture=inspection.architecture,
            classes=len(labels),
            target=str(target),
        )
        added = session.probe(
            "add_head", request, HeadAdded, read=[origin], write=[folder], error=ModelRejectedError
        )
        tensors = safetensors.read_file(target)
        for name in files.describing(entry.name for entry in origin.iterdir() if entry.is_file()):
            if name not in {files.CONFIG, files.PICKLE_INDEX, safetensors.INDEX_FILE}:
                files.adopt(origin / name, folder / name)
        (folder / files.CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return WithHead(
        sha=source.sha,
        folder=str(folder),
        config=config,
        labels=labels,
        tensors=tensors,
        new=added.new,
        unused=added.unused,
    )


def _config(inspection: Inspection, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the config with the class that has a head, and with the labels, in the words of its library."""
    if inspection.model_type == timm_configs.MODEL_TYPE:
        unnamed = {
            key: value for key, value in inspection.config.items() if key not in {"id2label", "label2id"}
        }
        return {**unnamed, "num_classes": len(labels), "label_names": list(labels)}
    return {
        **inspection.config,
        "architectures": [inspection.architecture],
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }
