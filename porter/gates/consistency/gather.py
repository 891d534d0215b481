"""Collects what the checklist is decided on: files as they lie there, imported facts, earlier proofs."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porter.gates.consistency.classes import READER, UNSORTED
from porter.gates.consistency.verdict import PACKAGE
from porter.records.base import Record
from porter.records.consistency import ClassOrder, ConsistencyFacts, SchemaFacts, SchemaFactsRequest
from porter.records.engines import DeployAnswer
from porter.records.inspection import DatasetFacts
from porter.records.reference import Repo
from porter.records.weights import TargetModule, WeightPlan

if TYPE_CHECKING:
    from porter.session import PortSession

_TESTS: dict[Repo, str] = {"tao-pytorch": "tests/cv_unit_test", "tao-deploy": "tests"}
"""Where the generated tests of a repository lie; the schema's are with the trainer."""
_MAPPING = "/model_params_mapping.py"
_SUFFIXES = (".py", ".yaml")
_AFTER_CLASSES = ("gt_label", "pred_score", "pred_label")

RESULTS_DIR = "/porter/results"
DATA = "/porter/data"


class Package(Record, frozen=True, kw_only=True):
    """The generated part of a worktree: text by path, and the ``__init__.py`` files above it."""

    files: dict[str, str]
    above: tuple[str, ...]


def read_package(worktree: Path, repo: Repo, name: str) -> Package:
    """Read what is there of a port in *worktree*: network, schema, tests; nothing is imported."""
    root = PACKAGE[repo]
    folders = [f"{root}/cv/{name}", f"{root}/config/{name}"]
    folders += [f"{_TESTS[repo]}/{name}"] if repo in _TESTS else []
    files = {
        path.relative_to(worktree).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for folder in folders
        for path in sorted((worktree / folder).rglob("*"))
        if path.suffix in _SUFFIXES and "__pycache__" not in path.parts and path.is_file()
    }
    above = (f"{folder}/__init__.py" for folder in (root, f"{root}/cv", f"{root}/config"))
    return Package(files=files, above=tuple(path for path in above if (worktree / path).is_file()))


def gather_facts(session: PortSession) -> ConsistencyFacts:
    """Return the facts of a port; runs one probe in each repository's environment."""
    name = session.options.name
    repos = _repos(session)
    has_core = "tao-core" in session.tao.repos
    holders: tuple[Repo, ...] = (*repos, "tao-core") if has_core else repos
    # A copy that nobody imports from is held against the others; where all import from it, it is all.
    copies: tuple[Repo, ...] = holders if has_core and not session.tao.has_core else repos
    packages = {repo: read_package(session.workspace.clone_path(repo), repo, name) for repo in holders}
    schemas = {repo: _import(session, repo, packages[repo].files) for repo in copies}
    return ConsistencyFacts(
        name=name,
        config_root=_config_roots(session),
        repos=repos,
        why_no_deploy="" if session.tao.has_deploy else session.tao.why_no_deploy,
        files={repo: package.files for repo, package in packages.items()},
        above={repo: package.above for repo, package in packages.items()},
        schemas=schemas,
        exporter=_exporter(session),
        head=_head(session),
        engine_inputs=_engine_inputs(session),
        settings=tuple(session.options.settings),
        orders=tuple(_orders(session, schemas)),
        keys=session.family.spec_keys(session.reference.generated.dataset),
        calibrated=session.family.calibrated,
        pl_module=session.reference.generated.pl_module,
        has_class_file=session.family.layout == "folders",
        has_mapping=any(file.path.endswith(_MAPPING) and file.present for file in session.reference.files),
    )


def _exporter(session: PortSession) -> str:
    """Return the source that makes axes of the graph dynamic: the reference's, or the generated script."""
    own = session.worktree / PACKAGE["tao-pytorch"] / f"cv/{session.options.name}/scripts/export.py"
    text = own.read_text(encoding="utf-8") if own.is_file() else ""
    symbol = session.reference.symbols.get("onnx_exporter", "")
    if "torch.onnx.export(" in text or not symbol:
        return text
    module = symbol.rpartition(".")[0].replace(".", "/")
    return (session.worktree / f"{module}.py").read_text(encoding="utf-8")


def _repos(session: PortSession) -> tuple[Repo, ...]:
    return tuple(repo for repo in _TESTS if repo in session.tao.repos)


def _config_roots(session: PortSession) -> dict[Repo, str]:
    """Return where the schema packages lie: in tao-core for both, or in either repository."""
    trained = session.reference.config_package.rpartition(".")[0]
    inside = trained.startswith(PACKAGE["tao-pytorch"])
    return {
        "tao-pytorch": trained,
        "tao-deploy": f"{PACKAGE['tao-deploy']}.config" if inside else trained,
        "tao-core": f"{PACKAGE['tao-core']}.config",
    }


