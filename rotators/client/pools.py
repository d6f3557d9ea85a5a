"""When to replace a pool's open connection: after a promotion, and only if a new login works."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from rotators.client.errors import SecretUnavailable
from rotators.client.secret import Secret
from rotators.client.steps import Login, Steps, drive, drive_async
from rotators.client.value import SecretValue

logger = logging.getLogger("rotators.client")


def is_outdated(secret: Secret, version_id: str | None, probe: Callable[[], object]) -> bool:
    """Whether a connection was made with another version than new connections.

    An open connection keeps working after its password changes. It counts as outdated only once a login with the new
    version has worked. If there was none yet, ``probe`` tries one.

    Args:
        secret: the secret.
        version_id: the version that the connection was made with.
        probe: logs in by :func:`rotators.client.connect_with`, without patience, and out again.
    """
    return drive(_outdated(secret, version_id), lambda _: probe())


async def is_outdated_async(secret: Secret, version_id: str | None, probe: Callable[[], Awaitable[object]]) -> bool:
    """Like :func:`is_outdated`, for asyncio."""
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
        except Exception as error:  # noqa: BLE001  # after any error, the open connection is better
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
        "secret %s: open connections are kept, a new login failed: %s", secret.secret_id, type(error).__name__
    )
