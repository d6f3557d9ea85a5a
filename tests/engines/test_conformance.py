"""What holds for every engine, on every server, with every strategy."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from targets import ALTERNATING, DUAL, KINDS, SINGLE, PostgresTarget, Rotated, rotated

from rotators.engines.libpq.connection import LibpqConnection
from rotators.errors import (
    ConfigurationError,
    EditedMeanwhile,
    LoginRefused,
    RotationError,
    SecretsManagerDenied,
    Unreachable,
    UserPairMismatch,
)
from rotators.testing import STEPS, Application, Refusal, RotationService


@pytest.fixture(params=[SINGLE, ALTERNATING, DUAL])
def subject(request: pytest.FixtureRequest, target: Any, rotation_service: RotationService) -> Rotated:
    """A secret under rotation."""
    return rotated(target, rotation_service, request.param)


def test_rotations_follow_each_other_and_each_password_works(subject: Rotated) -> None:
    seen = {subject.application.password}
    for _ in range(4):
        rotation = subject.service.rotate(subject.arn)
        assert rotation.error is None
        assert subject.value["password"] not in seen
        seen.add(subject.value["password"])
        subject.target.work(subject.value)
        assert subject.service.labels(subject.arn)[rotation.token] == ["AWSCURRENT"]


def test_the_former_password_ends_with_a_single_user_and_lives_on_with_two(subject: Rotated) -> None:
    first = subject.value
    subject.service.rotate(subject.arn)
    if subject.strategy == SINGLE:
        assert not subject.logs_in("AWSPREVIOUS")
        assert subject.value["username"] == first["username"]
        return
    if subject.strategy == DUAL:
        assert subject.value["username"] == first["username"]
        subject.target.work(first)
        subject.service.rotate(subject.arn)
        with pytest.raises(subject.target.refusals):
            subject.target.log_in(first)
        assert subject.logs_in("AWSPREVIOUS")
        return
    assert subject.value["username"] == f"{first['username']}_clone"
    subject.target.work(first)
    subject.service.rotate(subject.arn)
    assert subject.value["username"] == first["username"]
    # Its own turn has come: now the first password is gone, and the second one lives on.
    with pytest.raises(subject.target.refusals):
        subject.target.log_in(first)
    assert subject.logs_in("AWSPREVIOUS")


def test_no_login_fails_and_few_calls_are_made(subject: Rotated) -> None:
    for number in range(2):
        mark = subject.target.log_mark()
        before = len(subject.service.calls)
        assert subject.service.rotate(subject.arn).succeeded
        calls = [call for call in subject.service.calls[before:] if call.step]
        assert len(calls) == (10 if "masterarn" in subject.value else 8)
        assert not [call for call in calls if call.error]
        asked = subject.strategy == DUAL and KINDS[subject.target.kind].hides_which and number > 0
        assert subject.target.failed_logins(subject.target.log_since(mark)) == int(asked)


def test_every_other_key_of_the_secret_survives(target: Any, rotation_service: RotationService) -> None:
    extra = {"proxy": {"host": "p", "ports": [1, 2]}, "ratio": 0.1, "note": "ünïcödé", "none": None, "port_text": "7"}
    subject = rotated(target, rotation_service, SINGLE, **extra)
    before = subject.value
    subject.service.rotate(subject.arn)
    assert subject.value == {**before, "password": subject.value["password"]}
    assert list(subject.value) == list(before)


@pytest.mark.parametrize("engine", ["missing", "upper"])
@pytest.mark.parametrize("port", ["text", "number"])
def test_engine_and_port_come_as_people_write_them(
    target: Any, rotation_service: RotationService, engine: str, port: str
) -> None:
    subject = rotated(target, rotation_service, SINGLE)
    value = subject.value
    value["engine"] = value["engine"].upper()
    if engine == "missing":
        del value["engine"]
    value["port"] = str(value["port"]) if port == "text" else int(value["port"])
    subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
    assert subject.service.rotate(subject.arn).succeeded
    assert subject.value["port"] == value["port"]
    subject.target.work(subject.value)


def test_a_step_that_is_repeated_changes_nothing(subject: Rotated) -> None:
    rotation = subject.service.stage(subject.arn)
    for step in STEPS:
        subject.service.invoke(rotation, step)
        pending = subject.service.value(subject.arn, "AWSPENDING")
        subject.service.invoke(rotation, step)
        assert subject.service.value(subject.arn, "AWSPENDING") == pending, step
    subject.target.work(subject.value)
    assert subject.service.retry(subject.arn).succeeded
    assert subject.service.rotate(subject.arn).succeeded


def test_a_configuration_is_tested_without_a_rotation(subject: Rotated) -> None:
    before = subject.value, subject.service.labels(subject.arn)
    subject.service.client.rotate_secret(SecretId=subject.arn, RotateImmediately=False)
    assert (subject.value, subject.service.labels(subject.arn)) == before
    assert subject.service.events[-1]["detail"]["eventName"] == "TestRotationSucceeded"


def test_the_test_query_runs_as_the_new_user_and_changes_nothing(
    postgres: PostgresTarget, rotation_service: RotationService
) -> None:
    application = postgres.make_application()
    table = f'"of_{application.username}".own'
    postgres.work(postgres.secret(application))
    subject = rotated(
        postgres, rotation_service, ALTERNATING, application=application, ROTATION_TEST_QUERY=f"DELETE FROM {table}"
    )
    assert subject.service.rotate(subject.arn).succeeded
    assert postgres.as_superuser(f"SELECT count(*) FROM {table}") == [(1,)]


def test_a_test_query_that_fails_keeps_the_new_version_from_becoming_current(
    target: Any, rotation_service: RotationService
) -> None:
    subject = rotated(target, rotation_service, ALTERNATING, ROTATION_TEST_QUERY="SELECT nowhere")
    first = subject.value
    failed = subject.service.rotate(subject.arn)
    assert failed.failed_step == "testSecret"
    assert "ROTATION_TEST_QUERY failed as" in str(failed.error)
    assert "nowhere" in str(failed.error).lower()
    assert subject.value == first
    target.work(first)


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
def test_reads_that_lag_behind_are_no_harm(target: Any, rotation_service: RotationService, strategy: str) -> None:
    subject = rotated(target, rotation_service, strategy)
    rotation_service.register(subject.rotator.restarted(patience=30))
    rotation_service.consistency_lag = 2
    for _ in range(2):
        assert subject.service.rotate(subject.arn, attempts=2).succeeded
    rotation_service.consistency_lag = 0
    subject.target.work(subject.value)


@pytest.mark.parametrize(
    ("strategy", "password"),
    [
        *(
            (SINGLE, one)
            for one in ("p%40 w{o}r'd", "!$#:&?=", 'quo"te\\slash', " spaces ", "pässwörd-ü", "a@b/c;d,e`f")
        ),
        *((ALTERNATING, one) for one in ("p%40 w{o}r'd", 'quo"te\\slash')),
    ],
)
def test_a_password_of_any_characters_is_rotated_away(
    target: Any, rotation_service: RotationService, strategy: str, password: str
) -> None:
    application = target.make_application()
    target.set_password(application.username, password)
    subject = rotated(target, rotation_service, strategy, application=replace(application, password=password))
    for _ in range(1 if strategy == SINGLE else 2):
        assert subject.service.rotate(subject.arn).error is None
        subject.target.work(subject.value)


class TestWhenDatabaseAndSecretDisagree:
    """Somebody, or a crash, left the database with another password than AWSCURRENT's."""

    def test_a_single_user_with_the_former_password_is_brought_forward(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        subject = rotated(target, rotation_service, SINGLE)
        subject.service.rotate(subject.arn)
        target.set_password(subject.application.username, subject.service.value(subject.arn, "AWSPREVIOUS")["password"])
        assert not subject.logs_in("AWSCURRENT")
        assert subject.service.rotate(subject.arn).succeeded
        target.work(subject.value)

    @pytest.mark.parametrize("strategy", [SINGLE, DUAL])
    @pytest.mark.parametrize(
        ("when", "nth"),
        [
            ("before", 1),
            ("after", 2),
            ("before", 3),
            ("after", 4),
            *(
                pytest.param(*one, marks=pytest.mark.long)
                for one in (("after", 1), ("before", 2), ("after", 3), ("before", 4))
            ),
        ],
    )
    def test_the_former_password_is_never_lost_though_the_process_is_killed(
        self, target: Any, rotation_service: RotationService, *, strategy: str, nth: int, when: Any
    ) -> None:
        """The label must not leave the one version that works before another does."""
        subject = rotated(target, rotation_service, strategy)
        subject.service.rotate(subject.arn)
        subject.service.rotate(subject.arn)
        target.set_password(subject.application.username, subject.service.value(subject.arn, "AWSPREVIOUS")["password"])
        rotation = subject.service.stage(subject.arn)
        subject.service.faults.fail(when=when, kind="crash", step="setSecret", nth=nth)
        killed = subject.service.retry(subject.arn)
        stages = ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS")
        assert any(subject.logs_in(stage) for stage in stages)
        # With two passwords setSecret moves no label, and makes a call less.
        assert killed.succeeded == (strategy == DUAL and nth == 4 and not killed.error)
        if not killed.succeeded:
            assert subject.service.retry(subject.arn).error is None
        assert subject.service.labels(subject.arn)[rotation.token] == ["AWSCURRENT"]
        target.work(subject.value)

    def test_a_single_user_with_the_pending_password_is_promoted(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        subject = rotated(target, rotation_service, SINGLE)
        rotation = subject.service.stage(subject.arn)
        subject.service.invoke(rotation, "createSecret")
        pending = subject.service.value(subject.arn, "AWSPENDING")
        target.set_password(subject.application.username, pending["password"])
        assert subject.service.retry(subject.arn).succeeded
        assert subject.value == pending
        target.work(subject.value)

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_a_password_that_nobody_knows_is_an_error_and_nothing_is_written(
        self, target: Any, rotation_service: RotationService, strategy: str
    ) -> None:
        subject = rotated(target, rotation_service, strategy)
        target.set_password(subject.application.username, "somebody-elses-choice")
        before = subject.value
        failed = subject.service.rotate(subject.arn)
        assert isinstance(failed.error, LoginRefused)
        assert failed.failed_step == "createSecret"
        assert "another secret or person changes the same user's password" in str(failed.error)
        assert subject.value == before
        with pytest.raises(KeyError):
            subject.service.value(subject.arn, "AWSPENDING")
        mark = target.log_mark()
        if not subject.rotator._engine.blocks_users:
            target.set_password(subject.application.username, before["password"])
            assert subject.service.retry(subject.arn).succeeded
            return
        # Issue 12, A4: the service's repetitions try no password, and so block nobody.
        for _ in range(3):
            assert "no version" in str(subject.service.retry(subject.arn).error)
        assert target.failed_logins(target.log_since(mark)) == 0
        target.set_password(subject.application.username, before["password"])
        assert subject.service.rotate(subject.arn).succeeded

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_the_admin_repairs_it_where_that_is_allowed(
        self, target: Any, rotation_service: RotationService, strategy: str
    ) -> None:
        subject = self._resetting(target, rotation_service, strategy)
        target.set_password(subject.application.username, "somebody-elses-choice")
        for _ in range(2):
            assert subject.service.rotate(subject.arn).error is None
            target.work(subject.value)

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_a_secret_that_holds_a_password_alone_gets_all_else_from_whoever_deploys(
        self, target: Any, rotation_service: RotationService, strategy: str
    ) -> None:
        """A stack that makes a secret can't change its value later without a new password."""
        subject = rotated(target, rotation_service, strategy)
        whole = subject.value
        password = whole.pop("password")
        values = json.dumps({subject.arn: {**whole, "moved": "here"}})
        rotator = target.rotator(rotation_service, ROTATION_STRATEGY=strategy, ROTATION_VALUES=values)
        rotation_service.configure(subject.arn, rotator)
        # Where it stood is wrong by now; whose it is, is not for the deployer to change.
        stale = {"password": password, "username": whole["username"], "host": "former.invalid"}
        for first in ({"password": password}, stale):
            rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(first))
            assert rotation_service.rotate(subject.arn).error is None
            for _ in range(2):
                target.work(subject.value)
                assert {**subject.value, **whole, "password": ""} == {**whole, "moved": "here", "password": ""}
                assert rotation_service.rotate(subject.arn).error is None
            target.set_password(whole["username"], password)

    def test_a_secret_keeps_its_user_whatever_whoever_deploys_says(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        subject = rotated(target, rotation_service, SINGLE)
        values = json.dumps({subject.arn: {"username": "somebody"}})
        rotation_service.configure(
            subject.arn, target.rotator(rotation_service, ROTATION_STRATEGY=SINGLE, ROTATION_VALUES=values)
        )
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, ConfigurationError)
        assert failed.failed_step == "createSecret"
        assert "and ROTATION_VALUES names 'somebody'" in str(failed.error)
        target.work(subject.value)

    def _resetting(self, target: Any, service: RotationService, strategy: str, **variables: str) -> Rotated:
        admin = service.create_secret("the-admin", target.admin_secret(), target.rotator(service))
        return rotated(target, service, strategy, masterarn=admin, ALLOW_ADMIN_RESET="true", **variables)

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    @pytest.mark.parametrize("named", ["nobody", "somebody else"])
    def test_the_admin_repairs_nobody_whom_the_deployer_has_not_named(
        self, target: Any, rotation_service: RotationService, strategy: str, named: str
    ) -> None:
        """Issue 11: a secret is no order to set a password; ROTATION_USERS is."""
        victim = target.make_application()
        users = "{}" if named == "nobody" else json.dumps({"secret-of-the-thief": victim.username})
        subject = self._resetting(target, rotation_service, strategy, ROTATION_USERS=users)
        stolen = {**subject.value, "username": victim.username, "password": "not-the-victims"}
        rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(stolen))
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, ConfigurationError)
        assert failed.failed_step == "createSecret"
        assert "ROTATION_USERS=" in str(failed.error)
        target.work(target.secret(victim))

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_a_secret_that_names_another_user_than_the_deployer_is_refused(
        self, target: Any, rotation_service: RotationService, strategy: str
    ) -> None:
        victim = target.make_application()
        subject = self._resetting(target, rotation_service, strategy)
        stolen = {**subject.value, "username": victim.username, "password": "not-the-victims"}
        rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(stolen))
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert f"names the user '{victim.username}', and ROTATION_USERS names" in str(failed.error)
        target.work(target.secret(victim))

    def test_an_edit_between_the_steps_lets_the_pending_version_go(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        other = target.make_application()
        for strategy in (SINGLE, ALTERNATING):
            subject = rotated(target, rotation_service, strategy)
            rotation = subject.service.stage(subject.arn)
            subject.service.invoke(rotation, "createSecret")
            edited = {**subject.value, "username": other.username, "password": other.password}
            subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(edited))
            failed = subject.service.retry(subject.arn)
            assert failed.failed_step == "setSecret"
            assert "which was edited meanwhile" in str(failed.error)
            assert rotation.token not in subject.service.labels(subject.arn)
            target.work(target.secret(subject.application))
            target.work(target.secret(other))

    def _edit(self, subject: Rotated, **changes: Any) -> dict[str, Any]:
        value = {key: text for key, text in {**subject.value, **changes}.items() if text is not None}
        subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
        return value

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    @pytest.mark.parametrize("after", ["createSecret", "testSecret"])
    def test_no_edit_is_overwritten(
        self, target: Any, rotation_service: RotationService, strategy: str, after: str
    ) -> None:
        """Issue 12, B8: a note, a new key, another form of the port: all keys are compared."""
        subject = rotated(target, rotation_service, strategy)
        rotation = rotation_service.stage(subject.arn)
        for step in STEPS[: STEPS.index(after) + 1]:
            rotation_service.invoke(rotation, step)
        edited = self._edit(subject, note="for the person on call", port=str(subject.value["port"]))
        if after == "testSecret":
            # The label of a single user has moved in setSecret: there is nothing left to be promoted.
            with pytest.raises(RotationError):
                rotation_service.invoke(rotation, "finishSecret")
        failed = rotation_service.retry(subject.arn)
        assert isinstance(failed.error, RotationError)
        assert subject.value == edited
        assert rotation.token not in [
            token for token, labels in rotation_service.labels(subject.arn).items() if "AWSPENDING" in labels
        ]
        assert rotation_service.rotate(subject.arn).error is None
        assert subject.value["note"] == "for the person on call"
        target.work(subject.value)

    @pytest.mark.parametrize("change", [{"note": "edited"}, {"host": "127.0.0.1"}])
    def test_an_edit_after_the_database_has_changed_loses_neither_version(
        self, target: Any, rotation_service: RotationService, change: dict[str, Any]
    ) -> None:
        """Issue 12, B6 and B8: the pending version is the only record of the password that is valid."""
        subject = rotated(target, rotation_service, SINGLE)
        rotation = rotation_service.stage(subject.arn)
        rotation_service.invoke(rotation, "createSecret")
        pending = rotation_service.value(subject.arn, "AWSPENDING")
        # As after a kill between the change and the label.
        target.set_password(subject.application.username, pending["password"])
        before = subject.value
        edited = self._edit(subject, **change)
        failed = rotation_service.retry(subject.arn)
        assert isinstance(failed.error, EditedMeanwhile)
        assert subject.value == edited
        assert rotation_service.value(subject.arn, "AWSPENDING") == pending
        self._edit(subject, **{key: before.get(key) for key in change})
        assert rotation_service.retry(subject.arn).error is None
        target.work(subject.value)

    def test_two_secrets_for_one_user_are_told(self, target: Any, rotation_service: RotationService) -> None:
        first = rotated(target, rotation_service, SINGLE)
        second = rotated(target, rotation_service, SINGLE, application=first.application)
        assert first.service.rotate(first.arn).succeeded
        failed = second.service.rotate(second.arn)
        assert isinstance(failed.error, LoginRefused)
        assert "another secret or person changes the same user's password" in str(failed.error)
        target.work(first.value)


