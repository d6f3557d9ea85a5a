"""What may be so, or happen, while rotations break: accounts on two hosts, a history, a second admin, an edit.

Each situation makes a secret's application its own way, and says what else must hold after a fault.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any, ClassVar

from recovery import recovers, survives
from targets import ALTERNATING, DUAL, SINGLE, Rotated, rotated

from rotators.errors import EditedMeanwhile, PendingUnusable, UserPairMismatch
from rotators.testing import ATTEMPTS, Rotation, RotationService

# The labels that an application or the next attempt begins with.
FOUND = ("AWSCURRENT", "AWSPENDING")
OTHER_HOST = "127.0.0.2"


class Situation:
    """One of them, and by itself none: an application as any other.

    Attributes:
        name: as a test's id shows it.
        suited: the strategies, by the kind of server.
    """

    name = "plain"
    suited: ClassVar[dict[str, frozenset[str]]] = {}

    def suits(self, kind: str, strategy: str) -> bool:
        """Whether there is such a thing on a kind of server, with a strategy."""
        return strategy in self.suited.get(kind, frozenset())

    def begin(self, target: Any, service: RotationService, strategy: str) -> Rotated:
        """A secret of such an application."""
        return rotated(target, service, strategy)

    def before(self, subject: Rotated) -> None:
        """What happens before each rotation that is broken."""

    def survives(self, subject: Rotated, where: str, *, stages: tuple[str, ...] = FOUND) -> None:
        """Some password that an application can find logs in."""
        survives(subject, stages, where)

    def recovers(self, subject: Rotated, rotation: Rotation, where: str) -> None:
        """The service's repetitions finish the rotation."""
        recovers(subject, rotation, where)


class TwoHosts(Situation):
    """A user with an account on any host, and one with the same password and rights on a second one.

    A user alone reaches one of them: the admin changes both.
    """

    name = "two hosts"
    suited = dict.fromkeys(("mysql", "mariadb"), frozenset({SINGLE, ALTERNATING, DUAL}))

    def begin(self, target: Any, service: RotationService, strategy: str) -> Rotated:
        application = target.make_application()
        target.add_host(application, OTHER_HOST)
        options = {"application": application}
        if strategy == SINGLE:
            options["masterarn"] = service.create_secret(
                f"admin-{application.username}", target.admin_secret(), target.rotator(service)
            )
            options["ALLOW_ADMIN_RESET"] = "true"
        return rotated(target, service, strategy, **options)

    def logs_in(self, subject: Rotated, stage: str) -> bool:
        """Whether the password of a label works on the second host."""
        try:
            subject.target.log_in(subject.service.value(subject.arn, stage), OTHER_HOST)
        except (KeyError, *subject.target.refusals):
            return False
        return True

    def survives(self, subject: Rotated, where: str, *, stages: tuple[str, ...] = FOUND) -> None:
        super().survives(subject, where, stages=stages)
        # With two passwords or two users the one in use works everywhere, and at every moment.
        wanted = stages if subject.strategy == SINGLE else ("AWSCURRENT",)
        assert any(self.logs_in(subject, stage) for stage in wanted), f"locked out on the other host after {where}"

    def recovers(self, subject: Rotated, rotation: Rotation, where: str) -> None:
        super().recovers(subject, rotation, where)
        assert self.logs_in(subject, "AWSCURRENT"), f"the other host has another password after {where}"


class History(Situation):
    """A user who may take no password twice: MySQL's history, an Oracle profile's limit of reuse."""

    name = "a password history"
    suited = dict.fromkeys(("mysql", "oracle"), frozenset({SINGLE, ALTERNATING, DUAL}))

    def begin(self, target: Any, service: RotationService, strategy: str) -> Rotated:
        application = target.make_application()
        target.keep_history(application)
        return rotated(target, service, strategy, application=application)


