"""What alternating-users does, call by call, on a database that is a dict."""

from __future__ import annotations

from typing import Any

import pytest
from doubles.memory import ADMIN_ARN, ARN, Admin, Cloning, Transactional, World, context, value

from rotators.credentials import Credentials
from rotators.engines.identity import Relation
from rotators.errors import (
    ConfigurationError,
    LoginRefused,
    PasswordRefused,
    PendingUnusable,
    Unreachable,
    UserPairMismatch,
)
from rotators.logs import redactor
from rotators.strategies.alternating_users import AlternatingUsers

OWN = value(masterarn=ADMIN_ARN)
NEXT = value("AWSPENDING", masterarn=ADMIN_ARN, username="app_clone", password="new")
OLD = "login app@db.example:5432 with old"
NEW = "login app_clone@db.example:5432 with new"
AS_ADMIN = "login root@db.example:5432 with top"
READ = f"read {ADMIN_ARN}"
PROOF = [READ, OLD, "check rotatable app", "close app", AS_ADMIN, "recognize app with old"]
RESET: dict[str, Any] = {"allow_admin_reset": True, "users": {ARN: "app"}}
ADOPT: dict[str, Any] = {"passwords_only": True, "users": {ARN: "app"}}


def world(**changes: Any) -> World:
    return World(admin_abilities=(Cloning,), **changes)


def twins(**changes: Any) -> World:
    made = World(admin_abilities=(Admin,), **changes)
    made.users["one"]["app_clone"] = ["former"]
    return made


def test_a_proposal_is_the_other_user_once_it_is_clear_that_the_admin_can_make_it() -> None:
    made = world()
    proposed = AlternatingUsers().propose(context(made, current=OWN))
    assert dict(proposed) == {**OWN, "username": "app_clone", "password": "new"}
    assert made.events == [*PROOF, "inspect app and app_clone", "check can sync app and app_clone", "close root"]


def test_the_other_users_name_is_no_secret() -> None:
    redactor.forget()
    redactor.hide_unknown(["app_clone"])
    AlternatingUsers().propose(context(world(), current=OWN))
    assert redactor.redact("as app_clone") == "as app_clone"
    redactor.forget()


@pytest.mark.parametrize(("limit", "fits"), [(None, True), (9, True), (8, False)])
def test_a_limit_of_the_settings_holds_for_the_other_users_name(limit: int | None, *, fits: bool) -> None:
    step = context(world(), current=OWN, settings={"username_limit": limit})
    if fits:
        assert AlternatingUsers().propose(step)["username"] == "app_clone"
    else:
        with pytest.raises(UserPairMismatch) as caught:
            AlternatingUsers().propose(step)
        assert "would be 'app_clone', a name of 9 characters" in caught.value.what
        assert "USERNAME_CHARACTER_LIMIT allows 8" in caught.value.advice


def test_a_proxy_knows_one_user_only() -> None:
    made = world()
    with pytest.raises(UserPairMismatch, match=r"goes through RDS Proxy \(app\.proxy-abc\.example\)"):
        AlternatingUsers().propose(context(made, current=value(masterarn=ADMIN_ARN, host="app.proxy-abc.example")))
    assert made.events == []


def test_two_servers_are_refused_before_anything_is_written() -> None:
    made = world()
    made.hosts["own.example", 5432] = "two"
    made.users["two"] = {"app": ["old"]}
    with pytest.raises(UserPairMismatch, match="which is another server"):
        AlternatingUsers().propose(context(made, current=value(masterarn=ADMIN_ARN, host="own.example")))


def test_a_user_who_does_not_log_in_is_repaired_where_the_admin_may() -> None:
    made = world()
    made.users["one"]["app"] = ["other"]
    with pytest.raises(LoginRefused, match="no longer logs in"):
        AlternatingUsers().propose(context(made, current=OWN))
    assert AlternatingUsers().propose(context(made, current=OWN, settings=RESET))["username"] == "app_clone"
    AlternatingUsers().apply(context(made, current=OWN, pending=NEXT, settings=RESET))
    assert made.users["one"]["app_clone"] == ["new"]


def test_an_engine_that_can_not_clone() -> None:
    for act in (
        lambda: AlternatingUsers().propose(context(twins(), current=OWN)),
        lambda: AlternatingUsers().apply(context(twins(), current=OWN, pending=NEXT)),
    ):
        with pytest.raises(ConfigurationError) as caught:
            act()
        assert caught.value.what == "this engine can't make a user the equal of another"
        assert caught.value.advice == "set ROTATION_STRATEGY=single-user"


