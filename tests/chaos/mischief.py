"""What each kind of fault does when its instant comes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from botocore.exceptions import ClientError
from targets import SINGLE

from chaos import schedules
from chaos.cases import Case
from chaos.schedules import Fault
from rotators.testing import INTERNAL, THROTTLED

# A stalled network is back a little later than a statement is given up.
_STALL = 0.7
_READS, _WRITES = ("GetSecretValue", "DescribeSecret"), ("PutSecretValue", "UpdateSecretVersionStage")
# A server takes its time to come back: nothing that awaits a crossing may wait for it.
_BY_ITSELF = 0.0001


class Mischief:
    """The faults of a schedule.

    Args:
        case: the secret that they are for.

    Attributes:
        over: set when an attempt is: a stalled network is whole again then.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.over = threading.Event()
        self._counting = threading.Lock()
        self._operators: list[threading.Thread] = []
        self._does: dict[str, Callable[[Fault], None]] = {
            schedules.KILLED: self._kill,
            schedules.RESTARTED: self._restart,
            schedules.PROMOTED: self._fail_over,
            schedules.CUT: self._cut,
            schedules.STALLED: self._stall,
            schedules.SLOWED: self._slow,
            schedules.THROTTLED: self._break_calls,
            schedules.REFUSED: self._break_calls,
            schedules.LOST: self._break_calls,
            schedules.UNSENT: self._break_calls,
            schedules.LAGGING: self._lag,
            schedules.EDITED: self._edit,
            schedules.NO_TIME: self._take_time,
            schedules.STEP_TWICE: self._invoke_also,
            schedules.STEPS_AT_ONCE: self._invoke_also,
            schedules.TWO_ROTATIONS: self._rotate_beside,
        }

    def plan(self, crossings: int) -> None:
        """Plan all faults.

        Args:
            crossings: of a rotation in which nothing goes wrong.
        """
        world = self.case.world
        for fault in self.case.schedule.faults:
            delay = max(_delay(fault), world.look_delay if fault.kind == schedules.EDITED else 0.0)
            world.instants.plan(1 + int(fault.at * crossings), lambda fault=fault: self._does[fault.kind](fault), delay)

    def end_attempt(self) -> None:
        """An attempt is over: what was begun beside it ends, too."""
        self.over.set()
        while self._operators:
            self._operators.pop().join()

    def _count(self, fault: Fault) -> None:
        with self._counting:
            self.case.outcome.injected[fault.kind] += 1

    def _kill(self, fault: Fault) -> None:
        if self.case.function.kill(everyone=fault.how["all"]):
            self._count(fault)

    def _restart(self, fault: Fault) -> None:
        self.case.world.restart()
        self._count(fault)

    def _fail_over(self, fault: Fault) -> None:
        if self.case.promote is not None:
            self.case.promote()
            self._count(fault)

    def _cut(self, fault: Fault) -> None:
        if self.case.world.proxy is not None:
            self.case.world.proxy.cut()
            self._count(fault)

    def _stall(self, fault: Fault) -> None:
        proxy = self.case.world.proxy
        if proxy is not None:
            proxy.blackhole()
            self.over.wait(_STALL)
            proxy.reset()
            # What fell silent has lost packets.
            proxy.cut()
            self._count(fault)

    def _slow(self, fault: Fault) -> None:
        if self.case.world.proxy is not None:
            self.case.world.proxy.delay(fault.how["seconds"])
            self._count(fault)

    def _break_calls(self, fault: Fault) -> None:
        operations = _WRITES if fault.how["writes"] or fault.kind == schedules.LOST else _READS
        operation = operations[fault.how["which"]]
        kind = {schedules.THROTTLED: THROTTLED, schedules.REFUSED: INTERNAL}.get(fault.kind, "network")
        when = {schedules.LOST: "after", schedules.REFUSED: fault.how["when"]}.get(fault.kind, "before")
        for nth in range(1, fault.how["times"] + 1):
            self.case.service.faults.fail(operation, nth=nth, when=when, kind=kind)
        self._count(fault)

    def _lag(self, fault: Fault) -> None:
        self.case.service.consistency_lag = fault.how["reads"]
        self._count(fault)

    def _edit(self, fault: Fault) -> None:
        self.case.edit(fault.how["edit"])
        self._count(fault)

    def _take_time(self, fault: Fault) -> None:
        self.case.function.limit(fault.how["step"], fault.how["seconds"], lambda: self._count(fault))

    def _invoke_also(self, fault: Fault) -> None:
        how = fault.how
        self.case.function.invoke_also(
            how["step"], how["other"], lambda: self._count(fault), later=how["later"], awaited=how["awaited"]
        )

    def _rotate_beside(self, fault: Fault) -> None:
        """Somebody calls RotateSecret while a rotation is at work, after having cancelled it where that loses nothing.

        With one password a pending version may hold the one that is in force: there it is called only.
        """
        case = self.case

        def rotate() -> None:
            if case.strategy != SINGLE:
                case.service.client.cancel_rotate_secret(SecretId=case.arn)
                case.take_label()
                case.cancels = True
            try:
                case.service.client.rotate_secret(SecretId=case.arn)
            except ClientError:
                # One is under way.
                return
            case.begun_beside += 1
            self._count(fault)
            # An attempt of the service's may have done it by then.
            with contextlib.suppress(LookupError):
                case.beside = case.service.retry(case.arn)

        operator = threading.Thread(target=rotate, daemon=True)
        self._operators.append(operator)
        operator.start()


def _delay(fault: Fault) -> float:
    """Seconds after the crossing; what takes its time has a thread of its own, unless it is to hold the crossing up."""
    if fault.kind == schedules.STALLED or (
        fault.kind in {schedules.RESTARTED, schedules.PROMOTED} and not fault.how["held up"]
    ):
        return max(fault.delay, _BY_ITSELF)
    return 0.0 if fault.kind in {schedules.RESTARTED, schedules.PROMOTED} else fault.delay
