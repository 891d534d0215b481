"""The single-step workflow: a training or a search, then evaluation, then export; it goes on where it was."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

import msgspec

from porter.errors import PorterError
from porter.launch import checkpoints, diagnosis, requests
from porter.launch.drivers.base import Driver
from porter.launch.monitor import Monitor
from porter.launch.requests import NOTHING, Asked
from porter.launch.runs import RunFolder, ended, now
from porter.records.catalog import CatalogEntry
from porter.records.jobs import Job, JobRequest, Run
from porter.records.progress import Diagnosis

Make = Callable[[Job], JobRequest]
"""Makes the request of a job when its turn has come: it may rest on what earlier jobs have left."""

_TAIL = 400
_TRAINING = Job(name="train", action="train")


class Workflow:
    """Starts the jobs of a run, waits for them and notes what becomes of each. Use it under the run's lock.

    Args:
        folder: of the run.
        driver: of its platform.
        found: the network.
        monitor: waits, and says what is going on.
    """

    def __init__(self, folder: RunFolder, driver: Driver, found: CatalogEntry, monitor: Monitor) -> None:
        self.folder = folder
        self.driver = driver
        self.found = found
        self.monitor = monitor

    def go(self) -> Run:
        """Do what is left of the run.

        Raises:
            PorterError: a job failed, or was canceled; what is done stays done.
        """
        run = self.folder.load()
        if run.plan.search.on:
            from porter.launch.trials import Search

            best = Search(self).go()
        else:
            best = self.run(self._to_train(), self._training)
        for action in later(run, self.found):
            self.follow(Job(name=action, action=action), best)
        for job in self.folder.load().jobs:
            # An action that was asked for by itself, and that nobody has followed to its end.
            if job.id and not ended(job):
                self._settled(self._follow(job))
        return self.folder.update(finished=now())

    def start_training(self) -> None:
        """Start the training and leave it; one that runs or has ended well is left as it is."""
        job = self._to_train()
        if not job.id or job.state in ("error", "canceled"):
            self.start(job, self._training)

    def follow(self, job: Job, trained: Job, *, asked: Asked = NOTHING, wait: bool = True) -> Job:
        """Run an action on a trained model.

        Args:
            job: its name and action.
            trained: the job that trained the model.
            asked: what a person asked for beside that.
            wait: False starts the job and leaves it.
        """
        plan = self.folder.load().plan
        checkpoint = checkpoints.trained(self.driver, trained, self.found)

        def make(job: Job) -> JobRequest:
            return requests.after(
                self.found, plan, self.folder.path, job, checkpoint, trained=trained.values, asked=asked
            )

        return self.run(job, make) if wait else self.start(job, make)

    def run(self, job: Job, make: Make) -> Job:
        """Have a job done: attach to it where it runs, start it where it does not, and wait.

        Raises:
            PorterError: it failed, or was canceled.
        """
        return self._settled(self.attempt(job, make))

    def attempt(self, job: Job, make: Make) -> Job:
        """Have a job done, however it ends; one that has ended well is left as it is."""
        job = self._noted(job)
        if job.state == "complete":
            return job
        if not job.id or ended(job):
            job = self.start(job, make)
        return self._follow(job)

    def start(self, job: Job, make: Make) -> Job:
        """Start a job that is not running; return it with its id.

        Raises:
            PorterError: the platform did not take it.
        """
        before = job = self._noted(job)
        request = make(job)
        if job.id:
            job = msgspec.structs.replace(job, attempt=job.attempt + 1, earlier=(*job.earlier, job.id))
        job = msgspec.structs.replace(
            job, state="starting", id="", results="", started=now(), ended="", reason=""
        )
        self.folder.put(job)
        try:
            started = self.driver.start(request)
        # Who interrupts porter here may leave a job behind: what is starting is looked for when it goes on.
        except Exception:
            self.folder.put(before)
            raise
        job = msgspec.structs.replace(job, state="pending", id=started.id, results=started.results)
        self.folder.put(job)
        return job

    def reattach(self) -> None:
        """Note the job that a killed porter had started and not noted, and forget one that it had not."""
        run = self.folder.load()
        unsure = [job for job in run.jobs if job.state == "starting"]
        if not unsure:
            return
        noted = {known for job in run.jobs for known in (job.id, *job.earlier)}
        found = [known for known in self.driver.known().values() if known.id not in noted]
        for job in unsure:
            if len(unsure) == 1 and found:
                # The SDK's list is of this run alone: the last of it is of no record.
                known = found[-1]
                self.folder.put(
                    msgspec.structs.replace(job, state="pending", id=known.id, results=known.results)
                )
            else:
                self.folder.put(msgspec.structs.replace(job, state="planned", started=""))

    def _follow(self, job: Job) -> Job:
        """Wait for a job that was started; return it as it ended."""
        state = self.monitor.wait(self.driver, self.folder.load(), job, self.found)
        return self._end(msgspec.structs.replace(job, state=state))

    def _settled(self, job: Job) -> Job:
        """Return a job that has ended well.

        Raises:
            PorterError: it failed, or was canceled.
        """
        if job.state == "complete":
            return job
        run = self.folder.load()
        own = job.name in (_TRAINING.name, *later(run, self.found))
        again = f"porter resume {run.name} starts it anew" if own else "repeat the command that asked for it"
        raise PorterError(
            f"{job.name} of {run.name} {'failed' if job.state == 'error' else 'was canceled'}.",
            why=job.reason,
            next_step=f"{again}; porter logs {run.name} --job {job.name} shows what it printed",
        )

    def _noted(self, job: Job) -> Job:
        return next((known for known in self.folder.load().jobs if known.name == job.name), job)

    def _end(self, job: Job) -> Job:
        reason = ""
        if job.state == "error":
            reason = _why(diagnosis.diagnose(self.driver.logs(job.id, _TAIL), self.found.errors))
        job = msgspec.structs.replace(job, ended=now(), reason=reason)
        self.folder.put(job)
        return job

    def _training(self, job: Job) -> JobRequest:
        plan = self.folder.load().plan
        return requests.train(self.found, plan, self.folder.path, resume=job.start)

    def _to_train(self) -> Job:
        """Return the training; one that ended early goes on from the last checkpoint of all its attempts."""
        job = self._noted(_TRAINING)
        if job.state not in ("error", "canceled"):
            return job
        left = checkpoints.choose(self.driver.files(job.results), self.found)
        if left:
            # It is noted before the attempt that left it is forgotten.
            job = msgspec.structs.replace(job, start=posixpath.join(job.results, left))
            self.folder.put(job)
        return job


def later(run: Run, found: CatalogEntry) -> tuple[str, ...]:
    """Return the actions that follow the training of a run by themselves."""
    wanted = (("evaluate", "eval" in run.plan.data), ("export", run.export))
    return tuple(action for action, asked in wanted if asked and action in found.actions)


def _why(seen: Diagnosis) -> str:
    """Return a diagnosis in one line."""
    if seen.cause:
        return f"{seen.cause}: {seen.fix}"
    return " | ".join(seen.lines) or "it has printed nothing"
