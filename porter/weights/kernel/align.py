"""Finds how the tensors of one model fill those of another, by running both on the same input.

The source runs once, watched. The target then runs with the search inside it: whenever it is about to use
tensors that nothing fills yet, what it is about to compute on is looked up among what the source computed
on, the tensors of that use are put in, and what comes out is compared. A wrong choice shows at the latest
where the next values that the target computes on are none of the source's; the search goes back to the
last choice that had another way.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from porter.weights.kernel.fills import Fill, Taken
from porter.weights.kernel.flow import Call, Flow, Slot, Use, renew
from porter.weights.kernel.prints import TOLERANCE, Print, apart, print_of, same
from porter.weights.kernel.propose import Proposal, Proposer

_NUMBER = re.compile(r"\d+")

_UNCONFIRMED = 3
"""Placements in a row that may stand on their order alone, where nothing else is left."""


_EQUAL = 6
"""Other ways of one choice that are tried on the whole model; three parts have six orders."""


@dataclasses.dataclass(frozen=True)
class Placement:
    """Fills that the search settled on, with what spoke for them.

    Attributes:
        module: path of the target's module that uses them first.
        proposal: see :class:`Proposal`.
        error: how far what came out is from what the source makes there; None where the source makes no
            such value.
        confirmed: path of the target's module at which values showed that all is well up to there.
        others: ways of equal standing that were open here.
        epsilon: what the target's norm must be given instead of its own; None where it is right.
        exchanged: source tensors that another way puts elsewhere without any change of the output.
    """

    module: str
    proposal: Proposal
    error: float | None
    confirmed: str
    others: int
    epsilon: float | None = None
    exchanged: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Alignment:
    """The result of a search.

    Attributes:
        placements: in the order in which the target uses what they fill.
        complete: every tensor that the target reads is filled, and its output is the source's.
        reason: why not; empty where it is complete.
        trials: runs of the target.
        rejected: what was tried and shown to be wrong, one line each.
    """

    placements: tuple[Placement, ...]
    complete: bool
    reason: str
    trials: int
    rejected: tuple[str, ...]
    seconds: float

    @property
    def fills(self) -> tuple[Fill, ...]:
        """All fills."""
        return tuple(fill for placement in self.placements for fill in placement.proposal.fills)


class _StuckError(Exception):
    """The search can place nothing here that fits."""


@dataclasses.dataclass
class _Point:
    """One choice on the way: what was taken, what was tried here before, what else looked as good here."""

    placement: Placement
    tried: set[tuple[Fill, ...]]
    equal: list[Proposal]


class Search:
    """The search for one pair of models.

    Args:
        source: what the source's run showed.
        state: the source's tensors.
        answer: the source's output.
        target: the module to fill; its state is overwritten.
        images: the input of both.
        trials: runs of the target that may be made.
        seconds: time that may be spent.
    """

    def __init__(
        self,
        source: Sequence[Use],
        state: Mapping[str, torch.Tensor],
        answer: torch.Tensor,
        target: torch.nn.Module,
        images: torch.Tensor,
        *,
        trials: int = 200,
        seconds: float = 300.0,
    ) -> None:
        self.proposer = Proposer(source)
        self.state = state
        self.target = target
        self.own = dict(target.state_dict(keep_vars=True))
        self.points: list[_Point] = []
        self.redo = -1
        self.lenient = False
        self.rejected: dict[str, None] = {}
        self._epsilons: dict[str, float] = {}
        self._answer, self._images = answer, images
        self._trials, self._seconds = trials, seconds

    def run(self) -> Alignment:
        """Search until the output is the source's, nothing is left to try, or a bound is reached.

        The reason of a failure is the deepest point that values alone led to.
        """
        started, trials = time.monotonic(), 0
        best: tuple[_Point, ...] = ()
        reason = ""
        while True:
            trials += 1
            try:
                self._pass()
                self._exchange()
                best, reason = tuple(self.points), ""
                break
            except _StuckError as stuck:
                text = str(stuck)
                self.rejected[text] = None
                if not reason or (not self.lenient and len(self.points) > len(best)):
                    best, reason = tuple(self.points), text
            if trials >= self._trials or time.monotonic() - started > self._seconds:
                reason += f"; given up after {trials} runs"
                break
            if not self._go_back():
                if self.lenient:
                    break
                self.lenient, self.redo = True, -1
                self.points.clear()
        return Alignment(
            tuple(point.placement for point in best),
            not reason,
            reason,
            trials,
            tuple(self.rejected),
            time.monotonic() - started,
        )

    def _pass(self) -> None:
        filling = _Filling(self)
        output = first_tensor(filling.follow(self._images))
        shown, wanted = print_of(output), print_of(self._answer)
        alike = output.shape == self._answer.shape and same(shown, wanted)
        distance = (output - self._answer).norm() / self._answer.norm() if alike else torch.tensor(1.0)
        if not alike or distance > 1e-3:
            raise _StuckError(f"the output differs (relative {float(distance):.1e})")
        self.confirm("the output")

    def _exchange(self) -> None:
        """Note what could as well be placed otherwise: the output stays the same."""
        for point in self.points:
            kept = point.placement.proposal
            moved: dict[str, None] = {}
            for other in point.equal[:_EQUAL]:
                self.put(other)
                renew(self.target)
                with torch.no_grad():
                    output = first_tensor(self.target(self._images))
                if float((output - self._answer).norm() / self._answer.norm()) <= TOLERANCE:
                    differing = set(other.fills) ^ set(kept.fills)
                    moved.update(dict.fromkeys(name for fill in differing for name in fill.sources))
            if point.equal:
                self.put(kept)
            point.placement = dataclasses.replace(point.placement, exchanged=tuple(moved))

    def put(self, proposal: Proposal) -> None:
        """Fill the target's tensors as *proposal* says."""
        with torch.no_grad():
            for fill in proposal.fills:
                own = self.own[fill.target]
                own.copy_(fill.make(self.state, tuple(own.shape)))

    def _go_back(self) -> bool:
        while self.points and not self.points[-1].placement.others:
            self.points.pop()
        if not self.points:
            return False
        last = self.points[-1]
        last.tried.add(last.placement.proposal.fills)
        self.redo = len(self.points) - 1
        return True

    def own_epsilon(self, path: str, seen: float | None) -> float | None:
        """Return the epsilon that the norm at *path* was built with; None where it has none to set."""
        module = self.target.get_submodule(path)
        if seen is None or not isinstance(getattr(module, "eps", None), float):
            return None
        return self._epsilons.setdefault(path, seen)

    def confirm(self, where: str) -> None:
        """Note that the values at *where* showed all placements so far to be right."""
        for point in self.points:
            if not point.placement.confirmed:
                point.placement = dataclasses.replace(point.placement, confirmed=where)