class SecondAdmin(Situation):
    """A pair that one admin has made, and that another rotates in turn with it."""

    name = "a second admin"
    suited: ClassVar[dict[str, frozenset[str]]] = {
        "postgresql": frozenset({ALTERNATING}),
        **dict.fromkeys(("mysql", "mariadb", "oracle"), frozenset({ALTERNATING, DUAL})),
    }

    def begin(self, target: Any, service: RotationService, strategy: str) -> Rotated:
        subject = rotated(target, service, strategy)
        for _ in range(2):
            assert service.rotate(subject.arn).succeeded
        self._admins = itertools.cycle((target.second_admin(subject.application), target.admin_secret()))
        self._change(subject)
        rotation = service.rotate(subject.arn)
        # Where one admin's grant is no proof for another, the error has the statement that makes it one.
        if isinstance(rotation.error, UserPairMismatch):
            remedy = re.search("run once, as an admin: (.*?); name the secret", str(rotation.error))
            assert remedy is not None, rotation.error
            target.as_superuser(remedy[1])
            service.retry(subject.arn)
        assert rotation.error is None
        return subject

    def before(self, subject: Rotated) -> None:
        self._change(subject)

    def recovers(self, subject: Rotated, rotation: Rotation, where: str) -> None:
        # What one has begun, the other ends.
        self._change(subject)
        super().recovers(subject, rotation, where)

    def _change(self, subject: Rotated) -> None:
        arn = subject.value["masterarn"]
        port = subject.service.value(arn)["port"]
        admin = {**next(self._admins), "port": port}
        subject.service.client.put_secret_value(SecretId=arn, SecretString=json.dumps(admin))


class Edit(Situation):
    """Somebody edits the secret between the attempt that broke and the next one."""

    name = "an edit in between"
    suited: ClassVar[dict[str, frozenset[str]]] = {
        **dict.fromkeys(("postgresql", "sqlserver", "mongo", "db2", "redshift"), frozenset({SINGLE, ALTERNATING})),
        **dict.fromkeys(("mysql", "mariadb", "oracle"), frozenset({SINGLE, ALTERNATING, DUAL})),
    }

    def begin(self, target: Any, service: RotationService, strategy: str) -> Rotated:
        subject = super().begin(target, service, strategy)
        edits = [{"note": "for the person on call"}, {"another key": 1.5}]
        database = getattr(target, "a_database", None)
        if database is not None:
            edits += [{"dbname": name} for name in database(subject.application)]
        self._edits = itertools.cycle(edits)
        return subject

    def recovers(self, subject: Rotated, rotation: Rotation, where: str) -> None:
        """It ends well, or in one error that says what to do; the edit is lost in neither case."""
        if rotation.succeeded:
            super().recovers(subject, rotation, where)
            return
        edit = next(self._edits)
        where = f"{where}, with {edit} in between"
        before = subject.value
        works = subject.logs_in("AWSCURRENT")
        edited = self._put(subject, {**before, **edit})
        assert subject.logs_in("AWSCURRENT") == works, where
        while not (rotation.succeeded or self._told(rotation, where)):
            assert not rotation.abandoned, f"stuck after {where}: {rotation.error}"
            subject.service.retry(subject.arn)
            self.survives(subject, where)
        if isinstance(rotation.error, EditedMeanwhile):
            assert subject.value == edited, where
            # As the error says: both versions are there, and the database has the pending one's password.
            self._put(subject, before)
            super().recovers(subject, rotation, where)
            self._put(subject, {**subject.value, **edit})
        if not rotation.succeeded:
            assert subject.value == edited, where
            following = subject.service.rotate(subject.arn)
            assert following.error is None, where
        assert {key: subject.value[key] for key in edit} == edit, where
        subject.target.work(subject.value)

    @staticmethod
    def _told(rotation: Rotation, where: str) -> bool:
        """Whether the last attempt has said what to do."""
        if not isinstance(rotation.error, EditedMeanwhile | PendingUnusable):
            return False
        assert "edited meanwhile" in str(rotation.error), where
        assert len(rotation.attempts) < ATTEMPTS
        advice = "undo the edit" if isinstance(rotation.error, EditedMeanwhile) else "the next rotation makes a new"
        assert advice in str(rotation.error), where
        return True

    @staticmethod
    def _put(subject: Rotated, value: dict[str, Any]) -> dict[str, Any]:
        subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
        return value


SITUATIONS: tuple[type[Situation], ...] = (TwoHosts, History, SecondAdmin, Edit)


def rights_of(subject: Rotated) -> Any:
    """What the application's users may do, as the server's catalogue has it; None where nobody has said how to ask."""
    ask = getattr(subject.target, "rights_of", None)
    return None if ask is None else ask(subject.application)
