"""Nobody turns a rotation against Oracle: stories of those who try, on the double and over real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import oracledb
import pytest
from doubles.oracle import Database, User
from targets import ALTERNATING, OracleDouble, rotated

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.oracle import OracleEngine, quoting
from rotators.engines.oracle.clone import trigger_of
from rotators.engines.oracle.session import OracleSession
from rotators.errors import ConnectionLost, Unreachable, UserNotRotatable, UserPairMismatch
from rotators.testing import RotationService
from rotators.testing.servers.certificates import CertificateAuthority


def connect(target: OracleDouble, change: dict[str, Any] | None = None, **options: Any) -> OracleSession:
    value = {**target.admin_secret(), **(change or {})}
    chosen = {"timeout": 2.0, "ca_file": target.address.ca_file, **options}
    return OracleEngine().connect(Credentials(value), ConnectOptions(**chosen))


def make_user(target: OracleDouble, name: str) -> User:
    user = User(target._password(), system={"CREATE SESSION": False})
    target.database.users[name] = user
    return user


def rotate(target: OracleDouble, service: RotationService, name: str, password: str) -> Any:
    """Rotate a secret that somebody wrote; gives the error, if there is one."""
    rotator = target.rotator(service, ROTATION_STRATEGY=ALTERNATING)
    admin = service.create_secret("the-admins", target.admin_secret(), rotator)
    value = {**target.address.secret(name, password), "masterarn": admin}
    return service.rotate(service.create_secret("somebodys", value, rotator)).error


@pytest.mark.parametrize("username", ["app", "ADMIN", "Admin", '"ADMIN"'])
def test_the_admin_is_the_admin_in_any_spelling(
    oracle: OracleDouble, rotation_service: RotationService, username: str
) -> None:
    """Issue 11, fault 15: "app" with the admin "APP" would have locked the admin's own secret out."""
    with connect(oracle) as admin:
        same = {**oracle.admin_secret(), "username": username if username != "app" else oracle.admin.upper()}
        with connect(oracle, same) as other:
            assert other.account == admin.account
    before = oracle.database.users["ADMIN"].password
    error = rotate(oracle, rotation_service, same["username"], oracle.admin_password)
    assert isinstance(error, UserPairMismatch | UserNotRotatable)
    assert oracle.database.users["ADMIN"].password == before


