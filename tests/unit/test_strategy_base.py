"""A rotation as strategies see it, on a database that is a dict."""

from __future__ import annotations

from typing import Any

import pytest
from doubles.memory import (
    ADMIN_ARN,
    ARN,
    MemoryEngine,
    RenewingEngine,
    SelfService,
    Transactional,
    World,
    context,
    value,
)

from rotators.engines.base import SelfServicePassword
from rotators.engines.identity import Account, Pair, Relation
from rotators.errors import (
    EngineMismatch,
    LoginRefused,
    PasswordExpired,
    PendingUnusable,
    SecretMalformed,
    TlsFailed,
    Unreachable,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.strategies.base import require, transaction_of
from rotators.strategies.pairing import require_pair


def logins(world: World) -> list[str]:
    return [event.rpartition(" ")[2] for event in world.events if event.startswith("login ")]


def test_the_password_of_awscurrent_comes_first_and_alone_where_it_works() -> None:
    world = World()
    step = context(world, pending=value("AWSPENDING", password="new"), previous=value("AWSPREVIOUS", password="older"))
    login = step.login(pending=True)
    assert (login.stage, login.credentials.password) == ("AWSCURRENT", "old")
    assert logins(world) == ["old"]


@pytest.mark.parametrize(
    ("valid", "stage", "tried"),
    [("new", "AWSPENDING", ["old", "new"]), ("older", "AWSPREVIOUS", ["old", "new", "older"])],
)
def test_then_come_awspending_and_awsprevious(valid: str, stage: str, tried: list[str]) -> None:
    world = World()
    world.users["one"]["app"] = [valid]
    step = context(world, pending=value("AWSPENDING", password="new"), previous=value("AWSPREVIOUS", password="older"))
    login = step.login(pending=True)
    assert (login.stage, login.credentials.password) == (stage, valid)
    assert logins(world) == tried


def test_a_pending_value_is_tried_without_being_asked_for_where_one_is_stored_and_else_not_read() -> None:
    world = World()
    world.users["one"]["app"] = ["new"]
    assert context(world, pending=value(password="new")).login(pending=False).stage == "AWSPENDING"
    without = context(world)
    with pytest.raises(LoginRefused):
        without.login(pending=False)
    assert logins(world) == ["old", "new", "old"]


def test_no_password_is_tried_twice() -> None:
    world = World()
    world.users["one"]["app"] = ["other"]
    same = [context(world, pending=value(password="old"), previous=value(password="old"))]
    same.append(context(world, pending=value(password="new"), previous=value(password="new")))
    for step in same:
        with pytest.raises(LoginRefused):
            step.login(pending=True)
    assert logins(world) == ["old", "old", "new"]


@pytest.mark.parametrize("changes", [{"username": "other"}, {"host": "db2.example"}, {"port": 5433}])
def test_a_version_of_another_user_or_server_is_not_tried(changes: dict[str, Any]) -> None:
    world = World()
    world.users["one"]["app"] = ["none"]
    stranger = value(password="theirs", **changes)
    with pytest.raises(LoginRefused):
        context(world, pending=stranger, previous=stranger).login(pending=True)
    assert logins(world) == ["old"]


def test_the_same_server_with_its_port_spelled_out_is_tried() -> None:
    world = World()
    world.users["one"]["app"] = ["new"]
    step = context(world, pending=value(password="new", port="5432", host="DB.example."))
    world.hosts["DB.example.", 5432] = "one"
    assert step.login(pending=True).stage == "AWSPENDING"


def test_where_none_works_the_error_tells_each_refusal_and_the_first_code() -> None:
    world = World()
    world.users["one"]["app"] = ["none"]
    world.faults["login app@db.example:5432 with new"] = [LoginRefused("no such user", "make it", code="42")]
    step = context(world, pending=value(password="new"), previous=value(password="older"))
    with pytest.raises(LoginRefused) as caught:
        step.login(pending=True)
    assert caught.value.what == (
        f"no password of secret {ARN} is accepted (AWSCURRENT: 'app' is refused; look at it; "
        "AWSPENDING: no such user; make it; AWSPREVIOUS: 'app' is refused; look at it)"
    )
    assert caught.value.code == "28P01"


def test_the_first_code_that_there_is_is_kept() -> None:
    world = World()
    world.faults["login app@db.example:5432 with old"] = [LoginRefused("no")]
    world.users["one"]["app"] = ["none"]
    with pytest.raises(LoginRefused) as caught:
        context(world, pending=value(password="new")).login(pending=True)
    assert caught.value.code == "28P01"


def test_a_password_of_awscurrent_that_has_expired_is_the_right_one() -> None:
    world = World()
    expired = PasswordExpired("expired")
    world.faults["login app@db.example:5432 with old"] = [expired]
    with pytest.raises(PasswordExpired) as caught:
        context(world, pending=value(password="new")).login(pending=True)
    assert caught.value is expired
    assert logins(world) == ["old"]


def test_another_versions_that_has_expired_is_only_refused() -> None:
    world = World()
    world.users["one"]["app"] = ["older"]
    world.faults["login app@db.example:5432 with new"] = [PasswordExpired("expired")]
    step = context(world, pending=value(password="new"), previous=value(password="older"))
    assert step.login(pending=True).stage == "AWSPREVIOUS"


def test_a_login_goes_by_the_settings_and_the_secret() -> None:
    world = World()
    engine = MemoryEngine(world)
    settings = {"connect_timeout": 7.0, "tls_server_name": "by.setting", "allow_plaintext": True}
    step = context(world, current=value(masterarn=ADMIN_ARN), engine=engine, settings=settings)
    step.connect(value())
    step.connect(value(tlsServerName="by.secret", ssl=False), admin=False)
    step.connect(step.admin, admin=True)
    assert [option.timeout for option in engine.options] == [7.0] * 3
    assert [option.deadline for option in engine.options] == [1e12] * 3
    assert [option.server_name for option in engine.options] == ["by.setting", "by.secret", "by.setting"]
    assert [option.plaintext for option in engine.options] == [False, True, False]
    assert [option.admin for option in engine.options] == [False, False, True]
    assert [option.ca_file for option in engine.options] == [None] * 3


def test_the_ca_file_is_handed_on() -> None:
    world = World()
    engine = MemoryEngine(world)
    step = context(world, engine=engine)
    object.__setattr__(step, "ca_file", "/the/bundle.pem")
    step.connect(value())
    assert engine.options[0].ca_file == "/the/bundle.pem"


def test_a_connection_without_tls_needs_the_settings_leave() -> None:
    world = World()
    with pytest.raises(TlsFailed, match=r"secret app \(AWSCURRENT\) asks for a connection without TLS"):
        context(world).connect(value(ssl=False))
    assert world.events == []
    assert context(world).is_plaintext(value()) is False
    assert context(world, settings={"allow_plaintext": True}).is_plaintext(value()) is False
    assert context(world, settings={"allow_plaintext": True}).is_plaintext(value(ssl="false")) is True


def test_whether_the_pending_password_is_valid_is_asked_with_one_login() -> None:
    world = World()
    step = context(world, pending=value(password="new"))
    assert step.pending_logs_in() is False
    world.users["one"]["app"] = ["new"]
    assert step.pending_logs_in() is True
    login = "login app@db.example:5432 with new"
    assert world.events == [login, login, "close app"]
    world.faults[login] = [Unreachable("silent")]
    with pytest.raises(Unreachable):
        step.pending_logs_in()


def test_an_expired_password_is_renewed_only_where_the_engine_can() -> None:
    world = World()
    plain = context(world, pending=value(password="new"))
    assert plain.can_renew is False
    plain.renew()
    assert world.events == []
    engine = RenewingEngine(world)
    step = context(world, pending=value(password="new"), engine=engine, settings={"connect_timeout": 3.0})
    assert step.can_renew is True
    step.renew()
    assert world.events == ["renew app from old to new"]
    assert (engine.options[0].timeout, engine.options[0].admin) == (3.0, False)


@pytest.mark.parametrize(
    ("current", "pending", "keys"),
    [
        ({}, {"username": "app_clone", "password": "new"}, []),
        ({"dbname": "a"}, {"dbname": "b", "password": "new"}, ["dbname"]),
        ({"dbname": "a", "port": 1}, {"port": 2}, ["port", "dbname"]),
        ({}, {"note": "x"}, ["note"]),
        ({"note": "x"}, {}, ["note"]),
        ({"debug": True}, {"debug": 1}, ["debug"]),
        ({"retries": 1}, {"retries": 1.0}, ["retries"]),
        ({"more": {"debug": False}}, {"more": {"debug": 0}}, ["more"]),
        ({"more": [1, "x"]}, {"more": [1, "x"]}, []),
    ],
)
def test_what_differs_beside_user_and_password_is_named(
    current: dict[str, Any], pending: dict[str, Any], keys: list[str]
) -> None:
    assert sorted(context(World(), current=value(**current), pending=value(**pending)).edited_keys) == sorted(keys)


def test_a_key_that_is_null_in_one_and_missing_in_the_other_differs() -> None:
    missing, null = value(), value().replace(note=None)
    assert context(World(), current=null, pending=missing).edited_keys == ["note"]
    assert context(World(), current=missing, pending=null).edited_keys == ["note"]
    assert context(World(), current=null, pending=null).edited_keys == []


def test_the_admins_secret_is_the_secrets_own_choice_else_the_functions() -> None:
    assert context(World()).admin_arn is None
    assert context(World(), settings={"admin_secret": "functions"}).admin_arn == "functions"
    named = value(masterarn="secrets")
    assert context(World(), current=named, settings={"admin_secret": "functions"}).admin_arn == "secrets"


def test_values_are_checked_for_the_engine() -> None:
    with pytest.raises(EngineMismatch) as caught:
        _ = context(World(), current=value(engine="mysql")).current
    assert str(caught.value) == (
        "secret app (AWSCURRENT) is for the engine 'mysql', and this function rotates postgres. "
        "give it the handler rotators.handlers.mysql.handler."
    )
    with pytest.raises(EngineMismatch, match="write one of the engines that exist; this function's is 'postgres'"):
        _ = context(World(), current=value(engine="sybase")).current
    for name in ("postgres", "postgresql", "aurora-postgresql"):
        assert context(World(), current=value(engine=name)).current.engine == name
    assert context(World(), current=value(engine=None)).current.engine is None
    with pytest.raises(SecretMalformed, match="'port' is not a port number"):
        _ = context(World(), current=value(port=0)).current


def test_an_engine_of_somebodys_own_is_known_by_its_name() -> None:
    class Own(MemoryEngine):
        name = "sybase"

    world = World()
    assert context(world, engine=Own(world), current=value(engine="sybase")).current.engine == "sybase"
    with pytest.raises(EngineMismatch):
        _ = context(world, engine=Own(world), current=value(engine="postgres")).current


def test_a_pending_version_that_nobody_could_use_is_told_from_a_current_one() -> None:
    broken = value("AWSPENDING", host=None)
    with pytest.raises(PendingUnusable) as caught:
        _ = context(World(), pending=broken).pending
    assert caught.value.what == "secret app (AWSPENDING): the key 'host' is missing or empty"
    assert caught.value.advice == "add 'host' to the secret"
    assert caught.value.__suppress_context__
    with pytest.raises(SecretMalformed) as plain:
        _ = context(World(), current=value(host=None)).current
    assert not isinstance(plain.value, PendingUnusable)


@pytest.mark.parametrize("changes", [{"host": None}, {"engine": "mysql"}])
def test_a_previous_version_that_is_a_stub_counts_as_none(changes: dict[str, Any]) -> None:
    assert context(World(), previous=value(**changes)).previous is None


def test_a_previous_version_is_there_or_not() -> None:
    assert context(World()).previous is None
    good = value(password="older")
    assert context(World(), previous=good).previous == good


def test_a_transaction_is_one_where_the_session_has_them() -> None:
    world = World(abilities=(Transactional,))
    with transaction_of(context(world).connect(value())):
        world.note("inside")
    assert world.events[1:] == ["begin", "inside", "commit"]
    plain = World()
    with transaction_of(context(plain).connect(value())):
        plain.note("inside")
    assert plain.events[1:] == ["inside"]


def test_a_session_that_lacks_what_is_asked_of_it_is_refused() -> None:
    plain = context(World()).connect(value())
    with pytest.raises(UserNotRotatable) as caught:
        require(plain, SelfServicePassword, "it can't", "do without")
    assert (caught.value.what, caught.value.advice) == ("it can't", "do without")
    able = context(World(abilities=(SelfService,))).connect(value())
    assert require(able, SelfServicePassword, "it can't", "do without") is able


def pair(relation: Relation, reason: str = "", remedy: str = "") -> Pair:
    users = {"current": Account("one", 1, "app"), "other_name": "app_clone", "other": Account("one", 2, "app_clone")}
    return Pair(**users, current_is_source=True, relation=relation, reason=reason, remedy=remedy)


def with_admin(settings: dict[str, Any] | None = None) -> Any:
    return context(World(), current=value(masterarn=ADMIN_ARN), settings=settings)


@pytest.mark.parametrize("relation", Relation)
def test_what_the_server_shows_makes_two_users_a_pair(relation: Relation) -> None:
    if relation in {Relation.ABSENT, Relation.MARKED, Relation.RELATED}:
        require_pair(with_admin(), pair(relation))
    else:
        with pytest.raises(UserPairMismatch):
            require_pair(with_admin(), pair(relation))


@pytest.mark.parametrize("named", ["app", "app_clone"])
def test_so_does_what_whoever_deploys_has_named(named: str) -> None:
    require_pair(with_admin({"users": {ARN: named}}), pair(Relation.MORE_POWERFUL))


@pytest.mark.parametrize("users", [{}, {ARN: "other"}, {"other": "app"}])
def test_and_nothing_else(users: dict[str, str]) -> None:
    with pytest.raises(UserPairMismatch) as caught:
        require_pair(with_admin({"users": users}), pair(Relation.UNRELATED))
    assert str(caught.value) == (
        "nothing shows that 'app_clone' at db.example is the second user of 'app'. "
        "name the secret's user in rotations.yaml ('user') or in ROTATION_USERS; "
        "if it belongs to something else, rename it."
    )


def test_the_reason_and_the_remedy_are_told() -> None:
    with pytest.raises(UserPairMismatch) as caught:
        require_pair(with_admin(), pair(Relation.MORE_POWERFUL, "it may SELECT on payroll", "GRANT app TO app_clone"))
    assert caught.value.what.endswith("is the second user of 'app': it may SELECT on payroll")
    assert caught.value.advice.startswith("if it is, run once, as an admin: GRANT app TO app_clone; name the secret's")
