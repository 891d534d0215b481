"""Gates of phase 4 about the deploy package itself: imports, specs, preprocessing, the exported graph."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from porter.families import Family
from porter.gates.engines import MODES, PROFILE, schema_of, specs_of
from porter.gates.results import failed, passed
from porter.generate.values import PortContext
from porter.records.engines import (
    LoaderAnswer,
    LoaderRequest,
    PackageFacts,
    PackageRequest,
    RtxAnswer,
    RtxRequest,
    SpecFacts,
)
from porter.records.gates import GateResult
from porter.records.plan import FilePlan
from porter.records.weights import PreprocessAnswer
from porter.session import PortSession

FORBIDDEN = (
    "nvidia_tao_core.config",
    "nvidia_tao_pytorch",
    "pytorch_lightning",
    "timm",
    "torch",
    "transformers",
)
"""What the deploy package may not import: its image has none of it."""

_ROOT = "/porter/results"
_DATA = "/porter/data"
_TOLERANCE = 1e-6


def package_gates(session: PortSession, context: PortContext, plan: FilePlan) -> Iterator[GateResult]:
    """Import every generated module where it will run, and resolve its specs."""
    name, data = context.name, context.located(_DATA)
    request = PackageRequest(
        modules=tuple(_modules(plan)),
        forbidden=tuple(item for item in FORBIDDEN if "." not in item),
        schema=schema_of(session),
        specs=specs_of(session),
        given=(f"results_dir={_ROOT}", *data),
        asked=tuple(_chain(name, session.family)),
    )
    facts = session.prove(
        "deploy-package",
        {"request": request},
        PackageFacts,
        lambda: session.probe(
            "deploy_package", request, PackageFacts, packages=[session.deploy_worktree], runtime="tao-deploy"
        ),
        repos=("tao-deploy",),
    )
    # Where the schemas are in tao-core, both repositories import them from there.
    allowed = {"nvidia_tao_core.config"} if session.tao.has_core else set()
    unwelcome = tuple(item for item in FORBIDDEN if item not in allowed)
    yield _import_gate(session.deploy_worktree, plan, facts, unwelcome)
    given = [entry.partition("=")[0] for entry in data]
    yield _spec_gate(name, session.family, given, facts.specs)


def _modules(plan: FilePlan) -> Iterator[str]:
    yield from (_module(path) for path in _sources(plan))


def _sources(plan: FilePlan) -> Iterator[str]:
    """Yield the path of every module of the deploy package."""
    for file in plan.files:
        if file.path.startswith("nvidia_tao_deploy/") and file.path.endswith(".py"):
            yield file.path


def _module(path: str) -> str:
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _import_gate(
    worktree: Path, plan: FilePlan, facts: PackageFacts, forbidden: Sequence[str] = FORBIDDEN
) -> GateResult:
    if facts.errors:
        module, error = next(iter(facts.errors.items()))
        last = error.strip().splitlines()[-1]
        return failed("deploy-imports", f"{module} does not import: {last}", text=error, traceback=error)
    # A folder without __init__.py imports as a namespace, which has no file, and is in no wheel.
    elsewhere = [
        f"{_module(path)} is imported from {place if place != 'None' else 'a folder without __init__.py'}"
        for path in _sources(plan)
        if (place := facts.imported.get(_module(path), "nowhere")) != str(worktree / path)
    ]
    if elsewhere:
        return failed("deploy-imports", "; ".join(elsewhere[:3]))
    unwelcome = [f"{path} imports {name}" for path, name in _imports(worktree, plan, forbidden)]
    if unwelcome or facts.loaded:
        reasons = unwelcome or [f"importing it brings in {', '.join(facts.loaded)}"]
        return failed("deploy-imports", "; ".join(reasons[:3]), fix="deploy code is NumPy-only")
    return passed(
        "deploy-imports",
        f"{len(facts.imported)} modules import; none of {', '.join(forbidden)} in them",
        modules=sorted(facts.imported),
    )


def _imports(worktree: Path, plan: FilePlan, forbidden: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield path and name of every import that the deploy package may not have, also inside functions."""
    for path in _sources(plan):
        for node in ast.walk(ast.parse((worktree / path).read_bytes())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                if any(name == item or name.startswith(f"{item}.") for item in forbidden):
                    yield path, name


def _chain(name: str, family: Family) -> dict[str, str]:
    """Return what the paths of one run must come to, whichever script resolves them."""
    engine = f"{_ROOT}/trt/{name}.engine"
    paths = {
        "export.onnx_file": f"{_ROOT}/export/{name}.onnx",
        "gen_trt_engine.onnx_file": f"{_ROOT}/export/{name}.onnx",
        "gen_trt_engine.trt_engine": engine,
        "inference.trt_engine": engine,
        "evaluate.trt_engine": engine,
    }
    for data in family.data_paths(_DATA).values():
        paths |= data
    return paths


def _needed(family: Family, mode: str) -> tuple[str, ...]:
    """Return the keys of the paths that a script reads."""
    if mode == "gen_trt_engine":
        return ("gen_trt_engine.onnx_file", "gen_trt_engine.trt_engine")
    return (f"{mode}.trt_engine", *family.data_paths(_DATA)[mode])


def _spec_gate(name: str, family: Family, data: Sequence[str], specs: dict[str, SpecFacts]) -> GateResult:
    """Judge the specs; *data* are the keys by which a user says where the data lie."""
    problems = []
    allowed = ("results_dir", *data)
    for mode in MODES:
        facts = specs.get(mode)
        if facts is None or facts.error:
            problems.append(f"{mode}.yaml: {facts.error if facts else 'its schema does not import'}")
            continue
        open_keys = sorted(key for key in facts.missing if key.partition("[")[0] not in allowed)
        if open_keys:
            problems.append(f"{mode}.yaml leaves {', '.join(open_keys)} to the user")
        wanted = _chain(name, family)
        problems += [
            f"{mode}.yaml: {key} is {facts.resolved.get(key)}, the chain has {wanted[key]}"
            for key in _needed(family, mode)
            if facts.resolved.get(key) != wanted[key]
        ]
    if problems:
        return failed("deploy-specs", "; ".join(problems[:3]), problems=problems)
    return passed(
        "deploy-specs",
        f"three specs fit the schema; with results_dir and {', '.join(data)} alone they take up where "
        f"export leaves off: export/{name}.onnx, trt/{name}.engine",
        resolved={mode: specs[mode].resolved for mode in MODES},
    )


def preprocessing_gate(session: PortSession, context: PortContext) -> GateResult:
    """Send the images that the trainer's datasets read through the deploy loader."""
    name = context.name
    work = session.workspace.state / "work" / "preprocessing"
    trainer = session.journal.made("preprocessing", PreprocessAnswer)
    tensors = {Path(check.candidate).name: check.candidate for check in trainer.checks}
    pictures = session.workspace.state / "evidence" / "preprocessing"
    request = LoaderRequest(
        loader=f"nvidia_tao_deploy.cv.{name}.dataloader:{context.prefix}Loader",
        shape=(context.channels, context.height, context.width),
        spec=specs_of(session)["evaluate"],
        schema=schema_of(session),
        root=str(work / "preprocess"),
        tensors=tensors,
        pictures=str(pictures),
        tolerance=_TOLERANCE,
        section=context.dataset_section,
        layout=session.family.layout,
        palette=f"nvidia_tao_deploy.cv.{name}.masks:Palette" if session.family.layout == "masks" else "",
    )
    answer = session.prove(
        "deploy-preprocessing",
        {"request": request, "trainer": trainer},
        LoaderAnswer,
        lambda: session.probe(
            "deploy_preprocess",
            request,
            LoaderAnswer,
            read=[work],
            write=[pictures],
            packages=[session.deploy_worktree],
            runtime="tao-deploy",
        ),
        repos=("tao-deploy",),
    )
    gate = "deploy-preprocessing"
    worst = max((check.max_abs for check in answer.checks), default=float("inf"))
    evidence: dict[str, Any] = {
        "checks": {f"{check.image} ({check.split})": check.max_abs for check in answer.checks},
        "batches": answer.batches,
        "tolerance": _TOLERANCE,
    }
    if answer.problems or len(answer.checks) < len(tensors) or not worst <= _TOLERANCE:
        reasons = answer.problems or (
            f"largest difference {worst:.1e} over {len(answer.checks)} of {len(tensors)} tensors",
        )
        return failed(gate, "; ".join(reasons), **evidence)
    said = f"largest difference {worst:.1e}" if worst else "bit-equal"
    batches = "; ".join(
        f"{split} in batches of {', '.join(map(str, rows))}" for split, rows in answer.batches.items()
    )
    return passed(gate, f"{len(answer.checks)} tensors {said}; {batches}", **evidence)


def parser_gate(session: PortSession, context: PortContext) -> GateResult:
    """Have TensorRT-RTX parse and build the exported graph."""
    onnx = session.workspace.results / "gates" / "export" / f"{session.options.name}.onnx"
    request = RtxRequest(onnx=str(onnx), batches=PROFILE, sides=context.image_sizes)
    answer = session.journal.step(
        "parser",
        {
            "request": request,
            "onnx": session.fingerprint(onnx),
            "environment": session.runtimes.rehearsal.digest,
        },
        RtxAnswer,
        lambda: session.probe("rtx_build", request, RtxAnswer, read=[onnx.parent], runtime="rehearsal"),
    )
    evidence: dict[str, Any] = {
        "version": answer.version,
        "inputs": answer.inputs,
        "outputs": answer.outputs,
        "engine_bytes": answer.engine_bytes,
        "seconds": answer.seconds,
        "messages": list(answer.messages),
    }
    if answer.refusals:
        first = answer.refusals[0]
        where = f"from module {first.module}" if first.module else "its name tells of no module"
        # `false` is all that the parser says of a standard operator without support.
        said = first.description if first.description not in ("", "false") else first.function
        if not first.operator:
            return failed(
                "parser", f"TensorRT-RTX does not parse the graph: {first.code}, {said}", **evidence
            )
        return failed(
            "parser",
            f"TensorRT-RTX refuses {first.operator}: node {first.node or 'without a name'}, {where} ({said})",
            fix=f"replace the operation in {first.module or 'the model'} by one that TensorRT has",
            refusals=[f"{item.operator} {item.node} ({item.module or '?'})" for item in answer.refusals],
            **evidence,
        )
    if not answer.parsed or not answer.engine_bytes:
        what = "build" if answer.parsed else "parse"
        reason = answer.messages[0] if answer.messages else "it gives no reason"
        return failed("parser", f"TensorRT-RTX does not {what} the graph: {reason}", **evidence)
    return passed(
        "parser",
        f"TensorRT-RTX {answer.version} parses and builds it, batches {PROFILE[0]}-{PROFILE[2]}: "
        f"{answer.engine_bytes / 1e6:.1f} MB in {answer.seconds:.1f} s",
        **evidence,
    )
