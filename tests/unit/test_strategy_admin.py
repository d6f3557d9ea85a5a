"""Where an admin acts, for whom, and what proves that it may, on a database that is a dict."""

from __future__ import annotations

from typing import Any

import pytest
from doubles.memory import ADMIN_ARN, ARN, Admin, MemoryEngine, World, context, value

from rotators.credentials import Credentials
from rotators.endpoints import Endpoint
from rotators.engines.identity import Account
from rotators.errors import (
    ConfigurationError,
    LoginRefused,
    PermissionRefused,
    SecretMalformed,
    Unreachable,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.logs import redactor
from rotators.strategies.admin import Proof, acting, may_reset, named_user, prove, prove_or_reset

OWN = value(masterarn=ADMIN_ARN)
LOGIN = "login app@db.example:5432 with old"
AS_ADMIN = "login root@db.example:5432 with top"
ACCOUNT = Account("one", "app", "app")


def world(**changes: Any) -> World:
    return World(admin_abilities=(Admin,), **changes)


def admins(**changes: Any) -> dict[str, Credentials]:
    values = {"username": "root", "password": "top", "host": "db.example", **changes}
    return {ADMIN_ARN: Credentials({key: one for key, one in values.items() if one is not None}, "the admin's secret")}


def test_without_an_admin_secret_there_is_no_admin() -> None:
    with pytest.raises(SecretMalformed, match=r"secret app \(AWSCURRENT\) names no admin secret"):
        _ = context(world()).admin


def test_a_secret_is_not_its_own_admins() -> None:
    with pytest.raises(UserPairMismatch, match="names itself as its admin secret"):
        _ = context(world(), current=value(masterarn=ARN)).admin


def test_an_admin_works_in_the_applications_database_and_at_its_own_host() -> None:
    step = context(
        world(), current=value(masterarn=ADMIN_ARN, dbname="orders", host="elsewhere"), admins=admins(port=6000)
    )
    admin = step.admin
    assert (admin.username, admin.password, admin.host, admin.port(1), admin.dbname) == (
        "root",
        "top",
        "db.example",
        6000,
        "orders",
    )
    assert step.rotation.world.events == [f"read {ADMIN_ARN}"]


def test_the_applications_database_replaces_the_admins_also_where_it_names_none() -> None:
    assert context(world(), current=OWN, admins=admins(dbname="postgres")).admin.dbname is None


def test_an_admin_secret_of_another_engine_is_refused() -> None:
    with pytest.raises(Exception, match="the admin's secret is for the engine 'mysql'"):
        _ = context(world(), current=OWN, admins=admins(engine="mysql")).admin


@pytest.mark.parametrize(
    ("setting", "host", "port"),
    [(("set.example", None), "set.example", 5432), (("set.example", 6000), "set.example", 6000)],
)
def test_a_managed_admins_host_is_the_settings(setting: tuple[str, int | None], host: str, port: int) -> None:
    step = context(world(), current=OWN, admins=admins(host=None), settings={"admin_host": setting})
    assert (step.admin.host, step.admin.port(5432)) == (host, port)
    assert "port" not in step.admin or setting[1] is not None
    assert step.rotation.world.events == [f"read {ADMIN_ARN}"]


def test_else_it_is_what_aws_says_of_it_and_is_no_secret() -> None:
    endpoint = Endpoint("writer.example", 6001)
    step = context(world(), current=OWN, admins=admins(host=None), endpoint=endpoint)
    redactor.forget()
    redactor.hide_unknown(["writer.example"])
    assert (step.admin.host, step.admin.port(5432)) == ("writer.example", 6001)
    assert redactor.redact("at writer.example") == "at writer.example"
    redactor.forget()
    assert step.rotation.world.events == [f"read {ADMIN_ARN}", f"ask for the endpoint of {ADMIN_ARN} until 1e+12"]


def test_else_nobody_knows_it_least_of_all_the_application() -> None:
    with pytest.raises(ConfigurationError) as caught:
        _ = context(world(), current=OWN, admins=admins(host=None)).admin
    assert f"the admin secret {ADMIN_ARN} names no host" in caught.value.what
    for word in ("ROTATION_ADMIN_HOST", "rds:DescribeDBInstances", "redshift:DescribeClusters", "DescribeSecret"):
        assert word in caught.value.advice


def test_a_login_that_went_the_admins_way_is_the_proof() -> None:
    step = context(world(), current=OWN)
    session = step.connect(OWN)
    assert prove(step, OWN, own_host=True, session=session) == Proof(ACCOUNT, "old")
    assert step.rotation.world.events == [LOGIN, f"read {ADMIN_ARN}"]


def test_so_it_is_where_the_admins_secret_spells_the_port_out() -> None:
    step = context(world(), current=OWN, admins=admins(port=5432))
    assert prove(step, OWN, own_host=True, session=step.connect(OWN)) == Proof(ACCOUNT, "old")
    assert step.rotation.world.events == [LOGIN, f"read {ADMIN_ARN}"]


def test_without_one_it_is_made_at_the_admins_host() -> None:
    step = context(world(), current=OWN)
    assert prove(step, OWN, own_host=True) == Proof(ACCOUNT, "old")
    assert step.rotation.world.events == [f"read {ADMIN_ARN}", LOGIN, "check rotatable app", "close app"]


@pytest.mark.parametrize(
    ("changes", "theirs"),
    [
        ({"tlsServerName": "name.example"}, {}),
        ({}, {"tlsServerName": "name.example"}),
        ({"ssl": False}, {}),
        ({}, {"ssl": False}),
    ],
)
def test_a_login_by_another_tls_than_the_admins_is_none(changes: dict[str, Any], theirs: dict[str, Any]) -> None:
    mine = value(masterarn=ADMIN_ARN, **changes)
    engine = MemoryEngine(world())
    step = context(
        engine.world, current=mine, admins=admins(**theirs), engine=engine, settings={"allow_plaintext": True}
    )
    session = step.connect(mine)
    prove(step, mine, own_host=True, session=session)
    logins = [event for event in engine.world.events if event == LOGIN]
    assert len(logins) == 2
    # The second goes as the admin's secret says.
    assert engine.options[1].server_name == theirs.get("tlsServerName")
    assert engine.options[1].plaintext is (theirs.get("ssl") is False)


def two_hosts(second: str) -> World:
    made = world()
    made.hosts["own.example", 5432] = second
    made.users.setdefault("two", {"app": ["old"]})
    return made


def test_another_host_is_logged_in_to_and_must_be_the_same_server() -> None:
    mine = value(masterarn=ADMIN_ARN, host="own.example")
    step = context(two_hosts("one"), current=mine)
    session = step.connect(mine)
    assert prove(step, mine, own_host=True, session=session) == Proof(ACCOUNT, "old")
    assert step.rotation.world.events[2:] == [
        LOGIN,
        "check rotatable app",
        "close app",
        "login app@own.example:5432 with old",
        "close app",
    ]


def test_two_servers_are_told() -> None:
    mine = value(masterarn=ADMIN_ARN, host="own.example")
    step = context(two_hosts("two"), current=mine)
    with pytest.raises(UserPairMismatch) as caught:
        prove(step, mine, own_host=True)
    assert caught.value.what == (
        f"secret app (AWSCURRENT) is for own.example:5432, and its admin secret {ADMIN_ARN} for db.example:5432, which "
        "is another server"
    )


def test_the_own_host_is_left_alone_where_it_need_not_be_the_same() -> None:
    mine = value(masterarn=ADMIN_ARN, host="own.example")
    step = context(two_hosts("two"), current=mine)
    assert prove(step, mine, own_host=False) == Proof(ACCOUNT, "old")
    assert "login app@own.example:5432 with old" not in step.rotation.world.events


def test_the_admins_way_is_its_host_port_name_and_tls_and_nothing_of_the_applications() -> None:
    made = world()
    made.hosts["db.example", 6000] = "one"
    engine = MemoryEngine(made)
    mine = value(masterarn=ADMIN_ARN, host="own.example", port=1234, tlsServerName="mine.example", ssl=False)
    theirs = admins(port=6000, tlsServerName="theirs.example", ssl="true")
    prove(context(made, current=mine, admins=theirs, engine=engine), mine, own_host=False)
    assert made.events[1] == "login app@db.example:6000 with old"
    assert (engine.options[0].server_name, engine.options[0].plaintext) == ("theirs.example", False)


def test_no_proof_shows_its_password() -> None:
    assert "old" not in repr(Proof(ACCOUNT, "old"))


def test_an_admin_acts_for_whom_it_recognizes() -> None:
    step = context(world(), current=OWN)
    with acting(step, Proof(ACCOUNT, "old")) as act:
        assert act.account == ACCOUNT
        assert act.admin is act.session
        assert act.admin.account.name == "root"
        step.rotation.world.note("inside")
    assert step.rotation.world.events == [
        f"read {ADMIN_ARN}",
        AS_ADMIN,
        "recognize app with old",
        "inside",
        "close root",
    ]


def test_a_proof_from_another_server_is_none() -> None:
    step = context(world(), current=OWN)
    with pytest.raises(UserPairMismatch) as caught, acting(step, Proof(Account("two", "app", "app"), "old")):
        pass
    assert caught.value.what == f"the admin of {ADMIN_ARN} and 'app' were answered by two servers at db.example"
    assert "recognize app with old" not in step.rotation.world.events


def test_an_admin_does_not_act_for_itself() -> None:
    step = context(world(), current=OWN)
    with pytest.raises(UserPairMismatch) as caught, acting(step, Proof(Account("one", "root", "root"), "top")):
        pass
    assert caught.value.what == "secret app (AWSCURRENT) is the secret of the admin 'root' itself"


def test_an_engine_whose_admins_set_no_passwords() -> None:
    step = context(World(), current=OWN)
    what = "this engine's admin can't set another user's password"
    with pytest.raises(UserNotRotatable, match=what), acting(step, Proof(ACCOUNT, "old")):
        pass
    assert step.rotation.world.events[-1] == "close root"


def test_an_admin_who_can_not_log_in_is_named_as_the_admin() -> None:
    made = world(faults={AS_ADMIN: [Unreachable("db.example is silent", "look")]})
    with pytest.raises(Unreachable) as caught, acting(context(made, current=OWN), Proof(ACCOUNT, "old")):
        pass
    assert str(caught.value) == f"as the admin of {ADMIN_ARN}: db.example is silent. look."
    assert caught.value.__suppress_context__


RESET = {"allow_admin_reset": True, "users": {ARN: "app"}}


def test_without_a_proof_it_acts_for_whom_the_settings_name() -> None:
    step = context(world(), current=OWN, settings=RESET)
    with acting(step, None) as act:
        assert act.account == ACCOUNT
    assert step.rotation.world.events[2:] == ["find app", "check can set app", "close root"]


def test_for_that_the_settings_must_name_somebody() -> None:
    step = context(world(), current=OWN, settings={"allow_admin_reset": True})
    with pytest.raises(ConfigurationError, match=r"^ALLOW_ADMIN_RESET is set, and the function"), acting(step, None):
        pass


def test_a_user_that_is_named_and_not_there() -> None:
    made = world()
    del made.users["one"]["app"]
    with pytest.raises(UserPairMismatch) as caught, acting(context(made, current=OWN, settings=RESET), None):
        pass
    assert caught.value.what == "there is no user 'app' at db.example, whom ROTATION_USERS names"


@pytest.mark.parametrize("named", ["app", "app_clone"])
def test_a_named_user_is_one_of_the_two(named: str) -> None:
    assert named_user(context(world(), settings={"users": {ARN: named}}), "ROTATION_TWIN") == "app"


def test_a_user_whom_nobody_has_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        named_user(context(world()), "ROTATION_TWIN")
    assert caught.value.what == f"ROTATION_TWIN is set, and the function does not know for which user of secret {ARN}"
    assert f'ROTATION_USERS={{"{ARN}": "app"}}' in caught.value.advice


def test_a_user_who_is_not_the_named_one() -> None:
    with pytest.raises(UserPairMismatch) as caught:
        named_user(context(world(), settings={"users": {ARN: "other"}}), "ROTATION_TWIN")
    assert caught.value.what == (
        "secret app (AWSCURRENT) names the user 'app', and ROTATION_USERS names 'other' for it"
    )


def test_the_name_is_looked_up_by_the_arn_that_the_service_says(monkeypatch: pytest.MonkeyPatch) -> None:
    step = context(world(), settings={"users": {ARN: "app"}})
    monkeypatch.setattr(step.rotation, "secret_id", "app")
    assert named_user(step, "ROTATION_TWIN") == "app"


@pytest.mark.parametrize(
    ("current", "settings", "may"),
    [
        (OWN, {"allow_admin_reset": True}, True),
        (OWN, {}, False),
        (value(), {"allow_admin_reset": True}, False),
        (value(), {}, False),
    ],
)
def test_an_admin_may_reset_where_it_is_allowed_and_there_is_one(
    current: Credentials, settings: dict[str, Any], *, may: bool
) -> None:
    assert may_reset(context(world(), current=current, settings=settings)) is may


def refusing() -> World:
    made = world()
    made.users["one"]["app"] = ["other"]
    return made


def test_a_proof_is_a_proof() -> None:
    made = two_hosts("two")
    mine = value(masterarn=ADMIN_ARN, host="own.example")
    assert prove_or_reset(context(made, current=mine), mine, own_host=False) == Proof(ACCOUNT, "old")
    with pytest.raises(UserPairMismatch):
        prove_or_reset(context(made, current=mine), mine, own_host=True)


def test_a_refused_user_is_left_to_the_admin_where_it_may_reset() -> None:
    assert prove_or_reset(context(refusing(), current=OWN, settings=RESET), OWN, own_host=True) is None


def test_whoever_is_reset_is_named() -> None:
    with pytest.raises(ConfigurationError, match="ALLOW_ADMIN_RESET is set"):
        prove_or_reset(context(refusing(), current=OWN, settings={"allow_admin_reset": True}), OWN, own_host=True)


def test_a_refused_user_is_told_how_to_be_repaired() -> None:
    with pytest.raises(LoginRefused) as caught:
        prove_or_reset(context(refusing(), current=OWN), OWN, own_host=True)
    assert caught.value.what == "secret app (AWSCURRENT) no longer logs in: 'app' is refused (look at it)"
    assert "ALLOW_ADMIN_RESET=true" in caught.value.advice
    assert caught.value.code == "28P01"
    assert caught.value.__suppress_context__


def test_what_is_no_refusal_is_not_repaired() -> None:
    made = world(faults={LOGIN: [PermissionRefused("no")]})
    with pytest.raises(PermissionRefused):
        prove_or_reset(context(made, current=OWN, settings=RESET), OWN, own_host=True)