def test_the_pair_is_synchronized_and_the_password_set_last() -> None:
    made = World(admin_abilities=(Cloning, Transactional))
    AlternatingUsers().apply(context(made, current=OWN, pending=NEXT))
    assert made.events == [
        *PROOF,
        "inspect app and app_clone",
        "sync app_clone with app",
        "begin",
        "set app_clone to new",
        "commit",
        "close root",
    ]
    assert made.users["one"] == {"app": ["old"], "root": ["top"], "app_clone": ["new"]}


def test_the_own_host_is_left_alone_when_it_acts() -> None:
    made = world()
    made.hosts["own.example", 5432] = "two"
    made.users["two"] = {"app": ["old"]}
    mine, following = (one.replace(host="own.example") for one in (OWN, NEXT))
    AlternatingUsers().apply(context(made, current=mine, pending=following))
    assert made.users["one"]["app_clone"] == ["new"]


@pytest.mark.parametrize("act", ["propose", "apply"])
def test_two_users_of_whom_nothing_shows_that_they_are_a_pair(act: str) -> None:
    made = world(relation=Relation.UNRELATED)
    made.users["one"]["app_clone"] = ["theirs"]
    with pytest.raises(UserPairMismatch, match="nothing shows that 'app_clone'"):
        getattr(AlternatingUsers(), act)(context(made, current=OWN, pending=NEXT))
    assert made.users["one"]["app_clone"] == ["theirs"]


def test_the_admin_is_not_the_second_user() -> None:
    made = world()
    made.users["one"]["app_clone"] = ["top"]
    admins = {ADMIN_ARN: Credentials({"username": "app_clone", "password": "top", "host": "db.example"}, "the admin's")}
    with pytest.raises(UserPairMismatch) as caught:
        AlternatingUsers().propose(context(made, current=OWN, admins=admins))
    assert caught.value.what == "the other user of secret app (AWSCURRENT) is the admin 'app_clone' itself"


def test_a_password_that_the_server_remembers_was_set_by_an_interrupted_attempt() -> None:
    made = world(faults={"set app_clone to new": [PasswordRefused("had before")]})
    made.users["one"]["app_clone"] = ["new"]
    AlternatingUsers().apply(context(made, current=OWN, pending=NEXT))
    assert made.events[-4:] == ["set app_clone to new", NEW, "close app_clone", "close root"]
    refused = world(faults={"set app_clone to new": [PasswordRefused("too short")]})
    with pytest.raises(PasswordRefused):
        AlternatingUsers().apply(context(refused, current=OWN, pending=NEXT))


# Edited meanwhile.


@pytest.mark.parametrize("changes", [{"username": "app"}, {"username": "other"}, {"host": "db2"}, {"port": 5433}])
def test_a_pending_version_that_is_not_the_other_user_is_unusable(changes: dict[str, Any]) -> None:
    made = world()
    step = context(made, current=OWN, pending=NEXT.replace(**changes))
    for act in (AlternatingUsers().require_unedited, AlternatingUsers().apply):
        with pytest.raises(PendingUnusable) as caught:
            act(step)
        assert caught.value.what == (
            "secret app (AWSPENDING) is not the other user of AWSCURRENT, which was edited meanwhile"
        )
    assert made.events == []


def test_an_edit_of_another_key_is_named() -> None:
    with pytest.raises(PendingUnusable) as caught:
        AlternatingUsers().require_unedited(context(world(), current=OWN.replace(dbname="b", note="x"), pending=NEXT))
    assert caught.value.what == f"AWSCURRENT of secret {ARN} was edited meanwhile (dbname, note)"


def test_a_port_that_is_spelled_out_is_another_key_and_the_same_server() -> None:
    with pytest.raises(PendingUnusable, match=r"was edited meanwhile \(port\)"):
        AlternatingUsers().require_unedited(context(world(), current=OWN.replace(port=5432), pending=NEXT))


def test_without_an_edit_nothing_is_asked() -> None:
    made = world()
    AlternatingUsers().require_unedited(context(made, current=OWN, pending=NEXT))
    assert made.events == []


# The label has moved already.


def promoted(made: World, **changes: Any) -> Any:
    step = context(made, current=NEXT, pending=NEXT, **changes)
    step.rotation.promoted = True
    return step


def test_a_user_who_is_current_and_logs_in_is_left_alone() -> None:
    made = world()
    made.users["one"]["app_clone"] = ["new"]
    AlternatingUsers().apply(promoted(made))
    assert made.events == [NEW, "close app_clone"]


