"""Lifting, on sources that are written for it: what goes, what stays, and what cannot be had."""

from __future__ import annotations

import ast
import subprocess
import textwrap
from pathlib import Path

import msgspec
import pytest

from porter.phases.lifting import exports_well, verdict
from porter.records.inspection import ModelProbe
from porter.records.sandbox import Environment
from porter.records.transplant import Lifted, LiftedPart, LiftFacts, Trial, TweakName
from porter.transplant.lift import lift
from porter.transplant.tweaks import ALL, ALWAYS, STATIC

ROOT = "transformers.models.thing.modeling_thing"
OTHER = "transformers.models.other.modeling_other"
APACHE = "# Copyright 2021 The Thing Team.\n#\n# Licensed under the Apache License, Version 2.0\n"
HEAD = """
    import torch
    from torch import nn

    from ...activations import ACT2FN
    from ...modeling_utils import PreTrainedModel
    from ...utils import ModelOutput, auto_docstring, is_scipy_available, is_vision_available, logging
    from ..other.modeling_other import helper
    from .configuration_thing import ThingConfig

    logger = logging.get_logger(__name__)


    class ThingPreTrainedModel(PreTrainedModel):
        config_class = ThingConfig
        _no_split_modules = ["ThingLayer"]

        def _init_weights(self, module):
            if isinstance(module, nn.Linear):
                module.weight.data.zero_()
            elif isinstance(module, (ThingText, nn.LayerNorm)):
                module.bias.data.zero_()
            elif isinstance(module, ThingText):
                module.weight.data.zero_()


    class ThingText(nn.Module):
        pass


"""
BODY = """
    class ThingForImageClassification(ThingPreTrainedModel):
        def __init__(self, config: ThingConfig):
            super().__init__(config)
            self.layer = nn.Linear(config.width, config.num_labels)
            self.post_init()

        def forward(self, pixel_values, labels=None):
            return self.layer(helper(pixel_values))
"""
HELPER = """
    def helper(x):
        return x * 2
"""


def source(text: str, licence: str = APACHE) -> str:
    return licence + textwrap.dedent(text)


def facts(body: str = BODY, helper: str = HELPER, **changes: object) -> LiftFacts:
    made = LiftFacts(
        transformers="4.57.6",
        architecture="ThingForImageClassification",
        module=ROOT,
        sources={ROOT: source(HEAD) + textwrap.dedent(body), OTHER: source(helper)},
        modules=("ThingPreTrainedModel", "ThingText", "ThingForImageClassification"),
        live=("ThingPreTrainedModel", "ThingForImageClassification"),
        config={"class_name": "ThingConfig", "width": 4, "num_labels": 3, "id2label": {}, "unread": 1},
        licence="Copyright 2018- Everybody. All rights reserved.\n\nApache License\n",
    )
    return msgspec.structs.replace(made, **changes)


def lifted(found: LiftFacts, tweaks: tuple[TweakName, ...] = (STATIC,)) -> Lifted:
    lifting = lift(found, tweaks=tweaks)
    assert lifting.reasons == ()
    assert lifting.lifted is not None
    return lifting.lifted


def reasons(found: LiftFacts) -> str:
    lifting = lift(found)
    assert lifting.lifted is None
    return "; ".join(lifting.reasons)


