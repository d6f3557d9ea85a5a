"""When a pool's open connection is to be replaced: after a promotion, and only by one that works."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from rotators.client.errors import SecretUnavailable
from rotators.client.secret import Secret
from rotators.client.steps import Login, Steps, drive, drive_async
from rotators.client.value import SecretValue

logger = logging.getLogger("rotators.client")


def is_outdated(secret: Secret, version_id: str | None, probe: Callable[[], object]) -> bool:
    """Whether a connection was made with another version than new ones are.

    An open connection goes on working when its password changes. So it is given up only where a login with the new
    version has worked: where none has yet, one is tried.

    Args:
        secret: the secret.
        version_id: the version that the connection was made with.
        probe: logs in anew by :func:`rotators.client.connect_with`, without patience, and out again.
    """
    return drive(_outdated(secret, version_id), lambda _: probe())


async def is_outdated_async(secret: Secret, version_id: str | None, probe: Callable[[], Awaitable[object]]) -> bool:
    """As :func:`is_outdated`, for asyncio."""
    return await drive_async(_outdated(secret, version_id), lambda _: probe())


def _outdated(secret: Secret, version_id: str | None) -> Steps[bool]:
    try:
        best = _best(secret, (yield from secret.current()))
    except SecretUnavailable:
        return False
    if best.version_id == version_id:
        return False
    if not secret.logins.proven(best):
        try:
            yield Login(best)
        except Exception as error:  # noqa: BLE001  # whatever it is, the connection at hand is better
            _keep(secret, error)
            return False
    return _proven(secret, version_id)


def _best(secret: Secret, current: SecretValue) -> SecretValue:
    return secret.logins.candidates(current)[0]


def _proven(secret: Secret, version_id: str | None) -> bool:
    current = secret.kept()
    if current is None:
        return False
    best = _best(secret, current)
    return best.version_id != version_id and secret.logins.proven(best)


def _keep(secret: Secret, error: Exception) -> None:
    logger.warning(
        "secret %s: open connections are kept, for no new one can be made: %s", secret.secret_id, type(error).__name__
    )
