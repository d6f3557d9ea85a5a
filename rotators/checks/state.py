"""The state of an interrupted rotation: which password is valid, and what Secrets Manager will do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rotators.checks.finding import Finding, Outcome
from rotators.due import overdue

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
ACCEPTED, REFUSED = "accepted", "refused"


class State(StrEnum):
    """How far a rotation got."""

    IDLE = "idle"
    """No rotation is half-done, and AWSCURRENT logs in."""
    EMPTY = "empty"
    """AWSPENDING has no value: it stopped in createSecret, and nothing has changed."""
    STORED = "stored"
    """AWSPENDING has a value that the database does not have yet."""
    READY = "ready"
    """AWSPENDING logs in, and AWSCURRENT as well: only the label is missing."""
    APPLIED = "applied"
    """AWSPENDING logs in, and AWSCURRENT does not: the label has to follow."""
    BEHIND = "behind"
    """AWSPREVIOUS logs in, and AWSCURRENT does not: the label has to go back."""
    LOST = "lost"
    """No version of the secret logs in."""
    UNSURE = "unsure"
    """It could not be found out which version logs in."""


MEANING = {
    State.IDLE: "no rotation is half-done, and AWSCURRENT logs in",
    State.EMPTY: "a rotation stopped in createSecret: AWSPENDING has no value, and the database was not changed",
    State.STORED: "a rotation stopped before setSecret was done: the database does not have the value of AWSPENDING",
    State.READY: "a rotation stopped before finishSecret: AWSPENDING and AWSCURRENT both log in",
    State.APPLIED: "a rotation stopped between password and label: AWSPENDING logs in, and AWSCURRENT does not",
    State.BEHIND: "the label is ahead of the password: AWSPREVIOUS logs in, and AWSCURRENT does not",
    State.LOST: "no labelled version of the secret logs in: somebody else changed the password or edited the secret",
    State.UNSURE: "it could not be found out which version logs in",
}
_FINISH = frozenset({State.EMPTY, State.STORED, State.READY, State.APPLIED})
_ABANDON = frozenset({State.EMPTY, State.STORED, State.READY, State.BEHIND})


@dataclass(frozen=True)
class RotationState:
    """What is known about a secret's rotation.

    Args:
        state: how far it got.
        current: the version with AWSCURRENT; empty if there is none.
        pending: the version with AWSPENDING, if it is another one.
        previous: the version with AWSPREVIOUS.
        logins: for each label whose password was tried, whether it is accepted.
        enabled: whether rotation is enabled.
        last: when the secret last rotated.
        next: the end of the window in which it will rotate.
    """

    state: State
    current: str
    pending: str | None
    previous: str | None
    logins: Mapping[str, str]
    enabled: bool
    last: datetime | None
    next: datetime | None

    @property
    def valid(self) -> str:
        """The label whose password the database accepts; empty if that is not known."""
        return next((label for label in (CURRENT, PENDING, PREVIOUS) if self.logins.get(label) == ACCEPTED), "")

    @property
    def can_finish(self) -> bool:
        """Whether the rotation can be finished."""
        return self.state in _FINISH and self.enabled

    @property
    def can_abandon(self) -> bool:
        """Whether the rotation can be abandoned so that AWSCURRENT still logs in."""
        return self.state in _ABANDON

    def explain(self, now: datetime) -> Iterator[str]:
        """Explain the state in sentences.

        Args:
            now: the current time.
        """
        yield f"{MEANING[self.state]}."
        valid = [label for label in (CURRENT, PENDING, PREVIOUS) if self.logins.get(label) == ACCEPTED]
        refused = [label for label in (CURRENT, PENDING, PREVIOUS) if self.logins.get(label) == REFUSED]
        if valid:
            yield f"Accepted by the database: {', '.join(valid)}."
        if refused:
            yield f"Refused by the database: {', '.join(refused)}."
        yield from (
            f"{label}: version {version}."
            for label, version in ((CURRENT, self.current), (PENDING, self.pending), (PREVIOUS, self.previous))
            if version
        )
        yield self._service(now)

    def _service(self, now: datetime) -> str:
        if not self.enabled:
            return "Rotation is switched off: Secrets Manager does nothing by itself."
        due = "on demand only" if self.next is None else f"by {self.next.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        if self.pending is None:
            return f"Secrets Manager rotates it next {due}."
        late = overdue(self.next, now) is not None
        given_up = " It should have been done by then: it was probably given up." if late else ""
        return (
            "Secrets Manager tries a failed rotation again several times, with the same version, and refuses "
            f"RotateSecret until it is done or AWSPENDING is removed; the next one is due {due}.{given_up}"
        )

    def to_json(self) -> dict[str, Any]:
        """The state as a JSON object."""
        return {
            "state": self.state.value,
            "meaning": MEANING[self.state],
            "valid": self.valid,
            "logins": dict(self.logins),
            "versions": {CURRENT: self.current, PENDING: self.pending, PREVIOUS: self.previous},
            "enabled": self.enabled,
            "last": None if self.last is None else self.last.isoformat(),
            "next": None if self.next is None else self.next.isoformat(),
        }


def read(described: Mapping[str, Any], found: Sequence[Finding]) -> RotationState:
    """The state, from DescribeSecret and a function's check.

    Args:
        described: DescribeSecret's answer.
        found: the findings of the inside check.
    """
    holders = {
        label: version for version, labels in described.get("VersionIdsToStages", {}).items() for label in labels
    }
    pending = holders.get(PENDING)
    if pending == holders.get(CURRENT):
        pending = None
    logins = {
        one.subject.removeprefix("login "): one.state
        for one in found
        if one.subject.startswith("login AWS") and one.state in {ACCEPTED, REFUSED}
    }
    untried = any(one.state == "untried" for one in found)
    empty = any(one.subject == PENDING and one.state == "empty" for one in found)
    return RotationState(
        _state(logins, pending, empty=empty, unusable=_unusable(found), untried=untried),
        holders.get(CURRENT, ""),
        pending,
        holders.get(PREVIOUS),
        logins,
        bool(described.get("RotationEnabled")),
        described.get("LastRotatedDate"),
        described.get("NextRotationDate"),
    )


def _unusable(found: Sequence[Finding]) -> bool:
    """Whether AWSPENDING has a value that no database can use."""
    return any(
        one.subject == f"secret {PENDING}" and one.outcome is Outcome.FAILURE and one.state == "unusable"
        for one in found
    )


def _state(logins: Mapping[str, str], pending: str | None, *, empty: bool, unusable: bool, untried: bool) -> State:
    current, next_one, former = (logins.get(label) for label in (CURRENT, PENDING, PREVIOUS))
    if current == ACCEPTED:
        if pending is None:
            return State.IDLE
        if empty:
            return State.EMPTY
        # A version that was not tried may be valid. AWSCURRENT is valid, and that is what matters.
        return State.READY if next_one == ACCEPTED else State.STORED
    if current == REFUSED and ACCEPTED in {next_one if pending else None, former}:
        return State.APPLIED if pending and next_one == ACCEPTED else State.BEHIND
    known = current == REFUSED and not untried and (pending is None or empty or unusable or next_one == REFUSED)
    return State.LOST if known else State.UNSURE
