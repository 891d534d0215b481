"""What the user asked for; stored as ``porter.toml`` of the workspace."""

from __future__ import annotations

from porter.records.base import Record, Task
from porter.records.reference import Strategy
from porter.records.sandbox import EngineChoice, LimitSettings


class PortOptions(Record, frozen=True, kw_only=True):
    """The options of one port.

    Attributes:
        source: hub id, hub URL or local folder, as given.
        name: snake_case network name; empty until it is chosen.
        clones: path by repo, for those that were given.
        embedded: use the embedded kit instead of clones.
        base: branch, tag or commit that the port starts from; *bases* has those of single repos.
        bundle: folder of the offline bundle that the port lives on; empty for none.
        strategy: the one that was asked for; None takes the first that fits.
        engine: where model files are opened and gates run.
        images: NVIDIA's image by repository, where one was named.
        settings: ``--set`` overrides of spec defaults, by dotted schema key.
        limits: bounds of runs that were set by hand.
        year: year of the licence headers, kept so that a later render gives the same text.
    """

    source: str
    name: str = ""
    task: Task | None = None
    revision: str | None = None
    clones: dict[str, str] = {}
    embedded: bool = False
    branch: str = ""
    base: str = "main"
    bases: dict[str, str] = {}
    data: str | None = None
    strategy: Strategy | None = None
    settings: dict[str, str] = {}
    bundle: str = ""
    engine: EngineChoice = "auto"
    images: dict[str, str] = {}
    limits: LimitSettings = LimitSettings()
    year: int = 0