def piece(text: str, name: str) -> str:
    """Return the source of a function or class, wherever it stands."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return ast.unparse(node)
    raise AssertionError(f"{name} is not there")


def method(code: str) -> str:
    """Return the class with *code* as its forward method."""
    return BODY.partition("        def forward")[0] + textwrap.indent(textwrap.dedent(code), "    " * 2)


def test_what_only_transformers_needs_is_gone() -> None:
    text = lifted(facts()).text
    base = piece(text, "ThingPreTrainedModel")
    assert "config_class" not in base
    assert "_no_split_modules" not in base
    assert "ThingConfig" not in text
    assert "class ThingText" not in text
    assert "isinstance(module, nn.LayerNorm)" in base
    assert base.count("elif") == 1
    assert "import logging" not in text


def test_what_other_modules_define_is_lifted_too() -> None:
    found = lifted(facts())
    assert "return x * 2" in piece(found.text, "helper")
    assert found.origins == (OTHER, ROOT)
    assert found.text.index("def helper") < found.text.index("class ThingForImageClassification")


def test_only_settings_that_are_read_stay() -> None:
    assert lifted(facts()).config == {"width": 4}


def test_the_stand_ins_are_those_that_are_called() -> None:
    text = lifted(facts()).text
    assert "def post_init" in piece(text, "PreTrainedModel")
    assert "get_head_mask" not in text
    assert "ACT2FN" not in text
    masked = method("def forward(self, x):\n    return self.layer(self.get_head_mask(x, 1))\n")
    assert "def get_head_mask" in piece(lifted(facts(masked)).text, "PreTrainedModel")


def test_activations_are_those_that_the_settings_name() -> None:
    body = BODY.replace("self.post_init()", "self.act = ACT2FN[config.act]")
    config = {"width": 4, "act": "quick_gelu"}
    text = lifted(facts(body, config=config)).text
    assert "class QuickGELU" in text
    assert '"relu"' not in text
    assert "activation" in reasons(facts(body, config={"width": 4, "act": "home_made"}))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    if is_scipy_available():\n        x = 1\n    else:\n        x = 2\n", "x = 2"),
        ("    if is_vision_available() and x:\n        x = 1\n", "if x:"),
        ("    x = 1 if not is_scipy_available() else 2\n", "x = 1"),
        ("    if x:\n        x = 1\n    elif is_vision_available():\n        x = 2\n", "else:"),
        ("    if not torch.jit.is_tracing() and x:\n        x = 1\n", "if x:"),
        ("    logger.warning_once('no')\n", "logger.warning('no')"),
    ],
)
def test_what_is_known_is_decided(before: str, after: str) -> None:
    body = method(f"def forward(self, x):\n{before}    return self.layer(x)\n")
    forward = piece(lifted(facts(body)).text, "ThingForImageClassification")
    assert after in forward
    assert "_available" not in forward
    assert "is_tracing" not in forward


LOSS = """
    def forward(self, x, labels=None, return_dict=None):
        logits = self.layer(x)

        # the loss
        loss = None
        if labels is not None:
            loss = self.loss_function(labels, logits, self.config)

        if not return_dict:
            output = (logits,)
            return ((loss,) + output) if loss is not None else output
        return ThingOutput(loss=loss, logits=logits)
"""
OUTPUT = """
    from dataclasses import dataclass


    @dataclass
    @auto_docstring
    class ThingOutput(ModelOutput):
        loss: "torch.FloatTensor" = None
        logits: torch.FloatTensor = None


"""


def test_the_loss_is_gone() -> None:
    text = lifted(facts(OUTPUT + method(LOSS))).text
    forward = piece(text, "forward")
    assert "loss" not in forward
    assert "labels" not in forward
    assert "def forward(self, x, return_dict=None):" in forward
    assert "return output" in forward
    assert "return ThingOutput(logits=logits)" in forward
    assert "logits: torch.FloatTensor" in piece(text, "ThingOutput")


def test_labels_that_do_more_are_refused_at_run_time() -> None:
    body = method(
        "def forward(self, x, labels=None):\n    return self.layer(x) if labels is None else labels\n"
    )
    assert "labels" not in piece(lifted(facts(body)).text, "forward")
    kept = method(
        """
        def forward(self, x, labels=None):
            if labels is not None:
                x = x + 1
            return self.layer(x + (0 if labels == 1 else 2))
        """
    )
    forward = piece(lifted(facts(kept)).text, "ThingForImageClassification")
    assert "raise ValueError" in forward
    assert "x = x + 1" not in forward


def test_names_that_mean_two_things_are_told_apart() -> None:
    body = """
    def scale(x):
        return x * 3


    def local(scale):
        return scale


""" + method("def forward(self, x):\n    return self.layer(helper(scale(local(scale=x))))\n")
    helper = """
    def scale(x):
        return x * 5


    def helper(x):
        return scale(x)