def test_one_that_does_not_is_repaired_by_the_proof_of_awsprevious() -> None:
    made = world()
    AlternatingUsers().apply(promoted(made, previous=value("AWSPREVIOUS", masterarn=ADMIN_ARN)))
    assert made.events == [
        NEW,
        *PROOF,
        "inspect app and app_clone",
        "sync app_clone with app",
        "set app_clone to new",
        "close root",
    ]


def test_for_that_it_may_differ_in_other_keys_and_hosts() -> None:
    made = world()
    made.hosts["own.example", 5432] = "two"
    made.users["two"] = {"app": ["old"], "app_clone": []}
    previous = value("AWSPREVIOUS", masterarn=ADMIN_ARN, host="own.example", note="x")
    step = context(
        made, current=NEXT.replace(host="own.example"), pending=NEXT.replace(host="own.example"), previous=previous
    )
    step.rotation.promoted = True
    AlternatingUsers().apply(step)
    assert made.users["one"]["app_clone"] == ["new"]


def test_without_awsprevious_there_is_no_proof() -> None:
    with pytest.raises(LoginRefused) as caught:
        AlternatingUsers().apply(promoted(world()))
    assert "is AWSCURRENT and does not log in, and there is no AWSPREVIOUS" in caught.value.what


def test_nor_with_one_that_is_not_the_other_user() -> None:
    with pytest.raises(PendingUnusable):
        AlternatingUsers().apply(promoted(world(), previous=value("AWSPREVIOUS", username="stranger")))


def test_a_server_that_can_not_be_asked_is_told() -> None:
    with pytest.raises(Unreachable):
        AlternatingUsers().apply(promoted(world(faults={NEW: [Unreachable("silent")]})))


# Two users that are kept by hand.


def test_only_the_password_of_the_second_is_set() -> None:
    made = twins()
    assert AlternatingUsers().propose(context(made, current=OWN, settings=ADOPT))["username"] == "app_clone"
    assert made.events == [*PROOF, "find app", "find app_clone", "check can set app_clone", "close root"]
    made.events.clear()
    AlternatingUsers().apply(context(made, current=OWN, pending=NEXT, settings=ADOPT))
    assert made.events == [*PROOF, "find app", "find app_clone", "set app_clone to new", "close root"]
    assert made.users["one"]["app_clone"] == ["new"]


@pytest.mark.parametrize("act", ["propose", "apply"])
@pytest.mark.parametrize(
    ("users", "named", "what"),
    [
        ({}, "app", "there is no user 'app_clone' at db.example, and ROTATION_TWIN=adopt makes none"),
        ({"app_clone": ["x"]}, "other", "names the user 'app', and ROTATION_USERS names 'other' for it"),
    ],
)
def test_users_that_do_not_fit_are_told(users: dict[str, list[str]], named: str, what: str, act: str) -> None:
    made = World(admin_abilities=(Admin,))
    made.users["one"].update(users)
    settings = {**ADOPT, "users": {ARN: named}}
    with pytest.raises(UserPairMismatch, match=what):
        getattr(AlternatingUsers(), act)(context(made, current=OWN, pending=NEXT, settings=settings))


def test_whoever_deploys_names_them() -> None:
    with pytest.raises(ConfigurationError, match="ROTATION_TWIN=adopt is set"):
        AlternatingUsers().propose(context(twins(), current=OWN, settings={"passwords_only": True}))


def test_the_second_of_two_is_not_the_admin() -> None:
    made = twins()
    made.users["one"]["app_clone"] = ["top"]
    admins = {ADMIN_ARN: Credentials({"username": "app_clone", "password": "top", "host": "db.example"}, "the admin's")}
    with pytest.raises(UserPairMismatch, match=r"the other user of secret app \(AWSCURRENT\) is the admin itself"):
        AlternatingUsers().propose(context(made, current=OWN, admins=admins, settings=ADOPT))


@pytest.mark.parametrize("finds", ["other", None])
def test_who_logs_in_is_who_is_named(finds: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may know the login by another name than the secret."""
    real = Admin.find_account

    def find(self: Any, name: str) -> Any:
        return real(self, name if name != "app" else (finds or "nobody"))

    made = twins()
    made.users["one"]["other"] = ["x"]
    monkeypatch.setattr(Admin, "find_account", find)
    with pytest.raises(UserPairMismatch) as caught:
        AlternatingUsers().propose(context(made, current=OWN, settings=ADOPT))
    assert caught.value.what == (
        "secret app (AWSCURRENT) logs in as 'app', which is not the user 'app' of ROTATION_USERS"
    )
