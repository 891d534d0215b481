"""The search on modules that are made to mislead it: what runs first is not what belongs together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from porter.records.sandbox import Environment
from tests.models import python

pytestmark = pytest.mark.torch_env

_SCRIPT = """
import json, sys, torch
from torch import nn
from porter.weights.kernel.account import account
from porter.weights.kernel.align import Search
from porter.weights.kernel.confirm import Watched, influences, owed
from porter.weights.kernel.flow import Flow
from porter.weights.kernel.inert import judge
from porter.weights.kernel.liven import liven

torch.set_num_threads(1)


class Branches(nn.Module):
    # Two branches of one shape; the target runs them the other way round.
    def __init__(self, one, other, first):
        super().__init__()
        self.add_module(one, nn.Linear(6, 6))
        self.add_module(other, nn.Linear(6, 6))
        self.names, self.first = (one, other), first
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        made = {}
        for place in (0, 1) if self.first == 0 else (1, 0):
            made[place] = getattr(self, self.names[place])(x)
        return self.out(torch.relu(made[0]) * torch.sigmoid(made[1]))


class Shifted(nn.Module):
    # What is added to all scores of a softmax changes nothing; the sum of two such is one value.
    def __init__(self, names, apart):
        super().__init__()
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.randn(1)))
        self.names, self.apart = names, apart
        self.scores, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        one, other = (getattr(self, name) for name in self.names)
        scores = self.scores(x)
        scores = (scores + one) * 2 + other if self.apart else scores + (one + other)
        return self.out(scores.softmax(-1))


class Deep(nn.Module):
    def __init__(self, depth, before):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(6) for _ in range(depth))
        self.out, self.before = nn.Linear(6, 3), before

    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms):
            x = x + torch.tanh(layer(norm(x)) if self.before else norm(layer(x)))
        return self.out(x)


class Fused(nn.Module):
    # Turned, joined, reshaped: (in, out) weights, key and value in one, a 1x1 convolution.
    def __init__(self):
        super().__init__()
        self.q = nn.Parameter(torch.randn(6, 6))
        self.kv, self.out = nn.Linear(6, 12, bias=False), nn.Conv2d(6, 3, 1)

    def forward(self, x):
        q, (k, v) = torch.matmul(x, self.q), self.kv(x).chunk(2, -1)
        x = (q[:, :, None] * k[:, None]).softmax(-1) @ v[:, :, None]
        return self.out(x[..., None])[..., 0, 0]


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.value, self.key, self.query = (nn.Linear(6, 6, bias=False) for _ in range(3))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        v, k, q = self.value(x), self.key(x), self.query(x)
        return self.head(((q[:, :, None] * k[:, None]).softmax(-1) @ v[:, :, None])[..., 0])


def find(source, target):
    torch.manual_seed(1)
    x = torch.randn(5, 6)
    liven(source.eval(), x, 0)
    source.double(), target.eval().double()
    x = x.double()
    seen = Flow(source)
    answer = seen.follow(x)
    state = source.state_dict()
    found = Search(seen.uses, state, answer, target, x).run()
    made = account(
        found.placements, seen.uses, state, target.state_dict(), seen.read, owed(Watched(source, ""), x, 0)
    )
    steps = [each["operation"] for each in made.operations]
    judged, guessed = [], []
    if found.complete:
        owing = influences(steps, Watched(target, ""), x, seed=0, seconds=60.0, threshold=1e-5)
        judged, guessed = judge(owing, found.placements, seen.uses, 1e-5)
    return {
        "complete": found.complete, "reason": found.reason, "trials": found.trials,
        "steps": {s["target"]["name"]: [s["op"], *(p["name"] for p in s["sources"])] for s in steps},
        "problems": made.problems, "guessed": guessed,
        "inert": {each["source"]: each["held"] for each in judged if each["inert"]},
        "apart": float((source(x) - target(x)).norm()),
    }


torch.manual_seed(0)
json.dump({
    "swapped": find(Branches("gate", "up", 0), Branches("alpha", "beta", 1)),
    "same": find(Branches("gate", "up", 0), Branches("alpha", "beta", 0)),
    "sum": find(Shifted(("p", "q"), False), Shifted(("u", "v"), False)),
    "apart": find(Shifted(("p", "q"), True), Shifted(("u", "v"), True)),
    "deeper": find(Deep(2, True), Deep(3, True)),
    "shallower": find(Deep(3, True), Deep(2, True)),
    "order of norms": find(Deep(2, True), Deep(2, False)),
    "layouts": find(Plain(), Fused()),
    "back": find(Fused(), Plain()),
}, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def found(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    work = tmp_path_factory.mktemp("align")
    answer = work / "answer.json"
    python(tao_environment, _SCRIPT, str(answer), cwd=work)
    loaded: dict[str, Any] = json.loads(Path(answer).read_text(encoding="utf-8"))
    return loaded


def test_branches_of_one_shape_are_told_apart_by_their_values(found: dict[str, Any]) -> None:
    for case in ("swapped", "same"):
        assert found[case]["complete"], found[case]["reason"]
        assert found[case]["steps"]["alpha.weight"] == ["copy", "gate.weight"]
        assert found[case]["steps"]["beta.bias"] == ["copy", "up.bias"]
        assert found[case]["apart"] < 1e-12
        assert not found[case]["guessed"]
    # What runs first in the target does not belong to what runs first in the source.
    assert found["swapped"]["trials"] > found["same"]["trials"]


def test_inert_tensors_that_can_be_exchanged_unseen_are_a_guess(found: dict[str, Any]) -> None:
    assert found["sum"]["complete"]
    assert set(found["sum"]["inert"]) == {"p", "q"}
    assert sorted(found["sum"]["guessed"]) == ["p", "q"]


def test_an_inert_tensor_is_no_guess_where_the_values_behind_it_are_the_sources(
    found: dict[str, Any],
) -> None:
    assert set(found["apart"]["inert"]) == {"p", "q"}
    assert all("makes the values" in held for held in found["apart"]["inert"].values())
    assert found["apart"]["guessed"] == []
    assert found["apart"]["steps"]["u"] == ["copy", "p"]


def test_another_depth_is_refused(found: dict[str, Any]) -> None:
    assert not found["deeper"]["complete"]
    assert "layers.2" in found["deeper"]["reason"] or "norms.2" in found["deeper"]["reason"]
    assert not found["shallower"]["complete"]
    assert any("layers.2.weight" in problem for problem in found["shallower"]["problems"])


def test_another_order_of_norms_is_refused_at_the_first_of_them(found: dict[str, Any]) -> None:
    assert not found["order of norms"]["complete"]
    assert "layers.0" in found["order of norms"]["reason"]


def test_layouts_are_found_both_ways(found: dict[str, Any]) -> None:
    forth, back = found["layouts"], found["back"]
    assert forth["complete"], forth["reason"]
    assert forth["steps"] == {
        "q": ["permute", "query.weight"],
        "kv.weight": ["concat", "key.weight", "value.weight"],
        "out.weight": ["reshape", "head.weight"],
        "out.bias": ["copy", "head.bias"],
    }
    assert back["complete"], back["reason"]
    assert back["steps"]["query.weight"] == ["permute", "q"]
    assert back["steps"]["value.weight"] == ["slice", "kv.weight"]
    assert max(forth["apart"], back["apart"]) < 1e-12