"""
    space: dict[str, object] = {}
    text = lifted(facts(body, helper)).text
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    own = [each for each in functions if each.name.startswith(("scale", "helper", "local"))]
    exec("\n".join(ast.unparse(each) for each in own), space)
    assert {each.name for each in own} == {"scale", "scale_2", "helper", "local"}
    forward = piece(text, "ThingForImageClassification")
    call = forward.partition("helper(")[2].partition("(")[0]
    assert space["helper"](1) == 5  # type: ignore[operator]
    assert space[call](1) == 3  # type: ignore[operator]
    assert "local(scale=x)" in forward
    assert space["local"](scale=7) == 7  # type: ignore[operator]


def test_what_is_equal_is_there_once() -> None:
    same = "    def scale(x):\n        return x * 3\n\n\n"
    body = same + method("def forward(self, x):\n    return self.layer(scale(helper(x)))\n")
    helper = same + "    def helper(x):\n        return scale(x)\n"
    assert lifted(facts(body, helper)).text.count("def scale") == 1


def test_what_only_looks_equal_is_there_twice() -> None:
    step = "    def step(x):\n        return scale(x)\n\n\n"
    body = f"    def scale(x):\n        return x * 3\n\n\n{step}" + method(
        "def forward(self, x):\n    return self.layer(step(helper(x)))\n"
    )
    helper = f"    def scale(x):\n        return x\n\n\n{step}    def helper(x):\n        return step(x)\n"
    text = lifted(facts(body, helper)).text
    assert "return scale(x)" in piece(text, "step")
    assert "return scale_2(x)" in piece(text, "step_2")
    assert "step_2(helper(" in text


def test_a_config_is_asked_for_its_name() -> None:
    body = BODY.replace("self.post_init()", "self.wide = isinstance(self.config, ThingConfig)")
    found = lifted(facts(body))
    assert "self.wide = self.config.class_name == 'ThingConfig'" in piece(
        found.text, "ThingForImageClassification"
    )
    assert found.config["class_name"] == "ThingConfig"


@pytest.mark.parametrize(
    ("tweak", "before", "after", "exact"),
    [
        ("grid-dtype", "nn.functional.grid_sample(x, grid)", "grid_sample(x, grid.to(x.dtype))", True),
        ("fold-by-permute", "nn.functional.fold(x, 4, kernel_size=2, stride=2)", "fold_patches(x, 4", True),
        ("averaging-matrices", "nn.AdaptiveAvgPool2d(7)(x)", "AveragingPool2d(7)(x)", False),
        ("pooling-apart", "nn.functional.max_pool2d(x, 2)", " max_pool2d(x, 2)", True),
    ],
)
def test_rewrites_are_made_where_asked_for_and_listed(
    tweak: TweakName, before: str, after: str, exact: bool
) -> None:
    found = facts(method(f"def forward(self, x, grid):\n    return self.layer({before})\n"))
    plain = lifted(found)
    assert before in piece(plain.text, "ThingForImageClassification")
    assert (plain.tweaks, plain.exact) == ((), True)

    changed = lifted(found, ALL)
    assert after.strip() in piece(changed.text, "ThingForImageClassification")
    assert [(each.name, each.places) for each in changed.tweaks] == [(tweak, 1)]
    assert changed.exact == exact


def test_a_norm_of_what_it_is_given_is_written_out() -> None:
    norm = "nn.functional.batch_norm(x, None, None, training={}, momentum=0.0, eps=1e-3)"
    found = lifted(
        facts(method(f"def forward(self, x):\n    return self.layer({norm.format(True)})\n")), ALWAYS
    )
    assert "batch_norm_by_parts(x, None, None" in piece(found.text, "ThingForImageClassification")
    assert "TensorRT has no batch norm in training mode" in piece(found.text, "batch_norm_by_parts")
    assert ([each.name for each in found.tweaks], found.exact) == (["norm-by-parts"], False)
    kept = method(f"def forward(self, x):\n    return self.layer({norm.format('self.training')})\n")
    assert lifted(facts(kept), ALL).tweaks == ()


def test_pooling_to_one_value_stays() -> None:
    body = method("def forward(self, x):\n    return self.layer(nn.AdaptiveAvgPool2d((1, 1))(x))\n")
    assert lifted(facts(body), ALL).tweaks == ()


def test_whose_code_it_is_is_said_once() -> None:
    found = lifted(facts(sources={ROOT: facts().sources[ROOT], OTHER: source(HELPER)}))
    assert found.copyrights == ("Copyright 2021 The Thing Team.",)
    bare = facts(sources={ROOT: facts().sources[ROOT], OTHER: source(HELPER, "# no word\n")})
    assert lifted(bare).copyrights == (
        "Copyright 2021 The Thing Team.",
        "Copyright 2018- Everybody. All rights reserved.",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"helper": "import timm\n\n\ndef helper(x):\n    return timm.x(x)\n"}, "needs the package timm"),
        ({"helper": "def helper(x):\n    return nobody(x)\n"}, "does not say what nobody is"),
        (
            {"helper": "from ...utils.hub import get\n\n\ndef helper(x):\n    return get(x)\n"},
            "modeling_other needs get of utils.hub",
        ),
        (
            {"body": BODY.replace("self.post_init()", "self.tie_weights()")},
            "ThingForImageClassification calls tie_weights",
        ),
    ],
)
def test_what_cannot_be_lifted_says_why(changes: dict[str, str], reason: str) -> None:
    assert reason in reasons(facts(**changes))


@pytest.mark.parametrize("licence", ["# Licensed under the MIT License\n", "# Licence: all mine\n"])
def test_other_licences_are_not_lifted(licence: str) -> None:
    odd = facts(sources={ROOT: facts().sources[ROOT], OTHER: source(HELPER, licence)})
    assert f"{OTHER} is not under the Apache License" in reasons(odd)
    assert "Apache" in reasons(
        facts(sources={ROOT: facts().sources[ROOT], OTHER: source(HELPER, "")}, licence="MIT")
    )


def test_an_export_that_is_near_is_not_near_enough() -> None:
    probe = ModelProbe(transformers="4.57.6", state=(), max_relative_error=2e-7)
    assert exports_well(probe)
    assert not exports_well(msgspec.structs.replace(probe, max_relative_error=1.8e-4))
    assert not exports_well(msgspec.structs.replace(probe, max_relative_error=None))


def test_a_trial_has_to_be_exact_unless_something_rounds_differently() -> None:
    assert verdict(Trial(relative=0.0), exact=True) == ()
    assert verdict(Trial(relative=1e-7), exact=False) == ()
    assert "differs" in verdict(Trial(relative=1e-7), exact=True)[0]
    assert "differs" in verdict(Trial(relative=1e-3), exact=False)[0]
    assert "such as a.weight" in verdict(Trial(missing=("a.weight",)), exact=True)[0]
    assert "does not run: no" in verdict(Trial(error="no", relative=0.0), exact=True)[0]
    assert verdict(Trial(), exact=False) != ()


BACKBONE = "transformers.models.inner.modeling_inner"
INNER = """
    from torch import nn

    from ...modeling_utils import PreTrainedModel
    from ...utils.backbone_utils import BackboneMixin
    from .configuration_inner import InnerConfig


    class InnerBackbone(PreTrainedModel, BackboneMixin):
        def __init__(self, config):
            super().__init__(config)
            super()._init_backbone(config)
            self.num_features = [config.width, config.width]

        def _init_weights(self, module):
            pass

        def forward(self, x):
            return [x for stage in self.stage_names if stage in self.out_features]
