"""What nobody can do with one application's secret, or as its user, on Db2: shown on the double of RDS for Db2."""

from __future__ import annotations

import io
import json
import threading
import time
from typing import Any

import pytest
from doubles.db2 import Rights, Server, User
from targets import ALTERNATING, SINGLE, Db2Target, rotated
from targets.base import Application

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.db2 import Db2Engine
from rotators.engines.db2.session import Db2Session
from rotators.engines.identity import Relation
from rotators.errors import ConnectionLost, LoginRefused, Unreachable, UserNotRotatable, UserPairMismatch
from rotators.testing import RotationService

PAYROLL = ("SELECT", 'TABLE "PAY"."ROLL"')
MARK = ("USAGE", 'SEQUENCE "ROTATORS"."CLONE"')


def connect(target: Db2Target, secret: dict[str, Any] | None = None, **options: Any) -> Db2Session:
    chosen = {"timeout": 2.0, "ca_file": "/ca.pem", **options}
    return Db2Engine().connect(Credentials(secret or target.admin_secret()), ConnectOptions(**chosen))


def rights(target: Db2Target, user: str, database: str = "APP") -> Rights:
    return target.catalogue.databases[database].rights.setdefault(user.upper(), {})


def clone_of(target: Db2Target, boss: Application, suffix: str = "_clone") -> Application:
    """A user named like the clone of another, with the same rights and groups."""
    made = target.make_bare(f"{boss.username}{suffix}")
    rights(target, made.username).update(rights(target, boss.username))
    target.catalogue.users[made.username.lower()].groups = set(target.catalogue.users[boss.username].groups)
    return made


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
@pytest.mark.parametrize("spelling", ["ADMIN", "Admin", "aDmIn"])
def test_the_admin_itself_is_refused_however_its_name_is_spelled(
    db2: Db2Target, rotation_service: RotationService, strategy: str, spelling: str
) -> None:
    """Issue 11, fault 15. The secret's user is "ADMIN", its admin is "admin": a rotation would lock its secret out."""
    rotator = db2.rotator(rotation_service, ROTATION_STRATEGY=strategy)
    admin = rotation_service.create_secret("the-admin", db2.admin_secret(), rotator)
    secret = {**db2.admin_secret(), "username": spelling, "masterarn": admin}
    arn = rotation_service.create_secret("the-app", secret, rotator)
    failed = rotation_service.rotate(arn)
    assert isinstance(failed.error, UserPairMismatch)
    assert failed.failed_step == "createSecret"
    db2.log_in(db2.admin_secret())


def test_accounts_are_compared_as_db2_compares_them(db2: Db2Target) -> None:
    """Issue 11, fault 15. Two spellings are one account; so are two names of one host."""
    application = db2.make_application()
    secret = db2.secret(application)
    spellings = (secret, {**secret, "username": application.username.upper()}, {**secret, "host": "127.0.0.1"})
    accounts = []
    for spelled in spellings:
        with connect(db2, spelled) as session:
            accounts.append(session.account)
    assert accounts[0] == accounts[1] == accounts[2]
    with connect(db2) as admin:
        assert admin.account != accounts[0]
        assert admin.account.server == accounts[0].server
        assert admin.find_account(application.username.upper()) == accounts[0]


@pytest.mark.parametrize("suffix", ["_clone", "_CLONE"])
@pytest.mark.parametrize(
    "how", ["right", "its option", "group", "role", "role of a role", "surrogate", "another database", "authority"]
)
def test_the_second_user_is_given_to_nobody_who_may_do_less(
    db2: Db2Target, rotation_service: RotationService, how: str, suffix: str
) -> None:
    """Issue 11, fault 6. The writer of `boss_clone`'s secret, which shares rights with `boss`, wants `boss`."""
    boss = db2.make_application()
    clone = clone_of(db2, boss, suffix)
    database, more = db2.catalogue.databases["APP"], rights(db2, boss.username)
    if how == "right":
        more[PAYROLL] = ("Y", "ADMIN")
    elif how == "its option":
        more[PAYROLL] = ("G", "ADMIN")
        rights(db2, clone.username)[PAYROLL] = ("Y", "ADMIN")
    elif how == "group":
        db2.catalogue.users[boss.username].groups.add("finance")
    elif how.startswith("role"):
        more['ROLE "ONE"', ""] = ("Y", "ADMIN")
        if how == "role of a role":
            rights(db2, clone.username)['ROLE "TWO"', ""] = ("Y", "ADMIN")
            database.of_roles["ONE"] = {('ROLE "TWO"', ""): ("Y", "ADMIN"), ('ROLE "THREE"', ""): ("Y", "ADMIN")}
    elif how == "surrogate":
        database.extras["SURROGATE", boss.username.upper()] = "CFO"
    elif how == "another database":
        rights(db2, boss.username, "PAYROLL")[PAYROLL] = ("Y", "ADMIN")
    else:
        database.authorities[boss.username.upper()] = {"LOAD"}
    subject = rotated(db2, rotation_service, ALTERNATING, application=clone)
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    assert failed.failed_step == "createSecret"
    db2.work(db2.secret(boss))
    db2.log_in(db2.secret(clone))


