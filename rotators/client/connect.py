"""Log in with a secret at any moment of a rotation."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rotators.client.errors import CredentialsRefused
from rotators.client.refusals import is_refusal as known_refusal
from rotators.client.secret import Event, Secret
from rotators.client.steps import Login, Sleep, Steps, drive, drive_async
from rotators.client.turns import Turns
from rotators.client.value import SecretValue

T = TypeVar("T")
logger = logging.getLogger("rotators.client")
PATIENCE = 5.0


def connect_with(
    secret: Secret,
    connect: Callable[[SecretValue], T],
    *,
    patience: float = PATIENCE,
    is_refusal: Callable[[BaseException], bool] = known_refusal,
) -> T:
    """Log in with a secret.

    Only if the driver says "wrong user or password", the function reads the secret again and tries AWSCURRENT,
    AWSPENDING and AWSPREVIOUS: each different value once, and only those for the same server. The version that works
    is used until AWSCURRENT moves to another version. Any other error of the driver is raised unchanged.

    Args:
        secret: the secret. Use one object for all logins of the process.
        connect: logs in with a value and returns the connection. It must really log in: send a first command through
            a client that connects lazily. Set a connection time-out in it.
        patience: how many seconds to wait for a rotation in progress.
        is_refusal: whether a driver's error means a wrong user or password.

    Returns:
        What ``connect`` returns.

    Raises:
        CredentialsRefused: no version logs in, or the secret's budget of refused logins is spent.
        LoginsUnderWay: no other login has ended for ``patience`` seconds.
        SecretUnavailable: there is no value to log in with.
        Exception: any other error of ``connect``.
    """
    connection: T = drive(_log_in(secret, patience, is_refusal), connect)
    return connection


async def connect_with_async(
    secret: Secret,
    connect: Callable[[SecretValue], Awaitable[T]],
    *,
    patience: float = PATIENCE,
    is_refusal: Callable[[BaseException], bool] = known_refusal,
) -> T:
    """Like :func:`connect_with`, for asyncio: awaits ``connect``, and does not block the event loop."""
    return await drive_async(_log_in(secret, patience, is_refusal), connect)


def _log_in(secret: Secret, patience: float, is_refusal: Callable[[BaseException], bool]) -> Steps[Any]:
    last: Exception | None = None
    while True:
        current = yield from secret.current()
        turns: Turns = secret.turns_for(current)
        turn = yield from turns.enter(patience)
        if turn is not None:
            try:
                while (candidate := (yield from _choose(secret, turns))) is not None:
                    try:
                        connection = yield Login(candidate)
                    except Exception as error:
                        if not is_refusal(error):
                            raise
                        last = error
                        turns.refused(_user_of(candidate))
                        secret.logins.refused(candidate)
                        secret.emit(_event("refused", secret, candidate))
                        if not turns.may_go_on():
                            break
                    else:
                        turns.worked(_user_of(candidate))
                        if secret.logins.worked(candidate, secret.kept() or candidate):
                            secret.emit(_event("worked", secret, candidate))
                        return connection
            finally:
                turns.leave(turn)
        pause = None if turns.spent else secret.logins.pause(patience)
        if pause is None:
            raise _refusal(secret, turns) from last
        yield Sleep(pause)


def _choose(secret: Secret, turns: Turns) -> Steps[SecretValue | None]:
    """The version to log in with now; None if every version was refused."""
    current = yield from secret.current()
    logins = secret.logins
    while True:
        candidates = logins.candidates(current)
        if found := [value for value in candidates if logins.is_new(value)]:
            return found[0]
        look = logins.next_label(secret.clock())
        if look is None:
            return logins.to_repeat(candidates, turns)
        stage, since = look
        held = yield from secret.fetch(stage, since)
        logins.saw(stage, held.value, None if held.error is None else type(held.error).__name__)
        current = secret.kept() or current


def _refusal(secret: Secret, turns: Turns) -> CredentialsRefused:
    refused = ", ".join(secret.logins.refused_names()) or "not known here"
    unreadable = "".join(f"; {stage} can't be read: {why}" for stage, why in secret.logins.unreadable.items())
    advice = (
        f"all {turns.refusals} refused logins of this minute are used: nobody logs in until it is over"
        if turns.spent
        else "correct the secret: a new version is tried within a second"
    )
    return CredentialsRefused(
        f"secret {secret.secret_id}: the database refuses user or password of every version that there is for this "
        f"server: {refused}{unreadable}; {advice}"
    )


def _event(kind: Any, secret: Secret, value: SecretValue) -> Event:
    return Event(kind, secret.secret_id, value.version_id, value.stage)


def _user_of(value: SecretValue) -> str:
    keys = value.keys_of_json or {}
    return str(keys.get("username", ""))
