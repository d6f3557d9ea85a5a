"""What nobody can do with one application's secret, or as its user, on MongoDB: shown on SecantusDB."""

from __future__ import annotations

import io
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from doubles.relay import Relay
from targets import ALTERNATING, MongoTarget, rotated
from targets.base import Application

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.identity import Account, Relation
from rotators.engines.mongo import MongoEngine
from rotators.engines.mongo.session import MongoSession
from rotators.errors import ConnectionLost, LoginRefused, Unreachable, UserNotRotatable, UserPairMismatch
from rotators.testing import RotationService
from rotators.testing.servers.postgres_instance import Login
from rotators.testing.servers.secantus import SecantusServer

PAYROLL = [{"role": "readWrite", "db": "payroll"}]
ALL_OF_PAYROLL = {"resource": {"db": "payroll", "collection": ""}, "actions": ["find", "insert"]}


def connect(target: MongoTarget, change: dict[str, Any] | None = None, **options: Any) -> MongoSession:
    value = {**target.admin_secret(), **(change or {})}
    chosen = {"timeout": 2.0, "ca_file": str(target.server.ca_file), **options}
    return MongoEngine().connect(Credentials(value), ConnectOptions(**chosen))


def role(target: MongoTarget, **what: Any) -> dict[str, str]:
    """A role that root makes."""
    name = f"role_{secrets.token_hex(3)}"
    target.as_root({"createRole": name, "privileges": [], "roles": [], **what})
    return {"role": name, "db": "admin"}


def account(target: MongoTarget, application: Application) -> Account:
    with connect(target, {"username": application.username, "password": application.password}) as session:
        return session.account


@pytest.mark.parametrize("how", ["built-in", "privilege", "chain", "user admin"])
def test_the_second_user_is_given_to_nobody_who_may_do_less(
    mongo: MongoTarget, rotation_service: RotationService, how: str
) -> None:
    """Issue 11, fault 6. The writer of `boss_clone`'s secret, which shares rights with `boss`, wants `boss`."""
    boss = mongo.make_application()
    [before] = mongo.as_root({"usersInfo": boss.username})["users"]
    more: list[Any] = {
        "built-in": lambda: PAYROLL,
        "privilege": lambda: [role(mongo, privileges=[ALL_OF_PAYROLL])],
        "chain": lambda: [role(mongo, roles=[role(mongo, roles=PAYROLL)])],
        "user admin": lambda: [{"role": "userAdmin", "db": "payroll"}],
    }[how]()
    mongo.as_root({"grantRolesToUser": boss.username, "roles": more})
    clone = Application(f"{boss.username}_clone", secrets.token_urlsafe(12))
    mongo.passwords.add(clone.password)
    mongo.as_admin({"createUser": clone.username, "pwd": clone.password, "roles": before["roles"]})
    subject = rotated(mongo, rotation_service, ALTERNATING, application=clone)
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    assert failed.failed_step == "createSecret"
    assert "payroll" in str(failed.error)
    mongo.work(mongo.secret(boss))
    mongo.log_in(mongo.secret(clone))


@pytest.mark.parametrize("chain", [False, True])
def test_an_admins_password_is_set_for_nobody(
    mongo: MongoTarget, rotation_service: RotationService, *, chain: bool
) -> None:
    """Issue 11, fault 6. Whatever the secret's writer names: who may give itself anything is no application's user."""
    boss = mongo.make_application()
    power = {"role": "userAdminAnyDatabase", "db": "admin"}
    more = role(mongo, roles=[role(mongo, roles=[power])]) if chain else power
    mongo.as_root({"grantRolesToUser": boss.username, "roles": [more]})
    subject = rotated(mongo, rotation_service, ALTERNATING, application=boss)
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserNotRotatable)
    assert "is an administrator (userAdminAnyDatabase@admin)" in str(failed.error)
    with connect(mongo) as admin:
        known = admin.find_account(boss.username)
        assert known is not None
        for act in (lambda: admin.check_can_set_password(known), lambda: admin.set_password(known, "stolen-password")):
            with pytest.raises(UserNotRotatable):
                act()
    mongo.work(mongo.secret(boss))


