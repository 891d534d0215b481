"""``SKILL.md`` of a package: what a person, or a program that reads like one, needs to run the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from porter.launch import catalog
from porter.records.catalog import CatalogEntry, DataPart, DataSource
from porter.records.skills import Difference, SkillSource


def skill_page(
    found: CatalogEntry,
    schemas: Mapping[str, Mapping[str, Any]],
    differences: Sequence[Difference],
    source: SkillSource,
) -> str:
    """Return the page in Markdown, with the front matter that a skill bank reads."""
    import yaml

    front = yaml.safe_dump(
        {"name": found.skill, "description": found.description}, sort_keys=False, width=1000
    )
    lines = [
        "---",
        *front.splitlines(),
        "---",
        "",
        f"# {found.title}",
        "",
        found.description,
        "",
        f"Network `{found.name}`, task {found.task}, data formats {', '.join(found.formats)}. "
        f"The schemas are those of `{source.config}` of {source.repository} {source.version}.",
        "",
        *_actions(found),
        *_data(found),
        *_inputs(found),
        *_training(found),
        *_search(found, schemas),
        *_limits(found),
        *_errors(found),
        *_templates(differences),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _actions(found: CatalogEntry) -> Iterator[str]:
    rows = []
    for name in found.actions:
        resolved = catalog.resolve(found, name)
        engine = f"; on an engine: `{resolved.engine_image}`" if resolved.engine_image else ""
        rows.append((name, f"`{resolved.command}`", f"`{resolved.image}`{engine}"))
    yield from _table("Actions", ("Action", "Command", "Image"), rows)


def _data(found: CatalogEntry) -> Iterator[str]:
    rows = [
        (
            ", ".join(source.actions),
            f"`{source.key}`",
            source.origin,
            _files(source),
            "yes" if source.list else "no",
            _need(source),
        )
        for source in found.data
    ]
    yield from _table("Data", ("Actions", "Spec key", "Dataset", "Files", "List", "Needed"), rows)
    formats = [
        (name, ", ".join(f"`{key}={value}`" for key, value in values.items()))
        for name, values in found.by_format.items()
    ]
    yield from _table("Data formats", ("Format", "Spec"), formats)


def _files(source: DataSource) -> str:
    parts = source.parts or {"": source.value} if source.value else source.parts
    return ", ".join(f"{name}: {_file(part)}" if name else _file(part) for name, part in parts.items())


def _file(part: DataPart | None) -> str:
    if part is None or part.kind == "format":
        return "name of the format"
    return f"`{part.path or '.'}` ({part.kind})"


def _need(source: DataSource) -> str:
    need = "yes" if source.required else "no"
    if source.reuses:
        need += f"; without it the {source.reuses} set is taken"
    return f"{need}; {', '.join(source.formats)} only" if source.formats else need


def _inputs(found: CatalogEntry) -> Iterator[str]:
    rows = [
        (f"`{asked.key}`", asked.title, f"at least {asked.at_least}" if asked.at_least else "", asked.reason)
        for asked in found.inputs
    ]
    yield from _table("Ask for", ("Spec key", "What", "Bound", "Why"), rows)


def _training(found: CatalogEntry) -> Iterator[str]:
    metric, launch, hardware = found.metric, found.launch, found.hardware
    yield "## Training"
    yield ""
    text = ", a number that stands there as a string" if metric.text else ""
    yield f"- Metric: `{metric.key}` in status.json, {metric.direction}{text}."
    if metric.evaluate:
        yield f"- Evaluation calls it `{metric.evaluate}`."
    for name, reason in metric.refused.items():
        yield f"- Never `{name}`: {reason}."
    yield (
        f"- GPUs: `{launch.gpus}` and `{launch.gpu_ids}`, nodes: `{launch.nodes}`; "
        f"one process starts the others. Strategy on several: `{launch.strategy}`."
    )
    yield from (f"- {note[:1].upper()}{note[1:]}." for note in launch.notes)
    note = f" {hardware.note}." if hardware.note else ""
    gpus = f"{hardware.gpus} GPU, {hardware.recommended_gpus} recommended, {hardware.memory_gb} GB each"
    yield f"- Hardware: {gpus}.{note}"
    for base in found.base:
        default = f"`{base.default}`" if base.default else "from scratch"
        note = f"; {base.note}" if base.note else ""
        yield f"- Weights of the {base.part}: `{base.key}`, by default {default}{note}."
    if found.checkpoint:
        yield f"- Training leaves `{found.checkpoint}` behind."
    yield ""


def _search(found: CatalogEntry, schemas: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "## AutoML"
    yield ""
    if not found.automl.enabled:
        yield "Turned off for this network."
        yield ""
        return
    searched = schemas.get("train", {}).get("automl_default_parameters", [])
    yield f"Searched by default: {', '.join(f'`{key}`' for key in searched) or 'nothing'}."
    for overlay in found.automl.overlay:
        yield ""
        yield f"`{overlay.key}` is set by hand, {overlay.minimum} to {overlay.maximum}: {overlay.reason}."
    for refused in found.automl.refused:
        yield ""
        yield f"Not with `{refused.key}` {_values(refused.values)}: {refused.reason}."
    if found.automl.carried:
        yield ""
        carried = ", ".join(f"`{key}`" for key in found.automl.carried)
        yield f"Evaluation takes over from the best trial: {carried}."
    yield ""


def _limits(found: CatalogEntry) -> Iterator[str]:
    if not (found.refused or found.rewrites):
        return
    yield "## Values that do not work"
    yield ""
    for refused in found.refused:
        yield f"- `{refused.key}` {_values(refused.values)}: {refused.reason}."
    for rewrite in found.rewrites:
        yield f"- `{rewrite.old}` is `{rewrite.new}`: {rewrite.reason}."
    yield ""


def _values(values: Sequence[Any]) -> str:
    return (
        ", ".join(f"`{str(value).lower() if isinstance(value, bool) else value}`" for value in values)
        or "at all"
    )


def _errors(found: CatalogEntry) -> Iterator[str]:
    rows = [(f"`{error.pattern}`", error.cause, error.fix) for error in found.errors]
    yield from _table("Errors", ("In the log", "Cause", "Fix"), rows)


def _templates(differences: Sequence[Difference]) -> Iterator[str]:
    rows = [(f"`{item.key}`", f"`{item.value}`", f"`{item.default_value}`") for item in differences]
    yield from _table("Templates", ("Key", "Left out", "In the template"), rows)
    if rows:
        yield "A template is no empty spec: these keys have another value where they are left out."


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield f"## {title}"
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        # A bar would end the cell, also inside code.
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
