"""Any sequence of rotations, faults, edits by hand, grants and revocations ends well."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg2 import sql
from targets import ALTERNATING, DUAL, SINGLE, PostgresTarget, Rotated, rotated
from targets.shares import share_of_one

from rotators.testing import ATTEMPTS, INTERNAL, Rotation, RotationService

faults = st.sampled_from([(when, kind) for when in ("before", "after") for kind in ("network", "crash", INTERNAL)])


class Life(RuleBasedStateMachine):
    """The life of one secret. What the application may do is kept beside it, as it should be."""

    target: Any
    service: RotationService
    strategy: str

    @initialize()
    def begin(self) -> None:
        self.service.faults.clear()
        self.subject: Rotated = rotated(self.target, self.service, self.strategy)
        self.user = self.subject.application.username
        self.may_read = False
        # What the twin may do by now, where grants reach it with a rotation only; None: nobody can tell.
        self.twin_may_read: bool | None = None
        self.tables = 0
        self.under_way: Rotation | None = None
        self.promised = {"AWSCURRENT", "AWSPENDING"}
        self.target.share(self.subject.application)

    def _after(self, rotation: Rotation) -> None:
        self.under_way = None if rotation.succeeded or rotation.abandoned else rotation
        self.twin_may_read = self.may_read if rotation.succeeded and len(rotation.attempts) == 1 else None
        if rotation.succeeded:
            self.promised = {"AWSCURRENT"}
        else:
            self.promised = {"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"}

    @precondition(lambda self: self.under_way is None)
    @rule()
    def rotate(self) -> None:
        rotation = self.service.rotate(self.subject.arn)
        assert rotation.error is None
        self._after(rotation)

    @precondition(lambda self: self.under_way is None)
    @rule(nth=st.integers(2, 11), fault=faults)
    def rotate_and_break(self, nth: int, fault: Any) -> None:
        when, kind = fault
        self.service.faults.fail(nth=nth, when=when, kind=kind)
        rotation = self.service.rotate(self.subject.arn)
        self.service.faults.clear()
        self._after(rotation)

    @precondition(lambda self: self.under_way is not None and len(self.under_way.attempts) < ATTEMPTS - 1)
    @rule(nth=st.integers(1, 10), fault=faults)
    def retry_and_break(self, nth: int, fault: Any) -> None:
        when, kind = fault
        self.service.faults.fail(nth=nth, when=when, kind=kind)
        rotation = self.service.retry(self.subject.arn)
        self.service.faults.clear()
        self._after(rotation)

    @precondition(lambda self: self.under_way is not None)
    @rule()
    def retry(self) -> None:
        rotation = self.service.retry(self.subject.arn)
        assert rotation.error is None
        self._after(rotation)

    @precondition(lambda self: self.under_way is None and self.strategy != DUAL)
    @rule()
    def change_the_password_by_hand_in_both_places(self) -> None:
        value = {**self.subject.value, "password": secrets.token_urlsafe(16)}
        self.target.set_password(value["username"], value["password"])
        self.service.client.put_secret_value(SecretId=self.subject.arn, SecretString=json.dumps(value))
        self.promised = {"AWSCURRENT"}

    @precondition(lambda self: self.under_way is None and self.strategy == SINGLE)
    @rule()
    def fall_back_to_the_previous_password_in_the_database_alone(self) -> None:
        try:
            previous = self.service.value(self.subject.arn, "AWSPREVIOUS")
        except KeyError:
            return
        self.target.set_password(self.user, previous["password"])
        self.promised = {"AWSPREVIOUS"}

    @rule()
    def grant(self) -> None:
        self.target.grant_shared(self.subject.application)
        self.may_read = True

    @rule()
    def revoke(self) -> None:
        self.target.revoke_shared(self.subject.application)
        self.may_read = False

    @rule(limit=st.integers(3, 9))
    def change_an_attribute(self, limit: int) -> None:
        self.target.limit_connections(self.subject.application, limit)

    @precondition(lambda self: self.promised == {"AWSCURRENT"})
    @rule()
    def create_something(self) -> None:
        self.tables += 1
        self.target.create_table(self.subject.value, self.tables)

    @precondition(
        lambda self: (
            self.promised == {"AWSCURRENT"} and self.strategy == ALTERNATING and type(self.target) is PostgresTarget
        )
    )
    @rule()
    def create_something_as_the_login_itself(self) -> None:
        if self.subject.value["username"] != self.user:
            schema = sql.Identifier(f"of_{self.user}")
            twin = sql.Identifier(f"{self.user}_clone")
            self.target.as_superuser(sql.SQL("GRANT CREATE ON SCHEMA {} TO {}").format(schema, twin))
            self.tables += 1
            with self.target.session(self.subject.value) as cursor:
                table = sql.SQL(f"SET ROLE NONE; CREATE TABLE {{}}.t{self.tables} (n int)")
                cursor.execute(table.format(schema))
            # It belongs to the twin until the next rotation hands it over.
            self.rotate()

    @invariant()
    def some_password_logs_in(self) -> None:
        working = {stage for stage in self.promised if self.subject.logs_in(stage)}
        assert working, f"locked out: none of {sorted(self.promised)}"

    @invariant()
    def the_current_user_can_do_its_work(self) -> None:
        if self.promised != {"AWSCURRENT"}:
            return
        for number in range(1, self.tables + 1):
            self.target.alter_table(self.subject.value, number)
        at_once = self.target.grants_follow_at_once or self.subject.value["username"] == self.user
        expected = self.may_read if at_once else self.twin_may_read
        if expected is not None:
            assert self.target.reads_shared(self.subject.value) == expected, "a grant is lost, or a revocation"

    def teardown(self) -> None:
        """Whatever happened, the secret can be rotated in the end, and its user works."""
        if not hasattr(self, "subject"):
            return
        self.service.faults.clear()
        while self.under_way is not None:
            self._after(self.service.retry(self.subject.arn))
        rotation = self.service.rotate(self.subject.arn)
        assert rotation.error is None
        self.target.work(self.subject.value)


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
def test_every_life_ends_well(target: Any, rotation_service: RotationService, strategy: str) -> None:
    life = type("Life", (Life,), {"target": target, "service": rotation_service, "strategy": strategy})
    run_state_machine_as_test(
        life,
        settings=settings(
            max_examples=max(2, 8 // share_of_one(4).step),
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # A server is too slow to shrink a failure on: the steps as they were are printed.
            phases=[Phase.generate],
        ),
    )
