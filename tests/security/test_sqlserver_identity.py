"""Nobody turns a rotation against SQL Server: stories of those who try, on the double behind the real driver."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from doubles.sqlserver import Database, Login, Server, Session, User, fresh_sid
from doubles.tds import SqlError, TdsServer
from targets import ALTERNATING, SINGLE, SqlserverDouble, rotated

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.sqlserver import SqlserverEngine
from rotators.engines.sqlserver.clone import derived_sid
from rotators.engines.sqlserver.session import SqlserverSession
from rotators.errors import (
    ConnectionLost,
    PermissionRefused,
    RotationError,
    TlsFailed,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.testing import RotationService


def connect(target: SqlserverDouble, change: dict[str, Any] | None = None, **options: Any) -> SqlserverSession:
    value = {**target.admin_secret(), **(change or {})}
    chosen = {"timeout": 2.0, "ca_file": str(target.ca_file), **options}
    return SqlserverEngine().connect(Credentials(value), ConnectOptions(**chosen))


def make_login(target: SqlserverDouble, name: str, sid: bytes | None = None, database: str = "app") -> Login:
    """A login that may connect, with a user in a database, and no more."""
    server = target.catalogue
    login = Login(sid or fresh_sid(name), target._password(), policy=False)
    server.logins[name] = login
    server.permissions[name, "CONNECT SQL", 100, None, None, None] = "G"
    server.databases[database].users[name] = User(login.sid)
    server.databases[database].permissions[name, "CONNECT", 0, None, None, None] = "G"
    return login


def rotate(target: SqlserverDouble, service: RotationService, name: str, password: str, **extra: Any) -> Any:
    """Rotate a secret that somebody wrote; gives the error, if there is one."""
    rotator = target.rotator(service, ROTATION_STRATEGY=ALTERNATING)
    admin = service.create_secret(f"admin-of-{name}", target.admin_secret(), rotator)
    value = {**target.address.secret(name, password), "masterarn": admin, **extra}
    arn = service.create_secret(f"secret-of-{name}", value, rotator)
    return service.rotate(arn).error


def test_a_contained_user_with_a_logins_name_and_sid_is_not_that_login(
    sqlserver: SqlserverDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 11, faults 5 and 15.

    The attacker owns a database, and makes a contained user in it with the name and the very SID of another person's
    login. The secret names that user. The admin must not take it for the login, whose password stays.
    """
    victim = sqlserver.make_application()
    login = sqlserver.catalogue.logins[victim.username]
    evil = Database(members={"db_owner": {"admin"}})
    evil.users["admin"] = User(sqlserver.catalogue.logins["admin"].sid)
    evil.users[victim.username] = User(login.sid, password="the attacker's own")
    monkeypatch.setitem(sqlserver.catalogue.databases, "evil", evil)
    error = rotate(sqlserver, rotation_service, victim.username, "the attacker's own", dbname="evil")
    assert error is None or isinstance(error, RotationError)
    assert login.password == victim.password
    assert f"{victim.username}_clone" not in sqlserver.catalogue.logins
    sqlserver.work(sqlserver.secret(victim))


def test_a_contained_user_of_another_database_is_another_one(sqlserver: SqlserverDouble) -> None:
    """Issue 11, fault 5: a contained user's SID is its maker's to choose, too."""
    victim = sqlserver.make_application()
    contained = sqlserver.catalogue.databases["app"].users[victim.username]
    contained.password = victim.password
    del sqlserver.catalogue.logins[victim.username]
    with connect(sqlserver, sqlserver.secret(victim)) as user, connect(sqlserver) as admin:
        assert admin.recognize(user.account, victim.password) == user.account
        elsewhere = replace(user.account, key=("evil", contained.sid.hex()), scope=("evil",))
        assert elsewhere != user.account
        with pytest.raises(UserNotRotatable, match="there is no login"):
            admin.recognize(elsewhere, victim.password)


def test_a_clone_that_somebody_made_by_our_rule_is_not_given_its_source(
    sqlserver: SqlserverDouble, rotation_service: RotationService
) -> None:
    """Issue 11, fault 1.

    The attacker makes ``victim_clone`` with the SID that we would give it, and puts it into a secret: the next password
    would be the victim's.
    """
    victim = sqlserver.make_application()
    server = sqlserver.catalogue
    attacker = sqlserver.make_application()
    server.permissions[attacker.username, "CREATE LOGIN", 100, None, None, None] = "G"
    name = f"{victim.username}_clone"
    sid = derived_sid(server.logins[victim.username].sid, name).hex().upper()
    session = server.log_in(attacker.username, attacker.password, "app")
    session.run(
        f"CREATE LOGIN [{name}] WITH PASSWORD = N'the attackers', SID = 0x{sid}, DEFAULT_DATABASE = [master], "
        "DEFAULT_LANGUAGE = [us_english], CHECK_POLICY = OFF, CHECK_EXPIRATION = OFF"
    )
    session.run("USE [master]")
    with pytest.raises(SqlError):
        session.run(f"DENY IMPERSONATE ON LOGIN::[{victim.username}] TO [{name}]")
    error = rotate(sqlserver, rotation_service, name, "the attackers", dbname="master")
    assert isinstance(error, UserPairMismatch)
    sqlserver.work(sqlserver.secret(victim))


