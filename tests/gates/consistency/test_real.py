"""The checklist on the real clones."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.reference.choose import read_candidates
from porter.reference.release import read_release
from tests.gates.consistency.port import Port
from tests.real_clones import real_clone

pytestmark = [pytest.mark.torch_env, pytest.mark.deploy_env, pytest.mark.real_tao]


def test_every_item_holds_on_the_real_clones(
    rehearsal: None, cache_of_the_module: Path, tmp_path: Path
) -> None:
    trained, deployed = real_clone("tao-pytorch"), real_clone("tao-deploy")
    release = read_release("tao-pytorch", trained)
    reference = read_candidates(trained, release, "image-classification")[0]
    port = Port(tmp_path / "port", reference, trained, deployed)
    port.export()
    port.write_results()
    gates = port.gates()
    assert {name: gate.summary for name, gate in gates.items() if gate.state != "passed"} == {}
    inherited = gates["consistency-schemas"].evidence["inherited"]
    # Whatever the clones' own configs have differently is named, and nothing but that.
    own = gates["consistency-schemas"].evidence["generated"]
    assert not {key for keys in inherited.values() for key in keys} & set(own)
