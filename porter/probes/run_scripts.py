"""Probe: run the generated scripts, one after the other, in one process.

Request: ``name``, ``config_root``, ``spec`` (path), ``steps``: list of ``mode``, ``results_dir`` and
``overrides`` (dotlist). The run stops at the first step that fails.
Answer: ``steps``: per step ``mode``, ``ok``, ``error``, ``seconds``, ``status`` (last line of status.json),
``kpi``, ``files`` (relative path to size below the step's results folder), ``core`` (the file of the
nvidia_tao_core that was imported, and its version).
"""

from __future__ import annotations

import importlib
import json
import math
import sys
import time
import traceback
from pathlib import Path
from typing import Any


def run_step(request: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    """Run one script's main with a fresh config."""
    from omegaconf import OmegaConf

    schema = importlib.import_module(f"{request['config_root']}.{request['name']}.default_config")
    script = importlib.import_module(f"nvidia_tao_pytorch.cv.{request['name']}.scripts.{step['mode']}")
    overrides = [f"results_dir={step['results_dir']}", *step["overrides"]]
    cfg = OmegaConf.merge(
        OmegaConf.structured(schema.ExperimentConfig),
        OmegaConf.load(request["spec"]),
        OmegaConf.from_dotlist(overrides),
    )
    start = time.monotonic()
    error = ""
    try:
        script.main(cfg)
    except BaseException:
        error = traceback.format_exc()
        print(error, file=sys.stderr)
    folder = Path(step["results_dir"]) / step["mode"]
    return {
        "mode": step["mode"],
        "ok": not error,
        "error": error,
        "seconds": round(time.monotonic() - start, 2),
        **read_status(folder / "status.json"),
        "files": {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "lightning_logs" not in path.parts
        },
        "logs": sorted({p.parent.name for p in folder.rglob("events.out.tfevents.*")}),
    }


def read_status(path: Path) -> dict[str, Any]:
    """Return the last message and the merged KPIs of a status file of JSON lines."""
    if not path.is_file():
        return {"status": "", "message": "", "kpi": {}}
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    kpi: dict[str, Any] = {}
    for line in lines:
        # JSON has no NaN: what is no number leaves as text.
        kpi.update({key: _finite(value) for key, value in (line.get("kpi") or {}).items()})
    return {"status": lines[-1]["status"], "message": lines[-1]["message"], "kpi": kpi}


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def imported_core() -> dict[str, str]:
    """Return which nvidia_tao_core this process would use."""
    from importlib import metadata, util

    spec = util.find_spec("nvidia_tao_core")
    if spec is None:
        return {}
    return {"file": str(spec.origin), "version": metadata.version("nvidia-tao-core")}


def main() -> None:
    """Answer the request."""
    request = json.loads(Path(sys.argv[1]).read_text())
    steps = []
    for step in request["steps"]:
        steps.append(run_step(request, step))
        if not steps[-1]["ok"]:
            break
    Path(sys.argv[2]).write_text(json.dumps({"steps": steps, "core": imported_core()}))


if __name__ == "__main__":
    main()