def test_what_a_role_gives_is_no_right_too_many(db2: Db2Target) -> None:
    """Issue 11, the rule. A clone of AWS's template may have directly what its user has by a role."""
    application = db2.make_application()
    clone = clone_of(db2, application)
    rights(db2, clone.username)[PAYROLL] = ("Y", "ADMIN")
    rights(db2, application.username)['ROLE "PAYERS"', ""] = ("Y", "ADMIN")
    db2.catalogue.databases["APP"].of_roles["PAYERS"] = {PAYROLL: ("Y", "ADMIN")}
    with connect(db2, db2.secret(application)) as session:
        current = session.account
    with connect(db2) as admin:
        assert admin.inspect_pair(current, clone.username).relation is Relation.RELATED


@pytest.mark.parametrize("power", ["DBADM", "SECADM", "ACCESSCTRL", "DATAACCESS", "SYSADM"])
@pytest.mark.parametrize("whose", ["the user's", "the second user's"])
def test_an_administrators_password_is_set_for_nobody(
    db2: Db2Target, rotation_service: RotationService, power: str, whose: str
) -> None:
    """Issue 11, fault 6. Whatever the secret's writer names: an administrator is no application's user."""
    boss = db2.make_application()
    clone = clone_of(db2, boss)
    db2.catalogue.databases["APP"].authorities[boss.username.upper()] = {power}
    used = boss if whose == "the user's" else clone
    failed = rotation_service.rotate(rotated(db2, rotation_service, ALTERNATING, application=used).arn)
    assert isinstance(failed.error, UserNotRotatable)
    assert f"is an administrator ({power})" in str(failed.error)
    if used is boss:
        failed = rotation_service.rotate(rotated(db2, rotation_service, SINGLE, application=boss).arn)
        assert isinstance(failed.error, UserNotRotatable)
    db2.log_in(db2.secret(boss))


def test_the_mark_of_another_than_an_admin_is_none(db2: Db2Target, rotation_service: RotationService) -> None:
    """Issue 11, the rule. The application makes the sequence itself, and grants it to the user whom it wants."""
    boss = db2.make_application()
    thief = clone_of(db2, boss)
    rights(db2, boss.username)[PAYROLL] = ("Y", "ADMIN")
    for user in (boss, thief):
        rights(db2, user.username)[MARK] = ("Y", thief.username.upper())
    db2.catalogue.databases["APP"].sequences.add(("ROTATORS", "CLONE"))
    failed = rotation_service.rotate(rotated(db2, rotation_service, ALTERNATING, application=thief).arn)
    assert isinstance(failed.error, UserPairMismatch)
    assert "PAY" in str(failed.error)
    rights(db2, boss.username)[MARK] = ("G", "SYSIBM")
    failed = rotation_service.rotate(rotated(db2, rotation_service, ALTERNATING, application=thief).arn)
    assert isinstance(failed.error, UserPairMismatch)
    db2.work(db2.secret(boss))


def test_what_the_refusal_says_to_run_permits_it(db2: Db2Target, rotation_service: RotationService) -> None:
    """Issue 11, the rule. Only an admin can make the mark; the refusal spells it out, and it works when it is run."""
    application = db2.make_application()
    clone = clone_of(db2, application)
    rights(db2, clone.username)[PAYROLL] = ("Y", "ADMIN")
    db2.catalogue.databases["APP"].sequences.clear()
    subject = rotated(db2, rotation_service, ALTERNATING, application=application)
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    _, _, remedy = failed.error.advice.partition("run once, as an admin: ")
    with db2.session(db2.admin_secret()) as admin:
        for statement in remedy.partition("; name the secret's user")[0].split("; "):
            admin.run(statement)
    assert rotation_service.retry(subject.arn).error is None
    db2.work(subject.value)
    assert PAYROLL not in rights(db2, clone.username)


