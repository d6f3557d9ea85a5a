"""Users with accounts on several hosts: which of them are one, and that nobody who may be using one is touched."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from targets import ALTERNATING, DUAL, SINGLE, Application, MysqlTarget, Rotated, rotated

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.mysql import MysqlEngine
from rotators.engines.mysql.hosts import covering
from rotators.errors import EditedMeanwhile, LoginRefused, ServiceError, UserPairMismatch
from rotators.testing import RotationService

HERE, EVERYWHERE, ELSEWHERE = "127.0.0.1", "%", "10.2.%"


class User:
    """A user on some hosts, with one password."""

    def __init__(self, target: MysqlTarget, *hosts: str) -> None:
        self.target = target
        self.application = target.make_application()
        self.name, self.password = self.application.username, self.application.password
        self.clone = f"{self.name}_clone"
        for host in hosts:
            self.add(self.name, host, self.password)

    def account(self, user: str, host: str) -> str:
        return f"{self.target.text(user)}@{self.target.text(host)}"

    def add(self, user: str, host: str, password: str) -> None:
        self.target.passwords.add(password)
        account = self.account(user, host)
        self.target.server.query(f"CREATE USER {account} {self.target._identified(password)}")
        self.target.server.query(f"GRANT SELECT ON {self.target.database(self.name)}.granted TO {account}")

    def run(self, statement: str) -> Any:
        return self.target.server.query(statement)

    def stored(self, user: str, host: str) -> Any:
        where = f"User = {self.target.text(user)} AND Host = {self.target.text(host)}"
        table = "global_priv" if self.target.kind == "mariadb" else "user"
        return self.run(f"SELECT * FROM mysql.{table} WHERE {where}")

    def is_locked(self, user: str, host: str) -> bool:
        if self.target.kind == "mariadb":
            return '"account_locked":true' in str(self.stored(user, host)[0])
        where = f"User = {self.target.text(user)} AND Host = {self.target.text(host)}"
        return bool(self.run(f"SELECT account_locked FROM mysql.user WHERE {where}")[0][0] == "Y")

    def rotated(self, service: RotationService, strategy: str) -> Rotated:
        return rotated(self.target, service, strategy, application=self.application)


def steps(subject: Rotated, *, lost: bool) -> None:
    """A rotation, after each step of which AWSCURRENT logs in; the answer of setSecret is lost once."""
    rotation = subject.service.stage(subject.arn)
    for step in ("createSecret", "setSecret", "testSecret"):
        if lost and step == "setSecret":
            subject.service.faults.fail("GetSecretValue", when="after", kind="crash", step="setSecret", nth=2)
            with contextlib.suppress(BaseException):
                subject.service.invoke(rotation, step)
            subject.target.log_in(subject.value)
        subject.service.invoke(rotation, step)
        subject.target.log_in(subject.value)
    assert subject.service.retry(subject.arn).succeeded
    subject.target.work(subject.value)


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("change", ["a further host", "another host"])
def test_a_host_that_the_user_gets_while_its_clone_is_in_use_takes_no_login_away(
    mysql_family: MysqlTarget, rotation_service: RotationService, change: str, *, lost: bool
) -> None:
    """Issue 12, A1: an account of the clone on the narrower host would shadow the one that is used now."""
    user = User(mysql_family)
    subject = user.rotated(rotation_service, ALTERNATING)
    steps(subject, lost=False)
    assert subject.value["username"] == user.clone
    if change == "a further host":
        user.add(user.name, HERE, "of-another-choice")
    else:
        user.run(f"RENAME USER {user.account(user.name, EVERYWHERE)} TO {user.account(user.name, '127.0.0.%')}")
    before = user.stored(user.clone, EVERYWHERE)
    rotation = subject.service.stage(subject.arn)
    subject.service.invoke(rotation, "createSecret")
    subject.service.invoke(rotation, "setSecret")
    assert [one[:2] for one in user.stored(user.clone, EVERYWHERE)] == [one[:2] for one in before]
    assert not user.stored(user.clone, HERE)
    subject.target.log_in(subject.value)
    assert subject.service.retry(subject.arn).succeeded
    for _ in range(3):
        steps(subject, lost=lost)


@pytest.mark.parametrize("lost", [False, True])
def test_a_clone_of_awss_template_that_is_in_use_is_not_locked(
    mysql_family: MysqlTarget, rotation_service: RotationService, *, lost: bool
) -> None:
    """Issue 12, A1: the user is app@'127.0.0.%', and the template made its clone on any host."""
    user = User(mysql_family)
    user.run(f"RENAME USER {user.account(user.name, EVERYWHERE)} TO {user.account(user.name, '127.0.0.%')}")
    database = mysql_family.database(user.name)
    user.add(user.clone, EVERYWHERE, "of-the-template")
    grants = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX"
    user.run(f"GRANT {grants} ON {database[:-1]}_own`.* TO {user.account(user.clone, EVERYWHERE)}")
    in_use = Application(user.clone, "of-the-template")
    subject = rotated(mysql_family, rotation_service, ALTERNATING, application=in_use)
    steps(subject, lost=lost)
    assert subject.value["username"] == user.name
    assert not user.is_locked(user.clone, EVERYWHERE)
    steps(subject, lost=lost)
    assert subject.value["username"] == user.clone
    assert user.is_locked(user.clone, EVERYWHERE)
    assert not user.is_locked(user.clone, "127.0.0.%")
    steps(subject, lost=lost)


def test_a_host_that_comes_back_finds_its_clone_unlocked(
    mysql_family: MysqlTarget, rotation_service: RotationService, log: Any
) -> None:
    """Issue 12, A3: what we have locked ourselves stops nothing."""
    user = User(mysql_family, ELSEWHERE)
    user.run(f"RENAME USER {user.account(user.name, EVERYWHERE)} TO {user.account(user.name, '127.0.0.%')}")
    subject = user.rotated(rotation_service, ALTERNATING)
    steps(subject, lost=False)
    assert user.stored(user.clone, ELSEWHERE)
    user.run(f"DROP USER {user.account(user.name, ELSEWHERE)}")
    for _ in range(2):
        steps(subject, lost=False)
    assert user.is_locked(user.clone, ELSEWHERE)
    assert f"{user.account(user.clone, ELSEWHERE)}" in log.getvalue()
    steps(subject, lost=False)
    assert subject.value["username"] == user.name
    user.add(user.name, ELSEWHERE, subject.value["password"])
    steps(subject, lost=False)
    assert not user.is_locked(user.clone, ELSEWHERE)


def test_a_clones_account_on_a_host_that_the_user_lost_does_what_the_users_wider_one_does(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """Issue 12, A3: locked, it would take the clone's logins from there, where the user logs in by its account on %."""
    user = User(mysql_family, HERE)
    user.run(f"DROP USER {user.account(user.name, HERE)}")
    mysql_family.add_host(user.application, HERE)
    subject = user.rotated(rotation_service, ALTERNATING)
    for _ in range(2):
        steps(subject, lost=False)
    user.run(f"DROP USER {user.account(user.name, HERE)}")
    database = mysql_family.database(user.name)
    user.run(f"CREATE TABLE {database}.later AS SELECT 1 AS n")
    user.run(f"GRANT SELECT ON {database}.later TO {user.account(user.name, EVERYWHERE)}")
    for name in (user.clone, user.name, user.clone):
        steps(subject, lost=False)
        assert subject.value["username"] == name
        subject.target.log_in(subject.value, HERE)
        with mysql_family.session(subject.value) as cursor:
            cursor.execute(f"SELECT n FROM {database}.later")
    assert not user.is_locked(user.clone, HERE)