class _Filling(Flow):
    """One run of the target, which fills it on the way."""

    def __init__(self, search: Search) -> None:
        super().__init__(search.target)
        self._search = search
        self._count = 0
        self._placed: set[str] = set()
        self._taken = Taken()

    def used(self, call: Call, slots: tuple[Slot, ...], flows: list[torch.Tensor]) -> Any:
        """Fill what the operation reads first, then carry it out."""
        free = [slot for slot in slots if slot.name not in self._placed]
        if not free:
            return call.run()
        search, place = self._search, self._count
        self._count += 1
        if place < len(search.points) and place != search.redo:
            placement = search.points[place].placement
        else:
            placement = self._settle(call, free, flows, place)
        self._put(call, placement.proposal)
        self._placed.update(slot.name for slot in free)
        for fill in placement.proposal.fills:
            self._taken.take(fill)
        return call.run()

    def _settle(
        self, call: Call, free: Sequence[Slot], flows: Sequence[torch.Tensor], place: int
    ) -> Placement:
        """Choose at the end of the way so far, or choose anew at the last choice."""
        search = self._search
        tried = search.points[place].tried if place == search.redo else set()
        search.redo = -1
        del search.points[place:]
        inputs = tuple(print_of(tensor) for tensor in flows)
        found, why, equal = self._choose(call, free, inputs, tried)
        if found is None:
            names = ", ".join(slot.name for slot in free)
            raise _StuckError(f"nothing fits {names}: {why}")
        if found.proposal.way != "order":
            search.confirm(self.where())
        search.points.append(_Point(found, tried, equal))
        return found

    def _choose(
        self, call: Call, free: Sequence[Slot], inputs: Sequence[Print], tried: set[tuple[Fill, ...]]
    ) -> tuple[Placement | None, str, list[Proposal]]:
        proposer, where = self._search.proposer, self.where() or "the model"
        why = f"what {where} computes on is none of the source's values"
        tiers: list[Callable[[], list[Proposal]]] = [
            lambda: proposer.by_value(call.family, free, inputs, self._taken),
            lambda: proposer.by_output(free, self._taken),
        ]
        if self._search.lenient and self._unconfirmed() < _UNCONFIRMED:
            tiers.append(lambda: proposer.by_order(call.family, free, self._taken))
        learned = self._learned(free)
        for tier in tiers:
            proposals = tier()
            proposals.sort(key=lambda each: (each.way, each.rank) != learned)
            left = [each for each in proposals if each.fills not in tried]
            nearest = 1.0
            for number, proposal in enumerate(left):
                error = self._rehearse(call, proposal)
                if error is None or error <= TOLERANCE:
                    own = self._search.own_epsilon(self.where(), call.epsilon)
                    other = proposal.epsilon if proposal.epsilon not in {None, own} else None
                    rest = left[number + 1 :]
                    made = Placement(self.where(), proposal, error, "", len(rest), other)
                    return made, "", [each for each in rest if (self._rehearse(call, each) or 0) <= TOLERANCE]
                if proposal.way in {"input", "joined"} and error < nearest:
                    nearest = error
                    theirs = " and ".join(proposer.module(use) for use in proposal.uses)
                    why = (
                        f"{where} computes on the same values as {theirs} of the source, but makes "
                        f"something else of them (apart {error:.1e})"
                    )
            if len(left) < len(proposals):
                # Something here was right by its values and wrong later on; weaker evidence is no better.
                return None, "no other way is left", []
        return None, why, []

    def _rehearse(self, call: Call, proposal: Proposal) -> float | None:
        self._put(call, proposal)
        if proposal.expected is None:
            return None
        try:
            made = call.run(apart=True)
        except RuntimeError:
            return 1.0
        return apart(print_of(first_tensor(made)), proposal.expected)

    def _put(self, call: Call, proposal: Proposal) -> None:
        self._search.put(proposal)
        own = self._search.own_epsilon(self.where(), call.epsilon)
        if own is not None:
            epsilon = own if proposal.epsilon is None else proposal.epsilon
            call.set_epsilon(epsilon)
            self._search.target.get_submodule(self.where()).eps = epsilon

    def _unconfirmed(self) -> int:
        return sum(not point.placement.confirmed for point in self._search.points)

    def _learned(self, free: Sequence[Slot]) -> tuple[str, tuple[int, ...]] | None:
        role = _role(free[0].name)
        for point in reversed(self._search.points):
            proposal = point.placement.proposal
            if _role(proposal.fills[0].target) == role:
                return proposal.way, proposal.rank
        return None


def first_tensor(made: Any) -> torch.Tensor:
    """Return the first tensor of what a model or an operation answers; ``logits`` where it has them."""
    if isinstance(made, torch.Tensor):
        return made
    logits = getattr(made, "logits", None)
    if isinstance(logits, torch.Tensor):
        return logits
    found: torch.Tensor = first_tensor(made[0])
    return found


def _role(name: str) -> str:
    return _NUMBER.sub("{}", name)