def test_the_former_version_of_a_secret_proves_nothing(db2: Db2Target, rotation_service: RotationService) -> None:
    """Issue 11, the rule. The writer puts another's user into AWSPREVIOUS, and its own `_clone` into AWSCURRENT."""
    victim = db2.make_application()
    bare = db2.make_bare(f"{victim.username}_clone")
    subject = rotated(db2, rotation_service, ALTERNATING, application=bare)
    mine = subject.value
    for value in ({**mine, "username": victim.username, "password": "anything"}, mine):
        rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    db2.work(db2.secret(victim))


def test_the_proof_is_made_where_the_admin_acts(
    db2: Db2Target, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 11, fault 3. The writer's own server knows the victim's name with a password of the writer's."""
    victim = db2.make_application()
    mine = Server(db2.catalogue.port)
    mine.hosts = {"thief.example"}
    mine.users[victim.username] = User("of-the-thief")
    mine.databases["APP"].rights[victim.username.upper()] = {("CONNECT", "DATABASE"): ("Y", "ADMIN")}
    real = db2.catalogue.connect

    def dial(text: str, *rest: str) -> Any:
        return (mine.connect if "HOSTNAME=thief.example" in text else real)(text, *rest)

    monkeypatch.setattr(db2.catalogue, "connect", dial)
    for strategy in (SINGLE, ALTERNATING):
        rotator = db2.rotator(rotation_service, ROTATION_STRATEGY=strategy)
        masterarn = rotation_service.create_secret(f"admin-{strategy}", db2.admin_secret(), rotator)
        stolen = {**db2.secret(victim), "host": "thief.example", "password": "of-the-thief", "masterarn": masterarn}
        failed = rotation_service.rotate(rotation_service.create_secret(f"stolen-{strategy}", stolen, rotator))
        assert isinstance(failed.error, LoginRefused)
        assert failed.failed_step == "createSecret"
    db2.work(db2.secret(victim))
    assert f"{victim.username}_clone" not in db2.catalogue.users


def test_a_right_that_was_revoked_since_is_taken_from_the_clone_and_said(
    db2: Db2Target, rotation_service: RotationService, log: io.StringIO
) -> None:
    """Issue 11, fault 8. The mark stays, so that a clone with a right too many is still known; nothing goes unsaid."""
    subject = rotated(db2, rotation_service, ALTERNATING)
    name = subject.application.username
    assert rotation_service.rotate(subject.arn).error is None
    rights(db2, f"{name}_clone")[PAYROLL] = ("Y", "ADMIN")
    assert rotation_service.rotate(subject.arn).error is None
    db2.work(subject.value)
    assert PAYROLL not in rights(db2, f"{name}_clone")
    assert "rights that its source has not" in log.getvalue()
    assert "ROLL" in log.getvalue()


@pytest.fixture
def hangs(db2: Db2Target, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes one of the driver's functions wait until the test is over."""
    over = threading.Event()
    waiting: list[threading.Thread] = []

    def hang(function: str) -> None:
        def wait(*_: Any) -> None:
            waiting.append(threading.current_thread())
            over.wait()
            raise RuntimeError("the test is over")

        monkeypatch.setattr(db2.catalogue, function, wait)

    yield hang
    over.set()
    for thread in waiting:
        thread.join()


def test_a_server_that_is_silent_at_the_login_is_left_in_time(db2: Db2Target, hangs: Any) -> None:
    """Issue 11, fault 12. The driver's own time-out can't be relied on: each byte begins it anew."""
    hangs("connect")
    began = time.monotonic()
    with pytest.raises(Unreachable):
        connect(db2, timeout=0.5)
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("function", ["prepare", "execute", "fetch_tuple"])
def test_a_server_that_falls_silent_after_the_login_is_left_in_time(db2: Db2Target, hangs: Any, function: str) -> None:
    """Issue 11, fault 12. What the driver holds then is never used again."""
    with connect(db2, timeout=0.5) as session:
        hangs(function)
        began = time.monotonic()
        with pytest.raises(ConnectionLost, match="no answer in time"):
            session.verify(None)
        with pytest.raises(ConnectionLost, match="was lost"):
            session.verify(None)
    assert time.monotonic() - began < 1.5
