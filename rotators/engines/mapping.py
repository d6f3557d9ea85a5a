"""Maps servers' error codes to :mod:`rotators.errors`, by a table of codes for each engine.

An engine's errors.py has its tables (:class:`ErrorMap`), and reads code and text from its driver's exceptions. Every
driver call is inside :func:`driver_errors`, which replaces the driver's exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from rotators.errors import (
    ConnectionLost,
    PasswordRefused,
    PermissionRefused,
    RotationError,
    ServiceError,
    ServiceFailed,
)

Code = int | str
REPEATED = "the rotation will be repeated"
GRANT_ADVICE = "grant what the server says is missing"
POLICY_ADVICE = "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to the server's password policy"


class Meaning(NamedTuple):
    """A class of error, and what to do about it."""

    kind: type[ServiceError]
    advice: str


@dataclass(frozen=True)
class ErrorMap:
    """What an engine's codes mean.

    Args:
        codes: the meaning of each code.
        otherwise: what to do about a code that is not listed.
        of_passwords: the meaning of codes if the statement sets a password; these come before ``codes``.
        lost: the codes after which the connection is lost.
    """

    codes: Mapping[Code, Meaning]
    otherwise: str
    of_passwords: Mapping[Code, Meaning] = field(default_factory=dict)
    lost: frozenset[Code] = frozenset()

    def error(
        self, code: Code, where: str, message: str, *, advice: str = "", password_of: str | None = None
    ) -> ServiceError:
        """The error for a code.

        Args:
            code: the server's or the driver's code.
            where: server and user, for the error's text.
            message: the server's message, for the error's text.
            advice: what to do if a privilege is missing; empty: the table's advice.
            password_of: the user whose password the statement sets; None: it sets none.
        """
        if code in self.lost:
            return connection_lost(where, code)
        what = f"{where}: {message}"
        listed = self.codes.get(code, Meaning(ServiceFailed, self.otherwise))
        kind, hint = listed if password_of is None else self.of_passwords.get(code, listed)
        if password_of is not None and kind is PasswordRefused:
            what = f"{what}: the new password of '{password_of}' is refused"
        return kind(what, advice if advice and kind is PermissionRefused else hint, code=code)


@contextmanager
def driver_errors(
    translate: Callable[[Exception], RotationError],
    *kinds: type[Exception],
    on_lost: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Replace what a driver raises in the block with a RotationError. The original is dropped: it may hold a statement.

    Args:
        translate: makes the engine's error for an exception.
        kinds: the driver's exceptions; by default all except RotationError, because a server's answer may make a driver
            fail in any way.
        on_lost: called before a :class:`ConnectionLost` is raised: the connection can't be used again.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, RotationError) or not isinstance(error, kinds or Exception):
            raise
        ours = translate(error)
        if on_lost is not None and isinstance(ours, ConnectionLost):
            on_lost()
        raise ours from None


def connection_lost(where: str, code: Code | None = None) -> ConnectionLost:
    """The error for a connection that ended after the login."""
    return ConnectionLost(f"{where}: the connection was lost", REPEATED, code=code)


def connection_broke(target: str, code: Code | None = None) -> ConnectionLost:
    """The error for a connection that ended during the login."""
    return ConnectionLost(f"{target}: the connection broke", REPEATED, code=code)


def no_answer(where: str) -> ConnectionLost:
    """The error for a statement that takes too long. It may have been executed."""
    return ConnectionLost(f"{where}: no answer in time", REPEATED)
