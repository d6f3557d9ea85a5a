"""What is MongoDB's own: errors, clones, and what its servers say of a user. On SecantusDB, which is neither."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets import ALTERNATING, SINGLE, MongoTarget, rotated

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.mongo import MongoEngine, catalog
from rotators.engines.mongo.catalog import MongoUser, Power
from rotators.engines.mongo.session import MongoSession
from rotators.errors import (
    ConfigurationError,
    LoginRefused,
    PermissionRefused,
    ReadOnlyServer,
    SecretMalformed,
    ServiceFailed,
    TlsFailed,
    Unreachable,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.testing import RotationService
from rotators.testing.servers.certificates import CertificateAuthority


def connect(target: MongoTarget, change: dict[str, Any] | None = None, **options: Any) -> MongoSession:
    value = {**target.admin_secret(), **(change or {})}
    chosen = {"timeout": 2.0, "ca_file": str(target.server.ca_file), **options}
    return MongoEngine().connect(Credentials(value), ConnectOptions(**chosen))


@pytest.fixture
def silent() -> Any:
    """A server that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class TestErrors:
    @pytest.mark.parametrize(
        ("change", "kind", "said"),
        [
            ({"password": "wrong"}, LoginRefused, r"authentication failed \[18\]\. check the password"),
            ({"username": "nobody"}, LoginRefused, "user 'nobody'"),
            ({"port": 1}, Unreachable, "Connection refused. check host and port"),
            ({"host": "nowhere.invalid"}, Unreachable, r"unknown \(DNS\)"),
            ({"authenticationDatabase": "$external"}, UserNotRotatable, "by a certificate or by IAM"),
        ],
    )
    def test_each_way_to_fail_has_its_name(
        self, mongo: MongoTarget, change: dict[str, Any], kind: type[Exception], said: str
    ) -> None:
        with pytest.raises(kind, match=said) as failed:
            connect(mongo, change)
        assert mongo.server.admin.password not in str(failed.value)

    def test_a_server_that_stays_silent(self, mongo: MongoTarget, silent: int) -> None:
        with pytest.raises(Unreachable, match="no answer in time"):
            connect(mongo, {"host": "127.0.0.1", "port": silent})

    def test_another_ca_and_another_name_are_refused(self, mongo: MongoTarget, tmp_path: Path) -> None:
        other = CertificateAuthority(tmp_path, "another CA")
        with pytest.raises(TlsFailed, match="put the CA that signed"):
            connect(mongo, ca_file=str(other.ca_file))
        with pytest.raises(TlsFailed, match=r"is not for '127\.0\.0\.2', but for localhost, 127\.0\.0\.1"):
            connect(mongo, {"host": "127.0.0.2", "port": forward(mongo)})

    def test_no_tls_is_no_way_in(self, mongo: MongoTarget) -> None:
        with pytest.raises(ConfigurationError, match="no CA certificates"):
            connect(mongo, ca_file=None)

    def test_a_name_that_the_driver_can_not_verify_is_refused_before_anything_is_sent(self, mongo: MongoTarget) -> None:
        with pytest.raises(ConfigurationError, match="verifies the host's own name only"):
            connect(mongo, server_name="another.example")
        connect(mongo, server_name="localhost").close()

    def test_a_secondary_is_recognised(self, mongo: MongoTarget, monkeypatch: pytest.MonkeyPatch) -> None:
        with connect(mongo) as session:
            monkeypatch.setattr(session._connection, "run", lambda *_: {"isWritablePrimary": False, "secondary": True})
            with pytest.raises(ReadOnlyServer, match="is a secondary"):
                session.check_rotatable()

    def test_who_may_not_change_its_password_is_told_what_would_let_it(
        self, mongo: MongoTarget, rotation_service: RotationService
    ) -> None:
        application = mongo.make_application()
        own = {"role": "changesItsPassword", "db": "admin"}
        mongo.as_root({"revokeRolesFromUser": application.username, "roles": [own]})
        subject = rotated(mongo, rotation_service, SINGLE, application=application)
        failed = subject.service.rotate(subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert "changeOwnPassword" in str(failed.error)
        mongo.work(subject.value)

    @pytest.mark.parametrize(
        ("actions", "database", "may"),
        [
            (["find", "changeOwnPassword"], "admin", True),
            (["anyAction"], "", True),
            (["find", "insert"], "admin", False),
            (["changeOwnPassword"], "own", False),
        ],
    )
    def test_where_the_server_lists_privileges_it_is_found_before_anything(
        self, mongo: MongoTarget, monkeypatch: pytest.MonkeyPatch, actions: list[str], database: str, *, may: bool
    ) -> None:
        """Issue 12, number 17. MongoDB lists them; the server of the tests does not, and then nothing is refused."""
        application = mongo.make_application()
        with connect(mongo, mongo.secret(application)) as session:
            session.check_can_set_own_password()
            listed = [{"resource": {"db": database, "collection": ""}, "actions": actions}]
            status = {"authInfo": {"authenticatedUserPrivileges": listed, "authenticatedUserRoles": []}}
            monkeypatch.setattr(session._connection, "run", lambda *_: status)
            if may:
                session.check_can_set_own_password()
                return
            with pytest.raises(PermissionRefused, match=r"may not change its own password\. give the user a role"):
                session.check_can_set_own_password()

    def test_an_admin_that_may_not_manage_users_is_told(
        self, mongo: MongoTarget, rotation_service: RotationService
    ) -> None:
        weak, password = f"weak_{secrets.token_hex(3)}", secrets.token_urlsafe(12)
        mongo.as_root({"createUser": weak, "pwd": password, "roles": [{"role": "read", "db": "own"}]})
        rotator = mongo.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
        admin = rotation_service.create_secret("weak", mongo.server.secret(weak, password), rotator)
        application = mongo.make_application()
        arn = rotation_service.create_secret("app", mongo.secret(application, masterarn=admin), rotator)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, PermissionRefused)
        assert f"db.grantRolesToUser('{weak}'" in str(failed.error)
        assert failed.failed_step == "createSecret"

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("SELECT 1", "'SELECT 1' is no JSON"),
            ('{"dropDatabase": 1}', "is none of aggregate, collStats"),
            ('{"aggregate": "x", "pipeline": [{"$out": "y"}], "cursor": {}}', "has a stage that writes"),
        ],
    )
    def test_a_test_query_reads(self, mongo: MongoTarget, query: str, said: str) -> None:
        with connect(mongo) as session, pytest.raises(ServiceFailed, match="ROTATION_TEST_QUERY failed") as failed:
            session.verify(query)
        assert said in str(failed.value)

    @pytest.mark.parametrize("key", ["username", "password", "host"])
    def test_half_a_character_is_the_secrets_fault(self, mongo: MongoTarget, key: str) -> None:
        """JSON may hold a lone surrogate, which no server could be sent."""
        with pytest.raises(SecretMalformed, match=f"the key '{key}' holds half a character"):
            connect(mongo, {key: "a\ud800b"})

    @pytest.mark.parametrize(
        "host", ["a.example,b.example", "mongodb://a.example/?tlsAllowInvalidCertificates=true", "/var/a.sock", "a b"]
    )
    def test_a_host_is_one_host_and_never_an_option_of_the_drivers(self, mongo: MongoTarget, host: str) -> None:
        with pytest.raises(SecretMalformed, match="the key 'host'"):
            connect(mongo, {"host": host})

    def test_a_database_that_can_not_be_one_is_the_secrets_fault(self, mongo: MongoTarget) -> None:
        with pytest.raises(SecretMalformed, match="authenticationDatabase"):
            connect(mongo, {"authenticationDatabase": "a/b?c=d"})

    def test_what_saslprep_refuses_is_told(self, mongo: MongoTarget) -> None:
        with pytest.raises((SecretMalformed, LoginRefused)):
            connect(mongo, {"password": "bell\u0007"})

    def test_a_test_query_that_reads_passes(self, mongo: MongoTarget) -> None:
        application = mongo.make_application()
        database = mongo.database(application.username, "granted")
        with connect(mongo, mongo.secret(application, dbname=database)) as session:
            session.verify(json.dumps({"count": "answers"}))

    def test_a_test_query_is_read_to_its_end(self, mongo: MongoTarget) -> None:
        """What fails may fail in the last batch, which a client that reads the first one only never sees."""
        application = mongo.make_application()
        database = mongo.database(application.username, "granted")
        with mongo.client(mongo.server.root) as root:
            root[database].many.insert_many([{"n": 1} for _ in range(250)] + [{"n": 0}])
        divide = {"$project": {"x": {"$divide": [1, "$n"]}}}
        with connect(mongo, mongo.secret(application, dbname=database)) as session:
            session.verify(json.dumps({"find": "many", "batchSize": 7}))
            with pytest.raises(ServiceFailed, match="ROTATION_TEST_QUERY failed"):
                session.verify(json.dumps({"aggregate": "many", "pipeline": [divide], "cursor": {"batchSize": 7}}))


