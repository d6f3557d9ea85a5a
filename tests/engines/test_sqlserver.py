"""What is SQL Server's own: the driver, TLS and login over the wire; clones and statements on a double."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beliefs.base import sent_to
from beliefs.sqlserver import BELIEFS
from doubles.grammar import require_parsed
from doubles.sqlserver import Database, Login, User, fresh_sid
from doubles.tds import TdsServer
from hypothesis import given
from hypothesis import strategies as st
from targets import ALTERNATING, SINGLE, SqlserverDouble, rotated

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.sqlserver import SqlserverEngine
from rotators.engines.sqlserver.catalog import Permission
from rotators.engines.sqlserver.clone import derived_sid, statements
from rotators.engines.sqlserver.quoting import name as quoted
from rotators.engines.sqlserver.quoting import text
from rotators.engines.sqlserver.session import SqlserverSession
from rotators.errors import (
    ConfigurationError,
    ConnectionLost,
    LoginRefused,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    SecretMalformed,
    ServiceFailed,
    TlsFailed,
    Unreachable,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.limits import cut_socket
from rotators.testing import RotationService
from rotators.testing.servers.accounts import SystemAccount
from rotators.testing.servers.certificates import CertificateAuthority


def connect(target: SqlserverDouble, change: dict[str, Any] | None = None, **options: Any) -> SqlserverSession:
    value = {**target.admin_secret(), **(change or {})}
    chosen = {"timeout": 2.0, "ca_file": str(target.ca_file), **options}
    return SqlserverEngine().connect(Credentials(value), ConnectOptions(**chosen))


def presenting(
    target: SqlserverDouble, folder: Path, names: tuple[str, ...], common_name: str | None = None
) -> TdsServer:
    """The same server with another certificate of the same CA."""
    account = SystemAccount(os.geteuid(), os.getegid())
    issued = target.authority.issue(names, common_name=common_name, folder=folder, account=account)
    pem = folder / "other.pem"
    pem.write_bytes(issued.certificate_file.read_bytes() + issued.key_file.read_bytes())
    return TdsServer(target.catalogue.log_in, pem)


@pytest.fixture
def silent() -> Iterator[int]:
    """A server that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class TestOverTheWire:
    @pytest.mark.parametrize(
        ("change", "kind", "said"),
        [
            ({"password": "wrong"}, LoginRefused, r"Login failed for user 'admin' \[18456\]\. check the password"),
            ({"username": "nobody"}, LoginRefused, "user 'nobody'"),
            ({"username": "CORP\\app"}, UserNotRotatable, "is a Windows account"),
            ({"host": "localhost\\INSTANCE"}, SecretMalformed, "'host' is not a host name or address"),
            ({"port": 1}, Unreachable, "Connection refused. check host and port"),
            ({"host": "nowhere.invalid"}, Unreachable, r"unknown \(DNS\)"),
            ({"dbname": "none"}, PermissionRefused, "map the login to a user in that database"),
        ],
    )
    def test_each_way_to_fail_has_its_name(
        self, sqlserver: SqlserverDouble, change: dict[str, Any], kind: type[Exception], said: str
    ) -> None:
        with pytest.raises(kind, match=said) as failed:
            connect(sqlserver, change)
        assert sqlserver.admin_password not in str(failed.value)

    @pytest.mark.parametrize(
        ("state", "kind", "said"),
        [
            ("disabled", UserNotRotatable, "is disabled: enable it"),
            ("locked", LoginRefused, "locked out"),
            ("expired", LoginRefused, "ALLOW_ADMIN_RESET=true"),
        ],
    )
    def test_a_login_that_may_not(
        self, sqlserver: SqlserverDouble, state: str, kind: type[Exception], said: str
    ) -> None:
        application = sqlserver.make_application()
        setattr(sqlserver.catalogue.logins[application.username], state, True)
        with pytest.raises(kind, match=said):
            connect(sqlserver, sqlserver.secret(application))

    def test_a_server_that_stays_silent(self, sqlserver: SqlserverDouble, silent: int) -> None:
        with pytest.raises(Unreachable, match="no answer in time"):
            connect(sqlserver, {"port": silent})

    def test_a_connection_that_breaks(self, sqlserver: SqlserverDouble) -> None:
        with connect(sqlserver) as session:
            cut_socket(session._connection._wire)
            with pytest.raises(ConnectionLost):
                session.verify(None)

    def test_another_ca_is_refused(self, sqlserver: SqlserverDouble, tmp_path: Path) -> None:
        other = CertificateAuthority(tmp_path, "another CA")
        with pytest.raises(TlsFailed, match="put the CA that signed"):
            connect(sqlserver, ca_file=str(other.ca_file))

    def test_another_name_is_refused_though_the_common_name_is_right(
        self, sqlserver: SqlserverDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The driver itself would take it."""
        asked: list[str] = []
        monkeypatch.setattr(sqlserver.catalogue, "log_in", lambda user, *_: asked.append(user))
        with (
            presenting(sqlserver, tmp_path, ("db.example",), common_name="localhost") as wire,
            pytest.raises(TlsFailed, match="is not for 'localhost', but for db"),
        ):
            connect(sqlserver, {"port": wire.port})
        assert not asked

    @pytest.mark.parametrize("wanted", ["db.example", "DB.example.", "a.wild.example", "127.0.0.9"])
    def test_a_name_of_ones_own_choice_is_verified(
        self, sqlserver: SqlserverDouble, tmp_path: Path, wanted: str
    ) -> None:
        names = ("db.example", "*.wild.example", "127.0.0.9")
        with presenting(sqlserver, tmp_path, names) as wire:
            connect(sqlserver, {"port": wire.port}, server_name=wanted).close()

    @pytest.mark.parametrize(
        "wanted", ["b.a.wild.example", "wild.example", ".wild.example", "127.0.0.8", "*.wild.example"]
    )
    def test_what_a_star_and_an_address_do_not_stand_for(
        self, sqlserver: SqlserverDouble, tmp_path: Path, wanted: str
    ) -> None:
        with (
            presenting(sqlserver, tmp_path, ("db.example", "*.wild.example", "127.0.0.9")) as wire,
            pytest.raises(TlsFailed, match="is not for"),
        ):
            connect(sqlserver, {"port": wire.port}, server_name=wanted)

    def test_a_server_without_tls_never_gets_the_password(self, sqlserver: SqlserverDouble) -> None:
        asked: list[str] = []

        def note(user: str, *_: str) -> Any:
            asked.append(user)

        with TdsServer(note, None) as wire, pytest.raises(TlsFailed, match="does not encrypt"):
            connect(sqlserver, {"port": wire.port})
        assert not asked

    def test_without_ca_certificates_nothing_is_sent(self, sqlserver: SqlserverDouble) -> None:
        with pytest.raises(ConfigurationError, match="no CA certificates"):
            connect(sqlserver, ca_file=None)

    def test_python_alone_does_tls(self, sqlserver: SqlserverDouble) -> None:
        """Issue 11, fault 16: the layer has neither pyOpenSSL nor cryptography."""
        code = (
            "import json, sys; sys.modules.update(dict.fromkeys(['OpenSSL', 'cryptography']));"
            "from rotators.credentials import Credentials; from rotators.engines.base import ConnectOptions;"
            "from rotators.engines.sqlserver import SqlserverEngine;"
            "options = ConnectOptions(timeout=5.0, ca_file=sys.argv[1]);"
            "print(SqlserverEngine().connect(Credentials(json.load(sys.stdin)), options).account.name)"
        )
        environment = {**os.environ, "AWS_DEFAULT_REGION": "eu-west-1"}
        ran = subprocess.run(
            [sys.executable, "-c", code, str(sqlserver.ca_file)],
            input=json.dumps(sqlserver.admin_secret()),
            check=False,
            capture_output=True,
            text=True,
            env=environment,
        )
        assert (ran.stdout.strip(), ran.stderr) == ("admin", "")

    def test_plaintext_only_where_it_is_demanded(self, sqlserver: SqlserverDouble) -> None:
        with TdsServer(sqlserver.catalogue.log_in, None) as wire:
            connect(sqlserver, {"port": wire.port}, ca_file=None, plaintext=True).close()

    @pytest.mark.parametrize("password", ["\U0001f511" * 3 + "clef", "k\U0001d4aey" * 20, "\U0001f511" * 60])
    def test_characters_beyond_the_first_plane_reach_the_server_whole(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService, password: str
    ) -> None:
        """Issue 13, B6: the driver counts characters in the login's packet, and the protocol UTF-16's units."""
        application = sqlserver.make_application(f"\U0001f30d{secrets.token_hex(4)}")
        sqlserver.set_password(application.username, password)
        subject = rotated(sqlserver, rotation_service, SINGLE, application=replace(application, password=password))
        assert rotation_service.rotate(subject.arn).error is None

    @pytest.mark.parametrize("change", [{"password": "\U0001f511" * 65}, {"username": "a" * 129}])
    def test_what_no_login_can_have_is_refused_before_anything_is_sent(
        self, sqlserver: SqlserverDouble, change: dict[str, Any]
    ) -> None:
        with pytest.raises(LoginRefused, match="longer than SQL Server takes"):
            connect(sqlserver, change)

    def test_a_statement_beyond_our_time_is_told_as_that(
        self, sqlserver: SqlserverDouble, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Issue 13, B6: it was "the connection was lost"."""
        over = threading.Event()
        with connect(sqlserver, timeout=0.4) as session:
            monkeypatch.setattr("doubles.sqlserver.Session._one", lambda _: over.wait(5) and [])
            with pytest.raises(ConnectionLost, match=r"no answer within 0\.4 s.*raise ROTATION_CONNECT_TIMEOUT"):
                session.verify(None)
            over.set()


class TestErrors:
    @pytest.mark.parametrize("query", ["SELECT 1; SELECT nowhere", "EXECUTE raises_later"])
    def test_every_result_of_a_test_query_is_read(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService, query: str
    ) -> None:
        """Issue 13, B3: an error after the first result set counted as success."""
        subject = rotated(sqlserver, rotation_service, SINGLE, ROTATION_TEST_QUERY=query)
        failed = rotation_service.rotate(subject.arn)
        assert failed.failed_step == "testSecret"
        assert "nowhere" in str(failed.error)

    def test_a_password_that_the_policy_refuses(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService
    ) -> None:
        subject = rotated(sqlserver, rotation_service, SINGLE)
        first = subject.value
        rotation = rotation_service.stage(subject.arn)
        rotation_service.invoke(rotation, "createSecret")
        pending = rotation_service.value(subject.arn, "AWSPENDING")["password"]
        sqlserver.catalogue.logins[subject.application.username].history.append(pending)
        failed = rotation_service.retry(subject.arn)
        assert isinstance(failed.error, PasswordRefused)
        assert "[15115]" in str(failed.error)
        assert pending not in str(failed.error)
        assert subject.value == first
        assert rotation_service.rotate(subject.arn).succeeded

    def test_a_secondary_replica_is_refused(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(sqlserver, rotation_service, SINGLE)
        monkeypatch.setattr(sqlserver.catalogue.databases["app"], "primary", 0)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, ReadOnlyServer)
        assert failed.failed_step == "createSecret"

    def test_a_database_that_is_read_only_by_itself_keeps_no_login_from_rotating(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(sqlserver, rotation_service, SINGLE)
        monkeypatch.setattr(sqlserver.catalogue.databases["app"], "read_only", True)
        assert rotation_service.rotate(subject.arn).error is None
        monkeypatch.setattr(sqlserver.catalogue.databases["app"], "standby", True)
        assert isinstance(rotation_service.rotate(subject.arn).error, ReadOnlyServer)

    def test_the_admin_unlocks_what_wrong_passwords_have_locked(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService
    ) -> None:
        pair = Pair(sqlserver, rotation_service)
        clone = sqlserver.catalogue.logins[pair.clone]
        clone.locked = True
        assert rotation_service.rotate(pair.subject.arn).error is None
        assert not clone.locked

    @pytest.mark.parametrize(("kind", "said"), [("U", "Windows account"), ("E", "Entra"), ("C", "certificate")])
    def test_who_has_no_password_here_is_refused(self, sqlserver: SqlserverDouble, kind: str, said: str) -> None:
        application = sqlserver.make_application()
        sqlserver.catalogue.logins[application.username].kind = kind
        with connect(sqlserver) as session:
            account = session.find_account(application.username)
            assert account is not None
            with pytest.raises(UserNotRotatable, match=said):
                session.check_can_set_password(account)

    def test_an_admin_without_the_right_is_told_the_grant(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService
    ) -> None:
        weak, application = sqlserver.make_application(), sqlserver.make_application()
        rotator = sqlserver.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
        admin = rotation_service.create_secret("weak", sqlserver.secret(weak), rotator)
        arn = rotation_service.create_secret("app", sqlserver.secret(application, masterarn=admin), rotator)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, PermissionRefused)
        assert f"GRANT ALTER ANY LOGIN TO [{weak.username}]" in str(failed.error)

    def test_an_admin_who_does_not_own_a_database_is_told_how(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(sqlserver, rotation_service, ALTERNATING)
        monkeypatch.setattr(sqlserver.catalogue.databases["app"], "members", {})
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert "USE [app]; ALTER ROLE db_owner ADD MEMBER [admin]" in str(failed.error)

    def test_a_sysadmin_gets_no_clone(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(sqlserver, rotation_service, ALTERNATING)
        monkeypatch.setitem(sqlserver.catalogue.members, "sysadmin", {subject.application.username})
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert "is an admin (sysadmin)" in str(failed.error)

    def test_a_permission_of_an_unknown_kind_stops_it_before_anything_changes(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService
    ) -> None:
        subject = rotated(sqlserver, rotation_service, ALTERNATING)
        permissions = sqlserver.catalogue.databases["app"].permissions
        permissions[subject.application.username, "RECEIVE", 999, None, "queue", None] = "G"
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, ServiceFailed)
        assert failed.failed_step == "createSecret"
        assert f"{subject.application.username}_clone" not in sqlserver.catalogue.logins
        assert "RECEIVE, class 999" in str(failed.error)


class Pair:
    """An application and what the clone has, in the double's catalogue."""

    def __init__(self, target: SqlserverDouble, service: RotationService, username: str | None = None) -> None:
        self.target = target
        application = target.make_application(username)
        self.subject = rotated(target, service, ALTERNATING, application=application)
        self.user = application.username
        self.clone = f"{self.user}_clone"
        self.catalogue = target.catalogue
        self.database = target.catalogue.databases["app"]
        self.rotate()

    def rotate(self) -> None:
        for _ in range(2):
            assert self.subject.service.rotate(self.subject.arn).error is None
            self.target.work(self.subject.value)

    def permissions(self, who: str, database: Database | None = None) -> dict[Any, str]:
        found = (database or self.database).permissions
        return {key[1:]: state for key, state in found.items() if key[0] == who}

    def roles(self, who: str, database: Database | None = None) -> set[str]:
        return {role for role, members in (database or self.database).members.items() if who in members}


@pytest.fixture
def pair(sqlserver: SqlserverDouble, rotation_service: RotationService) -> Pair:
    """A pair that has rotated."""
    return Pair(sqlserver, rotation_service)


class TestClone:
    def test_the_logins_attributes(self, pair: Pair) -> None:
        mine, theirs = pair.catalogue.logins[pair.user], pair.catalogue.logins[pair.clone]
        assert theirs.sid == derived_sid(mine.sid, pair.clone)
        mine.database, mine.language, mine.policy, mine.expiration = "other", "Deutsch", True, True
        pair.catalogue.databases["other"].users[pair.user] = User(mine.sid)
        pair.rotate()
        assert (theirs.database, theirs.language, theirs.policy, theirs.expiration) == ("other", "Deutsch", True, True)

    def test_the_sid_is_the_same_on_every_replica_and_another_for_every_pair(self) -> None:
        sid = fresh_sid("app")
        assert derived_sid(sid, "app_clone") == derived_sid(sid, "app_clone")
        assert len(derived_sid(sid, "app_clone")) == 16
        others = {derived_sid(sid, "b_clone"), derived_sid(fresh_sid("app"), "app_clone"), sid}
        assert len({derived_sid(sid, "app_clone"), *others}) == 4

    def test_server_roles_and_permissions_come_and_go(self, pair: Pair) -> None:
        rights = pair.catalogue.permissions
        view = ("VIEW SERVER STATE", 100, None, None, None)
        trace = ("ALTER TRACE", 100, None, None, None)
        pair.catalogue.members["processadmin"].add(pair.user)
        rights[(pair.user, *view)] = "G"
        rights[(pair.user, *trace)] = "D"
        pair.rotate()
        assert pair.clone in pair.catalogue.members["processadmin"]
        assert rights[(pair.clone, *view)] == "G"
        assert rights[(pair.clone, *trace)] == "D"
        pair.catalogue.members["processadmin"].discard(pair.user)
        del rights[(pair.user, *view)]
        rights[(pair.user, *trace)] = "W"
        pair.rotate()
        assert pair.clone not in pair.catalogue.members["processadmin"]
        assert (pair.clone, *view) not in rights
        assert rights[(pair.clone, *trace)] == "W"

    def test_a_server_permission_that_the_admin_can_not_pass_on_is_named(self, pair: Pair) -> None:
        pair.catalogue.permissions[pair.user, "ALTER SETTINGS", 100, None, None, None] = "G"
        failed = pair.subject.service.rotate(pair.subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert "GRANT ALTER SETTINGS TO [admin] WITH GRANT OPTION" in str(failed.error)

    @pytest.mark.parametrize(
        "what",
        [
            ("EXECUTE", 0, None, None, None),
            pytest.param(("SELECT", 3, None, "dbo", None), marks=pytest.mark.long),
            ("UPDATE", 1, "dbo", "orders", "price"),
            pytest.param(("EXECUTE", 6, "dbo", "money]type", None), marks=pytest.mark.long),
            ("VIEW DEFINITION", 4, None, "some role", None),
            pytest.param(("CONTROL", 25, None, "cert", None), marks=pytest.mark.long),
        ],
    )
    def test_permissions_in_the_database_come_change_and_go(self, pair: Pair, what: Any) -> None:
        # Each state comes after each other one, comes by itself, and goes.
        for state in (*"GWDGDWG", None, "W", None, "D", None):
            if state is None:
                del pair.database.permissions[(pair.user, *what)]
            else:
                pair.database.permissions[(pair.user, *what)] = state
            pair.rotate()
            assert pair.permissions(pair.clone).get(what) == state

    @pytest.mark.parametrize("state", ["G", "W", "D"])
    def test_what_is_narrowed_to_a_column_and_widened_again(self, pair: Pair, state: str) -> None:
        """Issue 13, B4: the clone had neither; and a column that was revoked stopped the rotation."""
        table = ("SELECT", 1, "dbo", "orders", None)
        price, number = (*table[:4], "price"), (*table[:4], "number")
        for wanted in (
            {table: state},
            {price: state},
            {table: state, price: "R"},
            {table: state, price: "D" if state != "D" else "G", number: "R"},
            {table: state},
            {number: "G", price: "W"},
            {},
        ):
            for key in (table, price, number):
                pair.database.permissions.pop((pair.user, *key), None)
            pair.database.permissions |= {(pair.user, *key): how for key, how in wanted.items()}
            pair.rotate()
            found = pair.permissions(pair.clone)
            assert {key: found[key] for key in (table, price, number) if key in found} == wanted

    def test_members_of_a_role_of_ones_own_are_made_by_whoever_may_alter_it(self, pair: Pair) -> None:
        """Issue 13, B5: a member may not, and of a fixed role nobody else may."""
        pair.catalogue.members["auditors"] = {pair.user, "admin"}
        pair.rotate()
        assert pair.clone in pair.catalogue.members["auditors"]
        key = ("admin", "ALTER ANY SERVER ROLE", 100, None, None, None)
        state = pair.catalogue.permissions.pop(key)
        pair.catalogue.members["auditors"].discard(pair.clone)
        failed = pair.subject.service.rotate(pair.subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert "GRANT ALTER ON SERVER ROLE::[auditors] TO [admin]" in str(failed.error)
        pair.catalogue.permissions["admin", "ALTER", 101, None, "auditors", None] = "G"
        assert pair.subject.service.retry(pair.subject.arn).error is None
        assert pair.clone in pair.catalogue.members["auditors"]
        pair.catalogue.permissions[key] = state
        pair.catalogue.members["diskadmin"] = {pair.user}
        failed = pair.subject.service.rotate(pair.subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert "ALTER SERVER ROLE [diskadmin] ADD MEMBER [admin]" in str(failed.error)
        del pair.catalogue.members["diskadmin"], pair.catalogue.members["auditors"]

    def test_an_admin_who_can_not_see_others_memberships_is_told(self, pair: Pair) -> None:
        """Issue 13, B5: else a membership is lost without a word."""
        key = ("admin", "VIEW ANY DEFINITION", 100, None, None, None)
        state = pair.catalogue.permissions.pop(key)
        failed = pair.subject.service.rotate(pair.subject.arn)
        pair.catalogue.permissions[key] = state
        assert isinstance(failed.error, PermissionRefused)
        assert "run: GRANT VIEW ANY DEFINITION TO [admin]" in str(failed.error)

    def test_a_database_with_a_full_stop_in_its_name(self, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        """Issue 13, B9: HAS_PERMS_BY_NAME takes a name of two parts for one in another database."""
        dotted = Database(members={"db_owner": {"admin"}, "db_datareader": {pair.user}})
        for login in ("admin", pair.user):
            dotted.users[login] = User(pair.catalogue.logins[login].sid)
        monkeypatch.setitem(pair.catalogue.databases, "my.db", dotted)
        pair.rotate()
        assert pair.roles(pair.clone, dotted) == {"db_datareader"}

    def test_every_database_where_the_user_is(self, pair: Pair) -> None:
        other = pair.catalogue.databases["other"]
        other.users[pair.user] = User(pair.catalogue.logins[pair.user].sid, "sales")
        other.members["db_datareader"] = {pair.user}
        pair.rotate()
        assert other.users[pair.clone].schema == "sales"
        assert pair.roles(pair.clone, other) == {"db_datareader"}
        assert pair.clone not in pair.catalogue.databases["msdb"].users
        other.members["db_datareader"].discard(pair.user)
        other.members["db_datawriter"] = {pair.user}
        pair.rotate()
        assert pair.roles(pair.clone, other) == {"db_datawriter"}
        del other.users[pair.user]
        other.members["db_datawriter"].discard(pair.user)
        pair.rotate()
        assert pair.roles(pair.clone, other) == set()
        assert pair.permissions(pair.clone, other) == {}

    @pytest.mark.parametrize(
        ("change", "said"),
        [({"state": "RESTORING"}, "restoring"), ({"state": "OFFLINE"}, "offline"), ({"read_only": True}, "read-only")],
    )
    def test_a_database_where_nothing_can_be_done_is_passed_over_with_a_line(
        self, pair: Pair, log: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
    ) -> None:
        closed = Database(users={pair.user: User(pair.catalogue.logins[pair.user].sid)}, **change)
        monkeypatch.setitem(pair.catalogue.databases, "closed", closed)
        pair.rotate()
        assert pair.clone not in closed.users
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        assert said in next(line["reason"] for line in lines if line.get("database") == "closed")

    def test_what_either_owns_both_can_use_and_nothing_is_handed_over(self, pair: Pair) -> None:
        schema = pair.target.schema(pair.user)
        assert pair.database.schemas[schema] == pair.user
        assert pair.permissions(pair.clone)["CONTROL", 3, None, schema, None] == "G"
        pair.database.schemas["made by the clone"] = pair.clone
        pair.database.objects["dbo", "mine alone"] = pair.clone
        pair.rotate()
        assert pair.database.schemas["made by the clone"] == pair.clone
        assert pair.permissions(pair.user)["CONTROL", 3, None, "made by the clone", None] == "G"
        assert pair.permissions(pair.user)["CONTROL", 1, "dbo", "mine alone", None] == "G"

    def test_the_owner_of_a_database_gets_an_equal(self, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        owned = Database(owner=pair.catalogue.logins[pair.user].sid, members={"db_owner": {"admin"}})
        owned.users["admin"] = User(pair.catalogue.logins["admin"].sid)
        monkeypatch.setitem(pair.catalogue.databases, "owned", owned)
        pair.rotate()
        assert pair.roles(pair.clone, owned) == {"db_owner"}
        owned.owner = pair.catalogue.logins[pair.clone].sid
        owned.users = {pair.user: User(pair.catalogue.logins[pair.user].sid), "admin": owned.users["admin"]}
        pair.rotate()
        assert pair.roles(pair.user, owned) == {"db_owner"}

    def test_a_clone_of_awss_template_is_adopted_and_put_right(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService
    ) -> None:
        application = sqlserver.make_application()
        name = application.username
        clone = Login(fresh_sid("clone"), sqlserver._password(), policy=False)
        database = sqlserver.catalogue.databases["app"]
        sqlserver.catalogue.logins[f"{name}_clone"] = clone
        sqlserver.catalogue.permissions[f"{name}_clone", "CONNECT SQL", 100, None, None, None] = "G"
        database.users[f"{name}_clone"] = User(clone.sid, "dbo")
        granted = ("SELECT", 1, f"{sqlserver.schema(name)}_of_others", "granted", None)
        database.permissions[(f"{name}_clone", *granted)] = "G"
        subject = rotated(sqlserver, rotation_service, ALTERNATING, application=application)
        assert rotation_service.rotate(subject.arn).error is None
        sqlserver.work(subject.value)
        assert clone.policy
        assert database.users[f"{name}_clone"].schema == sqlserver.schema(name)

    @pytest.mark.parametrize("how", ["role", "nothing in common", "another database"])
    def test_a_strangers_login_is_refused_and_left_alone(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService, how: str
    ) -> None:
        application, stranger = sqlserver.make_application(), sqlserver._password()
        name = f"{application.username}_clone"
        login = Login(fresh_sid("stranger"), stranger)
        database = sqlserver.catalogue.databases["app"]
        sqlserver.catalogue.logins[name] = login
        sqlserver.catalogue.permissions[name, "CONNECT SQL", 100, None, None, None] = "G"
        database.users[name] = User(login.sid)
        if how == "role":
            database.members.setdefault("db_owner", set()).add(name)
        elif how == "nothing in common":
            database.permissions[name, "SELECT", 1, "dbo", "salaries", None] = "G"
        elif how == "another database":
            granted = ("SELECT", 1, f"{sqlserver.schema(application.username)}_of_others", "granted", None)
            database.permissions[(name, *granted)] = "G"
            sqlserver.catalogue.databases["other"].users[name] = User(login.sid)
        subject = rotated(sqlserver, rotation_service, ALTERNATING, application=application)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert failed.failed_step == "createSecret"
        assert login.password == stranger
        database.members["db_owner"].discard(name)

    def test_a_login_that_an_attempt_of_ours_left_behind_is_known_by_its_sid(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService
    ) -> None:
        application = sqlserver.make_application()
        name = f"{application.username}_clone"
        left = Login(derived_sid(sqlserver.catalogue.logins[application.username].sid, name), sqlserver._password())
        sqlserver.catalogue.logins[name] = left
        sqlserver.catalogue.permissions[name, "CONNECT SQL", 100, None, None, None] = "G"
        subject = rotated(sqlserver, rotation_service, ALTERNATING, application=application)
        assert rotation_service.rotate(subject.arn).error is None
        sqlserver.work(subject.value)

    def test_a_user_that_was_restored_without_its_login_is_mapped_again(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService
    ) -> None:
        application = sqlserver.make_application()
        database = sqlserver.catalogue.databases["app"]
        database.users[f"{application.username}_clone"] = User(fresh_sid("gone"))
        subject = rotated(sqlserver, rotation_service, ALTERNATING, application=application)
        assert rotation_service.rotate(subject.arn).error is None
        sqlserver.work(subject.value)

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_contained_users(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService, strategy: str
    ) -> None:
        application = sqlserver.make_application()
        database = sqlserver.catalogue.databases["app"]
        del sqlserver.catalogue.logins[application.username]
        contained = database.users[application.username]
        contained.password, contained.language = application.password, "Deutsch"
        subject = rotated(sqlserver, rotation_service, strategy, application=application)
        for _ in range(3):
            assert rotation_service.rotate(subject.arn).error is None
            sqlserver.work(subject.value)
        if strategy == ALTERNATING:
            clone = database.users[f"{application.username}_clone"]
            assert clone.password is not None
            assert (clone.schema, clone.language) == (contained.schema, "Deutsch")
            assert f"{application.username}_clone" not in sqlserver.catalogue.logins

    @pytest.mark.parametrize("username", ["a]b[c", "o'reilly", "semi;colon--", "dots.and spaces", "ünï漢"])
    def test_names_of_any_kind(
        self, sqlserver: SqlserverDouble, rotation_service: RotationService, username: str
    ) -> None:
        pair = Pair(sqlserver, rotation_service, f"{username}{secrets.token_hex(3)}")
        pair.database.permissions[pair.user, "SELECT", 1, "an]odd.schema", "a]].[table", "a]col"] = "G"
        pair.rotate()
        assert pair.permissions(pair.clone)["SELECT", 1, "an]odd.schema", "a]].[table", "a]col"] == "G"


_states = st.tuples(
    st.sampled_from(["SELECT", "UPDATE"]),
    st.sampled_from(["", "ON SCHEMA::[a]", "ON OBJECT::[a].[b]"]),
    st.sampled_from(["", "([c])", "([d])"]),
    st.sampled_from("GWDR"),
)


def _catalogued(found: set[tuple[str, str, str, str]]) -> set[Permission]:
    """As the catalog could have it: a row for a column where it differs from its object, R only where that has one."""
    state: dict[tuple[str, str, str], str] = {}
    for permission, on, drawn, how in sorted(found):
        in_object = state.get((permission, on, ""))
        column = drawn if on.startswith("ON OBJECT") else ""
        if how == in_object or (how == "R" and not (column and in_object)):
            continue
        state[permission, on, column] = how
    return {Permission(permission, on, how, column) for (permission, on, column), how in state.items()}


rights = st.sets(_states).map(_catalogued)


def _carry_out(statement: str, state: dict[tuple[str, str, str], str], *, clears: bool) -> None:
    words = re.fullmatch(
        r"(GRANT|DENY|REVOKE)( GRANT OPTION FOR)? (\w+)((?: ON \S+)?)((?: \(\S+\))?) (?:TO|FROM) \[app\](.*)", statement
    )
    assert words is not None, statement
    permission, on, column = words[3], words[4].strip(), words[5].strip()
    if not column and clears:
        for key in [key for key in state if key[:2] == (permission, on) and key[2]]:
            del state[key]
    of_object = state.get((permission, on, "")) if column else None
    if words[1] == "REVOKE":
        new = "G" if words[2] else "R" if of_object else None
    else:
        new = "D" if words[1] == "DENY" else "W" if "GRANT OPTION" in words[6] else "G"
    if new is None or new == of_object:
        state.pop((permission, on, column), None)
    else:
        state[permission, on, column] = new


@pytest.mark.parametrize("clears", [True, False])
@given(wanted=rights, present=rights)
def test_any_rights_become_any_others(wanted: set[Permission], present: set[Permission], *, clears: bool) -> None:
    """By the meaning of the words, whether a statement on an object ends what is said of its columns or not."""
    state = {right.key: right.state for right in present}
    for again in (False, True):
        now = {Permission(permission, on, how, column) for (permission, on, column), how in state.items()}
        for statement in statements(wanted, now, "app", again=again):
            _carry_out(statement, state, clears=clears)
    left_over = {} if clears else {key for key, how in state.items() if how == "R"}
    expected = {right.key: right.state for right in wanted}
    assert {key: how for key, how in state.items() if key in expected or key not in left_over} == expected


def test_what_is_narrowed_to_a_column_is_never_missing() -> None:
    """Issue 13, B4: a REVOKE from the table after the column's GRANT took both."""
    on = "ON OBJECT::[a].[b]"
    assert list(statements({Permission("SELECT", on, "G", "([c])")}, {Permission("SELECT", on)}, "app")) == [
        f"GRANT SELECT {on} ([c]) TO [app]",
        f"REVOKE SELECT {on} FROM [app] CASCADE",
        f"GRANT SELECT {on} ([c]) TO [app]",
    ]


@given(st.text())
def test_a_name_and_a_text_are_read_back_as_they_were(value: str) -> None:
    assert re.fullmatch(r"\[(?:[^\]]|\]\])*\]", quoted(value), re.DOTALL)
    assert quoted(value)[1:-1].replace("]]", "]") == value
    assert re.fullmatch(r"N'(?:[^']|'')*'", text(value), re.DOTALL)
    assert text(value)[2:-1].replace("''", "'") == value


def test_a_name_that_the_server_does_not_take_is_refused() -> None:
    engine = SqlserverEngine()
    assert engine.other_name("a" * 122) == "a" * 122 + "_clone"
    for name in ("a" * 123, "漢𝄞" * 60, "_clone"):
        with pytest.raises(UserPairMismatch):
            engine.other_name(name)


# What the grammar does not know, though the manual does.
_LEARN = "https://learn.microsoft.com/sql/t-sql/statements"
BEYOND_THE_GRAMMAR = {
    r"ALTER LOGIN \[x\] WITH PASSWORD = N'x'(?: UNLOCK| OLD_PASSWORD = N'x')?": f"{_LEARN}/alter-login-transact-sql",
    r"(?:CREATE|ALTER) LOGIN \[x\] WITH (?:PASSWORD = N'x', SID = 0x[0-9A-F]+, )?DEFAULT_DATABASE = \[x\], "
    r"DEFAULT_LANGUAGE = \[x\], CHECK_POLICY = O\w+, CHECK_EXPIRATION = O\w+": f"{_LEARN}/create-login-transact-sql",
    r"ALTER SERVER ROLE \[x\] (?:ADD|DROP) MEMBER \[x\]": f"{_LEARN}/alter-server-role-transact-sql",
    r"CREATE USER \[x\] WITH PASSWORD = N'x'.*": f"{_LEARN}/create-user-transact-sql",
    r"ALTER USER \[x\] WITH PASSWORD = N'x'.*": f"{_LEARN}/alter-user-transact-sql",
    r"DECLARE @cookie varbinary\(8000\); EXECUTE AS USER = N'x' WITH COOKIE INTO @cookie; SELECT @cookie|"
    r"DECLARE @cookie varbinary\(8000\) = 0x00; REVERT WITH COOKIE = @cookie": f"{_LEARN}/execute-as-transact-sql",
    r"(?:GRANT|DENY|REVOKE) .* ON OBJECT::\[x\]\.\[x\] \(\[x\]\) .*": f"{_LEARN}/grant-object-permissions-transact-sql",
}


def test_every_statement_is_transact_sql(pair: Pair, sqlserver: SqlserverDouble) -> None:
    """By sqlfluff's grammar, which is not ours."""
    with sent_to(sqlserver.catalogue.statements) as sent:
        for state in "GWDW":
            for what in (
                ("EXECUTE", 0, None, None, None),
                ("SELECT", 1, "dbo", "orders", "price"),
                ("SELECT", 3, None, "dbo", None),
            ):
                pair.database.permissions[(pair.user, *what)] = state
            pair.rotate()
    assert BELIEFS.without_a_row(sent) == []
    forms = {_form(statement) for statement in sent}
    require_parsed("tsql", forms, BEYOND_THE_GRAMMAR)
    assert len(forms) > 20


def _form(statement: str) -> str:
    """Names, texts and numbers that are alike for every test, and no password in what a failure shows."""
    statement = re.sub(r"0x[0-9A-F]*", "0x00", re.sub(r"IN \([\d, ]+\)", "IN (1, 2)", statement))
    return re.sub(r"N'(?:[^']|'')*'", "N'x'", re.sub(r"\[(?:[^\]]|\]\])*\]", "[x]", statement))