def _nested_server_role(server: Server, name: str) -> None:
    server.members["inner"], server.members["outer"] = {"outer"}, {name}
    server.permissions["inner", "VIEW SERVER STATE", 100, None, None, None] = "G"


def _impersonation(server: Server, name: str) -> None:
    server.permissions[name, "IMPERSONATE", 101, None, "admin", None] = "G"


def _database(server: Server, name: str) -> None:
    server.databases["owned"] = Database(owner=server.logins[name].sid)


def _credential(server: Server, name: str) -> None:
    server.extras.add((name, "has the credential", "backups"))


def _linked(server: Server, name: str) -> None:
    server.extras.add((name, "is somebody at the linked server", "ledger"))


def _owned_role(server: Server, name: str) -> None:
    server.extras.add((name, "owns the server role", "auditors"))


def _nested_database_role(server: Server, name: str) -> None:
    here = server.databases["app"]
    here.members["readers"], here.members["staff"] = {"staff"}, {name}
    here.permissions["readers", "SELECT", 3, None, "dbo", None] = "G"


def _schema(server: Server, name: str) -> None:
    server.databases["app"].schemas["payroll"] = name


def _certificate(server: Server, name: str) -> None:
    server.databases["app"].securables["CERTIFICATE", "signing"] = name


def _option(server: Server, name: str) -> None:
    here = server.databases["app"].permissions
    for who, state in ((name, "W"), (name.removesuffix("_clone"), "G"), (f"{name}_clone", "G")):
        if (who, "CONNECT", 0, None, None, None) in here:
            here.setdefault((who, "SELECT", 3, None, "dbo", None), state)


def _undenied(server: Server, name: str) -> None:
    other = name.removesuffix("_clone") if name.endswith("_clone") else f"{name}_clone"
    server.databases["app"].permissions[other, "SELECT", 1, "dbo", "salaries", None] = "D"


def _unseen(server: Server, name: str) -> None:
    server.databases["closed"] = Database(users={name: User(server.logins[name].sid)})


POWERS: list[Callable[[Server, str], None]] = [
    _nested_server_role, _impersonation, _database, _credential, _linked, _owned_role, _nested_database_role, _schema,
    _certificate, _option, _undenied, _unseen,
]  # fmt: skip


@pytest.mark.parametrize("power", POWERS, ids=lambda power: power.__name__.strip("_"))
@pytest.mark.parametrize("clone_is_current", [True, False])
def test_who_may_do_more_is_given_to_nobody_by_its_name(
    sqlserver: SqlserverDouble,
    rotation_service: RotationService,
    *,
    power: Callable[[Server, str], None],
    clone_is_current: bool,
) -> None:
    """Issue 11, fault 6.

    Anyone who writes the other's secret must not be given it; and it is given where the power is not there.
    """
    server = sqlserver.catalogue
    before = {"members": dict(server.members), "databases": dict(server.databases)}
    boss = f"boss_{len(server.logins)}"
    logins = {name: make_login(sqlserver, name) for name in (boss, f"{boss}_clone")}
    current, other = (f"{boss}_clone", boss) if clone_is_current else (boss, f"{boss}_clone")
    password = logins[other].password
    power(server, other)
    try:
        error = rotate(sqlserver, rotation_service, current, logins[current].password)
        assert isinstance(error, UserPairMismatch), error
        assert logins[other].password == password
        assert "nothing shows that" in str(error)
    finally:
        server.members, server.databases = before["members"], before["databases"]
        server.extras.clear()
        server.databases["app"].schemas.pop("payroll", None)
        server.databases["app"].securables.clear()
        for role in ("readers", "staff"):
            server.databases["app"].members.pop(role, None)


