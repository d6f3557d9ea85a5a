"""What nobody can do with one application's secret, or as its user, on Redshift: shown on the shim over PostgreSQL."""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from doubles import redshift as shim
from doubles.relay import Relay
from psycopg2 import sql
from targets import ALTERNATING, RedshiftTarget, rotated
from targets.base import Application

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.identity import Account, Relation
from rotators.engines.redshift import RedshiftEngine
from rotators.engines.redshift.session import RedshiftSession
from rotators.errors import ConnectionLost, Unreachable, UserNotRotatable, UserPairMismatch
from rotators.testing import RotationService

OTHER = "payroll database"


def connect(target: RedshiftTarget, change: dict[str, Any] | None = None, **options: Any) -> RedshiftSession:
    value = {**target.admin_secret(), **(change or {})}
    chosen = {"timeout": 2.0, "ca_file": str(target.server.ca_file), **options}
    return RedshiftEngine().connect(Credentials(value), ConnectOptions(**chosen))


def account(target: RedshiftTarget, application: Application) -> Account:
    with connect(target, {"username": application.username, "password": application.password}) as session:
        return session.account


def run(target: RedshiftTarget, statement: str, **names: str) -> Any:
    return target.as_superuser(sql.SQL(statement).format(**{key: sql.Identifier(one) for key, one in names.items()}))


def hold(target: RedshiftTarget, what: str, user: str, *, option: bool = False) -> None:
    """A right that PostgreSQL has not."""
    values = map(sql.Literal, (what, user, option))
    target.as_superuser(sql.SQL("INSERT INTO shim.grants VALUES ({})").format(sql.SQL(", ").join(values)))


def extra(target: RedshiftTarget, view: str, grantee: str, what: str, kind: str) -> None:
    values = map(sql.Literal, (view, grantee, kind, what, "", ""))
    target.as_superuser(sql.SQL("INSERT INTO shim.extras VALUES ({})").format(sql.SQL(", ").join(values)))


def clone_of(target: RedshiftTarget, boss: Application) -> Application:
    """A user named like the clone of another, with the same rights."""
    made = target.make_bare(f"{boss.username}_clone")
    run(
        target,
        "DROP TABLE {schema}.own; "
        "GRANT USAGE, CREATE ON SCHEMA {schema} TO {clone}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {clone}",
        schema=f"of_{boss.username}"[:60],
        clone=made.username,
    )
    return made


def syslog(target: RedshiftTarget, user: str) -> None:
    statement = sql.SQL("INSERT INTO shim.attributes VALUES ({}, 'SYSLOG ACCESS', 'UNRESTRICTED')")
    target.as_superuser(statement.format(sql.Literal(user)))


ARN = "arn:aws:iam::123456789012:role/payroll"
# What the boss is given, and its clone; and how the refusal says it.
POWERS: dict[str, tuple[Any, Any, str]] = {
    "right": (lambda t, u: run(t, "GRANT SELECT ON payroll TO {u}", u=u), None, "it has SELECT on TABLE"),
    "option": (
        lambda t, u: run(t, "GRANT SELECT ON payroll TO {u} WITH GRANT OPTION", u=u),
        lambda t, u: run(t, "GRANT SELECT ON payroll TO {u}", u=u),
        "with its option",
    ),
    "group": (lambda t, u: run(t, "CREATE GROUP {g} WITH USER {u}", g=f"pay {u}", u=u), None, "it is in the group pay"),
    "role": (lambda t, u: hold(t, 'ROLE "payers"', u), None, "it has the role payers"),
    "role's option": (
        lambda t, u: hold(t, 'ROLE "payers"', u, option=True),
        lambda t, u: hold(t, 'ROLE "payers"', u),
        'it may grant the ROLE "payers"',
    ),
    "scope": (lambda t, u: hold(t, 'SELECT FOR TABLES IN SCHEMA "pay"', u), None, "it has SELECT on TABLES IN SCHEMA"),
    "createdb": (lambda t, u: run(t, "ALTER ROLE {u} CREATEDB", u=u), None, "it has CREATEDB"),
    "syslog": (syslog, None, "it has SYSLOG ACCESS UNRESTRICTED"),
    "owner": (
        lambda t, u: run(t, "CREATE TABLE {m} (n int); ALTER TABLE {m} OWNER TO {u}", m=f"made by {u}", u=u),
        None,
        "made by app",
    ),
    "assume role": (lambda t, u: extra(t, "svv_iam_privileges", u, ARN, "user"), None, f"it has ASSUMEROLE on {ARN}"),
    "no mask": (
        None,
        lambda t, u: extra(t, "svv_attached_masking_policy", u, "hide", "user"),
        "it lacks the masking policy hide",
    ),
}


