"""Lifts a model class: facts in, one file out; pure."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence

import libcst as cst

from porter.records.transplant import Lifted, LiftFacts, Lifting, TweakName
from porter.transplant import configs, emit
from porter.transplant.prune import BASE, needed
from porter.transplant.reach import STANDINS, LiftError, Reach, standins
from porter.transplant.rename import Renamer
from porter.transplant.source import Import, Top, code_of, defined, used
from porter.transplant.tweaks import ALWAYS

_ALWAYS = ("Config", BASE)
_MODULE_METHODS = frozenset(
    [
        "add_module",
        "apply",
        "buffers",
        "children",
        "cpu",
        "cuda",
        "double",
        "eval",
        "float",
        "forward",
        "get_buffer",
        "get_parameter",
        "get_submodule",
        "half",
        "load_state_dict",
        "modules",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_module",
        "register_parameter",
        "requires_grad_",
        "set_submodule",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "type",
        "zero_grad",
    ]
)
_TORCH = "torch"


def lift(facts: LiftFacts, *, tweaks: Collection[TweakName] = ALWAYS) -> Lifting:
    """Return the class of *facts* as one file, or why it cannot be one.

    Args:
        facts: sources, settings and what of them is in use.
        tweaks: rewrites to apply where they apply.
    """
    try:
        return Lifting(lifted=_lift(facts, tweaks))
    except LiftError as error:
        return Lifting(reasons=(str(error),))


def _lift(facts: LiftFacts, tweaks: Collection[TweakName]) -> Lifted:
    reach = Reach(facts, tweaks)
    reach.gather(facts.module, facts.architecture)
    reached = reach.reached
    origins = [name for name in reached.order if reached.statements.get(name)]
    sources = [facts.sources[name] for name in origins]
    for name, text in zip(origins, sources, strict=True):
        if problem := emit.licence_problem(name, text, facts.licence):
            raise LiftError(problem)
    by_module = {
        name: [reached.statements[name][place] for place in sorted(reached.statements[name])]
        for name in origins
    }
    lifted = [statement for name in origins for statement in by_module[name]]
    asked = {*reach.standins_asked, *_ALWAYS}
    code = "\n".join(code_of(each) for each in lifted)
    # What a stand-in reads counts where the file has it.
    stand = [
        each
        for each in standins().statements
        if not isinstance(each, cst.ClassDef) or each.name.value in asked
    ]
    keys = configs.keys_read("\n".join([code, *(code_of(each) for each in stand)]))
    settings = configs.settings(facts.config, keys)
    said = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    words = {each for each in said if isinstance(each, str)} | configs.strings(settings)
    stood = needed(asked, code, words)
    imports = {name: list(found) for name, found in reached.imports.items()}
    for name in {name for each in stood for name in used(code_of(each))}:
        for each in standins().foreign.get(name, ()):
            if each not in imports.setdefault(name, []):
                imports[name].append(each)
    statements = [*stood, *_named_apart(origins, by_module, reached.names, stood, imports)]
    _check_imports(imports)
    bare = [text for text in sources if not emit.copyrights([text])]
    holders = emit.copyrights([*sources, facts.licence] if bare else sources)
    head = emit.header(facts.architecture, facts.transformers, origins, holders)
    summary = f"{facts.architecture} of transformers {facts.transformers}, on torch alone."
    text = emit.render(head, summary, imports, statements)
    _check_names(text)
    _check_methods(text)
    return Lifted(
        architecture=facts.architecture,
        transformers=facts.transformers,
        text=text,
        header=head,
        config=settings,
        origins=tuple(origins),
        copyrights=holders,
        tweaks=reached.tweaker.report(),
    )


def _named_apart(
    origins: Sequence[str],
    by_module: Mapping[str, Sequence[Top]],
    names: Mapping[str, Mapping[str, tuple[str, str]]],
    stood: Sequence[Top],
    imports: Mapping[str, Sequence[Import]],
) -> list[Top]:
    """Return the statements of all modules such that each name means one thing.

    Equal definitions become one. Of different ones with one name the later gets another.
    """
    taken = {name: "" for each in stood for name in defined(each)} | dict.fromkeys(imports, "")
    final: dict[tuple[str, str], str] = {}
    kept: list[Top] = []
    for module in origins:
        foreign = names.get(module, {})
        meanings = {
            local: target[1] if target[0] == STANDINS else final.get(target, target[1])
            for local, target in foreign.items()
        }
        own: dict[str, list[Top]] = {}
        for statement in by_module[module]:
            for name in defined(statement):
                own.setdefault(name, []).append(statement)
        equal = set()
        for name, defining in own.items():
            text = _meaning(defining, {**dict.fromkeys(own, module), **meanings, name: name})
            new, count = name, 2
            while new in taken and taken[new] != text:
                new, count = f"{name}_{count}", count + 1
            if new in taken:
                equal |= {id(each) for each in defining}
            taken[new] = text
            final[module, name] = meanings[name] = new
        change = {local: meant for local, meant in meanings.items() if meant != local}
        for statement in by_module[module]:
            if id(statement) not in equal:
                kept.append(_renamed(statement, change))
    return kept


def _meaning(defining: Sequence[Top], meanings: Mapping[str, str]) -> str:
    """Return the code of a definition and what the names in it mean."""
    code = "\n".join(emit.spaced(each) for each in defining)
    return "\n".join([code, *(f"{name}: {meanings.get(name, name)}" for name in sorted(used(code)))])


def _renamed(statement: Top, change: Mapping[str, str]) -> Top:
    if not change:
        return statement
    changed = cst.Module(body=[statement]).visit(Renamer(change)).body[0]
    assert isinstance(changed, Top)
    return changed


def _check_imports(imports: Mapping[str, Sequence[Import]]) -> None:
    for name, found in imports.items():
        if len({(each.name, each.alias) for each in found}) > 1 or (
            found[0].name and len({each.module for each in found}) > 1
        ):
            raise LiftError(f"{name} is imported from two places")


def _check_methods(text: str) -> None:
    """Make sure that the methods that models call are there: their base class has fewer than the original."""
    classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    for node in classes.values():
        line = [node]
        for each in line:
            line += [
                classes[base.id] for base in each.bases if isinstance(base, ast.Name) and base.id in classes
            ]
        if node.name == BASE or BASE not in {each.name for each in line}:
            continue
        there = {name for each in line for name in _members(each)}
        if "_init_weights" not in there:
            raise LiftError(f"{node.name} does not say how its weights begin")
        called = _called(node) - there - _MODULE_METHODS
        if called:
            raise LiftError(f"{node.name} calls {sorted(called)[0]}, which {BASE} has no stand-in for")


def _members(node: ast.ClassDef) -> set[str]:
    """Return the names of methods, of what the class sets and of what its methods set on ``self``."""
    found = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    for each in ast.walk(node):
        if isinstance(each, ast.Name | ast.Attribute) and isinstance(each.ctx, ast.Store):
            found.add(each.id if isinstance(each, ast.Name) else each.attr)
    return found


def _called(node: ast.ClassDef) -> set[str]:
    return {
        each.func.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and isinstance(each.func.value, ast.Name)
        and each.func.value.id == "self"
    }


def _check_names(text: str) -> None:
    """Make sure that the file compiles and that every name in it is known."""
    import builtins

    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise LiftError(f"what was lifted is no Python: line {error.lineno}: {error.msg}") from error
    known = {
        (alias.asname or alias.name).partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    known |= {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    known |= {
        name.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }
    unknown = sorted(
        name
        for name in used(text)
        if name not in known and not hasattr(builtins, name) and not name.startswith("__")
    )
    if unknown:
        raise LiftError(f"nothing defines {', '.join(unknown)}")
