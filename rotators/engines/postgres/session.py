"""What one login to PostgreSQL can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from rotators.engines.postgres import twin as twins
from rotators.errors import (
    ConnectionLost,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from types import TracebackType

    from psycopg2.extensions import connection as Connection  # noqa: N812

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_INSUFFICIENT_PRIVILEGE = "42501"
_READ_ONLY_TRANSACTION = "25006"
_LOCK_NOT_AVAILABLE = "55P03"
_QUERY_CANCELED = "57014"
_LOST = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
# What passwordcheck, credcheck and their like raise from the hook that looks at a new password.
_POLICY = {"22023", "28000", "28P01"}

# Nothing that the application's role was given may bend our statements: whose objects they find, how long they
# wait. The time-outs are below what Lambda leaves us, so that the database gives up first and we can say why.
_PREPARE = """
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false),
       pg_catalog.set_config('statement_timeout', {statement}, false),
       pg_catalog.set_config('lock_timeout', {lock}, false),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false),
       pg_catalog.set_config('standard_conforming_strings', 'on', false)
"""

# Not any membership counts: since PostgreSQL 16 whoever creates a role is a member of it, without being able to be
# it, and an admin that created a user of IAM still logs in by password.
_ROLE = """
SELECT r.rolcanlogin, NOT r.rolsuper AND EXISTS (
    SELECT FROM pg_catalog.pg_roles i
    WHERE i.rolname = 'rds_iam' AND (pg_catalog.pg_has_role(r.oid, i.oid, 'USAGE') OR EXISTS (
        SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = i.oid AND m.member = r.oid)))