@pytest.mark.parametrize("how", POWERS)
def test_the_second_user_is_given_to_nobody_who_may_do_less(
    redshift: RedshiftTarget, rotation_service: RotationService, how: str
) -> None:
    """Issue 11, faults 1 and 6. The writer of `boss_clone`'s secret, which shares rights with `boss`, wants `boss`."""
    boss = redshift.make_application()
    clone = clone_of(redshift, boss)
    redshift.as_superuser("CREATE TABLE IF NOT EXISTS payroll (n int)")
    of_boss, of_clone, reason = POWERS[how]
    if of_clone is not None:
        of_clone(redshift, clone.username)
    if of_boss is not None:
        of_boss(redshift, boss.username)
    subject = rotated(redshift, rotation_service, ALTERNATING, application=clone)
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    assert failed.failed_step == "createSecret"
    assert reason in str(failed.error)
    redshift.log_in(redshift.secret(boss))
    redshift.log_in(redshift.secret(clone))


def test_two_equal_users_are_a_pair(redshift: RedshiftTarget) -> None:
    """The other side of it: without a mark, who may do nothing more is the second user, in either direction."""
    boss = redshift.make_application()
    clone = clone_of(redshift, boss)
    with connect(redshift) as admin:
        for current, other in ((boss, clone), (clone, boss)):
            assert admin.inspect_pair(account(redshift, current), other.username).relation is Relation.RELATED


