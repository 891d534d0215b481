"""The linear layers that make a model's logits, whatever the model makes of what they give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from porter.records.sandbox import Environment
from tests.models import python

pytestmark = pytest.mark.torch_env

LOOK = """
import json, sys
import torch, transformers
from porter.weights.kernel.heads import body, find_head
from porter.weights.kernel.models import Observed

COUNT = 5
torch.manual_seed(1)
images = torch.randn(2, 3, 64, 64)
found = {}


class Body(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Linear(3, 8)
        sizes = ((8, 8), (8, COUNT), (COUNT, 8))
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*size) for size in sizes)

    def forward(self, x):
        x = self.stem(x.mean(dim=(2, 3)))
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.top = Body(), torch.nn.Linear(8, COUNT)

    def forward(self, x):
        return self.top(self.net(x))


class Whole(torch.nn.Module):
    '''Everything lies in one module.'''

    def __init__(self):
        super().__init__()
        self.model = Plain()

    def forward(self, x):
        return self.model(x)


class Scaled(Plain):
    def forward(self, x):
        return 3 * self.top(self.net(x))


class Beside(Plain):
    '''What the images are reaches the logits by another way too.'''

    def forward(self, x):
        return self.top(self.net(x)) + x.mean(dim=(1, 2, 3))[:, None]


class Shared(Plain):
    def __init__(self):
        super().__init__()
        self.net.layers[1].weight = self.top.weight


class Fixed(Plain):
    def forward(self, x):
        return self.top(self.net(x)) * torch.ones(COUNT)


def look(name, model, run):
    model.eval()
    facts = find_head(model, run, images, COUNT)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    facts["body"] = body(model, facts["tensors"])
    facts["hooks"] = any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    facts["same"] = all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    found[name] = facts


class Tokens(torch.nn.Module):
    '''The second head is given every token.'''

    def __init__(self):
        super().__init__()
        self.top, self.aside = torch.nn.Linear(3, COUNT), torch.nn.Linear(3, COUNT)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        return self.top(tokens.mean(dim=1)) + self.aside(tokens).amax(dim=1)


def observe():
    outputs = Observed(Tokens().eval(), ("top", "aside"))(images)
    return {name: list(tensor.shape) for name, tensor in outputs.items()}


for kind in (Plain, Whole, Scaled, Beside, Shared, Fixed):
    model = kind()
    look(kind.__name__, model, model)
for name, (architecture, config) in json.load(open(sys.argv[1])).items():
    kind = getattr(transformers, architecture)
    model = kind(kind.config_class(**config, num_labels=COUNT))
    look(name, model, lambda x, model=model: model(pixel_values=x).logits)
json.dump({"heads": found, "observed": observe()}, open(sys.argv[2], "w"))
"""
_VIT = {
    "hidden_size": 16,
    "image_size": 64,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "patch_size": 32,
}
_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "vocab_size": 16,
}
_LEVIT = {
    "depths": [1, 1, 1],
    "hidden_sizes": [16, 24, 32],
    "image_size": 64,
    "key_dim": [8, 8, 8],
    "num_attention_heads": [2, 2, 2],
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTForImageClassification", _VIT),
    "deit": ("DeiTForImageClassificationWithTeacher", _VIT),
    "levit": ("LevitForImageClassificationWithTeacher", _LEVIT),
    "swiftformer": (
        "SwiftFormerForImageClassification",
        {"depths": [1, 1, 1, 1], "embed_dims": [8, 8, 16, 16]},
    ),
    "clip": ("CLIPForImageClassification", {"vision_config": _VIT, "text_config": _TEXT}),
    "siglip": ("SiglipForImageClassification", {"vision_config": _VIT, "text_config": _TEXT}),
}


@pytest.fixture(scope="module")
def looked(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    work = tmp_path_factory.mktemp("heads")
    (work / "families.json").write_text(json.dumps(FAMILIES))
    paths = (work / "families.json", work / "found.json")
    python(tao_environment, LOOK, *map(str, paths), cwd=work)
    found: dict[str, Any] = json.loads(Path(paths[1]).read_text())
    return found


@pytest.fixture(scope="module")
def heads(looked: dict[str, Any]) -> dict[str, Any]:
    """What is found of hand-made models and of families whose heads differ."""
    found: dict[str, Any] = looked["heads"]
    return found


def test_heads_may_be_given_tensors_of_different_ranks(looked: dict[str, Any]) -> None:
    assert looked["observed"] == {"logits": [2, 5], "features": [2, 3 + 64 * 64 * 3]}


@pytest.mark.parametrize(
    ("name", "layers", "width"),
    [
        ("Plain", ["top"], 8),
        ("Whole", ["model.top"], 8),
        ("vit", ["classifier"], 16),
        ("clip", ["classifier"], 16),
        ("siglip", ["classifier"], 16),
    ],
)
def test_one_layer_makes_the_logits(heads: dict[str, Any], name: str, layers: list[str], width: int) -> None:
    facts = heads[name]
    assert [facts["linear"], *facts["others"]] == layers
    assert (facts["in_features"], facts["separable"], facts["combined"]) == (width, True, False)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("deit", ["cls_classifier", "distillation_classifier"]),
        ("levit", ["classifier.linear", "classifier_distill.linear"]),
        ("swiftformer", ["head", "dist_head"]),
        ("Scaled", ["top"]),
    ],
)
def test_the_model_makes_something_of_its_layers(heads: dict[str, Any], name: str, layers: list[str]) -> None:
    facts = heads[name]
    assert [facts["linear"], *facts["others"]] == layers
    assert (facts["separable"], facts["combined"], facts["reason"]) == (True, True, "")


def test_the_norm_before_a_layer_belongs_to_the_head(heads: dict[str, Any]) -> None:
    assert "classifier_distill.batch_norm.weight" in heads["levit"]["tensors"]
    assert heads["levit"]["prefix"] == "classifier + classifier_distill"
    assert heads["levit"]["body"] == ["levit"]


def test_a_body_is_found_where_it_lies_beside_its_head(heads: dict[str, Any]) -> None:
    assert heads["Plain"]["body"] == ["net"]
    assert heads["Whole"]["body"] == ["model.net"]
    assert heads["vit"]["body"] == ["vit"]
    assert heads["clip"]["body"] == ["vision_model"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Beside", "the logits do not come from net.layers.1 and top alone"),
        ("Shared", "it shares its weights with net.layers.1.weight"),
        ("Fixed", "with one class more the model fails: RuntimeError"),
    ],
)
def test_a_head_that_cannot_be_replaced_says_why(heads: dict[str, Any], name: str, reason: str) -> None:
    assert not heads[name]["separable"]
    assert heads[name]["reason"] == reason


def test_the_model_is_left_as_it_was(heads: dict[str, Any]) -> None:
    assert [name for name, facts in heads.items() if facts["hooks"] or not facts["same"]] == []
