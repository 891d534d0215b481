"""The tasks that porter ports: what each decides, beside the data in ``references/networks``."""

from __future__ import annotations

from porter.families.base import Family
from porter.families.classification import Classification
from porter.families.depth import Depth
from porter.families.segmentation import Segmentation
from porter.records.base import Task

FAMILIES: dict[Task, Family] = {family.task: family for family in (Classification(), Segmentation(), Depth())}

__all__ = ["FAMILIES", "Family"]