"""
HOLDS = """
    from ...utils.backbone_utils import load_backbone
    from ..auto import AutoModel


    class ThingHybrid(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.backbone = load_backbone(config)


    class ThingForImageClassification(ThingPreTrainedModel):
        def __init__(self, config: ThingConfig):
            super().__init__(config)
            self.backbone = None
            if config.is_hybrid is False and config.backbone_config is not None:
                self.backbone = load_backbone(config)
            if config.is_hybrid:
                self.embeddings = ThingHybrid(config)
            else:
                self.embeddings = nn.Linear(config.width, 3)
            self.text = ThingText(config) if config.has_text else None
            self.post_init()

        def forward(self, pixel_values):
            return self.embeddings(pixel_values)
"""


def holding(body: str = HOLDS, **changes: object) -> LiftFacts:
    """Return the facts of a model in which another one may be built."""
    names = ("ThingPreTrainedModel", "ThingText", "ThingHybrid", "ThingForImageClassification")
    made = facts(body, modules=names)
    return msgspec.structs.replace(made, sources={**made.sources, BACKBONE: source(INNER)}, **changes)


def test_a_model_that_is_looked_up_by_its_config_is_built_by_its_class() -> None:
    part = {"class_name": "InnerConfig", "width": 2, "stage_names": ["a", "b"], "out_features": ["b"]}
    found = holding(
        live=("ThingPreTrainedModel", "ThingForImageClassification", "InnerBackbone", "BackboneMixin"),
        parts={"backbone_config": LiftedPart(module=BACKBONE, architecture="InnerBackbone")},
        config={"width": 4, "is_hybrid": False, "backbone_config": part},
    )
    made = lifted(found)
    assert "self.backbone = InnerBackbone(config.backbone_config)" in made.text
    assert "load_backbone" not in made.text
    assert made.text.index("class BackboneMixin") < made.text.index("class InnerBackbone")
    assert BACKBONE in made.origins
    assert made.config["backbone_config"]["out_features"] == ["b"]
    factory = HOLDS.replace("load_backbone(config)", "AutoModel.from_config(config.backbone_config)")
    again = lifted(msgspec.structs.replace(found, sources={**found.sources, **holding(factory).sources}))
    assert "AutoModel" not in again.text
    assert "self.backbone = InnerBackbone(config.backbone_config)" in again.text


def test_what_the_model_has_not_built_is_not_lifted() -> None:
    text = lifted(holding(config={"width": 4, "is_hybrid": False})).text
    for name in ("load_backbone", "ThingHybrid", "is_hybrid", "BackboneMixin", "ThingText", "has_text"):
        assert name not in text
    assert "self.text = None" in text
    assert "self.embeddings = nn.Linear(config.width, 3)" in text


def test_a_backbone_of_another_library_cannot_be_lifted() -> None:
    found = holding(live=("ThingPreTrainedModel", "ThingForImageClassification", "BackboneMixin"))
    assert "load_backbone" in reasons(found)


@pytest.mark.torch_env
def test_a_batch_is_split_into_a_number_of_parts(tao_environment: Environment, tmp_path: Path) -> None:
    code = """
        def forward(self, x):
            batch_size = x.shape[0] // 3
            first = x.split(batch_size, dim=0)
            return first, torch.split_with_sizes(x, [batch_size, 2 * batch_size]), x.split(2, dim=1)
    """
    made = lifted(facts(method(code)), tweaks=ALL)
    text = piece(made.text, "forward") + "\n".join(
        piece(made.text, name) for name in ("split_by_size", "split_in_shares")
    )
    assert "split_by_size(x, batch_size)" in text
    assert "x.split(2, dim=1)" in text
    assert [tweak.exact for tweak in made.tweaks] == [True]
    checks = """
import sys, torch
names = {"torch": torch}
exec(open(sys.argv[1]).read(), names)
x = torch.arange(24.0).reshape(12, 2)
for found, wanted in zip(names["split_by_size"](x, 4), x.split(4), strict=True):
    assert torch.equal(found, wanted)
for rows, sizes in ((12, [2, 4, 6]), (12, [1, 2, 3])):
    wanted = x.split([2, 4, 6])
    for found, each in zip(names["split_in_shares"](x, sizes), wanted, strict=True):
        assert torch.equal(found, each)
print("all held")
"""
    path = tmp_path / "parts.py"
    path.write_text("\n".join(piece(made.text, name) for name in ("split_by_size", "split_in_shares")))
    done = subprocess.run(
        [tao_environment.python, "-c", checks, path], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "all held", done.stderr


def test_no_blank_line_follows_a_docstring_where_a_loss_was() -> None:
    code = """
        def forward(self, pixel_values, labels=None):
            loss = None
            if labels is not None:
                raise NotImplementedError

            return self.layer(pixel_values)
    """
    text = lifted(facts(method(code))).text
    start = text.index("    def forward")
    _, docstring, statement = text[start:].splitlines()[:3]
    assert docstring.strip().endswith('"""')
    assert statement.strip() == "return self.layer(pixel_values)"