class TestTheAdminsSecret:
    """The other secret of an alternating pair."""

    def test_the_functions_setting_names_it_where_the_secret_does_not(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        application = target.make_application()
        rotator = target.rotator(
            rotation_service, ROTATION_STRATEGY=ALTERNATING, ROTATION_ADMIN_SECRET="admin-by-setting"
        )
        rotation_service.create_secret("admin-by-setting", target.admin_secret(), rotator)
        arn = rotation_service.create_secret("app-by-setting", target.secret(application), rotator)
        assert rotation_service.rotate(arn).succeeded
        assert rotation_service.value(arn)["username"] == f"{application.username}_clone"
        target.work(rotation_service.value(arn))

    def _managed(self, target: Any, service: RotationService, **variables: str) -> str:
        """The secret of an application whose admin's secret RDS manages: user and password, and no host."""
        admin = {key: value for key, value in target.admin_secret().items() if key in {"username", "password"}}
        rotator = target.rotator(service, **variables)
        admin_arn = service.create_secret("rds!cluster-1", admin, rotator)
        secret = target.secret(target.make_application(), masterarn=admin_arn)
        return service.create_secret("app-rds", secret, rotator)

    def test_one_that_rds_manages_has_its_host_from_the_functions_settings(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        known = target.admin_secret()
        arn = self._managed(target, rotation_service, ROTATION_ADMIN_HOST=f"{known['host']}:{known['port']}")
        assert rotation_service.rotate(arn).error is None
        target.work(rotation_service.value(arn))

    def test_one_without_a_host_is_never_used_where_the_applications_secret_says(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        """Issue 11, fault 4: the admin's address never comes from an application's secret."""
        arn = self._managed(target, rotation_service)
        before = rotation_service.value(arn)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, ConfigurationError)
        assert failed.failed_step == "createSecret"
        for remedy in ("add 'host'", "ROTATION_ADMIN_HOST", "rds:DescribeDBInstances"):
            assert remedy in str(failed.error)
        assert rotation_service.value(arn) == before

    def test_one_server_may_have_two_names(self, target: Any, rotation_service: RotationService) -> None:
        admin = {**target.admin_secret(), "host": "127.0.0.1"}
        rotator = target.rotator(rotation_service)
        admin_arn = rotation_service.create_secret("admin-c1", admin, rotator)
        secret = target.secret(target.make_application(), masterarn=admin_arn)
        arn = rotation_service.create_secret("app-c1", secret, rotator)
        assert rotation_service.rotate(arn).error is None
        target.work(rotation_service.value(arn))

    def _refused(self, target: Any, service: RotationService, admin: Any, **extra: Any) -> Any:
        rotator = target.rotator(service)
        extra.setdefault("masterarn", service.create_secret("the-admin", admin, rotator))
        application = target.make_application()
        arn = service.create_secret("the-app", target.secret(application, **extra), rotator)
        failed = service.rotate(arn)
        assert failed.failed_step == "createSecret"
        with pytest.raises(KeyError):
            service.value(arn, "AWSPENDING")
        target.work(target.secret(application))
        return failed.error

    @pytest.mark.parametrize("change", [{"host": "elsewhere.invalid"}, {"port": 1}])
    def test_one_of_another_server_is_refused_and_never_used(
        self, target: Any, rotation_service: RotationService, change: dict[str, Any]
    ) -> None:
        """Whatever identifiers the application's secret has in common with it: anyone who writes them chooses them."""
        admin = {**target.admin_secret(), **change, "dbClusterIdentifier": "c-1"}
        error = self._refused(target, rotation_service, admin, dbClusterIdentifier="c-1")
        assert isinstance(error, UserPairMismatch | Unreachable)
        assert str(next(iter(change.values()))) in str(error)

    def test_one_that_may_not_be_read_is_named(self, target: Any, rotation_service: RotationService) -> None:
        # The second read of createSecret is the admin's.
        denied = Refusal("AccessDeniedException", "User is not authorized")
        rotation_service.faults.fail("GetSecretValue", kind=denied, nth=2, step="createSecret")
        error = self._refused(target, rotation_service, target.admin_secret())
        assert isinstance(error, SecretsManagerDenied)
        assert "allow the function's role secretsmanager:GetSecretValue" in str(error)
        admin = rotation_service.client.describe_secret(SecretId="the-admin")["ARN"]
        assert f"GetSecretValue for secret {admin} was refused" in str(error)

    def test_one_that_is_not_there_is_named(self, target: Any, rotation_service: RotationService) -> None:
        error = self._refused(target, rotation_service, None)
        assert "the admin secret arn:aws:secretsmanager" in str(error)
        assert "does not exist or has no AWSCURRENT value" in str(error)

    def test_a_wrong_password_of_the_admin_is_told_from_the_users(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        error = self._refused(target, rotation_service, {**target.admin_secret(), "password": "not-the-admins"})
        assert isinstance(error, LoginRefused)
        assert str(error).startswith("as the admin of arn:aws:secretsmanager")

    def test_the_admin_itself_is_no_applications_user(self, target: Any, rotation_service: RotationService) -> None:
        rotator = target.rotator(rotation_service)
        admin = rotation_service.create_secret("the-admin", target.admin_secret(), rotator)
        arn = rotation_service.create_secret("the-app", {**target.admin_secret(), "masterarn": admin}, rotator)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert "is the secret of the admin" in str(failed.error)
        target.log_in(target.admin_secret())

    @pytest.mark.parametrize("strategy", [ALTERNATING])
    def test_a_name_like_a_twins_is_no_way_to_another_users_password(
        self, target: Any, rotation_service: RotationService, strategy: str
    ) -> None:
        """Anyone who holds the secret of ``app_clone`` is not given ``app``, nor what it may do."""
        victim = target.make_application()
        bare = target.make_bare(f"{victim.username}_clone")
        subject = rotated(target, rotation_service, strategy, application=bare)
        failed = subject.service.rotate(subject.arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert failed.failed_step == "createSecret"
        target.work(target.secret(victim))
        target.log_in(target.secret(bare))
        with pytest.raises(Exception):  # noqa: B017, PT011  # each engine's own: it still may not
            target.work(target.secret(bare))

    def test_no_admin_secret_at_all_is_one_sentence_before_anything_is_written(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        subject = rotated(target, rotation_service, SINGLE, ROTATION_STRATEGY=ALTERNATING, masterarn=None)
        failed = subject.service.rotate(subject.arn)
        assert failed.failed_step == "createSecret"
        assert "names no admin secret. add 'masterarn'" in str(failed.error)
        with pytest.raises(KeyError):
            subject.service.value(subject.arn, "AWSPENDING")


def test_an_application_that_reads_the_secret_and_logs_in_is_never_refused_with_two_users(
    target: Any, rotation_service: RotationService
) -> None:
    subject = rotated(target, rotation_service, ALTERNATING)
    application = Application(rotation_service.client, subject.arn, target.log_in, target.refusals, threads=2)
    with application:
        for _ in range(2):
            assert rotation_service.rotate(subject.arn).succeeded
            application.wait_for_logins(4)
    assert application.count.total >= 8
    assert application.count.refused == 0


class Window:
    """From the label's move to the end of the next statement: what happens in it, and when it is open."""

    def __init__(self, service: RotationService, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self.closed: list[tuple[float, float]] = []
        self.opened: float | None = None
        self.of_thread = threading.local()
        self._service = service
        service.faults.hooks.append(self._call)
        execute = LibpqConnection.execute

        def watched(connection: LibpqConnection, statement: Any, *arguments: Any, **options: Any) -> Any:
            result = execute(connection, statement, *arguments, **options)
            if self.opened is not None:
                self.seen.append(connection.quote(statement))
                self.closed.append((self.opened, time.monotonic()))
                self.opened = None
            return result

        monkeypatch.setattr(LibpqConnection, "execute", watched)

    def _call(self, operation: str, when: str) -> None:
        if when == "after":
            return
        if self._service._gateway.step is None:
            self.of_thread.read_at = time.monotonic()
        elif operation == "UpdateSecretVersionStage":
            self.opened = time.monotonic()
        elif self.opened is not None:
            self.seen.append(operation)

    def explains(self, read_at: float, ended: float) -> bool:
        """Whether a login that began with this reading of the secret was under way while it was open."""
        return any(read_at <= closes and ended >= opens for opens, closes in self.closed)


def test_an_application_with_a_single_user_is_refused_at_most_while_the_password_changes(
    postgres: PostgresTarget, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the scheduler makes it: the window is one statement, and nobody is refused outside of it."""
    subject = rotated(postgres, rotation_service, SINGLE)
    window = Window(rotation_service, monkeypatch)
    refused: list[tuple[float, float]] = []

    def log_in(secret: Any) -> None:
        try:
            postgres.log_in(secret)
        except postgres.refusals:
            refused.append((window.of_thread.read_at, time.monotonic()))
            raise

    with Application(rotation_service.client, subject.arn, log_in, postgres.refusals) as application:
        for _ in range(3):
            assert rotation_service.rotate(subject.arn).succeeded
            application.wait_for_logins(4)
    assert window.seen == ["COMMIT"] * 3
    assert application.count.refused == len(refused)
    assert [login for login in refused if not window.explains(*login)] == []
