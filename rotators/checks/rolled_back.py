"""Finds out whether a server would accept a password: sets it in a transaction that is rolled back."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rotators.engines.base import SelfServicePassword, TransactionalPassword


class _RolledBackError(Exception):
    """Ends the transaction so that it is rolled back."""


def set_and_roll_back(session: TransactionalPassword, own: SelfServicePassword, new: str, old: str) -> None:
    """Set the password of the user who is logged in, in a transaction that is rolled back.

    Args:
        session: a login.
        own: the same session.
        new: a password made only for this.
        old: the password that logged in.

    Raises:
        ServiceError: the server refused.
    """
    with suppress(_RolledBackError), session.transaction():
        own.set_own_password(new, old)
        _roll_back()


def _roll_back() -> NoReturn:
    raise _RolledBackError
