"""A schedule that is run: under fire, then in peace, then before the judge."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from chaos import schedules
from chaos.cases import Case, Violation
from chaos.mischief import Mischief
from chaos.outcomes import Outcome
from chaos.promises import Norm, Promises
from chaos.schedules import Schedule
from chaos.workers import StepFailed
from chaos.worlds import World
from rotators.testing import Rotation

# Errors by which a rotation ends that nobody needs to repeat: its version is discarded, and the next one makes another.
_LET_GO = frozenset({"PendingUnusable", "VersionUnknown", "VersionNotPending"})
# The one that asks for something to be done by hand.
_EDITED_MEANWHILE = "EditedMeanwhile"
_MOST_ATTEMPTS = 20


class Trials:
    """The schedules of one server and strategy.

    Args:
        world: the server.
        strategy: the strategy.
    """

    def __init__(self, world: World, strategy: str) -> None:
        self.world = world
        self.strategy = strategy
        self._norms: dict[bool, Norm] = {}

    def draw(self, seed: int) -> Schedule:
        """The schedule of a seed."""
        return schedules.draw(self.world.kind, self.strategy, seed, self.world.abilities)

    def run(self, schedule: Schedule) -> Outcome:
        """Run one."""
        norm = self.norm(two_hosts=schedule.two_hosts)
        with contextlib.ExitStack() as stack:
            promote = None
            if any(fault.kind == schedules.PROMOTED for fault in schedule.faults):
                promote = stack.enter_context(self.world.standby())
            trial = _Trial(Case(self.world, self.strategy, schedule, promote))
            stack.callback(trial.end)
            try:
                trial.run(norm)
            except Violation as violation:
                trial.case.outcome.violation = str(violation)
        return trial.case.outcome

    def norm(self, *, two_hosts: bool) -> Norm:
        """What holds where nothing goes wrong: found out once."""
        if two_hosts not in self._norms:
            quiet = Schedule(0, 0, 0, 0, (), (), watched=False, fresh=False, two_hosts=two_hosts)
            trial = _Trial(Case(self.world, self.strategy, quiet))
            with contextlib.ExitStack() as stack:
                stack.callback(trial.end)
                self._norms[two_hosts] = trial.find_norm()
        return self._norms[two_hosts]


class _Trial:
    def __init__(self, case: Case) -> None:
        self.case = case
        self._instants = case.world.instants
        self._promises = Promises(case)
        self._mischief = Mischief(case)

    def run(self, norm: Norm) -> None:
        """Run it.

        Raises:
            Violation: a promise does not hold.
        """
        case = self.case
        for _ in range(case.schedule.earlier):
            self._undisturbed()
        self._begin()
        for look in case.schedule.looks:
            self._instants.plan(
                1 + int(look * norm.crossings),
                lambda: self._promises.look("in the middle of a step"),
                case.world.look_delay,
            )
        self._mischief.plan(norm.crossings)
        self._under_fire()
        self._heal()
        self._recover()
        self._undisturbed()
        self._promises.require_kept()
        self._promises.judge(norm)

    def find_norm(self) -> Norm:
        """Rotate without faults, and see what that takes and leaves."""
        case = self.case
        self._undisturbed()
        self._undisturbed()
        self._begin()
        self._undisturbed()
        crossings = self._instants.count
        self._heal()
        case.subject.target.work(case.subject.value)
        catalogue, application = case.world.catalogue, case.subject.application
        return Norm(crossings, catalogue.rights(application), catalogue.new(case.things_before, application))

    def end(self) -> None:
        """Leave nothing behind that goes on."""
        with contextlib.suppress(Violation):
            self._heal()
        self.case.world.catalogue.remove(self.case.subject.application)
        self.case.service.calls.clear()
        self.case.service.events.clear()

    def _begin(self) -> None:
        case = self.case
        self._instants.begin()
        case.world.listen()
        case.function.begin(fresh=case.schedule.fresh)
        if case.schedule.watched:
            case.service.after_step.append(lambda _, step: self._promises.look(f"after {step}"))

    def _undisturbed(self) -> None:
        """A rotation without a fault passes at once."""
        self.case.rotate()
        rotation = self.case.rotation
        if rotation is not None and rotation.error is not None:
            raise Violation(f"stuck: a rotation without a fault failed in {rotation.failed_step}: {rotation.error}")
        self.case.outcome.rotations += 1

    def _under_fire(self) -> None:
        case = self.case
        for _ in range(case.schedule.rotations):
            self._attempt(case.rotate)
            for _ in range(case.schedule.attempts - 1):
                if case.rotation is not None and not case.rotation.succeeded and not case.rotation.abandoned:
                    self._attempt(case.retry)
            if case.rotation is None or not case.rotation.succeeded:
                return
            case.outcome.rotations += 1

    def _attempt(self, run: Callable[[], object]) -> None:
        self._mischief.over.clear()
        run()
        self._end_attempt()
        self._promises.look("after an attempt")

    def _end_attempt(self) -> None:
        """What was begun beside an attempt ends with it, and counts from then on."""
        self._mischief.end_attempt()
        if self.case.beside is not None:
            self.case.rotation, self.case.beside = self.case.beside, None

    def _heal(self) -> None:
        """From now on all is well."""
        case, service = self.case, self.case.service
        self._mischief.over.set()
        self._instants.end()
        self._end_attempt()
        case.function.calm()
        service.faults.clear()
        service.after_step.clear()
        lag, service.consistency_lag = service.consistency_lag, 0
        for _ in range(lag + 1):
            service.client.describe_secret(SecretId=case.arn)
        case.world.settle()
        if self._instants.errors:
            raise self._instants.errors.pop()

    def _recover(self) -> None:
        """The service repeats what it repeats; where it gives a rotation up, the next one follows."""
        case = self.case
        for _ in range(_MOST_ATTEMPTS):
            rotation = case.rotation
            if rotation is None or rotation.succeeded:
                case.redo_edits()
                return
            if rotation.abandoned:
                case.outcome.given_up += 1
                case.next_window()
            elif _error(rotation) in _LET_GO and rotation.token not in case.service.labels(case.arn):
                case.outcome.given_up += 1
                case.rotate()
            else:
                case.retry()
            self._promises.look("after a repetition")
            self._explain(case.rotation)
        raise Violation(f"stuck: {_MOST_ATTEMPTS} attempts without a fault did not end it")

    def _explain(self, rotation: Rotation | None) -> None:
        """After an attempt without a fault: it has worked, or its error says what to do, and that is done."""
        if rotation is None or rotation.succeeded:
            self.case.outcome.rotations += 1
            return
        name = _error(rotation)
        if name not in {_EDITED_MEANWHILE, *_LET_GO}:
            raise Violation(f"stuck: an attempt without a fault failed in {rotation.failed_step}: {rotation.error}")
        self.case.outcome.named[name] += 1
        if name == _EDITED_MEANWHILE:
            self.case.undo_edits()


def _error(rotation: Rotation) -> str:
    error = rotation.error
    return error.name if isinstance(error, StepFailed) else type(error).__name__