def test_a_login_through_a_proxy_proves_nothing_of_its_client(
    oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 11, fault 5.

    PAYROLL's password must not come into the secret of APP.
    """
    attacker, victim = oracle.make_application(), oracle.make_application()
    oracle.database.users[oracle.folded(attacker.username)].clients.add(oracle.folded(victim.username))
    name = f"{attacker.username}[{victim.username}]"
    assert isinstance(rotate(oracle, rotation_service, name, attacker.password), UserPairMismatch)
    with pytest.raises(UserNotRotatable, match="asks for a login through another user"):
        connect(oracle, {"username": name, "password": attacker.password})
    # And where the driver takes another spelling for one, the session itself tells.
    monkeypatch.setattr(quoting, "is_proxied", lambda _: False)
    with pytest.raises(UserNotRotatable, match="logged in for that user"):
        connect(oracle, {"username": name, "password": attacker.password})
    oracle.work(oracle.secret(victim))


def _role(database: Database, user: User) -> None:
    database.roles["INNER"] = User(objects={("DATA", "SALARIES", "SELECT"): False})
    database.roles["OUTER"] = User(roles={"INNER": False})
    user.roles["OUTER"] = False


def _same_roles_option(_: Database, user: User) -> None:
    user.system["CREATE SESSION"] = True


def _system(_: Database, user: User) -> None:
    user.system["SELECT ANY TABLE"] = False


def _schema(_: Database, user: User) -> None:
    user.schemas["SELECT ANY TABLE", "PAYROLL"] = False


def _column(_: Database, user: User) -> None:
    user.columns["DATA", "SALARIES", "NET", "UPDATE"] = False


def _proxy(_: Database, user: User) -> None:
    user.clients.add("PAYROLL")


def _link(_: Database, user: User) -> None:
    user.links.add("LEDGER")


def _host(_: Database, user: User) -> None:
    user.hosts.add(("mail.example", "CONNECT"))


def _owner(database: Database, user: User) -> None:
    name = next(name for name, one in database.users.items() if one is user)
    database.objects[name, "SALARIES"] = "TABLE"


POWERS = [_role, _same_roles_option, _system, _schema, _column, _proxy, _link, _host, _owner]


@pytest.mark.parametrize("power", POWERS, ids=lambda power: power.__name__.strip("_"))
@pytest.mark.parametrize("clone_is_current", [True, False])
def test_who_may_do_more_is_given_to_nobody_by_its_name(
    oracle: OracleDouble,
    rotation_service: RotationService,
    *,
    power: Callable[[Database, User], None],
    clone_is_current: bool,
) -> None:
    """Issue 11, fault 6: BOSS and BOSS_CLONE are two people, alike but for one power of the one to be set next."""
    boss = f"BOSS{len(oracle.database.users)}"
    users = {name: make_user(oracle, name) for name in (boss, f"{boss}_CLONE")}
    current, other = (f"{boss}_CLONE", boss) if clone_is_current else (boss, f"{boss}_CLONE")
    password = users[other].password
    power(oracle.database, users[other])
    error = rotate(oracle, rotation_service, current, users[current].password)
    assert isinstance(error, UserPairMismatch), error
    assert users[other].password == password
    assert "nothing shows that" in str(error)


def test_two_of_a_kind_are_a_pair_and_one_statement_makes_others_one(
    oracle: OracleDouble, rotation_service: RotationService
) -> None:
    """Issue 11: a clone of AWS's with no more than its user is adopted; of another, the refusal says what to run."""
    alike, _ = make_user(oracle, "ALIKE"), make_user(oracle, "ALIKE_CLONE")
    assert rotate(oracle, rotation_service, "ALIKE", alike.password) is None
    known, clone = make_user(oracle, "KNOWN"), make_user(oracle, "KNOWN_CLONE")
    clone.objects["DATA", "KNOWN", "SELECT"] = False
    rotator = oracle.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
    admin = rotation_service.create_secret("admin-known", oracle.admin_secret(), rotator)
    value = {**oracle.address.secret("KNOWN", known.password), "masterarn": admin}
    arn = rotation_service.create_secret("known", value, rotator)
    error = rotation_service.rotate(arn).error
    assert isinstance(error, UserPairMismatch)
    assert 'it may SELECT on "DATA"."KNOWN"' in str(error)
    remedy = str(error).split("run once, as an admin: ")[1].split("; name the secret's user")[0]
    with oracle.session(oracle.admin_secret()) as cursor:
        cursor.execute(remedy)
    assert rotation_service.retry(arn).error is None
    assert clone.objects == {}


def test_a_trigger_of_ones_own_is_no_mark_and_nor_is_an_old_one(
    oracle: OracleDouble, rotation_service: RotationService
) -> None:
    """Issue 11, fault 1.

    It is in the attacker's schema, not in the admin's. And one in the admin's that is older than a user is another
    pair's.
    """
    database = oracle.database
    victim, attacker = make_user(oracle, "VICTIM"), make_user(oracle, "VICTIM_CLONE")
    victim.system["CREATE TABLE"] = False
    attacker.system["CREATE TRIGGER"] = False
    name = trigger_of("VICTIM_CLONE")
    with oracle.session(oracle.address.secret("VICTIM_CLONE", attacker.password)) as cursor:
        body = (
            "BEGIN EXECUTE IMMEDIATE 'ALTER SESSION SET CURRENT_SCHEMA = \"VICTIM\"'; "
            "EXCEPTION WHEN OTHERS THEN NULL; END;"
        )
        cursor.execute(f'CREATE TRIGGER "VICTIM_CLONE"."{name}" AFTER LOGON ON "VICTIM_CLONE".SCHEMA {body}')
        with pytest.raises(oracledb.DatabaseError, match="ORA-01031"):
            cursor.execute(f'CREATE TRIGGER "ADMIN"."{name}" AFTER LOGON ON "VICTIM_CLONE".SCHEMA {body}')
    assert isinstance(rotate(oracle, rotation_service, "VICTIM_CLONE", attacker.password), UserPairMismatch)
    database.triggers["ADMIN", name] = ("VICTIM_CLONE", "VICTIM")
    database.made["ADMIN", name] = victim.created.replace(year=2025)
    attacker.system["CREATE TRIGGER"] = False
    rotator = oracle.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
    admin = rotation_service.create_secret("admin-old", oracle.admin_secret(), rotator)
    value = {**oracle.address.secret("VICTIM_CLONE", attacker.password), "masterarn": admin}
    error = rotation_service.rotate(rotation_service.create_secret("old", value, rotator)).error
    assert isinstance(error, UserPairMismatch)
    oracle.log_in(oracle.address.secret("VICTIM", victim.password))


def test_what_the_clone_was_given_by_itself_is_taken_away_with_a_line(
    oracle: OracleDouble, rotation_service: RotationService, log: Any
) -> None:
    """Issue 11, fault 8: a clone has nothing of its own that counts, and nothing is lost without a word."""
    subject = rotated(oracle, rotation_service, ALTERNATING)
    assert rotation_service.rotate(subject.arn).error is None
    clone = oracle.database.users[f"{oracle.folded(subject.application.username)}_CLONE"]
    clone.objects["DATA", "GIVEN", "SELECT"] = False
    # The clone is current now: the mark still says whose it is.
    assert rotation_service.rotate(subject.arn).error is None
    assert ("DATA", "GIVEN", "SELECT") not in clone.objects
    assert "the clone lost a right" in log.getvalue()


@pytest.mark.parametrize(
    "how", ["DBA", "by a role", "ALTER USER", "SYSDBA", "CREATE ANY TRIGGER", "the admin's schema"]
)
def test_an_admins_password_is_set_by_nobody_else(
    oracle: OracleDouble, rotation_service: RotationService, how: str
) -> None:
    """Issue 11: neither a reset nor a pair hands an admin's session to an application's secret."""
    application = oracle.make_application()
    user = oracle.database.users[oracle.folded(application.username)]
    if how == "DBA":
        user.roles["DBA"] = False
    elif how == "by a role":
        oracle.database.roles["KEEPERS"] = User(system={"GRANT ANY ROLE": False})
        user.roles["KEEPERS"] = False
    elif how == "SYSDBA":
        user.sysdba = True
    elif how == "the admin's schema":
        # Anyone who may make triggers there could make the mark.
        user.schemas["CREATE ANY TRIGGER", "ADMIN"] = False
    else:
        user.system[how] = False
    assert isinstance(rotate(oracle, rotation_service, application.username, application.password), UserNotRotatable)
    with connect(oracle) as session:
        account = session.find_account(application.username)
        assert account is not None
        with pytest.raises(UserNotRotatable, match="is an admin"):
            session.check_can_set_password(account)


def test_a_user_who_was_made_anew_is_another_one(oracle: OracleDouble) -> None:
    """Issue 11: names come again; the user's number does not."""
    application = oracle.make_application()
    name = oracle.folded(application.username)
    with connect(oracle, oracle.secret(application)) as session, connect(oracle) as admin:
        before = session.account
        assert admin.recognize(before, application.password) == before
        oracle.database.users[name] = User(application.password, system={"CREATE SESSION": False})
        with pytest.raises(UserNotRotatable, match="there is no user"):
            admin.recognize(before, application.password)


class Dripping:
    """A server that takes TLS and then says a byte now and then, as if more were to come."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._socket.accept()
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                connection.recv(4096)
                # The head of a packet of 8 kB, and its body by and by.
                connection.sendall(b"\x20\x00\x00\x00\x06\x00\x00\x00")
                while not self._over.wait(0.1):
                    connection.sendall(b"\0")
        except OSError:
            return

    def close(self) -> None:
        self._over.set()
        # close() alone would leave the thread in accept().
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture(params=[True, False], ids=["tls", "plain"])
def dripping(request: pytest.FixtureRequest, authority: CertificateAuthority, listen: Any) -> Iterator[Dripping]:
    context = listen("localhost")._context if request.param else None
    server = Dripping(context)
    yield server
    server.close()


def test_a_server_that_says_a_byte_now_and_then_is_left_in_time(
    dripping: Dripping, authority: CertificateAuthority
) -> None:
    """Issue 11, fault 12: the driver's own time-outs begin anew with every byte."""
    value = {"host": "localhost", "port": dripping.port, "username": "app", "password": "p", "dbname": "ORCLPDB"}
    plain = dripping._context is None
    options = ConnectOptions(timeout=0.6, ca_file=str(authority.ca_file), plaintext=plain)
    started = time.monotonic()
    with pytest.raises((Unreachable, ConnectionLost)):
        OracleEngine().connect(Credentials(value), options)
    assert time.monotonic() - started < 3


def test_a_statement_without_an_answer_ends_in_time_and_the_session_with_it(
    oracle: OracleDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 11, fault 12: also after the login."""
    over = threading.Event()
    monkeypatch.setattr("doubles.oracle.Session._one", lambda _: over.wait(5))
    with connect(oracle, timeout=0.4) as session:
        started = time.monotonic()
        try:
            with pytest.raises(ConnectionLost, match="no answer in time"):
                session.verify(None)
            with pytest.raises(ConnectionLost, match="the connection was lost"):
                session.verify(None)
        finally:
            over.set()
        assert time.monotonic() - started < 3