def test_a_database_named_like_the_server_stands_for_nothing_but_itself(
    sqlserver: SqlserverDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 11, fault 6: who owns all of a database, owns no more than that, however it is called."""
    server = sqlserver.catalogue
    lesser, greater = make_login(sqlserver, "lesser"), make_login(sqlserver, "lesser_clone")
    named = Database(members={"db_owner": {"admin", "lesser"}})
    named.users |= {"lesser": User(lesser.sid), "admin": User(server.logins["admin"].sid)}
    monkeypatch.setitem(server.databases, "the server", named)
    server.permissions["lesser_clone", "VIEW SERVER STATE", 100, None, None, None] = "G"
    password = greater.password
    assert isinstance(rotate(sqlserver, rotation_service, "lesser", lesser.password), UserPairMismatch)
    assert greater.password == password


def test_two_of_a_kind_are_a_pair_and_one_statement_makes_others_one(
    sqlserver: SqlserverDouble, rotation_service: RotationService
) -> None:
    """Issue 11: a clone of AWS's with no more than its user is adopted; of another, the refusal says what to run."""
    server, here = sqlserver.catalogue, sqlserver.catalogue.databases["app"]
    make_login(sqlserver, "alike"), make_login(sqlserver, "alike_clone")
    assert rotate(sqlserver, rotation_service, "alike", server.logins["alike"].password) is None
    make_login(sqlserver, "known"), make_login(sqlserver, "known_clone")
    here.permissions["known_clone", "SELECT", 3, None, "dbo", None] = "G"
    rotator = sqlserver.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
    admin = rotation_service.create_secret("admin-known", sqlserver.admin_secret(), rotator)
    value = {**sqlserver.address.secret("known", server.logins["known"].password), "masterarn": admin}
    arn = rotation_service.create_secret("known", value, rotator)
    error = rotation_service.rotate(arn).error
    assert isinstance(error, UserPairMismatch)
    assert "it may SELECT ON SCHEMA::[dbo] in the database [app]" in str(error)
    remedy = str(error).split("run once, as an admin: ")[1].split("; name the secret's user")[0]
    sqlserver.as_root("master", remedy)
    assert rotation_service.retry(arn).error is None
    assert ("known_clone", "SELECT", 3, None, "dbo", None) not in here.permissions


def test_what_the_clone_was_given_by_itself_is_taken_away_with_a_line(
    sqlserver: SqlserverDouble, rotation_service: RotationService, log: Any
) -> None:
    """Issue 11, fault 8: a clone has nothing of its own that counts, and nothing is lost without a word."""
    subject = rotated(sqlserver, rotation_service, ALTERNATING)
    assert rotation_service.rotate(subject.arn).error is None
    clone = f"{subject.application.username}_clone"
    here = sqlserver.catalogue.databases["app"].permissions
    here[clone, "SELECT", 1, "dbo", "given to the clone", None] = "G"
    # The clone is current now: the mark still says whose it is.
    assert rotation_service.rotate(subject.arn).error is None
    assert (clone, "SELECT", 1, "dbo", "given to the clone", None) not in here
    assert "SELECT ON OBJECT::[dbo].[given to the clone]" in log.getvalue()


@pytest.mark.parametrize("how", ["sysadmin", "ALTER ANY LOGIN", "a role with CONTROL SERVER", "IMPERSONATE ANY LOGIN"])
def test_an_admins_password_is_set_by_nobody_else(
    sqlserver: SqlserverDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Issue 11: neither a reset nor a pair hands an admin's session to an application's secret."""
    application = sqlserver.make_application()
    server, name = sqlserver.catalogue, application.username
    if how == "sysadmin":
        monkeypatch.setitem(server.members, "sysadmin", {*server.members["sysadmin"], name})
    elif how.startswith("a role"):
        monkeypatch.setitem(server.members, "admins", {name})
        monkeypatch.setitem(server.permissions, ("admins", "CONTROL SERVER", 100, None, None, None), "G")
    else:
        server.permissions[name, how, 100, None, None, None] = "G"
    error = rotate(sqlserver, rotation_service, name, application.password)
    assert isinstance(error, UserNotRotatable)
    with connect(sqlserver) as session:
        account = session.find_account(name)
        assert account is not None
        with pytest.raises(UserNotRotatable, match="is an admin"):
            session.check_can_set_password(account)


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
def test_the_admin_is_the_admin_in_any_spelling(
    sqlserver: SqlserverDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """Issue 11, fault 15: on a server whose names differ by their letters alone, ADMIN is admin."""
    monkeypatch.setattr(sqlserver.catalogue, "case_sensitive", False)
    with connect(sqlserver, {"username": "ADMIN"}) as one, connect(sqlserver) as two:
        assert one.account == two.account
    before = sqlserver.catalogue.logins["admin"].password
    rotator = sqlserver.rotator(rotation_service, ROTATION_STRATEGY=strategy, ALLOW_ADMIN_RESET="true")
    admin = rotation_service.create_secret("the-admin", sqlserver.admin_secret(), rotator)
    value = {**sqlserver.admin_secret(), "username": "ADMIN", "masterarn": admin}
    error = rotation_service.rotate(rotation_service.create_secret("the-app", value, rotator)).error
    if strategy == ALTERNATING:
        assert isinstance(error, UserPairMismatch | UserNotRotatable)
        assert sqlserver.catalogue.logins["admin"].password == before
    sqlserver.catalogue.logins["admin"].password = before


def test_a_trigger_of_a_databases_owner_never_runs_as_the_admin(
    sqlserver: SqlserverDouble, rotation_service: RotationService
) -> None:
    """Issue 13, B9, and issue 11's rule.

    It runs with the rights of the user who fires it. The admin fires it, as the database's owner, who may do nothing
    beyond the database.
    """
    victim = sqlserver.make_application()
    here = sqlserver.catalogue.databases["app"]
    fired = []

    def trigger(session: Session) -> None:
        fired.append(session.login)
        for statement in ("REVERT", f"ALTER LOGIN [{victim.username}] WITH PASSWORD = N'the attackers'"):
            # As in a TRY block: the attacker wants no noise.
            try:
                session.run(statement)
            except SqlError:
                continue

    subject = rotated(sqlserver, rotation_service, ALTERNATING)
    here.triggers.append(trigger)
    try:
        assert rotation_service.rotate(subject.arn).error is None
    finally:
        here.triggers.clear()
    assert "admin" in fired
    sqlserver.work(sqlserver.secret(victim))


def test_where_the_admin_can_not_be_the_owner_a_trigger_stops_it(
    sqlserver: SqlserverDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 13, B9: in msdb, where RDS's admin is no owner, there is no such shelter."""
    subject = rotated(sqlserver, rotation_service, ALTERNATING)
    msdb = sqlserver.catalogue.databases["msdb"]
    sid = sqlserver.catalogue.logins[subject.application.username].sid
    monkeypatch.setitem(msdb.users, subject.application.username, User(sid))
    monkeypatch.setattr(msdb, "triggers", [lambda _: None])
    error = rotation_service.rotate(subject.arn).error
    assert isinstance(error, PermissionRefused)
    assert "DDL trigger" in str(error)


def test_what_a_server_says_before_tls_counts_for_nothing(sqlserver: SqlserverDouble) -> None:
    """Issue 11, fault 9: somebody on the way answers "login failed" before the handshake."""
    error = SqlError(18456, "Login failed for user 'admin'.")
    with (
        TdsServer(sqlserver.catalogue.log_in, sqlserver.pem, instead_of_tls=error) as wire,
        pytest.raises(ConnectionLost, match="does not answer as SQL Server does") as failed,
    ):
        connect(sqlserver, {"port": wire.port})
    assert "Login failed" not in str(failed.value)


def _say_nothing(_: socket.socket, data: bytes) -> None:
    del data


def _a_byte_at_a_time(connection: socket.socket, data: bytes) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.2)


@pytest.mark.parametrize("reply", [_say_nothing, _a_byte_at_a_time])
def test_a_server_that_is_silent_or_slow_after_the_login_is_left_in_time(
    sqlserver: SqlserverDouble, reply: Callable[[socket.socket, bytes], None]
) -> None:
    """Issue 11, fault 12: a byte now and then kept the function until Lambda ended it."""
    started = time.monotonic()
    with (
        TdsServer(sqlserver.catalogue.log_in, sqlserver.pem, reply=reply) as wire,
        pytest.raises(ConnectionLost, match=r"no answer within 0\.5 s"),
    ):
        connect(sqlserver, {"port": wire.port}, timeout=0.5)
    assert time.monotonic() - started < 3


def test_a_session_that_the_server_ends_inside_tls_is_lost(sqlserver: SqlserverDouble) -> None:
    """Issue 13, B6: TLS's own farewell was a fault of ours."""
    with (
        TdsServer(sqlserver.catalogue.log_in, sqlserver.pem, farewell=True) as wire,
        pytest.raises(ConnectionLost, match="the connection was lost"),
    ):
        connect(sqlserver, {"port": wire.port})


def test_plaintext_is_no_way_in_where_the_server_demands_tls(sqlserver: SqlserverDouble) -> None:
    """Issue 13, B6: the advice was to switch TLS on."""
    with pytest.raises(TlsFailed, match=r"over TLS only.*remove 'ssl' from the secret"):
        connect(sqlserver, plaintext=True)


def test_two_servers_of_one_address_are_told_apart(sqlserver: SqlserverDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 11: the proof and the admin's session must have been answered by one server."""
    with connect(sqlserver) as one:
        monkeypatch.setattr(sqlserver.catalogue, "started", "2026-02-03T04:05:06.000")
        with connect(sqlserver) as two:
            assert one.account.key == two.account.key
            assert one.account != two.account
