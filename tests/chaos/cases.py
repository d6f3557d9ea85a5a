"""The secret of a schedule: its application, its function, its rotation, and what was done to it by hand."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError
from recovery import go_through
from situations import TwoHosts
from targets import Rotated, rotated

from chaos.functions import Function
from chaos.outcomes import Outcome
from chaos.schedules import STALLED, Schedule
from chaos.workers import Worker
from chaos.worlds import World
from rotators.testing import Rotation

# Of a connection and a statement. Where the network is stalled, it is soon over.
_TIMEOUT, _STALLED_TIMEOUT = 20.0, 0.5
# Of reads that must see what was written.
_PATIENCE, _UNDER_FIRE = 3.0, (0.1, 0.6)


class Violation(Exception):
    """A promise that does not hold. The text names it, and no secret value."""


class Case:
    """A secret under a schedule.

    Args:
        world: the server.
        strategy: the strategy.
        schedule: what will happen.
        promote: makes the standby the primary, where there is one.

    Attributes:
        rotation: the one under way, or the last.
        beside: one that somebody has begun while that ran.
        begun_beside: how often somebody has.
        edits: what somebody has put into the secret.
        cancels: somebody has begun a rotation while another one ran.
    """

    def __init__(
        self, world: World, strategy: str, schedule: Schedule, promote: Callable[[], None] | None = None
    ) -> None:
        self.world = world
        self.service = world.service
        self.strategy = strategy
        self.schedule = schedule
        self.promote = promote
        self.outcome = Outcome()
        self.function = Function(self._worker)
        self.edits: dict[str, Any] = {}
        self.cancels = False
        self.rotation: Rotation | None = None
        self.beside: Rotation | None = None
        self.begun_beside = 0
        self.things_before = world.catalogue.things()
        self.two_hosts = TwoHosts() if schedule.two_hosts else None
        self.subject = self._make()
        self.arn = self.subject.arn
        self._originals = self.subject.value

    def _make(self) -> Rotated:
        world = self.world
        if self.two_hosts is not None:
            subject = self.two_hosts.begin(world.target, self.service, self.strategy)
        else:
            subject = rotated(world.target, self.service, self.strategy)
        if world.proxy is not None:
            go_through(world.proxy, subject)
        self.service.configure(subject.arn, self.function)
        return subject

    def _worker(self, *, calm: bool) -> Worker:
        stalls = not calm and any(fault.kind == STALLED for fault in self.schedule.faults)
        timeout = _STALLED_TIMEOUT if stalls else _TIMEOUT
        patience = _PATIENCE if calm else _UNDER_FIRE[self.schedule.seed % 2]
        return self.world.worker(self.subject.rotator, {"ROTATION_CONNECT_TIMEOUT": str(timeout)}, patience)

    def rotate(self) -> None:
        """Call RotateSecret, and make the first attempt.

        Raises:
            Violation: it is refused, and nobody has cancelled a rotation or been quicker.
        """
        begun_beside = self.begun_beside
        try:
            self.rotation = self.service.rotate(self.arn)
        except ClientError as error:
            if self.begun_beside > begun_beside:
                # Somebody else's is under way.
                return
            if not self.cancels:
                raise Violation(f"stuck: RotateSecret was refused: {error}") from None
            # Who cancels a rotation while it runs has to look whether it has left its label.
            self.take_label()
            self.rotation = self.service.rotate(self.arn)
        except LookupError:
            # Somebody has cancelled it at once.
            if not self.cancels:
                raise

    def retry(self) -> None:
        """Make the next attempt."""
        # Somebody may have ended the one under way.
        with contextlib.suppress(LookupError):
            self.rotation = self.service.retry(self.arn)
            self.outcome.repeated += 1

    def next_window(self) -> None:
        """The service has given a rotation up: the schedule begins the next one, with a version of its own."""
        self.service.configure(self.arn, self.function, days=1)
        self.service.clock.advance(days=2)
        self.rotation = next(one for one in self.service.run() if one.secret_arn == self.arn)
        self.service.configure(self.arn, self.function)

    def take_label(self) -> None:
        """Take AWSPENDING off, as AWS's page tells who wants to begin anew."""
        for version, labels in self.service.labels(self.arn).items():
            if "AWSPENDING" in labels and "AWSCURRENT" not in labels:
                with self.unrecorded():
                    self.service.client.update_secret_version_stage(
                        SecretId=self.arn, VersionStage="AWSPENDING", RemoveFromVersionId=version
                    )

    def edit(self, keys: Mapping[str, Any]) -> None:
        """Edit the secret by hand: what it has now is kept."""
        with self.unrecorded():
            self.edits |= keys
            self._put({**self.subject.value, **keys})

    def undo_edits(self) -> None:
        """Put back what there was, but for the credential."""
        kept = {key: value for key, value in self.subject.value.items() if key not in self.edits}
        self._put(kept | {key: self._originals[key] for key in self.edits if key in self._originals})

    def redo_edits(self) -> None:
        """Make the edits that were undone."""
        value = self.subject.value
        if any(value.get(key) != edit for key, edit in self.edits.items()):
            self._put(value | self.edits)

    def _put(self, value: Mapping[str, Any]) -> None:
        with self.unrecorded():
            self.service.client.put_secret_value(SecretId=self.arn, SecretString=json.dumps(value))

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        """What a person does meets no fault, and no other call comes between its parts."""
        with self.service._gateway.lock, self.service.faults.paused():
            yield

    def logs_in(self, stage: str) -> bool:
        """Whether a label's value logs in, to each of the user's accounts."""
        return self.subject.logs_in(stage) and (self.two_hosts is None or self.two_hosts.logs_in(self.subject, stage))

    def logs_in_without_a_label(self) -> bool:
        """Whether a version without a label logs in, where the function looks at these: servers count no refusals."""
        if self.subject.rotator._engine.blocks_users:
            return False
        for version in list(self.service._secret(self.arn).versions.values()):
            if not version["version_stages"] and "secret_string" in version:
                try:
                    self.subject.target.log_in(json.loads(version["secret_string"]))
                except self.subject.target.refusals:
                    continue
                return True
        return False