def test_the_former_version_of_a_secret_proves_nothing(mongo: MongoTarget, rotation_service: RotationService) -> None:
    """Issue 11, the rule. The writer puts another's user into AWSPREVIOUS, and its own `_clone` into AWSCURRENT."""
    victim = mongo.make_application()
    bare = mongo.make_bare(f"{victim.username}_clone")
    subject = rotated(mongo, rotation_service, ALTERNATING, application=bare)
    mine = subject.value
    for value in ({**mine, "username": victim.username, "password": "anything"}, mine):
        rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
    assert rotation_service.value(subject.arn, "AWSPREVIOUS")["username"] == victim.username
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    mongo.work(mongo.secret(victim))


def test_what_the_refusal_says_to_run_permits_it(mongo: MongoTarget, rotation_service: RotationService) -> None:
    """Issue 11, the rule. Only an admin can make the mark; the refusal spells it out, and it works when it is run."""
    application = mongo.make_application()
    clone = f"{application.username}_clone"
    mongo.as_admin({"createUser": clone, "pwd": "made-by-hand", "roles": PAYROLL})
    subject = rotated(mongo, rotation_service, ALTERNATING, application=application)
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    _, _, remedy = failed.error.advice.partition("run once, as an admin: ")
    for command in remedy.partition("; name the secret's user")[0].split("; "):
        where, _, rest = command.removeprefix("db.getSiblingDB(").partition(").runCommand(")
        mongo.as_admin(json.loads(rest.removesuffix(")")), json.loads(where))
    with connect(mongo) as admin:
        assert admin.inspect_pair(account(mongo, application), clone).relation is Relation.MARKED
    assert rotation_service.retry(subject.arn).error is None
    mongo.work(subject.value)
    [kept] = mongo.as_root({"usersInfo": clone})["users"]
    assert "payroll" not in {one["db"] for one in kept["roles"]}


def test_a_role_of_another_database_is_no_mark(mongo: MongoTarget) -> None:
    """Issue 11, the rule. Who administers the users of one database can make roles there, named as ours are."""
    victim, thief = mongo.make_application(), None
    thief = mongo.make_bare(f"{victim.username}_clone")
    for user, name in ((victim, "rotators_source"), (thief, "rotators_clone")):
        mongo.as_root({"createRole": f"{name}", "privileges": [], "roles": []}, f"own_{user.username[:20]}")
        mark = {"role": name, "db": f"own_{user.username[:20]}"}
        mongo.as_root({"grantRolesToUser": user.username, "roles": [mark]})
    with connect(mongo) as admin:
        pair = admin.inspect_pair(account(mongo, thief), victim.username)
    assert pair.relation is Relation.MORE_POWERFUL


def test_a_user_of_another_database_is_another_user(mongo: MongoTarget) -> None:
    """Issue 11, the rule. A name is no identity: the one that logged in is of its authentication database."""
    victim = mongo.make_application()
    own = Application(victim.username, secrets.token_urlsafe(12))
    mongo.as_root({"createUser": own.username, "pwd": own.password, "roles": []}, "own")
    change = {"username": own.username, "password": own.password, "authenticationDatabase": "own"}
    with connect(mongo, change) as session:
        found = session.account
    assert found != account(mongo, victim)
    assert found.server == account(mongo, victim).server
    with connect(mongo) as admin:
        pair = admin.inspect_pair(found, f"{victim.username}_clone")
        assert pair.relation is Relation.ABSENT
        admin.set_password(admin.recognize(found, own.password), "of-the-other")
    mongo.work(mongo.secret(victim))
    with pytest.raises(LoginRefused):
        connect(mongo, change)


