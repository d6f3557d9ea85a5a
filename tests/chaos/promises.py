"""What is promised: at every instant, and when all has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass

from targets import SINGLE

from chaos.cases import Case, Violation

_SESSIONS_GONE_WITHIN = 10.0
# Two functions at once may move a label between two of the tries.
_TRIES = 3


@dataclass(frozen=True)
class Norm:
    """What holds of a server and strategy where nothing goes wrong.

    Args:
        crossings: of one rotation.
        rights: what both users may do.
        things: the users, objects and so on that there are more.
    """

    crossings: int
    rights: dict[str, list[str]]
    things: set[str]


class Promises:
    """What is promised for a secret.

    Args:
        case: the secret.

    Attributes:
        broken: the promise that did not hold at an instant. It is raised later: where it is seen, a function would take
            it for its own error.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.broken: str | None = None

    def look(self, when: str) -> None:
        """Whether an application could log in at this instant.

        With two users or two passwords by AWSCURRENT. With one password by one of the labels: a process that is killed
        between the promotion and the commit leaves AWSPREVIOUS in force. An edit then takes its label off that version,
        which the next attempt finds.
        """
        single = self.case.strategy == SINGLE
        stages = ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS") if single else ("AWSCURRENT",)
        with self.case.world.moving:
            for _ in range(_TRIES):
                if self.broken is not None or any(self.case.logs_in(stage) for stage in stages):
                    return
                if single and self.case.logs_in_without_a_label():
                    return
            self.broken = f"locked out {when}: none of {', '.join(stages)} logs in"

    def require_kept(self) -> None:
        """Raise what was seen.

        Raises:
            Violation: a promise did not hold.
        """
        if self.broken is not None:
            raise Violation(self.broken)

    def judge(self, norm: Norm) -> None:
        """Whether all is as it would be if nothing had happened.

        Raises:
            Violation: it is not.
        """
        case = self.case
        labels = sorted(label for found in case.service.labels(case.arn).values() for label in found)
        if labels != ["AWSCURRENT", "AWSPREVIOUS"]:
            raise Violation(f"the labels at the end are {labels}")
        lost = [key for key, edit in case.edits.items() if case.subject.value.get(key) != edit]
        if lost:
            raise Violation(f"an edit is lost: {', '.join(lost)}")
        for stage in ("AWSCURRENT",) if case.strategy == SINGLE else ("AWSCURRENT", "AWSPREVIOUS"):
            if not case.logs_in(stage):
                raise Violation(f"locked out: {stage} does not log in at the end")
        try:
            case.subject.target.work(case.subject.value)
        except Exception as error:  # noqa: BLE001  # whatever it is, the user can't work
            raise Violation(f"AWSCURRENT logs in and can't work: {type(error).__name__}: {error}") from None
        self._judge_catalogue(norm)

    def _judge_catalogue(self, norm: Norm) -> None:
        catalogue, application = self.case.world.catalogue, self.case.subject.application
        rights = catalogue.rights(application)
        for who, expected in norm.rights.items():
            lost, added = set(expected) - set(rights[who]), set(rights[who]) - set(expected)
            if lost or added:
                raise Violation(f"the {who}'s rights: lost {sorted(lost)}, added {sorted(added)}")
        new = catalogue.new(self.case.things_before, application)
        # What an engine makes once for all users, the first schedule has made.
        missing = {one for one in norm.things - new if "APP" in one}
        if new - norm.things or missing:
            raise Violation(f"left behind: {sorted(new - norm.things)}, missing: {sorted(missing)}")
        deadline = time.monotonic() + _SESSIONS_GONE_WITHIN
        while count := catalogue.sessions():
            if time.monotonic() > deadline:
                raise Violation(f"{count} sessions are still there")
            time.sleep(0.01)