def _import(session: PortSession, repo: Repo, files: Mapping[str, str]) -> SchemaFacts:
    """Run the probe on one repository."""
    name, worktree = session.options.name, session.workspace.clone_path(repo)
    exported = session.workspace.results / "gates" / "export" / f"{name}.onnx"
    deploys = repo == "tao-deploy"
    reads = deploys and session.family.layout == "folders"
    onnx = [exported] if not deploys and exported.is_file() else []
    request = SchemaFactsRequest(
        name=name,
        reference=session.reference.name,
        config_root=_config_roots(session)[repo],
        specs={path: str(worktree / path) for path in files if _is_spec(path, repo, name)},
        values={"results_dir": RESULTS_DIR, **_data_values(session)},
        onnx=str(onnx[0]) if onnx else "",
        reader=READER.format(name=name) if reads else "",
        classes=UNSORTED if reads else (),
    )
    return session.prove(
        f"schema-facts-{repo}",
        {"request": request, "onnx": [session.fingerprint(path) for path in onnx]},
        SchemaFacts,
        lambda: session.probe(
            "schema_facts",
            request,
            SchemaFacts,
            read=[path.parent for path in onnx],
            packages=[worktree],
            # tao-core runs in no environment of its own.
            runtime="tao-pytorch" if repo == "tao-core" else repo,
        ),
        repos=("tao-pytorch", repo) if repo == "tao-core" else (repo,),
    )


def _data_values(session: PortSession) -> dict[str, str]:
    """Return what a user sets for the data, where it is a path and no list."""
    keys = session.family.spec_keys(session.reference.generated.dataset).data
    return {key: DATA for key in keys if session.family.layout != "lists"}


def _is_spec(path: str, repo: Repo, name: str) -> bool:
    return path.endswith(".yaml") and path.startswith(f"{PACKAGE[repo]}/cv/{name}/")


def _head(session: PortSession) -> tuple[int, ...]:
    """Return the shape of the head that phase 3 built last."""
    for suffix in ("-edited", ""):
        try:
            built = session.journal.made(f"target{suffix}", TargetModule)
            head = session.journal.made(f"weight-plan{suffix}", WeightPlan).target_head
        except LookupError:
            continue
        return next((tensor.shape for tensor in built.tensors if tensor.name == f"{head}.weight"), ())
    return ()


def _engine_inputs(session: PortSession) -> tuple[str, ...]:
    """Return the inputs of the FP32 engine of phase 4; none where the file of a real engine hides them."""
    try:
        answer = session.journal.made("engines", DeployAnswer)
    except LookupError:
        return ()
    built = next((step.engine for step in answer.steps if step.label == "engine-fp32"), {})
    return tuple(sorted(built.get("profiles", {})))


def _orders(session: PortSession, schemas: Mapping[Repo, SchemaFacts]) -> Iterator[ClassOrder]:
    """Yield every order of classes that the port has written, and what it has to be."""
    labels = session.classes
    if not labels:
        return
    dataset = session.journal.made("dataset", DatasetFacts).classes
    results = session.workspace.results
    if session.family.layout == "folders":
        yield ClassOrder(
            where="results/checkpoint/classes.txt",
            found=read_classes(results / "checkpoint" / "classes.txt"),
            expected=labels,
        )
    key = f"{session.reference.generated.dataset}.palette"
    for schema in schemas.values():
        for where, spec in schema.specs.items():
            if key in spec.values:
                yield ClassOrder(where=where, found=palette_names(spec.values[key]), expected=labels)
    for folder in ("gates", "deploy"):
        for table in sorted((results / folder).rglob("result.csv")):
            where = table.relative_to(session.workspace.root).as_posix()
            own = labels if where.startswith("results/gates/converted/") else dataset
            yield ClassOrder(where=where, found=read_heading(table), expected=own)


def read_classes(path: Path) -> tuple[str, ...]:
    """Return the lines of a class file; none where there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return ()
    # As Python reads lines of a file: other breaks, such as U+2028, may be part of a name.
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def palette_names(palette: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the classes that a palette trains, by their label ids."""
    ids = {entry["seg_class"]: entry["label_id"] for entry in palette}
    return tuple(sorted({entry["mapping_class"] for entry in palette}, key=lambda name: int(ids[name])))


def read_heading(path: Path) -> tuple[str, ...]:
    """Return the columns of a result.csv that are classes."""
    with path.open(newline="", encoding="utf-8") as file:
        heading = next(csv.reader(file), [])
    for column in _AFTER_CLASSES:
        if heading and heading[-1] == column:
            heading = heading[:-1]
    return tuple(heading[1:])