def test_the_proof_is_made_where_the_admin_acts(mongo: MongoTarget, rotation_service: RotationService) -> None:
    """Issue 11, fault 3. The writer's own server knows the victim's name with a password of the writer's."""
    victim = mongo.make_application()
    with SecantusServer() as mine:
        with mine.client(mine.root) as root:
            root.admin.command({"createUser": victim.username, "pwd": "of-the-thief", "roles": []})
        value = {"host": mine.host, "port": mine.port, "password": "of-the-thief", "dbClusterIdentifier": "production"}
        rotator = mongo.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
        admin = {**mongo.admin_secret(), "dbClusterIdentifier": "production"}
        masterarn = rotation_service.create_secret("the-admin", admin, rotator)
        stolen = {**mongo.secret(victim, masterarn=masterarn), **value}
        arn = rotation_service.create_secret("stolen", stolen, rotator)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, LoginRefused)
        assert failed.failed_step == "createSecret"
        with connect(mongo) as first, connect(mongo) as second:
            assert first.account == second.account
        here = {"port": mine.port, "username": "root", "password": mine.root.password}
        with connect(mongo, here, ca_file=str(mine.ca_file)) as other, connect(mongo) as session:
            assert other.account.server != session.account.server
    with pytest.raises(mongo.refusals):
        mongo.server.client(Login(f"{victim.username}_clone", "of-the-thief"))
    mongo.work(mongo.secret(victim))


def test_a_right_that_was_revoked_since_is_taken_from_the_clone_and_said(
    mongo: MongoTarget, rotation_service: RotationService, log: io.StringIO
) -> None:
    """Issue 11, fault 8. The mark stays, so that a clone with a right too many is still known; nothing goes unsaid."""
    subject = rotated(mongo, rotation_service, ALTERNATING)
    name = subject.application.username
    assert rotation_service.rotate(subject.arn).error is None
    mongo.as_root({"grantRolesToUser": f"{name}_clone", "roles": PAYROLL})
    assert rotation_service.rotate(subject.arn).error is None
    mongo.work(subject.value)
    [clone] = mongo.as_root({"usersInfo": f"{name}_clone"})["users"]
    assert "payroll" not in {one["db"] for one in clone["roles"]}
    assert "roles that its source has not" in log.getvalue()
    assert "payroll" in log.getvalue()


@pytest.fixture(params=[None, 0.3], ids=["silent", "a byte at a time"])
def relay(request: pytest.FixtureRequest, mongo: MongoTarget) -> Iterator[Relay]:
    """Leads to the server."""
    with Relay(mongo.server.host, mongo.server.port, after=1 << 40, every=request.param) as made:
        yield made


def test_a_server_that_falls_silent_after_the_login_is_left_in_time(mongo: MongoTarget, relay: Relay) -> None:
    """Issue 11, fault 12. Each byte that comes must not begin the time anew."""
    with connect(mongo, {"port": relay.port}, timeout=1.0) as session:
        relay.after = 0
        began = time.monotonic()
        with pytest.raises(ConnectionLost, match="no answer in time"):
            session.verify(None)
        assert time.monotonic() - began < 2.0


def test_a_server_that_is_slow_from_the_first_byte_is_left_in_time(mongo: MongoTarget, relay: Relay) -> None:
    """Issue 11, fault 12. In TLS's handshake, and in the search for the server."""
    relay.after = 0
    began = time.monotonic()
    with pytest.raises(Unreachable, match="no answer in time"):
        connect(mongo, {"port": relay.port}, timeout=1.0)
    assert time.monotonic() - began < 2.5


def test_nothing_is_asked_when_the_time_is_over(mongo: MongoTarget) -> None:
    """Issue 11, fault 12. The deadline is the invocation's, whatever a time-out would allow."""
    with pytest.raises(Unreachable, match="time is over"):
        connect(mongo, deadline=time.monotonic() + 0.1)
    began = time.monotonic()
    with connect(mongo, deadline=began + 1.0) as session, pytest.raises(Unreachable, match="time is over"):
        _ask_for_ever(session)
    assert time.monotonic() - began < 1.0


def _ask_for_ever(session: MongoSession) -> None:
    while True:
        session.verify('{"ping": 1}')
