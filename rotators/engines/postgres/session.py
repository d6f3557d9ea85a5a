"""What one login to PostgreSQL can do."""

from __future__ import annotations

from collections.abc import Callable

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from rotators.engines.libpq import LibpqSession
from rotators.engines.postgres import twin as twins
from rotators.errors import ReadOnlyServer, ServiceError, UserNotRotatable

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


class PostgresSession(LibpqSession):
    """One login; satisfies ``OwnPassword``, ``Staged``, ``OtherPassword`` and ``TwinMaker``.

    Args:
        connection: an open connection in autocommit.
        host: the server's name, for messages.
        timeout: seconds that a statement may take.
        elsewhere: logs in to another database of the server with the same password.
    """

    product = "PostgreSQL"
    # READ WRITE: a role's default_transaction_read_only is a default, and passwords are no data. And as the role that
    # logged in, whatever role its settings would have it play.
    begin = ("BEGIN READ WRITE", "SET LOCAL ROLE NONE")

    def prepare(self, milliseconds: int) -> sql.Composable:
        """Take what the role was given out of the way."""
        return sql.SQL(_PREPARE).format(
            statement=sql.Literal(f"{milliseconds}ms"), lock=sql.Literal(f"{milliseconds * 4 // 5}ms")
        )

    def check_rotatable(self) -> None:
        """Refuse replicas, and roles that log in by IAM."""
        self.require_writer()
        self.require_password_role(self.user)

    def set_own_password(self, new: str, old: str) -> None:  # noqa: ARG002  # PostgreSQL does not ask for it
        """Set the password of the role that is logged in, as a verifier."""
        self._set_password(sql.SQL("SESSION_USER"), self.user, new)

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

    def _writer(self) -> str:
        if ".cluster-ro-" in self.host:
            return f": {self.host.replace('.cluster-ro-', '.cluster-', 1)}"
        try:
            rows = self.execute(sql.SQL(_SENDER))
        except ServiceError:
            return ""
        return f"; this replica is fed by {rows[0][0]}" if rows else ""