def test_a_stranger_on_a_narrower_host_is_found_before_anything_is_written(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """Issue 12, A1: it would take the clone's logins from there, and is not ours to change."""
    user = User(mysql_family)
    user.add(user.clone, HERE, "of-a-stranger")
    user.run(f"GRANT PROCESS ON *.* TO {user.account(user.clone, HERE)}")
    before = user.stored(user.clone, HERE)
    subject = user.rotated(rotation_service, ALTERNATING)
    refused = subject.service.rotate(subject.arn)
    assert isinstance(refused.error, UserPairMismatch)
    assert refused.failed_step == "createSecret"
    assert f"{user.account(user.clone, HERE)} may PROCESS" in str(refused.error)
    assert user.stored(user.clone, HERE) == before


@pytest.mark.parametrize(
    ("hosts", "host", "found"),
    [
        (["%"], "10.2.%", "%"),
        (["%", "10.%", "10.2.%"], "10.2.3.4", "10.2.%"),
        (["%", "10.%"], "10.2.0.0/255.255.0.0", "10.%"),
        (["10.2.0.0/255.255.0.0", "%"], "10.2.3.%", "10.2.0.0/255.255.0.0"),
        (["10.2.0.0/16"], "10.2.3.4", "10.2.0.0/16"),
        (["%.example.com"], "a_b.example.com", "%.example.com"),
        (["h_st"], "host", "h_st"),
        (["localhost"], "LOCALHOST", "localhost"),
        (["10.2.3.4"], "10.2.3.4", "10.2.3.4"),
        ([""], "10.2.3.4", ""),
        (["10.2.%"], "%", None),
        (["10.2.%"], "10.20.3.4", None),
        (["10.2.3.4"], "10.2.%", None),
        (["10.2.0.0/255.255.0.0"], "10.%", None),
        (["10.2.0.0/255.0.255.0"], "10.2.3.4", None),
        (["h_st"], "h%st", None),
        (["example.com"], "exampleXcom", None),
        (["a\\_b"], "a_b", None),
    ],
)
def test_which_account_takes_the_logins_of_another(hosts: list[str], host: str, found: str | None) -> None:
    assert covering(hosts, host) == found


def test_a_clone_that_somebody_else_has_locked_stays_so(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """Issue 12, A3: only our own lock is ours to open."""
    user = User(mysql_family)
    subject = user.rotated(rotation_service, ALTERNATING)
    for _ in range(2):
        steps(subject, lost=False)
    user.run(f"ALTER USER {user.account(user.clone, EVERYWHERE)} ACCOUNT LOCK")
    failed = subject.service.rotate(subject.arn)
    assert failed.failed_step == "createSecret"
    assert f"{user.account(user.clone, EVERYWHERE)} at localhost is locked" in str(failed.error)
    assert user.is_locked(user.clone, EVERYWHERE)


@pytest.mark.parametrize("strategy", [ALTERNATING, DUAL])
def test_accounts_with_one_password_change_together(
    mysql_family: MysqlTarget, rotation_service: RotationService, strategy: str
) -> None:
    """Issue 12, A2: app@'%' and app@10.2.% are one user, as far as its password goes."""
    user = User(mysql_family, ELSEWHERE)
    subject = user.rotated(rotation_service, strategy)
    for _ in range(3):
        steps(subject, lost=False)
        name, password = subject.value["username"], subject.value["password"]
        with admin_of(mysql_family) as admin:
            account = admin.find_account(name)
            assert set(admin.recognize(one_of(account, EVERYWHERE), password).scope) == {EVERYWHERE, ELSEWHERE}


@pytest.mark.parametrize("nth", range(1, 7))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_second_password_that_only_some_hosts_have_is_finished(
    mysql_family: MysqlTarget, monkeypatch: pytest.MonkeyPatch, nth: int, when: str
) -> None:
    """Issue 12, A2: broken between two hosts; the repetition skips none, and pushes no password in use out."""
    user = User(mysql_family, ELSEWHERE, HERE)
    user.target.passwords |= {"the-new-one-1", "the-new-one-2"}
    with admin_of(mysql_family) as admin:
        account = admin.recognize(one_of(admin.find_account(user.name), EVERYWHERE), user.password)
        assert len(account.scope) == 3
        for new, old in (("the-new-one-1", user.password), ("the-new-one-2", "the-new-one-1")):
            broken = Breaking(admin, nth, when)
            monkeypatch.setattr(admin.dialect.connection, "execute", broken)
            with contextlib.suppress(ServiceError):
                admin.add_password(account, new, old)
            monkeypatch.undo()
            assert logs_in(user, old)
            for _ in range(2):
                admin.add_password(account, new, old)
            for password in (new, old):
                assert logs_in(user, password)
                assert set(admin.recognize(account, password).scope) == set(account.scope)


class Breaking:
    """The connection's execute, whose nth change of an account is lost, or its answer."""

    def __init__(self, admin: Any, nth: int, when: str) -> None:
        self._execute = admin.dialect.connection.execute
        self._left = nth
        self._when = when

    def __call__(self, statement: str, advice: str = "") -> Any:
        if statement.startswith("ALTER USER"):
            self._left -= 1
            if not self._left:
                if self._when == "after":
                    self._execute(statement, advice)
                raise ServiceError("the answer is lost")
        return self._execute(statement, advice)


@pytest.mark.parametrize("history", [0, 3])
def test_a_label_that_was_moved_back_by_hand_loses_no_password_in_use(
    mysql_family: MysqlTarget, rotation_service: RotationService, history: int
) -> None:
    """Issue 12, B7: the current password is the second one, and the first one is a version that nobody uses."""
    user = User(mysql_family)
    if mysql_family.kind == "mysql" and history:
        user.run(f"ALTER USER {user.account(user.name, EVERYWHERE)} PASSWORD HISTORY {history}")
    subject = user.rotated(rotation_service, DUAL)
    steps(subject, lost=False)
    first = {**subject.value}
    steps(subject, lost=False)
    latest = subject.value["password"]
    # As docs/how-to/find-out-why.md has it: the former version is made current again.
    subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(first))
    for _ in range(2):
        before = subject.value["password"]
        steps(subject, lost=False)
        assert logs_in(user, before)
    assert not logs_in(user, latest)


@pytest.mark.parametrize("strategy", [DUAL, ALTERNATING])
def test_no_probe_uses_up_the_last_try(
    mysql_family: MysqlTarget, rotation_service: RotationService, strategy: str
) -> None:
    """Issue 12, A4: an account that is blocked after one wrong password."""
    if mysql_family.kind == "mariadb":
        pytest.skip("MariaDB counts for the whole server")
    user = User(mysql_family)
    user.run(f"ALTER USER {user.account(user.name, EVERYWHERE)} FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME UNBOUNDED")
    subject = user.rotated(rotation_service, strategy)
    for _ in range(3):
        rotation = subject.service.stage(subject.arn)
        for step in ("createSecret", "setSecret", "setSecret", "testSecret"):
            subject.service.invoke(rotation, step)
            subject.target.log_in(subject.value)
        assert subject.service.retry(subject.arn).succeeded


@contextlib.contextmanager
def blocked_after(user: User, tries: int) -> Iterator[None]:
    """As many wrong passwords in a row block the user: MySQL's account, or MariaDB's server."""
    if user.target.kind == "mysql":
        comment = "COMMENT ' FAILED_LOGIN_ATTEMPTS 9, Bob''s'"
        limit = f"FAILED_LOGIN_ATTEMPTS {tries} PASSWORD_LOCK_TIME UNBOUNDED {comment}"
        user.run(f"ALTER USER {user.account(user.name, EVERYWHERE)} {limit}")
        yield
        return
    user.run(f"SET GLOBAL max_password_errors = {tries}")
    try:
        yield
    finally:
        user.run("SET GLOBAL max_password_errors = 4294967295")
        user.run("FLUSH PRIVILEGES")


def test_a_user_alone_whom_one_wrong_password_blocks_is_refused(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """Issue 12, A4: the repetition of a rotation that broke tries the former password first."""
    user = User(mysql_family)
    with blocked_after(user, 1):
        subject = user.rotated(rotation_service, SINGLE)
        failed = rotation_service.rotate(subject.arn)
        assert failed.failed_step == "createSecret"
        assert f"one wrong password blocks '{user.name}'" in str(failed.error)
        subject.target.work(subject.value)


@pytest.mark.parametrize("limit", [0, 4])
def test_what_a_comment_says_of_wrong_passwords_is_no_limit(
    mysql_family: MysqlTarget, rotation_service: RotationService, limit: int
) -> None:
    """Issue 12, C11: in SHOW CREATE USER an apostrophe of a comment stands as it is, and ends no text."""
    if mysql_family.kind != "mysql":
        pytest.skip("MariaDB keeps no comment")
    subject = rotated(mysql_family, rotation_service, SINGLE)
    account = f"{mysql_family.text(subject.application.username)}@'%'"
    text = "it''s PASSWORD REQUIRE CURRENT DEFAULT FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME 1"
    rules = f"FAILED_LOGIN_ATTEMPTS {limit} PASSWORD_LOCK_TIME {limit}"
    mysql_family.server.query(f"ALTER USER {account} {rules} COMMENT '{text}'")
    with MysqlEngine().connect(
        Credentials(subject.value, "the user's secret"),
        ConnectOptions(timeout=5.0, ca_file=str(mysql_family.server.ca_file)),
    ) as session:
        assert session.wrong_passwords_allowed() == (limit or None)
    assert subject.service.rotate(subject.arn).error is None


def test_a_broken_rotations_repetition_tries_one_password_in_vain_at_a_time(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """Issue 12, A4: AWSCURRENT, then at once the one that is in force; three in a row would block the user."""
    user = User(mysql_family)
    with blocked_after(user, 2):
        subject = user.rotated(rotation_service, SINGLE)
        assert rotation_service.rotate(subject.arn).succeeded
        rotation_service.faults.fail("UpdateSecretVersionStage", when="before", kind="crash")
        rotation = rotation_service.rotate(subject.arn)
        assert subject.logs_in("AWSPENDING")
        assert not subject.logs_in("AWSCURRENT")
        assert subject.logs_in("AWSPENDING")
        rotation_service.faults.fail("GetSecretValue", when="after", kind="crash", step="setSecret", nth=3)
        rotation_service.retry(subject.arn)
        while not rotation.succeeded:
            rotation_service.retry(subject.arn)
        assert rotation.error is None
        subject.target.work(subject.value)


def test_a_wrong_password_is_not_tried_until_it_blocks_the_user(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """Issue 12, A4: the service repeats a rotation five times, and applications log in with the right password."""
    user = User(mysql_family)
    with blocked_after(user, 3):
        for strategy in (SINGLE, DUAL, ALTERNATING):
            subject = user.rotated(rotation_service, strategy)
            for password in ("a-wrong-one", "another-wrong-one"):
                wrong = json.dumps({**subject.value, "password": password})
                rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=wrong)
            failed = rotation_service.rotate(subject.arn)
            assert "this rotation is not retried" in str(failed.error)
            for _ in range(4):
                rotation_service.retry(subject.arn)
            assert logs_in(user, user.password)
            right = json.dumps({**subject.value, "password": user.password})
            rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=right)
        assert rotation_service.rotate(subject.arn).error is None


@pytest.mark.parametrize("sees", [True, False])
def test_a_user_alone_says_that_it_changes_one_of_its_accounts(
    mysql_family: MysqlTarget, rotation_service: RotationService, log: Any, *, sees: bool
) -> None:
    """Issue 12, A2: whoever may read the accounts is refused; who may not, is told so in the log."""
    user = User(mysql_family, ELSEWHERE)
    if sees:
        user.run(f"GRANT SELECT ON mysql.* TO {user.account(user.name, EVERYWHERE)}")
    subject = user.rotated(rotation_service, SINGLE)
    before = user.stored(user.name, ELSEWHERE)
    rotation = rotation_service.rotate(subject.arn)
    if sees:
        assert rotation.failed_step == "createSecret"
        assert user.account(user.name, ELSEWHERE) in str(rotation.error)
        assert "name an admin secret, which changes them together" in str(rotation.error)
        assert logs_in(user, user.password)
    else:
        assert rotation.error is None
        assert "can't see whether it has others" in log.getvalue()
    assert user.stored(user.name, ELSEWHERE) == before


def test_the_admin_changes_a_single_users_accounts_together(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """Issue 12, A2: the one that logs in here is the last, so that its new password stands for all."""
    user = User(mysql_family, ELSEWHERE, "10.3.%")
    subject = resetting(user, rotation_service)
    for nth in (1, 2, 3):
        steps(subject, lost=nth == 2)
        with admin_of(mysql_family) as admin:
            account = admin.find_account(user.name)
            assert len(admin.recognize(one_of(account, EVERYWHERE), subject.value["password"]).scope) == 3


def test_a_pending_password_that_one_of_two_accounts_has_is_not_let_go(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """Issue 12, A2 and B6: killed between two hosts; the pending version is the only record of one's password."""
    user = User(mysql_family, ELSEWHERE)
    subject = resetting(user, rotation_service)
    rotation = rotation_service.stage(subject.arn)
    rotation_service.invoke(rotation, "createSecret")
    pending = rotation_service.value(subject.arn, "AWSPENDING")["password"]
    identified = mysql_family._identified(pending).replace("BY PASSWORD", "VIA mysql_native_password USING")
    user.run(f"ALTER USER {user.account(user.name, ELSEWHERE)} {identified}")
    before = subject.value
    edited = json.dumps({**before, "note": "edited"})
    rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=edited)
    assert isinstance(rotation_service.retry(subject.arn).error, EditedMeanwhile)
    rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(before))
    assert rotation_service.retry(subject.arn).error is None
    assert subject.value["password"] == pending
    subject.target.work(subject.value)


def resetting(user: User, service: RotationService) -> Rotated:
    """A single user's secret whose function may have the admin set the password."""
    admin = service.create_secret("the-admin", user.target.admin_secret(), user.target.rotator(service))
    return rotated(
        user.target, service, SINGLE, application=user.application, masterarn=admin, ALLOW_ADMIN_RESET="true"
    )


def test_the_admin_ends_the_pause_after_wrong_passwords(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """Issue 12, D18: 3955 on MySQL, 4150 on MariaDB; the order to repair is the deployer's."""
    user = User(mysql_family)
    if str(user.run("SELECT VERSION()")[0][0]).startswith("10.5."):
        pytest.skip("MariaDB 10.5 ends it by FLUSH PRIVILEGES only")
    if mysql_family.kind == "mysql":
        user.run(f"ALTER USER {user.account(user.name, EVERYWHERE)} FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME 3")
    else:
        user.run("SET GLOBAL max_password_errors = 1")
    try:
        for _ in range(2):
            assert not logs_in(user, "a-wrong-one")
        rotator = mysql_family.rotator(rotation_service, ROTATION_STRATEGY=SINGLE)
        admin = rotation_service.create_secret("the-admin", mysql_family.admin_secret(), rotator)
        secret = mysql_family.secret(user.application, masterarn=admin)
        arn = rotation_service.create_secret("blocked", secret, rotator)
        failed = rotation_service.rotate(arn)
        assert "blocked after too many wrong passwords" in str(failed.error) or "Account is blocked" in str(
            failed.error
        )
        rotator._environment._variables.update(
            {"ALLOW_ADMIN_RESET": "true", "ROTATION_USERS": json.dumps({"blocked": user.name})}
        )
        assert rotation_service.rotate(arn).error is None
        mysql_family.log_in(rotation_service.value(arn))
    finally:
        if mysql_family.kind == "mariadb":
            user.run("SET GLOBAL max_password_errors = 4294967295")


@contextlib.contextmanager
def expiring(user: User, *, disconnects: bool) -> Iterator[None]:
    """A password that has expired, on a server that lets clients in with it or only those that say they can."""
    if user.target.kind == "mysql" and not disconnects:
        pytest.skip("MySQL reads this setting when it starts")
    before = user.run("SELECT @@global.disconnect_on_expired_password")[0][0]
    if user.target.kind == "mariadb":
        user.run(f"SET GLOBAL disconnect_on_expired_password = {int(disconnects)}")
    try:
        user.run(f"ALTER USER {user.account(user.name, EVERYWHERE)} PASSWORD EXPIRE")
        yield
    finally:
        if user.target.kind == "mariadb":
            user.run(f"SET GLOBAL disconnect_on_expired_password = {before}")


@pytest.mark.parametrize("disconnects", [True, False])
def test_an_expired_password_is_a_login_state(
    mysql_family: MysqlTarget, rotation_service: RotationService, *, disconnects: bool
) -> None:
    """Issue 12, D18: 1862, and 1820 where the server lets the user in to change it; the admin sets another."""
    user = User(mysql_family)
    subject = user.rotated(rotation_service, ALTERNATING)
    with expiring(user, disconnects=disconnects):
        failed = rotation_service.rotate(subject.arn)
        assert failed.failed_step == "createSecret"
        assert isinstance(failed.error, LoginRefused)
        assert "the password has expired" in str(failed.error)
        repaired = resetting(user, rotation_service)
        assert rotation_service.rotate(repaired.arn).error is None
        mysql_family.work(repaired.value)


@pytest.mark.parametrize("strategy", [SINGLE, "auto"])
@pytest.mark.parametrize("disconnects", [True, False])
@pytest.mark.parametrize("lost", [None, "before", "after"])
def test_a_user_whose_password_has_expired_sets_the_new_one_with_it(
    mysql_family: MysqlTarget, rotation_service: RotationService, strategy: str, lost: Any, *, disconnects: bool
) -> None:
    """Issue 12, D18: the one statement that such a login may run is the one that mends it."""
    user = User(mysql_family)
    if mysql_family.kind == "mysql":
        user.run(f"ALTER USER {user.account(user.name, EVERYWHERE)} PASSWORD REQUIRE CURRENT")
    subject = rotated(mysql_family, rotation_service, SINGLE, application=user.application, ROTATION_STRATEGY=strategy)
    with expiring(user, disconnects=disconnects):
        if lost:
            rotation_service.faults.fail("UpdateSecretVersionStage", when=lost, kind="crash")
        rotation = rotation_service.rotate(subject.arn)
        if lost:
            assert subject.logs_in("AWSCURRENT" if lost == "after" else "AWSPENDING")
            rotation_service.retry(subject.arn)
        assert rotation.error is None
        mysql_family.work(subject.value)
        assert rotation_service.rotate(subject.arn).error is None


def test_a_clone_on_a_host_of_somebody_elses_is_refused(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """The user's host is one where a stranger of the clone's name has an account already."""
    user = User(mysql_family, ELSEWHERE)
    user.add(user.clone, ELSEWHERE, "of-a-stranger")
    user.run(f"GRANT SELECT ON mysql.* TO {user.account(user.clone, ELSEWHERE)}")
    before = user.stored(user.clone, ELSEWHERE)
    failed = user.rotated(rotation_service, ALTERNATING)
    refused = failed.service.rotate(failed.arn)
    assert isinstance(refused.error, UserPairMismatch)
    assert user.stored(user.clone, ELSEWHERE) == before
    assert not user.stored(user.clone, EVERYWHERE)


def logs_in(user: User, password: str) -> bool:
    try:
        user.target.log_in({"username": user.name, "password": password})
    except user.target.refusals:
        return False
    return True


def one_of(account: Any, host: str) -> Any:
    """An account as a login from one host shows it."""
    return type(account)(account.server, (account.name, host), account.name, (host,))


def admin_of(target: MysqlTarget) -> Any:
    """The admin's session."""
    secret = Credentials(target.admin_secret(), "the admin's secret")
    return MysqlEngine().connect(secret, ConnectOptions(timeout=5.0, ca_file=str(target.server.ca_file), admin=True))
