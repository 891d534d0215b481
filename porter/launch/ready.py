"""What has to hold right before something is created on a platform."""

from __future__ import annotations

import os

from porter.errors import PorterError, UsageError
from porter.launch import bucket, code, daemon, ngc, platforms, requests
from porter.launch.routing import KEYS, NGC
from porter.records.catalog import CatalogEntry
from porter.records.training import Credential, TrainPlan
from porter.ui import Ui


def require(plan: TrainPlan, found: CatalogEntry, ui: Ui, *, named: bool = False) -> None:
    """See that a plan can be launched now; creates nothing.

    Args:
        plan: of the training.
        found: the network.
        ui: shows the image and asks whether it is the right one; with ``--yes`` it does not ask.
        named: whether the person named the image: it is shown, and not asked about.

    Raises:
        UsageError: secrets are missing, all of which are told; or the image was turned down, or there is
            nobody to ask.
        PorterError: the platform cannot be used now, or the image cannot be had.
        DataError: something that the job reads cannot be brought to it.
    """
    if plan.platform not in requests.HERE:
        requests.refuse_local(plan.staged)
    code.call(found, plan.action, plan)
    _require_secrets(plan)
    _require_platform(plan, ui)
    if not plan.image:
        return
    ui.info(f"image     {plan.image}")
    if plan.platform == "docker":
        with ui.working(f"looking for the image {plan.image}"):
            if not daemon.find_image(plan.image):
                ui.warn(f"Podman could not ask for {plan.image} without a login: the job's start pulls it.")
    if not named and not ui.confirm(f"Run {plan.image} on {plan.platform}?", option="--image REF"):
        raise UsageError(
            "The image was turned down, and nothing was started.", next_step="--image REF takes another one"
        )


def _require_secrets(plan: TrainPlan) -> None:
    missing = [one for one in plan.credentials if one.required and not _is_there(one, plan)]
    if not missing:
        return
    names = ", ".join(one.name for one in missing)
    raise UsageError(
        f"{plan.platform} needs what the environment does not have: {names}.",
        why="; ".join(
            f"{' or '.join((one.name, *one.others))} for {one.purpose}: {one.where}" for one in missing
        ),
        next_step=f"set {names}, and repeat the command",
    )


def _is_there(one: Credential, plan: TrainPlan) -> bool:
    """Return whether a secret is there now, or something that does as well."""
    if any(os.environ.get(name) for name in (one.name, *one.others)):
        return True
    here = plan.platform in ("docker", "virtualenv")
    if one.name in KEYS:
        # What porter stages it reads with boto3, which may have keys of its own.
        return here and bucket.has_keys()
    if one.name == NGC and plan.platform == "docker":
        # An image may be here already, or the engine logged in: that is asked of the engine.
        return not any(ngc.is_name(staged.source) for staged in plan.staged)
    return False


def _require_platform(plan: TrainPlan, ui: Ui) -> None:
    present = {name for name, value in os.environ.items() if value}
    found = platforms.state(plan.platform, present)
    wrong = [check for check in found.checks if check.required and not check.ok]
    if wrong:
        raise PorterError(
            f"The platform {plan.platform} cannot be used now.",
            why="; ".join(f"{check.name}: {check.found}" for check in wrong),
            next_step="; ".join(check.next_step for check in wrong if check.next_step),
        )
    for check in found.checks:
        if check.name == "gpus" and not check.ok and plan.gpus:
            ui.warn(f"{plan.gpus} GPUs are asked for, and the engine: {check.found}. Next: {check.next_step}")
