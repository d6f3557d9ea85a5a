"""What single-user does, call by call, on a database that is a dict."""

from __future__ import annotations

import io
from typing import Any

import pytest
from doubles.memory import (
    ADMIN_ARN,
    ARN,
    Admin,
    AdminSeesSiblings,
    Limited,
    MemoryEngine,
    RenewingEngine,
    SelfChecked,
    SelfService,
    Transactional,
    WithSiblings,
    World,
    context,
    value,
)

from rotators.credentials import Credentials
from rotators.errors import (
    ConnectionLost,
    EditedMeanwhile,
    LoginRefused,
    PasswordExpired,
    PasswordRefused,
    PendingUnusable,
    PermissionRefused,
    ServiceFailed,
    Unreachable,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.strategies.single_user import SingleUser

OLD = "login app@db.example:5432 with old"
NEW = "login app@db.example:5432 with new"
AS_ADMIN = "login root@db.example:5432 with top"
NEXT = value("AWSPENDING", password="new")
RESET: dict[str, Any] = {"admin_secret": ADMIN_ARN, "allow_admin_reset": True, "users": {ARN: "app"}}


class SeesAll(AdminSeesSiblings, Admin):
    """An admin who sees accounts on other hosts."""


def seen_by_admin(*passwords: str) -> World:
    """A server on which nobody but the admin sees that another account has one of these passwords."""
    return World(admin_abilities=(SeesAll,), admin_sees={password: ["'app'@'h2'"] for password in passwords})


def own(**changes: Any) -> World:
    """Anyone who changes its own password, in a transaction."""
    return World(abilities=(SelfChecked, SelfService, Transactional), admin_abilities=(Admin, Transactional), **changes)


def plain(**changes: Any) -> World:
    """The same, with passwords that take effect at once."""
    return World(abilities=(SelfService,), admin_abilities=(Admin,), **changes)


def no_self(**changes: Any) -> World:
    """A user who never changes its password by itself."""
    return World(admin_abilities=(Admin,), **changes)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept; nobody sleeps."""
    slept: list[float] = []
    monkeypatch.setattr("rotators.strategies.single_user.time.sleep", slept.append)
    return slept


def test_a_proposal_is_the_same_user_with_a_new_password_and_everything_is_asked_before() -> None:
    world = own()
    current = value(note="kept")
    proposed = SingleUser().propose(context(world, current=current))
    assert dict(proposed) == {**current, "password": "new"}
    assert world.events == [OLD, "check rotatable app", "check can set own app", "close app"]
    assert world.users["one"]["app"] == ["old"]


def test_a_session_that_can_not_tell_is_taken_at_its_word() -> None:
    world = plain()
    assert SingleUser().propose(context(world))["password"] == "new"
    assert world.events == [OLD, "check rotatable app", "close app"]


def test_a_user_who_may_not_is_refused_before_anything_is_written() -> None:
    world = own(faults={"check can set own app": [PermissionRefused("it may not")]})
    with pytest.raises(PermissionRefused, match="it may not"):
        SingleUser().propose(context(world))
    assert world.events[-1] == "close app"


def test_then_the_admin_does_it_where_it_may() -> None:
    world = own(faults={"check can set own app": [PermissionRefused("it may not")]})
    assert SingleUser().propose(context(world, settings=RESET))["password"] == "new"
    assert world.events[2:] == [
        "check can set own app",
        f"read {ADMIN_ARN}",
        AS_ADMIN,
        "recognize app with old",
        "check can set app",
        "close root",
        "close app",
    ]


def test_an_engine_on_which_nobody_changes_its_own_password_asks_the_admin() -> None:
    world = no_self()
    step = context(world, settings={"admin_secret": ADMIN_ARN})
    assert SingleUser().propose(step)["password"] == "new"
    assert "check can set app" in world.events
    world.hosts["own.example", 5432] = "two"
    world.users["two"] = {"app": ["old"]}
    elsewhere = context(world, current=value(host="own.example"), settings={"admin_secret": ADMIN_ARN})
    with pytest.raises(UserPairMismatch, match="which is another server"):
        SingleUser().propose(elsewhere)


def test_a_user_who_does_not_log_in_is_the_admins_where_it_may_reset() -> None:
    world = own()
    world.users["one"]["app"] = ["other"]
    assert SingleUser().propose(context(world, settings=RESET))["password"] == "new"
    assert world.events == [
        OLD,
        "read whether a value is stored",
        "list versions",
        f"read {ADMIN_ARN}",
        AS_ADMIN,
        "find app",
        "check can set app",
        "check can set app",
        "close root",
    ]


def test_else_the_refusal_is_told() -> None:
    world = own()
    world.users["one"]["app"] = ["other"]
    with pytest.raises(LoginRefused, match="no password of secret"):
        SingleUser().propose(context(world))


def test_an_expired_password_is_good_for_a_new_one_where_the_engine_can() -> None:
    world = own(faults={OLD: [PasswordExpired("expired")] * 2})
    assert SingleUser().propose(context(world, engine=RenewingEngine(world)))["password"] == "new"
    with pytest.raises(PasswordExpired):
        SingleUser().propose(context(world))
    refused = own()
    refused.users["one"]["app"] = ["other"]
    with pytest.raises(LoginRefused):
        SingleUser().propose(context(refused, engine=RenewingEngine(refused)))


def test_an_expired_password_is_renewed_and_the_label_moves() -> None:
    world = own(faults={OLD: [PasswordExpired("expired")] * 2})
    SingleUser().apply(context(world, pending=NEXT, engine=RenewingEngine(world)))
    assert world.events == [OLD, "renew app from old to new", "promote"]
    with pytest.raises(PasswordExpired):
        SingleUser().apply(context(world, pending=NEXT))


@pytest.mark.parametrize("allowed", [1, 2, 3, None])
def test_where_one_wrong_password_blocks_no_rotation_begins(allowed: int | None) -> None:
    world = World(abilities=(Limited, SelfService), wrong_passwords=allowed)
    if allowed == 1:
        with pytest.raises(UserNotRotatable) as caught:
            SingleUser().propose(context(world))
        assert caught.value.what.startswith("one wrong password blocks 'app' at db.example")
    else:
        assert SingleUser().propose(context(world))["password"] == "new"
    assert "wrong passwords allowed" in world.events


def test_but_where_the_admin_may_reset() -> None:
    world = World(abilities=(Limited, SelfService), admin_abilities=(Admin,), wrong_passwords=1)
    assert SingleUser().propose(context(world, settings=RESET))["password"] == "new"


def test_label_and_password_change_at_the_same_moment_where_the_database_can() -> None:
    world = own()
    step = context(world, pending=NEXT)
    SingleUser().apply(step)
    assert world.events == [
        OLD,
        "check rotatable app",
        "begin",
        "set own app from old to new",
        "promote",
        "commit",
        "close app",
    ]
    assert world.users["one"]["app"] == ["new"]


def test_else_the_label_moves_right_behind() -> None:
    world = plain()
    SingleUser().apply(context(world, pending=NEXT))
    assert world.events[2:] == ["set own app from old to new", "promote", "close app"]


def test_the_label_does_not_move_before_a_password_that_is_not_awscurrents() -> None:
    """AWSPREVIOUS would no longer be the one version that logs in."""
    world = own()
    world.users["one"]["app"] = ["older"]
    SingleUser().apply(context(world, pending=NEXT, previous=value("AWSPREVIOUS", password="older")))
    assert world.events[-5:] == ["begin", "set own app from older to new", "commit", "promote", "close app"]


def test_a_pending_password_that_is_set_already_is_only_promoted() -> None:
    world = own()
    world.users["one"]["app"] = ["new"]
    SingleUser().apply(context(world, pending=NEXT))
    assert world.events == [OLD, NEW, "promote", "close app"]


def test_a_password_that_the_server_remembers_was_set_by_an_interrupted_attempt() -> None:
    world = plain()
    world.faults["set own app from old to new"] = [PasswordRefused("had before")]
    world.users["one"]["app"] = ["old", "new"]
    SingleUser().apply(context(world, pending=NEXT))
    assert world.events[2:] == ["set own app from old to new", NEW, "close app", "promote", "close app"]
    refused = plain(faults={"set own app from old to new": [PasswordRefused("too short")]})
    with pytest.raises(PasswordRefused):
        SingleUser().apply(context(refused, pending=NEXT))
    assert "promote" not in refused.events


def test_a_user_who_lost_the_right_meanwhile_is_the_admins() -> None:
    refusal = {"set own app from old to new": [PermissionRefused("no")]}
    world = own(faults=dict(refusal))
    SingleUser().apply(context(world, pending=NEXT, settings=RESET))
    assert world.events[-9:] == [
        AS_ADMIN,
        "recognize app with old",
        "check can set app",
        "begin",
        "set app to new",
        "promote",
        "commit",
        "close root",
        "close app",
    ]
    alone = own(faults={"set own app from old to new": [PermissionRefused("no")]})
    with pytest.raises(PermissionRefused):
        SingleUser().apply(context(alone, pending=NEXT))


def test_the_admin_sets_the_password_where_users_never_do() -> None:
    world = no_self()
    SingleUser().apply(context(world, pending=NEXT, settings={"admin_secret": ADMIN_ARN}))
    assert world.events == [
        OLD,
        "check rotatable app",
        f"read {ADMIN_ARN}",
        AS_ADMIN,
        "recognize app with old",
        "check can set app",
        "set app to new",
        "promote",
        "close root",
        "close app",
    ]


def test_the_admins_label_does_not_move_first_from_another_password_either() -> None:
    world = World(admin_abilities=(Admin, Transactional))
    world.users["one"]["app"] = ["older"]
    previous = value("AWSPREVIOUS", password="older")
    SingleUser().apply(context(world, pending=NEXT, previous=previous, settings={"admin_secret": ADMIN_ARN}))
    assert world.events[-7:] == [
        "check can set app",
        "begin",
        "set app to new",
        "commit",
        "promote",
        "close root",
        "close app",
    ]


def test_the_admin_is_proven_at_its_own_host_alone_when_it_sets_a_password() -> None:
    world = no_self()
    world.hosts["own.example", 5432] = "two"
    world.users["two"] = {"app": ["old"]}
    mine, following = (value(password=password, host="own.example") for password in ("old", "new"))
    step = context(world, current=mine, pending=following, settings={"admin_secret": ADMIN_ARN})
    SingleUser().apply(step)
    assert world.users["one"]["app"] == ["new"]


def test_the_admin_resets_a_user_who_does_not_log_in_and_the_label_moves_behind() -> None:
    world = World(admin_abilities=(Admin, Transactional))
    world.users["one"]["app"] = ["other"]
    SingleUser().apply(context(world, pending=NEXT, settings=RESET))
    assert world.events[-6:] == ["check can set app", "begin", "set app to new", "commit", "promote", "close root"]
    with pytest.raises(LoginRefused):
        SingleUser().apply(context(World(users={"one": {"app": ["other"]}}), pending=NEXT))


# Versions without a label.


def unlabelled(world: World, *versions: Credentials, **versions_of: Any) -> Any:
    """A step in which these versions have no label, the newest first."""
    step = context(world, **versions_of)
    step.rotation.without_label = list(versions)
    return step


def test_a_version_without_a_label_that_logs_in_is_gone_on_from_and_the_password_comes_before_the_label() -> None:
    world = own()
    world.users["one"]["app"] = ["older"]
    step = unlabelled(world, value(password="old"), value(password="older"), pending=NEXT)
    SingleUser().apply(step)
    tried = [event for event in world.events if event.startswith("login")]
    # What is in a label, too, is not tried again.
    assert tried == [OLD, NEW, "login app@db.example:5432 with older"]
    assert world.events[-5:] == ["begin", "set own app from older to new", "commit", "promote", "close app"]


def test_few_of_them_are_tried_and_none_that_is_anothers() -> None:
    world = own()
    world.users["one"]["app"] = ["e"]
    world.users["one"]["other"] = ["a"]
    world.hosts["db2.example", 5432] = "one"
    others = [value(username="other", password="a"), value(host="db2.example", password="e"), value(username=None)]
    with pytest.raises(LoginRefused, match="a version without a label: 'app' is refused"):
        SingleUser().apply(unlabelled(world, *others, *(value(password=one) for one in "bcde"), pending=NEXT))
    assert [event.rsplit(" ", 1)[1] for event in world.events if event.startswith("login")] == [
        "old", "new", "b", "c", "d",
    ]  # fmt: skip


def test_where_servers_count_refused_logins_none_is_tried() -> None:
    world = own()
    world.users["one"]["app"] = ["older"]
    engine = MemoryEngine(world)
    engine.blocks_users = True
    with pytest.raises(LoginRefused):
        SingleUser().apply(unlabelled(world, value(password="older"), pending=NEXT, engine=engine))
    assert world.events == [OLD, NEW]


def test_without_the_right_to_list_them_the_refusal_says_so() -> None:
    world = own()
    world.users["one"]["app"] = ["older"]
    step = unlabelled(world, value(password="older"), pending=NEXT)
    step.rotation.may_list = False
    with pytest.raises(LoginRefused, match=r"no password of secret .* allow secretsmanager:ListSecretVersionIds"):
        SingleUser().apply(step)


@pytest.mark.parametrize(("promoted", "in_force"), [("older", "older"), ("new", "new")])
def test_an_edit_after_the_label_moved_leaves_the_password_of_awscurrent_in_force(promoted: str, in_force: str) -> None:
    world = own()
    world.users["one"]["app"] = [promoted]
    edited = value(password="new", note="for the person on call")
    with pytest.raises(PendingUnusable) as caught:
        SingleUser().apply(unlabelled(world, value(password="older"), current=edited, pending=NEXT))
    assert world.users["one"]["app"] == ["new"]
    assert "promote" not in world.events
    assert "which the database has, too" in caught.value.advice
    assert (f"set own app from {in_force} to new" in world.events) == (in_force == "older")


def test_the_admin_does_it_where_it_may_reset_and_no_version_logs_in() -> None:
    world = own()
    world.users["one"]["app"] = ["lost"]
    edited = value(password="new", note="for the person on call")
    with pytest.raises(PendingUnusable):
        SingleUser().apply(context(world, current=edited, pending=NEXT, settings=RESET))
    assert world.users["one"]["app"] == ["new"]
    assert "promote" not in world.events
    world.users["one"]["app"] = ["lost"]
    with pytest.raises(LoginRefused):
        SingleUser().apply(context(world, current=edited, pending=NEXT))


def test_an_edit_of_the_host_after_the_label_moved_is_to_be_undone_where_the_commit_is_missing() -> None:
    world = own()
    world.users["one"]["app"] = ["older"]
    moved = value(password="new", host="db2.example")
    with pytest.raises(EditedMeanwhile, match="does not have their password yet"):
        SingleUser().apply(unlabelled(world, value(password="older"), current=moved, pending=NEXT))
    world.users["one"]["app"] = ["new"]
    world.hosts["db2.example", 5432] = "one"
    with pytest.raises(PendingUnusable):
        SingleUser().apply(unlabelled(world, value(password="older"), current=moved, pending=NEXT))


# Edited meanwhile.


@pytest.mark.parametrize("changes", [{"username": "other"}, {"host": "db2.example"}, {"port": 5433}])
def test_a_pending_version_for_another_user_or_server_is_unusable(changes: dict[str, Any]) -> None:
    world = own()
    world.hosts.update({("db2.example", 5432): "one", ("db.example", 5433): "one"})
    with pytest.raises(PendingUnusable) as caught:
        SingleUser().apply(context(world, pending=value("AWSPENDING", password="new", **changes)))
    assert caught.value.what == (
        "secret app (AWSPENDING) is for another user or server than AWSCURRENT, which was edited meanwhile"
    )
    assert "the next rotation makes a new pending version" in caught.value.advice


def test_an_edit_of_another_key_is_named() -> None:
    with pytest.raises(PendingUnusable) as caught:
        SingleUser().require_unedited(context(own(), current=value(dbname="b", note="x"), pending=NEXT))
    assert (
        caught.value.what
        == f"AWSCURRENT of secret {ARN} has another dbname, note than AWSPENDING, which was edited meanwhile"
    )


def test_a_port_that_is_spelled_out_is_another_key_and_the_same_server() -> None:
    with pytest.raises(PendingUnusable, match="has another port than AWSPENDING"):
        SingleUser().require_unedited(context(own(), current=value(port=5432), pending=NEXT))


def test_without_an_edit_nothing_is_asked() -> None:
    world = own()
    SingleUser().require_unedited(context(world, pending=NEXT))
    SingleUser().require_unedited(context(world, current=value(port=5432), pending=value(port=5432, password="new")))
    assert world.events == []


def test_an_edit_after_the_database_changed_keeps_both_versions() -> None:
    world = own()
    world.users["one"]["app"] = ["new"]
    with pytest.raises(EditedMeanwhile) as caught:
        SingleUser().require_unedited(context(world, current=value(dbname="b"), pending=NEXT))
    assert caught.value.what == (
        f"AWSCURRENT of secret {ARN} has another dbname than AWSPENDING: it was edited meanwhile, and the database has "
        "the pending password already"
    )
    assert caught.value.advice.startswith("both versions are kept")


def test_an_edit_to_the_same_password_asks_nothing() -> None:
    world = own()
    with pytest.raises(PendingUnusable):
        SingleUser().require_unedited(context(world, current=value(dbname="b"), pending=value(password="old")))
    assert world.events == []


def test_a_password_that_is_in_force_on_another_of_the_users_accounts_counts() -> None:
    world = seen_by_admin("new")
    step = context(world, current=value(dbname="b"), pending=NEXT, settings=RESET)
    with pytest.raises(EditedMeanwhile):
        SingleUser().require_unedited(step)
    assert world.events == [
        NEW,
        f"read {ADMIN_ARN}",
        OLD,
        "check rotatable app",
        "close app",
        AS_ADMIN,
        "recognize app with old",
        "siblings of app with new as root",
        "close root",
    ]


def test_nobody_looks_for_others_without_an_admin_who_may() -> None:
    world = seen_by_admin("old")
    with pytest.raises(PendingUnusable):
        SingleUser().require_unedited(
            context(world, current=value(dbname="b"), pending=NEXT, settings={"admin_secret": ADMIN_ARN})
        )
    assert world.events == [NEW]


def test_the_proof_for_that_is_whichever_version_logs_in() -> None:
    world = seen_by_admin("new")
    world.users["one"]["app"] = ["older"]
    previous = value("AWSPREVIOUS", password="older", dbname="b")
    step = context(world, current=value(dbname="b"), pending=NEXT, previous=previous, settings=RESET)
    with pytest.raises(EditedMeanwhile):
        SingleUser().require_unedited(step)
    assert "recognize app with older" in world.events
    world.users["one"]["app"] = ["lost"]
    with pytest.raises(PendingUnusable):
        SingleUser().require_unedited(step)


def test_a_version_of_another_user_or_server_is_no_proof_and_the_next_is_tried() -> None:
    for changes in ({"username": "other"}, {"host": "db2.example"}):
        world = seen_by_admin("new")
        world.users["one"]["app"] = ["older"]
        world.users["one"]["other"] = ["old"]
        world.hosts["db2.example", 5432] = "one"
        step = context(
            world,
            current=value(**changes),
            pending=NEXT,
            previous=value("AWSPREVIOUS", password="older"),
            settings=RESET,
        )
        with pytest.raises(EditedMeanwhile):
            SingleUser().require_unedited(step)
        assert "recognize app with older" in world.events
        assert not [event for event in world.events if event.endswith("with old")]


@pytest.mark.parametrize("changes", [{"port": 5432}, {"dbname": "b", "host": "own.example"}])
def test_the_proof_is_made_at_the_admins_host_alone_whatever_the_secrets_is(changes: dict[str, Any]) -> None:
    world = seen_by_admin("new")
    world.hosts["own.example", 5432] = "two"
    world.users["two"] = {"app": ["old"]}
    pending = value("AWSPENDING", password="new", host=changes.get("host", "db.example"))
    with pytest.raises(EditedMeanwhile):
        SingleUser().require_unedited(context(world, current=value(**changes), pending=pending, settings=RESET))


def test_where_no_account_has_it_nothing_is_in_force() -> None:
    world = seen_by_admin("old")
    with pytest.raises(PendingUnusable):
        SingleUser().require_unedited(context(world, current=value(dbname="b"), pending=NEXT, settings=RESET))
    blind = no_self()
    with pytest.raises(PendingUnusable):
        SingleUser().require_unedited(context(blind, current=value(dbname="b"), pending=NEXT, settings=RESET))


# Accounts on other hosts.


def hosts(siblings: dict[str, list[str]] | None) -> World:
    return World(
        abilities=(SelfService, WithSiblings),
        admin_abilities=(SeesAll,),
        siblings=siblings,
        admin_sees={"old": ["'app'@'h2'"]},
    )


def test_a_user_with_one_account_changes_itself() -> None:
    world = hosts({})
    SingleUser().apply(context(world, pending=NEXT))
    assert world.events[2:] == [
        "siblings of app with old as app",
        "set own app from old to new",
        "promote",
        "close app",
    ]


def test_several_accounts_with_one_password_are_the_admins() -> None:
    world = hosts({"old": ["'app'@'h2'"]})
    SingleUser().apply(context(world, pending=NEXT, settings=RESET))
    assert "set app to new" in world.events
    assert "set own app from old to new" not in world.events
    world = hosts({"old": ["'app'@'h2'"]})
    assert SingleUser().propose(context(world, settings=RESET))["password"] == "new"
    assert "check can set app" in world.events


@pytest.mark.parametrize("settings", [{}, {"admin_secret": ADMIN_ARN}])
def test_without_an_admin_who_may_they_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserNotRotatable) as caught:
        SingleUser().propose(context(hosts({"old": ["'app'@'h2'", "'app'@'h3'"]}), settings=settings))
    assert caught.value.what.startswith(
        "'app' has further accounts with the password of secret app (AWSCURRENT): 'app'@'h2', 'app'@'h3'; a user by"
    )


def test_a_user_who_may_not_see_them_has_the_admin_look() -> None:
    world = hosts(None)
    SingleUser().apply(context(world, pending=NEXT, settings=RESET))
    assert world.events[2:8] == [
        "siblings of app with old as app",
        f"read {ADMIN_ARN}",
        AS_ADMIN,
        "recognize app with old",
        "siblings of app with old as root",
        "close root",
    ]
    assert "set app to new" in world.events


def test_for_that_the_admin_is_proven_at_its_own_host_alone() -> None:
    world = hosts(None)
    world.hosts["own.example", 5432] = "two"
    world.users["two"] = {"app": ["old"]}
    mine, following = (value(password=password, host="own.example") for password in ("old", "new"))
    SingleUser().apply(context(world, current=mine, pending=following, settings=RESET))
    assert world.users["one"]["app"] == ["new"]


def test_without_one_it_changes_what_it_can_and_says_so(log: io.StringIO) -> None:
    world = hosts(None)
    SingleUser().apply(context(world, pending=NEXT))
    assert "set own app from old to new" in world.events
    assert "can't see whether it has others" in log.getvalue()


# A commit whose answer is missing.


LOST = ConnectionLost("the answer is missing")


def swap(world: World, *, seconds: float = 30.0, hook: Any = None) -> Any:
    step = context(world, pending=NEXT)
    step.rotation.time_left = seconds
    world.hook = hook
    SingleUser().apply(step)
    return step


def test_a_commit_that_took_effect_is_found_by_a_login(pauses: list[float]) -> None:
    world = own(faults={"commit": [LOST]})
    swap(world)
    assert world.events[4:] == ["promote", "commit", NEW, "close app", "close app"]
    assert pauses == []


def test_one_that_did_not_is_repeated(pauses: list[float]) -> None:
    world = own(faults={"commit": [LOST]})

    def undo(event: str) -> None:
        if event == "commit" and world.events.count("commit") == 1:
            world.users["one"]["app"] = ["old"]

    swap(world, hook=undo)
    assert world.events[5:] == [
        "commit",
        NEW,
        OLD,
        "begin",
        "set own app from old to new",
        "commit",
        "close app",
        "close app",
    ]
    assert world.users["one"]["app"] == ["new"]
    assert "demote" not in world.events
    assert pauses == []


def test_a_silent_database_is_asked_again_in_growing_pauses(pauses: list[float]) -> None:
    world = own(faults={"commit": [LOST], NEW: [Unreachable("silent")] * 9})
    swap(world)
    assert pauses == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0])
    assert world.events.count(OLD) == 1
    assert world.events[-1] == "close app"


def test_a_change_that_can_not_be_repeated_yet_is_tried_again(pauses: list[float]) -> None:
    world = own(faults={"commit": [LOST, ServiceFailed("concurrent update")], OLD: [None, LoginRefused("not yet")]})

    def undo(event: str) -> None:
        if event == "commit":
            world.users["one"]["app"] = ["old"]

    world.hook = undo
    step = context(world, pending=NEXT)

    def after(event: str) -> None:
        undo(event)
        if world.events.count("commit") == 3:
            world.hook = None

    world.hook = after
    SingleUser().apply(step)
    assert pauses == pytest.approx([0.02, 0.04])
    assert "demote" not in world.events


@pytest.mark.parametrize("error", [PermissionRefused("no"), PasswordRefused("no"), UserNotRotatable("no")])
def test_one_that_never_will_be_takes_the_label_back(error: Exception, pauses: list[float]) -> None:
    world = own(faults={"commit": [LOST], "set own app from old to new": [None, error]})

    def undo(event: str) -> None:
        if event == "commit":
            world.users["one"]["app"] = ["old"]

    with pytest.raises(ConnectionLost) as caught:
        swap(world, hook=undo)
    assert caught.value is LOST
    assert world.events[-3:] == ["close app", "demote", "close app"]
    assert pauses == []


def ticking(step: Any, world: World, seconds: list[float]) -> None:
    """Have each login cost some of the time that is left."""
    times = iter(seconds)

    def pass_time(event: str) -> None:
        if event == NEW:
            step.rotation.time_left = next(times)

    world.hook = pass_time


def test_the_label_is_taken_back_before_the_time_is_over_where_the_old_one_is_known_to_be_valid(
    pauses: list[float],
) -> None:
    world = own(faults={"commit": [LOST], NEW: [LoginRefused("no")] * 9, OLD: [None] + [Unreachable("silent")] * 9})
    step = context(world, pending=NEXT)
    ticking(step, world, [10.0, 2.1, 2.0])
    with pytest.raises(ConnectionLost):
        SingleUser().apply(step)
    assert world.events.count(NEW) == 3
    assert "demote" in world.events
    assert len(pauses) == 3


def test_and_stays_where_nobody_knows(pauses: list[float]) -> None:
    world = own(faults={"commit": [LOST], NEW: [Unreachable("silent")] * 9})
    step = context(world, pending=NEXT)
    ticking(step, world, [10.0, 2.0])
    with pytest.raises(ConnectionLost):
        SingleUser().apply(step)
    assert world.events.count(NEW) == 2
    assert "demote" not in world.events


def test_what_fails_before_the_label_moves_is_no_doubt() -> None:
    world = own(faults={"promote": [Unreachable("silent")]})
    with pytest.raises(Unreachable):
        swap(world)
    assert world.events[-2:] == ["promote", "close app"]
    assert world.users["one"]["app"] == ["old"]


def test_the_admin_logs_in_again_as_the_admin_to_repeat_a_change(pauses: list[float]) -> None:
    world = World(admin_abilities=(Admin, Transactional), faults={"commit": [LOST]})

    def undo(event: str) -> None:
        if event == "commit" and world.events.count("commit") == 1:
            world.users["one"]["app"] = ["old"]

    world.hook = undo
    step = context(world, pending=NEXT, settings={"admin_secret": ADMIN_ARN})
    SingleUser().apply(step)
    assert [event for event in world.events if event.startswith("login ")] == [OLD, AS_ADMIN, NEW, AS_ADMIN]
    assert [option.admin for option in step.engine.options] == [False, True, False, True]
    assert world.users["one"]["app"] == ["new"]
