"""The clones that a port needs and nobody gave: cloned into porter's cache, after asking."""

from __future__ import annotations

from collections.abc import Sequence

from porter.errors import WorkspaceError
from porter.records.reference import Repo
from porter.session import PortSession

_WANTED: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")


def missing(session: PortSession) -> tuple[Repo, ...]:
    """Return what a port needs or wants a clone of, and is neither given nor in the cache."""
    from porter import clones

    options = session.options
    if options.embedded or options.bundle:
        return ()
    return tuple(repo for repo in _WANTED if repo not in options.clones and not clones.is_at_hand(repo))


def obtain(session: PortSession, repos: Sequence[Repo]) -> None:
    """Clone *repos*. Without tao-deploy the port goes on; the gates of its package are blocked.

    Raises:
        WorkspaceError: there is no tao-pytorch, and none can be had.
    """
    from porter import cloning

    said = cloning.why_not()
    if not said and not session.ui.confirm(
        f"Clone {' and '.join(repos)} from {cloning.origin()} into {cloning.place(repos[0]).parent}?",
        option=f"--{repos[0]} PATH",
    ):
        said = "you did not want it to be cloned"
    for repo in repos:
        try:
            if said:
                raise WorkspaceError(
                    f"there is no clone of {repo}", why=said, next_step=cloning.ways_out(repo)
                )
            with session.ui.working(f"cloning {repo}"):
                cloning.ensure(repo, session.ui.progress)
        except WorkspaceError as error:
            if repo == "tao-pytorch":
                raise
            session.ui.warn(f"{error.what}: {error.why}\nThe port goes on without it; its gates are blocked.")
