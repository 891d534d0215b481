"""Gates of phase 3 about weights: the ledger, parity, swaps, preprocessing, ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from porter.gates.results import failed, passed
from porter.generate.values import PortContext
from porter.records.gates import GateResult
from porter.records.inspection import DatasetFacts, ModelProbe, TensorInfo
from porter.records.reference import StrategyChoice
from porter.records.weights import (
    Conversion,
    OnnxParityAnswer,
    OnnxParityRequest,
    OtherSize,
    Parity,
    ParityAnswer,
    ParityRequest,
    PreprocessAnswer,
    PreprocessRequest,
    SwapAnswer,
    SwapRequest,
    TargetModule,
    TargetSpec,
    WeightPlan,
)
from porter.session import PortSession

if TYPE_CHECKING:
    from porter.records.remap import RemapRules

_BY_KEY = "pretrained_backbone_path"
_TOLERANCE = 1e-5
_SWAP_FACTOR = 10


def plan(session: PortSession, built: TargetModule, step: str = "weight-plan") -> WeightPlan:
    """Return the weight plan for the module that the staged code builds."""
    inspection, choice = session.inspection, session.choice
    strategy = choice.strategy
    probe = session.journal.made("model-probe", ModelProbe)
    rules = _rules(session)
    classes = len(session.classes)
    return session.journal.step(
        step,
        {
            "source": inspection.tensors,
            "target": built.tensors,
            "match": strategy.backbone,
            "timm": strategy.timm,
            "held": strategy.held,
            "rules": rules,
            "tied": probe.tied,
            "classes": classes,
        },
        WeightPlan,
        lambda: _planned(session, built.tensors, classes),
    )


def _planned(session: PortSession, target: Sequence[TensorInfo], classes: int) -> WeightPlan:
    from porter.weights.heads import begun_anew
    from porter.weights.plan import LoaderTag, plan_weights

    reference = session.reference
    made = plan_weights(
        session.inspection.tensors,
        target,
        _rules(session),
        num_labels=classes,
        tied=session.journal.made("model-probe", ModelProbe).tied,
        loader=LoaderTag(
            key_prefix=reference.tags.get(reference.tao_model, "model."), tao_model=reference.tao_model
        ),
        attention=_shared_attention(session.choice.strategy),
    )
    made = msgspec.structs.replace(made, architecture=session.inspection.architecture)
    return begun_anew(made, session.new_tensors, f"{session.inspection.bare} has no head")


def _shared_attention(strategy: StrategyChoice) -> str:
    """Return the attention implementation where both sides run the same code; empty where they do not."""
    if strategy.held is not None:
        # What was rewritten for the exporter may round differently.
        is_same = strategy.lifted is None or strategy.lifted.exact
        return strategy.held.attention if is_same else ""
    # timm chooses its attention itself, on both sides alike.
    return "eager" if strategy.timm is not None and strategy.timm.same_code else ""


def _rules(session: PortSession) -> RemapRules:
    """Return how the names correspond: data for a backbone of TAO's, one prefix for a model that is held."""
    from porter.weights.compose import PREFIX, behind, held_rules, wrapped_rules
    from porter.weights.remap import load_rules

    inspection, strategy = session.inspection, session.choice.strategy
    if strategy.held is not None:
        return held_rules(inspection.tensors, session.journal.made("model-probe", ModelProbe))
    if strategy.timm is not None:
        if strategy.timm.same_code:
            return wrapped_rules(inspection.tensors, session.journal.made("model-probe", ModelProbe))
        return behind(strategy.timm.rules or load_rules(strategy.timm.remap), PREFIX)
    return load_rules(strategy.backbone.remap if strategy.backbone else inspection.model_type)


def rules_name(session: PortSession) -> str:
    """Return what the rules of the port are called."""
    rules = _rules(session)
    return rules.name or f"{rules.source} -> {rules.target}"


