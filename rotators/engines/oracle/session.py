"""What one login to Oracle can do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import oracledb

from rotators.engines.oracle import catalog, names
from rotators.engines.oracle import twin as twins
from rotators.engines.oracle.connection import LOST, code_of, said
from rotators.engines.sessions import Closing, test_query_of
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
    from rotators.credentials import Credentials

_WHO = """
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), SYS_CONTEXT('USERENV', 'DATABASE_ROLE'),
    SYS_CONTEXT('USERENV', 'AUTHENTICATION_METHOD')
FROM DUAL
"""
_ROLLOVER = "SELECT l.LIMIT FROM USER_PASSWORD_LIMITS l WHERE l.RESOURCE_NAME = 'PASSWORD_ROLLOVER_TIME'"
# What a profile's verify function and its limits of reuse say; and 20000 to 20999, a function of somebody's own.
_POLICY = {"ORA-28003", "ORA-28007", "ORA-28193", "ORA-00988", "ORA-00972"}
_OWN_POLICY = "ORA-20"
_WRONG_OLD = {"ORA-28008", "ORA-28221", "ORA-01017"}
_COMMON = {"ORA-65066", "ORA-65040", "ORA-65050", "ORA-28184"}


class OracleSession(Closing):
    """A login; satisfies ``OwnPassword``, ``OtherPassword``, both second passwords and ``TwinMaker``.

    It is not ``Staged``: ALTER USER commits by itself.

    Args:
        connection: the driver's, logged in.
        credentials: who.
        logs_in: tells whether a user's password is accepted.
    """

    adding_repeats: ClassVar[bool] = True

    def __init__(
        self, connection: oracledb.Connection, credentials: Credentials, logs_in: Callable[[str, str], bool]
    ) -> None:
        self._connection = connection
        self._logs_in = logs_in
        self.host = credentials.host
        self.user = names.fold(credentials.username)
        try:
            self.version = tuple(int(number) for number in connection.version.split("."))
            [(self.user, self.role, self.method)] = self.execute(_WHO)
        except ServiceError:
            self.close()
            raise

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that may only read."""
        self.execute("SELECT 1 FROM DUAL")
        if test_query is None:
            return
        self.execute("SET TRANSACTION READ ONLY")
        try:
            with test_query_of(self.user):
                self.execute(test_query)
        finally:
            with contextlib.suppress(ServiceError):
                self.execute("ROLLBACK")

    def check_rotatable(self) -> None:
        """Refuse standbys, users without a password, common users and Oracle's own."""
        self.require_writer()
        if self.method != "PASSWORD":
            raise UserNotRotatable(
                f"'{self.user}' at {self.host} logs in by {self.method}", "it has no password to rotate"
            )
        catalog.require_local(self, self.user)

    def set_own_password(self, new: str, old: str) -> None:
        """Change it, and end a second one.

        https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/ALTER-USER.html
        """
        self._change_own(new, old)
        self._end_rollover(self.user, catalog.own_status(self))

    def check_user(self, user: str) -> None:
        """See that the admin may change this user."""
        self.require_writer()
        twins.require_privileges(self, {"ALTER USER"})
        twins.require_usable(self, names.fold(user))

    def set_password(self, user: str, new: str) -> None:
        """Change another's, end a second one, and unlock it where too many wrong ones have locked it."""
        folded = names.fold(user)
        found = twins.require_usable(self, folded)
        unlock = " ACCOUNT UNLOCK" if "LOCKED" in found.status else ""
        self.execute(f"ALTER USER {names.quoted(folded)} IDENTIFIED BY {names.quoted(new)}{unlock}", password_of=folded)
        self._end_rollover(folded, twins.require_usable(self, folded).status)

    def second_password_obstacle(self) -> str | None:
        """Why the user can't keep its present password beside a new one.

        https://docs.oracle.com/en/database/oracle/oracle-database/19/dbseg/configuring-authentication.html,
        "Managing Gradual Database Password Rollover for Applications"
        """
        rows = self.execute(_ROLLOVER)
        if not rows:
            return "Oracle 19.12 and newer keep a second password"
        if _rolls_over(rows[0][0]):
            return None
        return (
            "ALTER PROFILE … LIMIT PASSWORD_ROLLOVER_TIME, for the user's profile, would let it keep a second password"
        )

    def add_own_password(self, new: str, old: str) -> None:
        """Change it; the profile keeps the old one alive."""
        if self._is_added(self.user, new, catalog.own_status(self)):
            return
        self._change_own(new, old)

    def add_password(self, user: str, new: str, old: str) -> None:  # noqa: ARG002  # Oracle keeps what is there
        """Change another's; its profile keeps the old one alive."""
        folded = names.fold(user)
        found = twins.require_usable(self, folded)
        if not _rolls_over(catalog.rollover_of(self, found.profile)):
            raise UserNotRotatable(
                f"the profile '{found.profile}' of '{folded}' at {self.host} keeps one password per user",
                f"on Oracle 19.12 or newer, run: ALTER PROFILE {names.quoted(found.profile)} LIMIT "
                "PASSWORD_ROLLOVER_TIME 1",
            )
        if not self._is_added(folded, new, found.status):
            self.execute(f"ALTER USER {names.quoted(folded)} IDENTIFIED BY {names.quoted(new)}", password_of=folded)

    def check_twin(self, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
        """Compare what both may do with what the admin may pass on."""
        self.require_writer()
        twins.check(self, names.fold(user), names.fold(twin), acquainted)

    def ensure_twin(self, user: str, twin: str, password: str) -> None:
        """Level the pair, and set the twin's password last."""
        twins.level(self, names.fold(user), names.fold(twin))
        self.set_password(names.quoted(names.fold(twin)), password)

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(Exception):
            self._connection.close()

    def execute(
        self, statement: str, values: Sequence[Any] = (), advice: str = "", password_of: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement, whose names are quoted already.

        Args:
            statement: the statement; one, since the server takes no more at a time.
            values: for its bind variables.
            advice: what to do where a right is missing.
            password_of: the user whose password the statement sets, where it does.

        Raises:
            ServiceError: as what the server's answer means.
        """
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, list(values))
                return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        except (oracledb.Error, OSError) as error:
            raise self._translate(error, advice, password_of) from None

    def require_writer(self) -> None:
        """Raise ReadOnlyServer on a standby."""
        if self.role not in {"PRIMARY", "SNAPSHOT STANDBY"}:
            raise ReadOnlyServer(
                f"{self.host} is a {str(self.role).lower()}, where no password can be changed",
                "put the primary's endpoint as 'host' into the secret",
            )

    def _change_own(self, new: str, old: str) -> None:
        if not names.possible(old):
            raise PasswordRefused(f"the present password of '{self.user}' can't stand in a statement", _BY_ADMIN)
        self.execute(
            f"ALTER USER {names.quoted(self.user)} IDENTIFIED BY {names.quoted(new)} REPLACE {names.quoted(old)}",
            password_of=self.user,
        )

    def _is_added(self, user: str, new: str, status: str) -> bool:
        """Make room for a second password, unless the new one is it already.

        Changed again while two are alive, the older would stay and the present one end: the older one ends first. But
        where an attempt that broke off has added the new one, the older one is the present one.
        """
        if not _in_rollover(status):
            return False
        if self._logs_in(names.quoted(user), new):
            return True
        self._end_rollover(user, status)
        return False

    def _end_rollover(self, user: str, status: str) -> None:
        if _in_rollover(status):
            self.execute(f"ALTER USER {names.quoted(user)} EXPIRE PASSWORD ROLLOVER PERIOD")

    def _translate(  # noqa: PLR0911  # one way out for each meaning
        self, error: Exception, advice: str, password_of: str | None
    ) -> ServiceError:
        """What a statement's failure means. The statement itself is never shown: it may hold a password."""
        code = code_of(error)
        where = f"Oracle at {self.host}, as '{self.user}'"
        if code in LOST or not isinstance(error, oracledb.DatabaseError):
            self.close()
            return ConnectionLost(f"{where}: the connection was lost", "the rotation will be repeated")
        what = f"{where}: {said(error)}"
        if password_of is not None and (code in _POLICY or code.startswith(_OWN_POLICY)):
            return PasswordRefused(
                f"{what}: the new password of '{password_of}' is refused",
                "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to the profile's verify function",
            )
        if password_of is not None and code in _WRONG_OLD:
            return ServiceFailed(what, "the password was changed meanwhile; the rotation will be repeated")
        if code in {"ORA-01031", "ORA-01720", "ORA-01919", "ORA-01932"}:
            return PermissionRefused(what, advice or "grant what is missing")
        if code == "ORA-00942":
            return PermissionRefused(what, advice or f"run: GRANT SELECT_CATALOG_ROLE TO {names.quoted(self.user)}")
        if code == "ORA-16000":
            return ReadOnlyServer(what, "put the primary's endpoint as 'host' into the secret")
        if code == "ORA-01918" or code in _COMMON:
            return UserNotRotatable(what, "correct the secret, or create the user in this database")
        return ServiceFailed(what, "the rotation will be repeated; the alert log tells more")


_BY_ADMIN = "have the admin set it: name an admin secret and set ALLOW_ADMIN_RESET=true"


def _in_rollover(status: str) -> bool:
    return "IN ROLLOVER" in status


def _rolls_over(limit: str | None) -> bool:
    """Whether a profile's PASSWORD_ROLLOVER_TIME, in days, is more than none."""
    try:
        return float(limit or 0) > 0
    except ValueError:
        return False