MARKS = {("rotators_source", "admin"), ("rotators_clone", "admin")}


class TestClone:
    def roles(self, mongo: MongoTarget, user: str) -> set[tuple[str, str]]:
        (found,) = mongo.as_admin({"usersInfo": user})["users"]
        return {(role["role"], role["db"]) for role in found["roles"]} - MARKS

    def test_grants_and_revocations_reach_the_other_at_the_next_rotation(
        self, mongo: MongoTarget, rotation_service: RotationService
    ) -> None:
        subject = rotated(mongo, rotation_service, ALTERNATING)
        name = subject.application.username
        for command in ("grantRolesToUser", "revokeRolesFromUser"):
            mongo.as_root({command: name, "roles": [{"role": "readWrite", "db": "elsewhere"}]})
            for _ in range(2):
                assert subject.service.rotate(subject.arn).succeeded
            assert self.roles(mongo, f"{name}_clone") == self.roles(mongo, name)
            assert (("readWrite", "elsewhere") in self.roles(mongo, name)) == (command == "grantRolesToUser")

    def test_a_clone_of_awss_template_is_adopted(self, mongo: MongoTarget, rotation_service: RotationService) -> None:
        application = mongo.make_application()
        (found,) = mongo.as_admin({"usersInfo": application.username})["users"]
        mongo.as_admin({"createUser": f"{application.username}_clone", "pwd": "templates", "roles": found["roles"][:1]})
        subject = rotated(mongo, rotation_service, ALTERNATING, application=application)
        assert subject.service.rotate(subject.arn).error is None
        mongo.work(subject.value)

    def test_somebody_elses_user_is_left_alone(self, mongo: MongoTarget, rotation_service: RotationService) -> None:
        application = mongo.make_application()
        stranger = {"role": "readWrite", "db": "another"}
        mongo.as_root({"createUser": f"{application.username}_clone", "pwd": "strangers", "roles": [stranger]})
        mongo.passwords.add("strangers")
        subject = rotated(mongo, rotation_service, ALTERNATING, application=application)
        failed = subject.service.rotate(subject.arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert "nothing shows that" in str(failed.error)
        assert "it has readWrite@another" in str(failed.error)
        mongo.log_in({"username": f"{application.username}_clone", "password": "strangers"})

    def test_two_users_made_by_hand_keep_their_roles(
        self, mongo: MongoTarget, rotation_service: RotationService
    ) -> None:
        application = mongo.make_application()
        mongo.as_root({"createUser": f"{application.username}_clone", "pwd": "by-hand", "roles": []})
        users = json.dumps({"kept-by-hand": application.username})
        rotator = mongo.rotator(
            rotation_service, ROTATION_STRATEGY=ALTERNATING, ROTATION_TWIN="adopt", ROTATION_USERS=users
        )
        admin = rotation_service.create_secret("the-admin", mongo.admin_secret(), rotator)
        secret = mongo.secret(application, masterarn=admin)
        arn = rotation_service.create_secret("kept-by-hand", secret, rotator)
        assert rotation_service.rotate(arn).error is None
        assert self.roles(mongo, f"{application.username}_clone") == set()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_a_name_of_any_characters_is_a_value_and_never_a_command(mongo: MongoTarget, name: str) -> None:
    """Commands are documents: there is nothing to quote, and nothing that could be taken for another field."""
    with connect(mongo) as session:
        account = replace(session.account, key=("admin", name), name=name)
        with pytest.raises(UserNotRotatable) as refused:
            session.inspect_pair(account, f"{name}_clone")
        assert refused.value.what.startswith("there is no user '")


def test_only_a_user_without_the_weaker_verifier_gets_a_clone_without_it() -> None:
    user = {"user": "app", "db": "admin", "roles": [{"role": "read", "db": "b"}, {"role": "read", "db": "a"}]}
    both = MongoUser.read({**user, "mechanisms": ["SCRAM-SHA-1", "SCRAM-SHA-256"]})
    assert both.attributes(both.roles) == {
        "roles": [{"role": "read", "db": "a"}, {"role": "read", "db": "b"}],
        "customData": {},
    }
    restriction = [{"clientSource": ["10.0.0.0/8"]}]
    strict = MongoUser.read({**user, "mechanisms": ["SCRAM-SHA-256"], "authenticationRestrictions": restriction})
    assert strict.attributes(strict.roles)["mechanisms"] == ["SCRAM-SHA-256"]
    assert strict.attributes(strict.roles)["authenticationRestrictions"] == restriction


OWN = '{"collection": "", "db": "own"}'


@pytest.mark.parametrize(
    ("one", "other", "beyond"),
    [
        (Power(frozenset({("read", "own")}), frozenset()), Power(frozenset({("readWrite", "own")}), frozenset()), []),
        (
            Power(frozenset({("read", "own")}), frozenset()),
            Power(frozenset({("readWriteAnyDatabase", "admin")}), frozenset()),
            [],
        ),
        (
            Power(frozenset({("read", "local")}), frozenset()),
            Power(frozenset({("readAnyDatabase", "admin")}), frozenset()),
            ["it has read@local"],
        ),
        (
            Power(frozenset({("readWrite", "own")}), frozenset()),
            Power(frozenset({("read", "own"), ("dbOwner", "elsewhere")}), frozenset()),
            ["it has readWrite@own"],
        ),
        (
            Power(frozenset(), frozenset({(OWN, "find"), (OWN, "insert")})),
            Power(frozenset(), frozenset({(OWN, "find")})),
            ["it may insert on own.*"],
        ),
        (
            Power(frozenset({("__system", "admin")}), frozenset()),
            Power(frozenset({("root", "admin")}), frozenset()),
            ["it has __system@admin"],
        ),
    ],
)
def test_what_one_may_do_beyond_another(one: Power, other: Power, beyond: list[str]) -> None:
    assert one.beyond(other) == beyond
    assert one.beyond(one) == []


@pytest.mark.parametrize(
    ("roles", "privileges", "by"),
    [
        ({("root", "admin")}, set(), "root@admin"),
        ({("userAdmin", "admin")}, set(), "userAdmin@admin"),
        ({("dbOwner", "admin")}, set(), "dbOwner@admin"),
        ({("userAdminAnyDatabase", "admin")}, set(), "userAdminAnyDatabase@admin"),
        ({("dbOwner", "own"), ("userAdmin", "own")}, set(), None),
        ({("readWriteAnyDatabase", "admin"), ("dbAdminAnyDatabase", "admin"), ("clusterAdmin", "admin")}, set(), None),
        (set(), {('{"anyResource": true}', "anyAction")}, "anyAction on any resource"),
        (set(), {('{"collection": "", "db": ""}', "grantRole")}, "grantRole on any database.*"),
        (set(), {('{"collection": "", "db": "admin"}', "createRole")}, "createRole on admin.*"),
        (set(), {('{"collection": "", "db": "own"}', "createRole")}, None),
        (set(), {('{"collection": "system.users", "db": "admin"}', "update")}, "update on admin.system.users"),
        (set(), {('{"cluster": true}', "internal")}, "internal on the cluster"),
    ],
)
def test_who_may_give_itself_anything(
    roles: set[tuple[str, str]], privileges: set[tuple[str, str]], by: str | None
) -> None:
    assert Power(frozenset(roles), frozenset(privileges)).administers == by


@pytest.mark.parametrize(
    ("greeting", "server"),
    [
        ({"setName": "rs0", "me": "a:27017"}, "rs0 a:27017"),
        ({"topologyVersion": {"processId": "6b09"}}, "6b09"),
        ({"msg": "isdbgrid", "topologyVersion": {"processId": "6b09"}}, "the cluster behind db.example:27017"),
        ({}, "db.example:27017"),
    ],
)
def test_what_tells_a_server_from_every_other(greeting: dict[str, Any], server: str) -> None:
    """Routers of one cluster are behind one name, and each has its own process."""
    assert catalog.server(greeting, "db.example:27017") == server


def test_names_are_as_long_as_documentdb_takes_them() -> None:
    assert MongoEngine().other_name("a" * 57) == "a" * 57 + "_clone"
    with pytest.raises(UserPairMismatch, match="takes names of 1 to 63"):
        MongoEngine().other_name("a" * 58)


def test_passwords_have_none_of_what_documentdb_refuses() -> None:
    assert set(MongoEngine.password_limits.never) == set('/"@')


def forward(mongo: MongoTarget) -> int:
    """A port on another loopback address that leads to the server once."""
    listener = socket.create_server(("127.0.0.2", 0))

    def serve() -> None:
        with listener:
            while True:
                try:
                    client, _address = listener.accept()
                except OSError:
                    return
                threading.Thread(target=relay, args=(client,), daemon=True).start()

    def relay(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", mongo.server.port)) as server:
            threading.Thread(target=pump, args=(server, client), daemon=True).start()
            pump(client, server)

    listener.settimeout(10)
    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        return