def ledger_gate(session: PortSession, weight_plan: WeightPlan, built: TargetModule) -> GateResult:
    """Count both tables afresh: nothing may be left over on either side."""
    from porter.weights.hints import said as hinted
    from porter.weights.ledger import audit

    source = session.inspection.tensors
    problems = [*audit(weight_plan, source, built.tensors)]
    tuned = _tuned(session, weight_plan, built)
    if tuned:
        plan_of_data, target, count = tuned
        problems += [f"with {count} classes: {each}" for each in audit(plan_of_data, source, target)]
    fates: dict[str, int] = {}
    for row in weight_plan.ledger.rows:
        fates[row.fate] = fates.get(row.fate, 0) + 1
    said = ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items()))
    if problems:
        hints = [text for row in weight_plan.ledger.leftovers if (text := hinted(row))]
        first = f"; {hints[0]}" if hints and weight_plan.ledger.leftovers[0].hints else ""
        return failed(
            "ledger",
            f"{len(problems)} open: {problems[0]}{first}",
            fix="the remap rules under references/remap must account for these tensors",
            problems=problems,
            hints={
                name: [f"{hint.name} ({hint.shape} shape)" for hint in row.hints if hint.of == name]
                for row in weight_plan.ledger.leftovers
                for name in sorted({hint.of for hint in row.hints})
            },
        )
    more: dict[str, Any] = {}
    if tuned:
        new = [each.name for each in target if each not in built.tensors]
        said += f"; {len(new)} tensors of the head begin anew for the {count} classes of the dataset"
        more = {"fine_tuning": {"classes": count, "head": plan_of_data.head, "initialised": new}}
    return passed(
        "ledger",
        f"closed: {len(source)} source and {len(built.tensors)} target tensors in "
        f"{len(weight_plan.ledger.rows)} rows ({said})",
        fates=fates,
        **more,
    )


def _tuned(
    session: PortSession, plan: WeightPlan, built: TargetModule
) -> tuple[WeightPlan, tuple[TensorInfo, ...], int] | None:
    """Return the plan of a training on the dataset, its module's tensors and classes.

    None where the dataset has as many classes as the head. Only rows of the head depend on their number.
    """
    count = len(session.journal.made("dataset", DatasetFacts).classes)
    if count == len(session.classes) or not plan.target_head:
        return None
    heads = tuple(f"{head}." for head in (plan.target_head, *plan.target_twins))
    target = tuple(
        msgspec.structs.replace(each, shape=(count, *each.shape[1:])) if each.name.startswith(heads) else each
        for each in built.tensors
    )
    return _planned(session, target, count), target, count


def parity_gates(
    session: PortSession, weight_plan: WeightPlan, target: TargetSpec, conversion: Conversion
) -> Iterator[GateResult]:
    """Measure Hugging Face against TAO: outputs, swaps, preprocessing."""
    yield _parity(session, weight_plan, target, conversion)
    yield _swaps(session, weight_plan, target)
    yield _preprocessing(session, target)


def _work(session: PortSession, name: str) -> Path:
    folder = session.workspace.state / "work" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _code(session: PortSession) -> list[Path]:
    return [session.worktree, Path(session.inspection.source.folder)]


def _tolerance(weight_plan: WeightPlan) -> float:
    return 0.0 if weight_plan.exact else _TOLERANCE


def _parity(
    session: PortSession, weight_plan: WeightPlan, target: TargetSpec, conversion: Conversion
) -> GateResult:
    inspection = session.inspection
    request = ParityRequest(
        folder=inspection.source.folder,
        plan=weight_plan,
        target=target,
        checkpoint=conversion.checkpoint,
        # Only by this key does TAO read such a file.
        safetensors=conversion.safetensors if _BY_KEY in session.reference.generated.loaders else "",
        work=str(_work(session, "parity")),
        image_size=inspection.image_size or (224, 224),
        channels=inspection.channels,
        tolerance=_tolerance(weight_plan),
        ways=session.reference.generated.loaders,
        **_other_size(session, inspection.image_size),
    )
    answer = session.prove(
        "parity_tao",
        {"request": request, "conversion": conversion.sha256},
        ParityAnswer,
        lambda: session.probe(
            "parity",
            request,
            ParityAnswer,
            read=[*_code(session), Path(conversion.checkpoint).parent],
            write=[request.work],
        ),
    )
    beyond = [item for item in answer.parities if not item.within]
    beyond_text = [
        f"{item.output} ({item.weights} weights, {item.way}): {item.relative:.1e}" for item in beyond
    ]
    different = sorted({name for item in answer.identities for name in (*item.different, *item.uncovered)})
    # Of a model that is held both sides are one class, rewritten or not: what its output does not depend on
    # is unread on both, and the identities hold it.
    one_class = weight_plan.exact or session.choice.strategy.held is not None
    unseen = [item.tensor for item in answer.controls if not item.caught]
    seen_any = len(unseen) < len(answer.controls)
    blind = [] if one_class and seen_any else unseen
    evidence: dict[str, Any] = {
        **_hop("Hugging Face -> TAO module", answer.parities),
        "identities": sum(item.checked for item in answer.identities),
        "controls": {item.tensor: item.relative for item in answer.controls},
        "notes": list(answer.notes),
    }
    other = answer.other_size
    if other is not None:
        evidence["other_size"] = msgspec.to_builtins(other)
    # Where both sides run one code, what transformers takes the module takes, to the same end.
    apart = weight_plan.exact and other is not None and _apart(other)
    if apart and other is not None:
        beyond_text.append(f"images of {other.size[0]} x {other.size[1]}: {other.refused or other.relative}")
    if beyond_text or different or blind or not answer.parities:
        reasons = [*beyond_text, *(f"{name} differs" for name in different)]
        reasons += [f"parity is blind to {name}" for name in blind]
        return failed("parity-tao", f"not equal: {'; '.join(reasons[:4])}", **evidence)
    worst = max(answer.parities, key=lambda item: item.relative)
    said = f"{len(answer.parities)} comparisons of {worst.inputs} inputs"
    numbers = (
        "not one bit differs"
        if weight_plan.exact
        else f"relative {worst.relative:.1e} (bound {worst.tolerance:.0e}), max {worst.max_abs:.1e} of "
        f"{worst.reference_max:.2f}"
    )
    return passed("parity-tao", f"{numbers}, {said}{_of_size(other)}", **evidence)


