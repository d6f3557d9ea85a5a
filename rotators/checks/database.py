"""Checks everything that the next rotation of a database secret needs, from where the function runs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from rotators.checks import commands
from rotators.checks.careful import CarefulEngine
from rotators.checks.finding import Finding, failure, ok, subject_of, unknown, warning
from rotators.checks.rolled_back import set_and_roll_back
from rotators.checks.way import Way
from rotators.engines.base import SelfServicePassword, Session, TransactionalPassword
from rotators.engines.identity import Relation
from rotators.engines.inspection import Inspectable, PasswordRules
from rotators.engines.specs import SPECS
from rotators.errors import (
    LoginRefused,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    RotationError,
    SecretsManagerError,
    ServiceError,
    TlsFailed,
    UserPairMismatch,
)
from rotators.logs import redactor
from rotators.strategies.admin import Acting, acting, may_reset, prove
from rotators.strategies.alternating_users import AlternatingUsers, clone_admin, second_of_two
from rotators.strategies.dual_password import DualPassword
from rotators.strategies.pairing import require_pair
from rotators.versions import CURRENT, PENDING, PREVIOUS

if TYPE_CHECKING:
    from rotators.checks.answer import Inspection
    from rotators.credentials import Credentials
    from rotators.engines.base import Engine
    from rotators.strategies.base import DatabaseRotation, Strategy

_ACCEPTED, _REFUSED, _UNTRIED = "accepted", "refused", "untried"


class DatabaseCheck:
    """One check of one secret.

    Args:
        context: the rotation to check.
        choose: chooses the strategy of a rotation.
    """

    def __init__(self, context: DatabaseRotation, choose: Callable[[DatabaseRotation], Strategy]) -> None:
        inspection: Inspection[Credentials] = context.rotation  # type: ignore[assignment]  # made by answer()
        self._inspection = inspection
        self._engine = CarefulEngine(context.engine, try_every_password=inspection.try_every_password)
        self._context = replace(context, engine=cast("Engine", self._engine))
        self._choose = choose
        self._failed = False

    def run(self) -> Iterator[Finding]:
        """All findings, in the order of a rotation."""
        for found in self._all():
            self._failed = self._failed or found.outcome == "failure"
            yield found

    def _all(self) -> Iterator[Finding]:
        context = self._context
        try:
            strategy = self._choose(context)
            current = context.current
        except RotationError as error:
            yield Finding.of(subject_of(error), error)
            return
        yield ok("strategy", f"{strategy.name}, for the user '{current.username}' of {context.engine.name}")
        if (yield from self._look_at_way(current, "server")):
            yield from self._own(strategy, current)

    def _look_at_way(self, credentials: Credentials, subject: str) -> Generator[Finding, None, bool]:
        """Check the connection to a server. Returns whether it works."""
        context = self._context
        try:
            plaintext = context.is_plaintext(credentials)
        except TlsFailed as error:
            yield Finding.of(f"{subject} TLS", error)
            return False
        way = Way(
            self._engine.whole,
            credentials.host,
            credentials.port(context.engine.default_port),
            subject=subject,
            timeout=max(0.1, min(context.settings.connect_timeout, context.rotation.time_left)),
            ca_file=context.ca_file,
            server_name=credentials.tls_server_name or context.settings.tls_server_name,
            plaintext=plaintext,
        )
        yield from way.look()
        return way.stands

    def _own(self, strategy: Strategy, current: Credentials) -> Iterator[Finding]:
        """Check with the user's own logins, then with the admin's."""
        context = self._context
        subject = f"login {CURRENT}"
        try:
            session = context.connect(current)
        except LoginRefused as error:
            yield from self._locked_out(error, current)
            if may_reset(context):
                yield from self._with_admin(strategy, None)
            return
        except RotationError as error:
            yield Finding.of(subject, error)
            return
        with session:
            yield ok(subject, f"'{current.username}' logs in", _ACCEPTED)
            self._engine.learn(session, current.username, *self._other(current))
            yield from self._server(session)
            yield from self._others(strategy, current)
            yield from self._query(session)
            yield from self._password(session)
            if self._failed:
                return
            if self._needs_admin(strategy, session):
                yield from self._with_admin(strategy, session)
        if not self._failed:
            yield self._rehearse(strategy)

    def _server(self, session: Session) -> Iterator[Finding]:
        try:
            what = str(session.facts()) if isinstance(session, Inspectable) else self._context.engine.name
            session.check_rotatable()
        except ReadOnlyServer as error:
            yield Finding.of("server", error)
        except RotationError as error:
            yield Finding.of("user", error)
        else:
            yield ok("server", f"{what}; it can be written to")

    def _other(self, current: Credentials) -> list[str]:
        try:
            return [self._context.engine.other_name(current.username)]
        except UserPairMismatch:
            return []

    def _others(self, strategy: Strategy, current: Credentials) -> Iterator[Finding]:
        """Check the passwords of the other versions, if AWSCURRENT logs in."""
        pending = yield from self._pending()
        if pending is not None and pending.password != current.password:
            outcome = self._try(pending)
            secret, version = self._inspection.secret_id, self._inspection.pending_version or ""
            if outcome is None:
                yield warning(
                    f"login {PENDING}",
                    f"'{pending.username}' logs in: an interrupted rotation has got as far as testSecret",
                    f"rotators repair {secret} --finish",
                    _ACCEPTED,
                )
            elif isinstance(outcome, LoginRefused):
                yield warning(
                    f"login {PENDING}",
                    f"the database does not have the value of version {version} yet: a rotation stopped before "
                    "setSecret was done",
                    f"leave it to Secrets Manager, which tries again; or discard it: "
                    f"{commands.remove_pending(secret, version)}",
                    _REFUSED,
                )
            else:
                yield outcome
        previous = self._context.previous
        if previous is None or previous.password == current.password:
            return
        if previous.username == current.username and not isinstance(strategy, DualPassword):
            yield ok(f"login {PREVIOUS}", "not tried: with one password at a time, the one before is refused", _UNTRIED)
            return
        yield from self._former(previous)

    def _former(self, previous: Credentials) -> Iterator[Finding]:
        outcome = self._try(previous, PREVIOUS)
        if outcome is None:
            yield ok(f"login {PREVIOUS}", f"'{previous.username}' logs in, too", _ACCEPTED)
        elif isinstance(outcome, LoginRefused):
            yield warning(
                f"login {PREVIOUS}",
                f"'{previous.username}' is refused: an application that still holds the former value can't log in",
                "have applications read the secret again; the next rotation sets a new password",
                _REFUSED,
            )
        else:
            yield outcome

    def _locked_out(self, error: LoginRefused, current: Credentials) -> Iterator[Finding]:
        """AWSCURRENT is refused: find a version that logs in."""
        secret = self._inspection.secret_id
        described = self._inspection.described
        at = described.holder(CURRENT) or ""
        subject = f"login {CURRENT}"
        candidates = []
        pending = yield from self._pending()
        if pending is not None and pending.username == current.username:
            version = self._inspection.pending_version or ""
            candidates.append((PENDING, pending, f"rotators repair {secret} --finish", version))
        previous = self._context.previous
        before = described.holder(PREVIOUS)
        if previous is not None and before is not None and previous.username == current.username:
            candidates.append((PREVIOUS, previous, commands.move_current(secret, before, at), before))
        tried = {current.password}
        reasons = []
        for stage, credentials, remedy, version in candidates:
            if credentials.password in tried:
                continue
            tried.add(credentials.password)
            outcome = self._try(credentials, stage)
            if outcome is None:
                yield ok(f"login {stage}", f"'{credentials.username}' logs in", _ACCEPTED)
                yield failure(subject, f"refused, and {stage} (version {version}) logs in", remedy, _REFUSED)
                return
            if isinstance(outcome, LoginRefused):
                yield warning(f"login {stage}", "refused, too", state=_REFUSED)
            else:
                reasons.append(stage)
                yield outcome
        try:
            for stage, credentials in self._context.unlabelled(tried):
                if self._try(credentials, stage) is None:
                    yield failure(
                        subject,
                        f"refused, and {credentials.source} logs in: an edit took the label off it",
                        f"leave it to Secrets Manager, which repeats the rotation; or {commands.rotate(secret)}: the "
                        "function goes on from that version",
                        _REFUSED,
                    )
                    return
        except SecretsManagerError as denied:
            reasons.append(f"versions without a label ({denied.what})")
        which = f", and {' and '.join(reasons)} could not be tried" if reasons else ", and no other version logs in"
        yield failure(
            subject,
            f"{error.what}{which}: the password was changed by somebody else, or the user is gone or has expired",
            f"as an admin of the database, give '{current.username}' the password in {CURRENT} "
            f"({_set_password(self._engine.name, current.username)}), or store the one that is valid: "
            f"{commands.put_value(secret)}; or let the admin do it: ALLOW_ADMIN_RESET=true, the user in "
            f"ROTATION_USERS, and {commands.rotate(secret)}",
            _REFUSED,
        )

    def _pending(self) -> Generator[Finding, None, Credentials | None]:
        """The pending credential, if there is a usable one."""
        if not self._inspection.has_pending_value:
            return None
        try:
            return self._context.pending
        except RotationError as error:
            version = self._inspection.pending_version or ""
            yield failure(
                f"secret {PENDING}",
                error.what,
                commands.remove_pending(self._inspection.secret_id, version),
                "unusable",
            )
            return None

    def _try(self, credentials: Credentials, stage: str = PENDING) -> Finding | LoginRefused | None:
        """Log in with a password that may be wrong. Returns None if it works."""
        reason = self._engine.why_not(credentials.username)
        if reason is not None:
            return unknown(
                f"login {stage}",
                f"not tried: {reason}",
                f"rotators check {self._inspection.secret_id} --try-every-password",
                _UNTRIED,
            )
        try:
            self._context.connect(credentials).close()
        except LoginRefused as error:
            return error
        except RotationError as error:
            return Finding.of(f"login {stage}", error)
        return None

    def _query(self, session: Session) -> Iterator[Finding]:
        query = self._context.settings.test_query
        try:
            session.verify(query)
        except RotationError as error:
            yield Finding.of("ROTATION_TEST_QUERY" if query else f"login {CURRENT}", error)
        else:
            if query:
                yield ok("ROTATION_TEST_QUERY", "it runs, and changes nothing")

    def _password(self, session: Session) -> Iterator[Finding]:
        """Whether the server accepts a password like those that the function makes."""
        sample = self._context.new_password()
        redactor.hide([sample])
        try:
            if isinstance(session, PasswordRules):
                session.check_password(sample)
            elif isinstance(session, TransactionalPassword) and isinstance(session, SelfServicePassword):
                set_and_roll_back(session, session, sample, self._context.current.password)
            else:
                return
        except PasswordRefused as error:
            yield Finding.of("password policy", error)
        except PermissionRefused:
            # The user may not set its own password. The strategy's check says whether that matters.
            return
        except ServiceError as error:
            yield unknown("password policy", error.what, error.advice)
        else:
            yield ok("password policy", "the server accepts passwords like the ones this function makes")

    def _needs_admin(self, strategy: Strategy, session: Session) -> bool:
        if isinstance(strategy, AlternatingUsers):
            return True
        return self._context.admin_arn is not None and not isinstance(session, SelfServicePassword)

    def _with_admin(self, strategy: Strategy, session: Session | None) -> Iterator[Finding]:
        context = self._context
        try:
            admin = context.admin
        except RotationError as error:
            yield Finding.of("admin secret", error)
            return
        yield ok("admin secret", f"{context.admin_arn}, user '{admin.username}' at {admin.host}")
        if not admin.same_server(context.current, context.engine.default_port) and not (
            yield from self._look_at_way(admin, "admin's server")
        ):
            return
        try:
            context.connect(admin, admin=True).close()
        except RotationError as error:
            yield Finding.of("login admin", error)
            return
        yield ok("login admin", f"'{admin.username}' logs in", _ACCEPTED)
        try:
            proof = None if session is None else prove(context, context.current, own_host=True, session=session)
        except RotationError as error:
            yield Finding.of("proof at the admin's server", error)
            return
        if proof is not None:
            yield ok("proof at the admin's server", f"{proof.account} is who logs in there")
        try:
            with acting(context, proof) as act:
                yield from self._rights(strategy, act)
        except RotationError as error:
            yield Finding.of("rights of the admin", error)

    def _rights(self, strategy: Strategy, act: Acting) -> Iterator[Finding]:
        context = self._context
        if not isinstance(strategy, AlternatingUsers):
            act.admin.check_can_set_password(act.account)
            yield ok("rights of the admin", f"it may set the password of {act.account}")
            return
        try:
            other = context.engine.other_name(context.current.username)
            if context.settings.passwords_only:
                second = second_of_two(context, act, other)
                yield ok("second user", f"{second} is there, and kept by hand (ROTATION_TWIN=adopt)")
                act.admin.check_can_set_password(second)
                yield ok("rights of the admin", f"it may set the password of {second}")
                return
            admin = clone_admin(act)
            pair = admin.inspect_pair(act.account, other)
            if pair.other != act.admin.account:
                require_pair(context, pair)
        except UserPairMismatch as error:
            yield Finding.of("second user", error)
            return
        if pair.other == act.admin.account:
            yield failure(
                "second user",
                f"it would be the admin {act.admin.account} itself",
                "name another admin, or rotate this secret as a single user",
            )
            return
        there = "it is not there yet, and will be made" if pair.relation is Relation.ABSENT else "it is this secret's"
        yield ok("second user", f"'{other}': {there} ({pair.relation.value})")
        admin.check_can_sync(pair)
        yield ok("rights of the admin", f"it may give '{other}' all that {act.account} has, and set its password")

    def _rehearse(self, strategy: Strategy) -> Finding:
        """Run everything that createSecret checks before it stores a value."""
        try:
            strategy.propose(self._context)
        except RotationError as error:
            return Finding.of("rehearsal", error)
        return ok("rehearsal", "createSecret would store a new value")


def _set_password(engine: str, username: str) -> str:
    """The statement that sets a password, for an admin to complete."""
    spec = SPECS.get(engine)
    statement = "" if spec is None else spec.reset_statement
    return statement.format(username) or "by the engine's own statement"