def test_what_another_database_gives_counts(redshift: RedshiftTarget, rotation_service: RotationService) -> None:
    """Issue 11, fault 6. What `boss` may do is granted in another database of the cluster."""
    boss = redshift.make_application()
    clone = clone_of(redshift, boss)
    redshift.as_superuser(f'CREATE DATABASE "{OTHER}"')
    try:
        with contextlib.closing(redshift.server.superuser(OTHER)) as connection:
            shim.install(connection)
        grant = sql.SQL("CREATE TABLE payroll (n int); GRANT SELECT ON payroll TO {}")
        redshift.as_superuser(grant.format(sql.Identifier(boss.username)), OTHER)
        failed = rotation_service.rotate(rotated(redshift, rotation_service, ALTERNATING, application=clone).arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert f"in {OTHER}, it has SELECT" in str(failed.error)
    finally:
        redshift.as_superuser(f'DROP DATABASE "{OTHER}"')


@pytest.mark.parametrize("how", ["superuser", "sys:secadmin", "a role's ALTER USER"])
def test_an_administrators_password_is_set_for_nobody(
    redshift: RedshiftTarget, rotation_service: RotationService, how: str
) -> None:
    """Issue 11, fault 6. Whatever the secret's writer names: who sets others' passwords is no application's user."""
    boss = redshift.make_application()
    clone = clone_of(redshift, boss)
    if how == "superuser":
        run(redshift, "ALTER ROLE {boss} SUPERUSER", boss=boss.username)
    elif how == "sys:secadmin":
        hold(redshift, 'ROLE "sys:secadmin"', boss.username)
    else:
        role = f"keepers_{secrets.token_hex(3)}"
        hold(redshift, f'ROLE "{role}"', boss.username)
        extra(redshift, "svv_role_grants", role, f"{role} inside", "role")
        extra(redshift, "svv_system_privileges", f"{role} inside", "ALTER USER", "role")
    for used in (clone, boss):
        failed = rotation_service.rotate(rotated(redshift, rotation_service, ALTERNATING, application=used).arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert "is a superuser" in str(failed.error) or "is an administrator" in str(failed.error)
    with connect(redshift) as admin:
        known = admin.find_account(boss.username)
        assert known is not None
        for act in (lambda: admin.check_can_set_password(known), lambda: admin.set_password(known, "stolen-password")):
            with pytest.raises(UserNotRotatable):
                act()
    redshift.log_in(redshift.secret(boss))


def test_an_account_is_its_number_and_not_its_name(redshift: RedshiftTarget) -> None:
    """Issue 11, the rule. Who was proven stays who it is, though the name goes to somebody else meanwhile."""
    application, other = redshift.make_application(), redshift.make_application()
    proven = account(redshift, application)
    run(redshift, "ALTER ROLE {one} RENAME TO {two}", one=application.username, two=f"{application.username}_old")
    run(redshift, "ALTER ROLE {one} RENAME TO {two}", one=other.username, two=application.username)
    redshift.set_password(application.username, other.password)
    with connect(redshift) as admin:
        assert admin.recognize(proven, application.password).name == f"{application.username}_old"
        admin.set_password(proven, "of-the-first")
    redshift.passwords.add("of-the-first")
    redshift.log_in({"username": f"{application.username}_old", "password": "of-the-first"})
    redshift.log_in({"username": application.username, "password": other.password})


def test_a_name_that_was_given_to_somebody_else_is_no_mark(redshift: RedshiftTarget) -> None:
    """Issue 11, the rule. The pair's user was dropped, and a stranger has its name: the clone's secret gets nothing."""
    stranger = redshift.make_application()
    clone = clone_of(redshift, stranger)
    for group, user in (("rotators_source", redshift.make_application()), ("rotators_clone", clone)):
        there = redshift.as_superuser(sql.SQL("SELECT 1 FROM pg_group WHERE groname = {}").format(sql.Literal(group)))
        text = "ALTER GROUP {group} ADD USER {user}" if there else "CREATE GROUP {group} WITH USER {user}"
        run(redshift, text, group=group, user=user.username)
    run(redshift, "ALTER ROLE {stranger} CREATEDB", stranger=stranger.username)
    with connect(redshift) as admin:
        pair = admin.inspect_pair(account(redshift, clone), stranger.username)
    assert pair.relation is Relation.MORE_POWERFUL


def test_what_the_refusal_says_to_run_permits_it(redshift: RedshiftTarget, rotation_service: RotationService) -> None:
    """Issue 11, the rule. Only a superuser can make the mark; the refusal spells it out, and it works when run."""
    application = redshift.make_application()
    clone = redshift.make_bare(f"{application.username}_clone")
    run(redshift, "ALTER ROLE {clone} CREATEDB", clone=clone.username)
    subject = rotated(redshift, rotation_service, ALTERNATING, application=application)
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    _, _, remedy = failed.error.advice.partition("run once, as an admin: ")
    redshift.as_admin(remedy.partition("; name the secret's user")[0])
    assert rotation_service.retry(subject.arn).error is None
    redshift.work(subject.value)


def test_the_former_version_of_a_secret_proves_nothing(
    redshift: RedshiftTarget, rotation_service: RotationService
) -> None:
    """Issue 11, the rule. The writer puts another's user into AWSPREVIOUS, and its own `_clone` into AWSCURRENT."""
    victim = redshift.make_application()
    bare = redshift.make_bare(f"{victim.username}_clone")
    subject = rotated(redshift, rotation_service, ALTERNATING, application=bare)
    mine = subject.value
    for value in ({**mine, "username": victim.username, "password": "anything"}, mine):
        rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
    failed = rotation_service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    redshift.work(redshift.secret(victim))


def test_the_admin_itself_is_refused(redshift: RedshiftTarget, rotation_service: RotationService) -> None:
    """Issue 11, fault 15. Accounts are compared by number, and two names of one cluster are one."""
    with connect(redshift) as one, connect(redshift, {"host": "127.0.0.1"}) as two:
        assert one.account == two.account
    rotator = redshift.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
    admin = rotation_service.create_secret("the-admin", redshift.admin_secret(), rotator)
    secret = {**redshift.admin_secret(), "masterarn": admin}
    failed = rotation_service.rotate(rotation_service.create_secret("the-app", secret, rotator))
    assert isinstance(failed.error, UserPairMismatch)
    redshift.log_in(redshift.admin_secret())


def test_what_the_clone_had_of_its_own_is_taken_and_said(
    redshift: RedshiftTarget, rotation_service: RotationService, log: io.StringIO
) -> None:
    """Issue 11, fault 8. The mark stays, so that a clone with a right too many is still known; nothing goes unsaid."""
    subject = rotated(redshift, rotation_service, ALTERNATING)
    name = subject.application.username
    assert rotation_service.rotate(subject.arn).error is None
    payroll = f"payroll_{secrets.token_hex(3)}"
    run(redshift, "CREATE TABLE {payroll} (n int)", payroll=payroll)
    run(redshift, "GRANT SELECT ON {payroll} TO {clone}", payroll=payroll, clone=f"{name}_clone")
    run(redshift, "CREATE TABLE {owned} (n int)", owned=f"{payroll} owned")
    run(redshift, "ALTER TABLE {owned} OWNER TO {clone}", owned=f"{payroll} owned", clone=f"{name}_clone")
    assert rotation_service.rotate(subject.arn).error is None
    redshift.work(subject.value)
    with connect(redshift) as admin:
        pair = admin.inspect_pair(account(redshift, Application(name, subject.value["password"])), f"{name}_clone")
        assert pair.relation is Relation.MARKED
    assert "rights that its source has not" in log.getvalue()
    assert payroll in log.getvalue()
    assert "handed over" in log.getvalue()
    assert f"{payroll} owned" in log.getvalue()


@pytest.fixture(params=[None, 0.3], ids=["silent", "a byte at a time"])
def relay(request: pytest.FixtureRequest, redshift: RedshiftTarget) -> Iterator[Relay]:
    """Leads to the server."""
    with Relay(redshift.server.host, redshift.server.port, after=1 << 40, every=request.param) as made:
        yield made


def test_a_server_that_falls_silent_is_left_in_time(redshift: RedshiftTarget, relay: Relay) -> None:
    """Issue 11, fault 12. After the login, and from the first byte on: no byte begins the time anew."""
    session = connect(redshift, {"port": relay.port}, timeout=1.0)
    relay.after = 0
    began = time.monotonic()
    with session, pytest.raises(ConnectionLost, match="no answer in time"):
        session.verify(None)
    with pytest.raises(Unreachable, match="no answer in time"):
        connect(redshift, {"port": relay.port}, timeout=1.0)
    assert time.monotonic() - began < 4.0
