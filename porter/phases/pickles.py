"""Weights that come as pickles only: the sandbox writes them as safetensors, which all else then uses."""

from __future__ import annotations

from pathlib import Path

from porter import hub, safetensors
from porter.atomic import fresh_folder
from porter.errors import ModelRejectedError
from porter.hub import files
from porter.inspection import PICKLES_STEP, completed
from porter.records.inspection import FromPickles, Inspection
from porter.records.probes import PicklesRead, ReadPickles
from porter.session import PortSession


def read(session: PortSession, inspection: Inspection) -> Inspection:
    """Return the inspection with its tensors; one that has them comes back as it is.

    Raises:
        ModelRejectedError: a pickle is more than plain weights, or damaged; nothing of it is kept.
    """
    if inspection.tensors:
        return inspection
    source = inspection.source
    names = hub.pickles(source)
    made = session.journal.step(
        PICKLES_STEP,
        {"source": source, "files": names, "environment": session.runtimes.environment().digest},
        FromPickles,
        lambda: _convert(session, inspection, names),
        outputs=lambda done: [Path(done.folder)],
    )
    return completed(inspection, made)


def _convert(session: PortSession, inspection: Inspection, names: tuple[str, ...]) -> FromPickles:
    source = inspection.source
    origin = Path(source.folder)
    with fresh_folder(session.workspace.state / "model") as folder:
        target = folder / safetensors.SINGLE_FILE
        request = ReadPickles(folder=str(origin), files=names, target=str(target))
        session.probe(
            "read_pickles",
            request,
            PicklesRead,
            read=[origin],
            write=[folder],
            error=ModelRejectedError,
        )
        tensors = safetensors.read_file(target)
        for name in files.describing(entry.name for entry in origin.iterdir() if entry.is_file()):
            if name != files.PICKLE_INDEX:
                files.adopt(origin / name, folder / name)
    return FromPickles(sha=source.sha, folder=str(folder), pickles=names, tensors=tensors)