def _other_size(session: PortSession, size: tuple[int, int] | None) -> dict[str, Any]:
    """Return the request for another size than the model's own: 64 pixels more, or twice a small one."""
    from porter.reference.network import load_network

    if size is None:
        return {}
    reference = session.reference
    step = load_network(reference.name, reference.release.layout).input.multiple
    if session.choice.strategy.held is not None and session.inspection.processor is not None:
        # A model that is held takes what its own processor makes.
        step = session.inspection.processor.multiple
    wished = (edge + 64 if min(size) >= 64 else 2 * edge for edge in size)
    height, width = (-(-edge // step) * step for edge in wished)
    return {"other_size": (height, width), "resized": session.family.sized(height, width)}


def _apart(other: OtherSize) -> bool:
    return other.relative != 0 if other.relative is not None else not other.refused.startswith("transformers")


def _of_size(other: OtherSize | None) -> str:
    """Return what is said of images of another size."""
    if other is None:
        return ""
    size = f"{other.size[0]} x {other.size[1]}"
    if other.relative is None:
        return f"; images of {size} are refused by {other.refused}"
    how = ", which interpolates its position embedding" if other.interpolated else ""
    return f"; at {size} relative {other.relative:.1e} from transformers{how}"


def _swaps(session: PortSession, weight_plan: WeightPlan, target: TargetSpec) -> GateResult:
    from porter.weights.ledger import note_inert

    inspection = session.inspection
    request = SwapRequest(
        folder=inspection.source.folder,
        plan=weight_plan,
        target=target,
        work=str(_work(session, "swap")),
        way=session.reference.generated.loaders[0],
        image_size=inspection.image_size or (224, 224),
        channels=inspection.channels,
        threshold=_tolerance(weight_plan) * _SWAP_FACTOR,
    )
    answer = session.prove(
        "parity_swap",
        {"request": request},
        SwapAnswer,
        lambda: session.probe("swap", request, SwapAnswer, read=_code(session), write=[request.work]),
    )
    noted, unexplained = note_inert(weight_plan, answer.swaps, _rules(session))
    session.journal.step("ledger-noted", {"plan": weight_plan, "swaps": answer}, WeightPlan, lambda: noted)
    caught = [swap for swap in answer.swaps if swap.caught]
    inert = [swap for swap in answer.swaps if not swap.caught]
    evidence: dict[str, Any] = {
        "caught": {f"{swap.first} <-> {swap.second}": swap.relative for swap in caught},
        "inert": {f"{swap.first} <-> {swap.second}": swap.relative for swap in inert},
        "candidates": answer.candidates,
    }
    if unexplained or not caught:
        return failed("parity-swap", "; ".join(unexplained[:3]) or "no swap was seen", **evidence)
    least = min(caught, key=lambda swap: swap.relative)
    return passed(
        "parity-swap",
        f"{len(caught)} of {len(answer.swaps)} swaps seen (least {least.relative:.1e}), {len(inert)} inert "
        "and held by identity",
        **evidence,
    )


def _preprocessing(session: PortSession, target: TargetSpec) -> GateResult:
    from porter.generate.values import mode_of

    inspection = session.inspection
    family = session.family
    # What the probe's scratch dataset has of classes.
    alone = msgspec.structs.replace(target, overrides={**target.overrides, **family.drawn_classes})
    pictures = session.workspace.state / "evidence" / "preprocessing"
    pictures.mkdir(parents=True, exist_ok=True)
    request = PreprocessRequest(
        folder=inspection.source.folder,
        target=alone,
        work=str(_work(session, "preprocessing")),
        pictures=str(pictures),
        mode=mode_of(inspection.channels),
        fast=inspection.processor.fast if inspection.processor else False,
        section=session.reference.generated.dataset,
        layout=family.layout,
        shift=int(inspection.processor.reduce_labels) if inspection.processor else 0,
        classes=len(session.classes),
        cropped=inspection.processor is not None and inspection.processor.crop is not None,
        least_edge=inspection.processor.least_edge if inspection.processor else 1,
    )
    answer = session.prove(
        "preprocessing",
        {"request": request},
        PreprocessAnswer,
        lambda: session.probe(
            "preprocess_parity",
            request,
            PreprocessAnswer,
            read=_code(session),
            write=[request.work, request.pictures],
        ),
    )
    evidence: dict[str, Any] = {
        "checks": {f"{item.image} ({item.dataset})": item.max_abs for item in answer.checks}
    }
    exact = sum(item.exact for item in answer.checks)
    said = f"{answer.processor}: max difference {answer.worst:.1e} over {exact} tensors"
    said += f" (bound {answer.tolerance:.0e})"
    labels = [item.labels for item in answer.checks if item.labels is not None]
    if labels:
        said += f"; {sum(labels)} pixels of {len(labels)} masks have a wrong class"
        theirs = sum(item.processor_labels or 0 for item in answer.checks)
        if theirs:
            said += f", {theirs} another than the processor gives them, which blends neighbouring classes"
    if answer.fast:
        levels = {f"{item.image} ({item.dataset})": item.levels for item in answer.checks}
        most = max((item.levels or 0.0 for item in answer.checks), default=0.0)
        said += (
            f"; {answer.fast} resizes with torchvision, TAO with Pillow: {most:.1f} levels of 255 apart at "
            f"most over {len(answer.checks)} tensors (bound {answer.levels:.0f})"
        )
        evidence |= {"levels": levels, "fast": answer.fast}
    return (passed if answer.within else failed)("preprocessing", said, **evidence)


def onnx_gate(session: PortSession, context: PortContext, target: TargetSpec) -> GateResult:
    """Compare the trained checkpoint's module with the ONNX file that the export script wrote."""
    inspection = session.inspection
    name = session.options.name
    results = session.workspace.results / "gates"
    onnx = results / "export" / f"{name}.onnx"
    checkpoint = results / "train" / f"{name}_model_latest.pth"
    request = OnnxParityRequest(
        target=target,
        checkpoint=str(checkpoint),
        onnx=str(onnx),
        work=str(_work(session, "onnx")),
        image_size=inspection.image_size or (224, 224),
        more_sizes=_other_sizes(context),
        channels=inspection.channels,
        input_names=session.reference.onnx_inputs,
        output_names=session.reference.onnx_outputs,
    )
    answer = session.prove(
        "parity_onnx",
        {"request": request, "onnx": session.fingerprint(onnx)},
        OnnxParityAnswer,
        lambda: session.probe(
            "onnx_parity", request, OnnxParityAnswer, read=[session.worktree, results], write=[request.work]
        ),
    )
    worst = max(answer.parities, key=lambda item: item.relative)
    batches = ", ".join(str(batch) for batch in request.batches)
    sizes = "".join(f", {height} x {width}" for height, width in request.more_sizes)
    evidence: dict[str, Any] = {
        **_hop("TAO module -> ONNX", answer.parities),
        "runtime": answer.runtime,
    }
    if answer.problems or not worst.within:
        reasons = answer.problems or (f"relative {worst.relative:.1e}, bound {worst.tolerance:.0e}",)
        return failed("parity-onnx", "; ".join(reasons), **evidence)
    return passed(
        "parity-onnx",
        f"relative {worst.relative:.1e} (bound {worst.tolerance:.0e}) at batches {batches}{sizes}"
        + (f"; top-1 agrees on {answer.agreement:.0%}" if session.classes else ""),
        **evidence,
    )


def _other_sizes(context: PortContext) -> tuple[tuple[int, int], ...]:
    """Return two sizes that a graph for several takes: a low and wide one, and a high and narrow one."""
    if not context.image_sizes:
        return ()
    (height, width), _, (tallest, widest) = context.image_sizes
    return (height, widest), (tallest, width)


def _hop(name: str, parities: Sequence[Parity]) -> dict[str, Any]:
    """Return the evidence by which the review knows a hop: name, worst numbers, every comparison."""
    return {
        "hop": name,
        "relative": max((item.relative for item in parities), default=None),
        "max_abs": max((item.max_abs for item in parities), default=None),
        "tolerance": min((item.tolerance for item in parities), default=None),
        "parities": [_numbers(item) for item in parities],
    }


def _numbers(parity: Parity) -> dict[str, object]:
    return {
        "hop": parity.hop,
        "output": parity.output,
        "weights": parity.weights,
        "way": parity.way,
        "attention": parity.attention,
        "batches": parity.batches,
        "relative": parity.relative,
        "each": parity.each,
        "max_abs": parity.max_abs,
        "tolerance": parity.tolerance,
    }