FROM pg_catalog.pg_roles r WHERE r.rolname = {role}
"""

# Who feeds a replica, where we may know it.
_SENDER = "SELECT sender_host FROM pg_catalog.pg_stat_wal_receiver WHERE sender_host IS NOT NULL"


class PostgresSession:
    """One login; satisfies ``OwnPassword``, ``Staged``, ``OtherPassword`` and ``TwinMaker``.

    Args:
        connection: an open connection in autocommit.
        host: the server's name, for messages.
        timeout: seconds that a statement may take.
        elsewhere: logs in to another database of the server with the same password.
    """

    def __init__(
        self, connection: Connection, host: str, timeout: float, elsewhere: Callable[[str], PostgresSession]
    ) -> None:
        self._connection = connection
        self.host = host
        self.elsewhere = elsewhere
        self.version: int = connection.server_version // 10000
        self.user: str = connection.info.user
        milliseconds = round(timeout * 1000)
        try:
            self.execute(
                sql.SQL(_PREPARE).format(
                    statement=sql.Literal(f"{milliseconds}ms"), lock=sql.Literal(f"{milliseconds * 4 // 5}ms")
                )
            )
        except ServiceError:
            self.close()
            raise

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that is rolled back."""
        self.execute(sql.SQL("SELECT 1"))
        if test_query is None:
            return
        # The application's own search_path, so that the query finds what the application finds.
        self.execute(sql.SQL("BEGIN"))
        try:
            self.execute(sql.SQL("RESET search_path"))
            self.execute(sql.SQL(test_query))  # the operator's own text
        except ServiceError as error:
            raise type(error)(f"ROTATION_TEST_QUERY failed as '{self.user}': {error.what}", error.advice) from None
        finally:
            self._roll_back()

    def check_rotatable(self) -> None:
        """Refuse replicas, and roles that log in by IAM."""
        self.require_writer()
        self.require_password_role(self.user)

    def set_own_password(self, new: str, old: str) -> None:  # noqa: ARG002  # PostgreSQL does not ask for it
        """Set the password of the role that is logged in, as a verifier."""
        self._set_password(sql.SQL("SESSION_USER"), self.user, new)

    @contextmanager
    def staged(self) -> Iterator[None]:
        """A transaction."""
        with self.transaction():
            yield

    def check_user(self, user: str) -> None:
        """Try to take the password away, and roll that back: it needs the very rights that setting one needs."""
        self.require_writer()
        self.require_password_role(user)
        twins.require_admin(self, [user])
        with self.rehearsal():
            self.execute(sql.SQL("ALTER ROLE {} PASSWORD NULL").format(sql.Identifier(user)))

    def set_password(self, user: str, new: str) -> None:
        """Set another role's password, as a verifier."""
        self.require_password_role(user)
        self._set_password(sql.Identifier(user), user, new)

    def check_twin(self, user: str, twin: str, acquainted: Callable[[], bool]) -> None:  # noqa: ARG002  # membership tells
        """Make the twin in a transaction, and roll it back."""
        self.require_writer()
        with self.rehearsal():
            twins.level(self, user, twin)
            self.execute(sql.SQL("ALTER ROLE {} PASSWORD NULL").format(sql.Identifier(twin)))

    def ensure_twin(self, user: str, twin: str, password: str) -> None:
        """Make the twin, level both, set its password: in one transaction, the password last."""
        twins.hand_over_elsewhere(self, user, twin)
        with self.transaction():
            twins.level(self, user, twin)
            twins.hand_over_here(self, user, twin)
            self._set_password(sql.Identifier(twin), twin, password)

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction as the role that logged in, whatever role its settings would have it play."""
        # READ WRITE: a role's default_transaction_read_only is a default, and passwords are no data.
        self.execute(sql.SQL("BEGIN READ WRITE"))
        try:
            self.execute(sql.SQL("SET LOCAL ROLE NONE"))
            yield
        except BaseException:
            self._roll_back()
            raise
        self.execute(sql.SQL("COMMIT"))

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """A transaction that is always rolled back."""
        self.execute(sql.SQL("BEGIN READ WRITE"))
        try:
            self.execute(sql.SQL("SET LOCAL ROLE NONE"))
            yield
        finally:
            self._roll_back()

    def execute(
        self, statement: sql.Composable, advice: str = "", password_of: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement.

        Args:
            statement: names and values are composed by psycopg2's quoting.
            advice: what to do where a right is missing.
            password_of: the role whose password the statement sets, where it does.

        Returns:
            The rows, if it gives any.

        Raises:
            ServiceError: as what the server's answer means.
        """
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        except psycopg2.Error as error:
            raise self._translate(error, advice, password_of) from None

    def quote(self, statement: sql.Composable) -> str:
        """A statement as a text that a person can run."""
        return statement.as_string(self._connection)

    def require_writer(self) -> None:
        """Raise ReadOnlyServer on a replica, and name the writer's endpoint."""
        [(in_recovery,)] = self.execute(sql.SQL("SELECT pg_catalog.pg_is_in_recovery()"))
        if in_recovery:
            raise ReadOnlyServer(
                f"{self.host} is a replica of PostgreSQL (pg_is_in_recovery), where no password can be changed",
                f"put the writer's endpoint as 'host' into the secret{self._writer()}",
            )

    def require_password_role(self, user: str) -> None:
        """Raise UserNotRotatable where a role has no password to log in with."""
        rows = self.execute(sql.SQL(_ROLE).format(role=sql.Literal(user)))
        if not rows:
            raise UserNotRotatable(f"there is no role '{user}' at {self.host}", "create it, or correct the secret")
        [(can_log_in, by_iam)] = rows
        if not can_log_in:
            raise UserNotRotatable(f"role '{user}' at {self.host} may not log in (NOLOGIN)", "give it LOGIN")
        if by_iam:
            raise UserNotRotatable(
                f"role '{user}' at {self.host} logs in by IAM (it is a member of rds_iam)",
                "it has no password to rotate: revoke rds_iam from it, or stop rotating this secret",
            )

    def _set_password(self, role: sql.Composable, user: str, new: str) -> None:
        # libpq makes the verifier: the clear text never leaves this process. The method is asked for here, since
        # psycopg2 would have libpq ask for it with every other thread of the process standing still.
        [(method,)] = self.execute(sql.SQL("SHOW password_encryption"))
        verifier = encrypt_password(new, user, scope=self._connection, algorithm=method)
        self.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(verifier)),
            advice=f"where rds.restrict_password_commands is on, grant rds_password to '{self.user}'",
            password_of=user,
        )

    def _roll_back(self) -> None:
        try:
            self.execute(sql.SQL("ROLLBACK"))
        except ServiceError:
            # The connection is gone, and the transaction with it.
            self.close()

    def _writer(self) -> str:
        if ".cluster-ro-" in self.host:
            return f": {self.host.replace('.cluster-ro-', '.cluster-', 1)}"
        try:
            rows = self.execute(sql.SQL(_SENDER))
        except ServiceError:
            return ""
        return f"; this replica is fed by {rows[0][0]}" if rows else ""

    def _translate(self, error: psycopg2.Error, advice: str, password_of: str | None) -> ServiceError:
        """What a statement's failure means. The statement itself is never shown: it may hold a verifier."""
        code, said = error.pgcode, error.diag.message_primary or ""
        where = f"PostgreSQL at {self.host}, as '{self.user}'"
        if code is None or code in _LOST or code.startswith("08"):
            self.close()
            return ConnectionLost(f"{where}: the connection was lost", "the rotation will be repeated")
        detail = f" ({error.diag.message_detail.rstrip('.')})" if error.diag.message_detail else ""
        what = f"{where}: {said}{detail} [{code}]"
        if code == _INSUFFICIENT_PRIVILEGE:
            return PermissionRefused(what, advice or "grant what the server says is missing")
        if code == _READ_ONLY_TRANSACTION:
            return ReadOnlyServer(what, "put the writer's endpoint as 'host' into the secret")
        if password_of is not None and code in _POLICY:
            return PasswordRefused(
                f"{what}: the new password of '{password_of}' is refused",
                "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to the server's password policy",
            )
        if code in {_LOCK_NOT_AVAILABLE, _QUERY_CANCELED}:
            return ServiceFailed(what, "another session holds a lock; the rotation will be repeated")
        return ServiceFailed(what, "the rotation will be repeated; the database's log tells more")
