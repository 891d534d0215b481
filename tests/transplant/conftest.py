from __future__ import annotations

import pytest

from porter.records.sandbox import Environment
from tests.transplant.bench import Case, run
from tests.transplant.families import EXPORTED, TESTED


@pytest.fixture(scope="package")
def cases(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Small models of many families, lifted and tried."""
    return run(tao_environment, tmp_path_factory.mktemp("families"), TESTED, EXPORTED)
