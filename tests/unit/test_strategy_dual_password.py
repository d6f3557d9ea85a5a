"""What dual-password does, call by call, on a database that is a dict."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from doubles.memory import (
    ADMIN_ARN,
    ARN,
    Admin,
    Limited,
    Second,
    SecondAdmin,
    SelfService,
    WithSiblings,
    World,
    context,
    value,
)

from rotators.errors import (
    CurrentPasswordMismatch,
    LoginRefused,
    PasswordRefused,
    PermissionRefused,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.strategies.dual_password import DualPassword

OLD = "login app@db.example:5432 with old"
NEW = "login app@db.example:5432 with new"
ADD = "add own new beside old"
AS_ADMIN = "login root@db.example:5432 with top"
NEXT = value("AWSPENDING", password="new")
WITH_ADMIN = {"admin_secret": ADMIN_ARN}
RESET: dict[str, Any] = {**WITH_ADMIN, "allow_admin_reset": True, "users": {ARN: "app"}}


def forced() -> DualPassword:
    """Asked for by name."""
    return DualPassword(forced=True)


def auto() -> DualPassword:
    """Taken because the server can."""
    return DualPassword(forced=False)


def world(*more: type, **changes: Any) -> World:
    return World(abilities=(*more, Second, SelfService), admin_abilities=(SecondAdmin,), **changes)


@pytest.mark.parametrize("strategy", [forced, auto])
def test_the_new_password_is_added_and_the_label_left_alone(strategy: Callable[[], DualPassword]) -> None:
    made = world()
    strategy().apply(context(made, pending=NEXT))
    assert made.events == [OLD, "check rotatable app", ADD, "close app"]
    assert made.users["one"]["app"] == ["new", "old"]


def test_what_can_have_two_passwords_is_proposed() -> None:
    made = world()
    assert dict(forced().propose(context(made))) == {**value(), "password": "new"}
    assert made.events == [OLD, "check rotatable app", "close app", OLD, "close app"]
    made = world()
    assert auto().propose(context(made))["password"] == "new"
    assert made.events == [OLD, "check rotatable app", "close app"]


def test_who_can_not_is_refused_where_it_was_asked_for_by_name() -> None:
    made = world(obstacle="upgrade to 8.0.14")
    with pytest.raises(PermissionRefused) as caught:
        forced().propose(context(made))
    assert str(caught.value) == "'app' can't have two passwords. upgrade to 8.0.14."
    assert auto().propose(context(made))["password"] == "new"
    with pytest.raises(PermissionRefused, match="this engine keeps one password per user"):
        forced().propose(context(World(abilities=(SelfService,))))


@pytest.mark.parametrize("abilities", [(Second, SelfService), (SelfService,)])
def test_else_it_is_rotated_with_one_password_and_the_log_says_why(
    abilities: tuple[type, ...], log: io.StringIO
) -> None:
    made = World(abilities=abilities, obstacle="upgrade to 8.0.14")
    auto().apply(context(made, pending=NEXT))
    assert made.events[2:] == ["set own app from old to new", "promote", "close app"]
    assert ("upgrade to 8.0.14" if Second in abilities else "one password per user") in log.getvalue()


def test_an_admin_that_was_named_adds_it() -> None:
    made = world()
    forced().apply(context(made, pending=NEXT, settings=WITH_ADMIN))
    assert made.events == [
        OLD,
        "check rotatable app",
        f"read {ADMIN_ARN}",
        AS_ADMIN,
        "recognize app with old",
        "add new beside old for app",
        "close root",
        "close app",
    ]
    assert made.users["one"]["app"] == ["new", "old"]


def test_an_admin_is_asked_before_anything_is_written() -> None:
    made = world()
    assert forced().propose(context(made, settings=WITH_ADMIN))["password"] == "new"
    assert made.events == [
        OLD,
        "check rotatable app",
        "close app",
        OLD,
        f"read {ADMIN_ARN}",
        "close app",
        AS_ADMIN,
        "recognize app with old",
        "check can add app",
        "close root",
    ]


@pytest.mark.parametrize("settings", [{}, WITH_ADMIN])
def test_awsprevious_is_as_good_and_a_pending_value_need_not_be_there(settings: dict[str, Any]) -> None:
    made = world()
    made.users["one"]["app"] = ["older"]
    step = context(made, previous=value("AWSPREVIOUS", password="older"), settings=settings)
    assert forced().propose(step)["password"] == "new"
    assert made.events.count("login app@db.example:5432 with older") == 2


def test_only_where_it_was_asked_for_by_name() -> None:
    made = world()
    auto().apply(context(made, pending=NEXT, settings=WITH_ADMIN))
    assert ADD in made.events
    assert AS_ADMIN not in made.events


def test_an_admin_is_proven_at_both_hosts_when_it_is_asked_and_at_its_own_when_it_acts() -> None:
    made = world()
    made.hosts["own.example", 5432] = "two"
    made.users["two"] = {"app": ["old"]}
    mine, following = (value(password=password, host="own.example") for password in ("old", "new"))
    with pytest.raises(UserPairMismatch, match="which is another server"):
        forced().propose(context(made, current=mine, settings=WITH_ADMIN))
    forced().apply(context(made, current=mine, pending=following, settings=WITH_ADMIN))
    assert made.users["one"]["app"] == ["new", "old"]


def test_an_admin_who_can_not_add_passwords() -> None:
    made = World(abilities=(Second, SelfService), admin_abilities=(Admin,))
    for act in (
        lambda: forced().propose(context(made, settings=WITH_ADMIN)),
        lambda: forced().apply(context(made, pending=NEXT, settings=WITH_ADMIN)),
    ):
        with pytest.raises(UserNotRotatable) as caught:
            act()
        assert caught.value.what == "this engine's admin can't give a user a second password"
        assert caught.value.advice == "set ROTATION_STRATEGY=single-user or alternating-users"


def test_a_forced_rotation_by_an_admin_leaves_other_hosts_and_wrong_passwords_to_it() -> None:
    made = world(WithSiblings, Limited, siblings={"old": ["'app'@'h2'"]}, wrong_passwords=1, obstacle="no")
    assert forced().propose(context(made, settings=WITH_ADMIN))["password"] == "new"
    assert not [event for event in made.events if event.startswith(("siblings", "wrong"))]


@pytest.mark.parametrize("strategy", [forced, auto])
def test_without_one_it_looks_for_other_accounts(strategy: Callable[[], DualPassword]) -> None:
    with pytest.raises(UserNotRotatable, match="has further accounts"):
        strategy().propose(context(world(WithSiblings, siblings={"old": ["'app'@'h2'"]})))


def test_several_accounts_are_the_admins_with_one_password(log: io.StringIO) -> None:
    made = world(WithSiblings, siblings={"old": ["'app'@'h2'"]})
    auto().apply(context(made, pending=NEXT, settings=RESET))
    assert "set app to new" in made.events
    assert ADD not in made.events
    assert made.events[-3:] == ["promote", "close root", "close app"]


def test_no_password_is_tried_in_vain_with_two() -> None:
    made = world(Limited, wrong_passwords=1)
    assert auto().propose(context(made))["password"] == "new"
    assert "wrong passwords allowed" not in made.events


@pytest.mark.parametrize(("strategy", "settings"), [(auto, {}), (auto, WITH_ADMIN), (forced, {})])
def test_with_one_it_is_asked(strategy: Callable[[], DualPassword], settings: dict[str, Any]) -> None:
    with pytest.raises(UserNotRotatable, match="one wrong password blocks"):
        strategy().propose(context(world(Limited, wrong_passwords=1, obstacle="no"), settings=settings))


def test_a_password_that_the_server_remembers_was_added_by_an_interrupted_attempt() -> None:
    made = world(faults={ADD: [PasswordRefused("had before")]})
    made.users["one"]["app"] = ["old", "new"]
    auto().apply(context(made, pending=NEXT))
    assert made.events[2:] == [ADD, NEW, "close app", "close app"]
    refused = world(faults={ADD: [PasswordRefused("too short")]})
    with pytest.raises(PasswordRefused):
        auto().apply(context(refused, pending=NEXT))


def test_a_password_that_was_added_already_is_left_alone() -> None:
    made = world()
    made.users["one"]["app"] = ["new", "old"]
    auto().apply(context(made, pending=NEXT, previous=value("AWSPREVIOUS", password="older")))
    assert made.events[2:] == [ADD, NEW, "close app", "close app"]
    assert made.users["one"]["app"] == ["new", "old"]


def test_where_another_of_the_secrets_passwords_is_the_first_the_present_one_stays_valid() -> None:
    """A label was moved back by hand, say."""
    made = world()
    made.users["one"]["app"] = ["older", "old"]
    auto().apply(context(made, pending=NEXT, previous=value("AWSPREVIOUS", password="older")))
    assert made.events[2:] == [ADD, NEW, "add own old beside older", "add own new beside old", "close app"]
    assert made.users["one"]["app"] == ["new", "old"]


def test_so_it_does_where_awsprevious_logged_in() -> None:
    """AWSCURRENT's may be the first, though it was refused a moment ago."""
    made = world(faults={"login app@db.example:5432 with fresh": [LoginRefused("not now")]})
    made.users["one"]["app"] = ["fresh", "older"]
    previous = value("AWSPREVIOUS", password="older")
    auto().apply(context(made, current=value(password="fresh"), pending=NEXT, previous=previous))
    assert made.events[-5:] == [
        "add own new beside older",
        NEW,
        "add own older beside fresh",
        "add own new beside older",
        "close app",
    ]
    assert made.users["one"]["app"] == ["new", "older"]


def test_a_server_that_remembers_them_ends_the_present_one_and_the_label_moves_at_once() -> None:
    made = world(remembers=True)
    made.users["one"]["app"] = ["older", "old"]
    auto().apply(context(made, pending=NEXT, previous=value("AWSPREVIOUS", password="older")))
    assert made.events[2:] == [ADD, NEW, "add own old beside older", "add own new beside older", "promote", "close app"]
    assert made.users["one"]["app"] == ["new", "older"]


@pytest.mark.parametrize(
    "previous", [None, value("AWSPREVIOUS", password="oldest"), value("AWSPREVIOUS", password="old")]
)
def test_where_none_is_the_first_an_admin_is_asked_for(previous: Any) -> None:
    made = world()
    made.users["one"]["app"] = ["unknown", "old"]
    with pytest.raises(CurrentPasswordMismatch) as caught:
        auto().apply(context(made, pending=NEXT, previous=previous))
    assert caught.value.what == "the present one is not 3 characters long"
    assert caught.value.advice.startswith("the first of the user's two passwords is in no version of the secret")
    assert caught.value.__suppress_context__
    tried = [event for event in made.events if event.startswith("add own old beside")]
    assert tried == (["add own old beside oldest"] if previous is not None and previous.password == "oldest" else [])
