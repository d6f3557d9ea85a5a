"""RDS's tasks for users: asked for in the database ``rdsadmin``, done some time later, and waited for.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/db2-sp-granting-revoking-privileges.html,
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/db2-user-defined-functions.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rotators.engines.db2.quoting import host_user
from rotators.errors import PasswordRefused, ServiceFailed

if TYPE_CHECKING:
    from rotators.engines.db2.connection import Connection

DATABASE = "rdsadmin"
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
# Seconds that are left for the rest of the step.
_RESERVE = 2.0
_LAST = "SELECT COALESCE(MAX(TASK_ID), 0) FROM TABLE(RDSADMIN.GET_TASK_STATUS(NULL, NULL, NULL)) AS T"
_SINCE = """
SELECT TASK_ID, LIFECYCLE
FROM TABLE(RDSADMIN.GET_TASK_STATUS(NULL, NULL, CAST(? AS VARCHAR(32)))) AS T
WHERE TASK_ID > ?
ORDER BY TASK_ID
"""
_DATABASES = "SELECT DATABASE_NAME FROM TABLE(RDSADMIN.LIST_DATABASES()) AS T"
_ADVICE = "the admin '{user}' must be the instance's master user, who alone may run rdsadmin's procedures"


def require(connection: Connection) -> None:
    """Require that the logged-in user may run RDS's tasks.

    Raises:
        PermissionRefused: it may not log in to the database ``rdsadmin``.
    """
    with connection.connected_to(DATABASE):
        pass


def other_databases(connection: Connection) -> list[str]:
    """The host's databases, but for the present one and RDS's own.

    Raises:
        PermissionRefused: the logged-in user may not log in to the database ``rdsadmin``.
    """
    with connection.connected_to(DATABASE) as rds:
        names = {str(name).strip().upper() for (name,) in rds.execute(_DATABASES)}
    return sorted(names - {connection.database, DATABASE.upper()})


def change_password(connection: Connection, authid: str, password: str) -> None:
    """Give a user another password, and wait until it is accepted.

    Raises:
        PasswordRefused: the task failed.
        ServiceFailed: it is not done within the step's time.
    """
    user = host_user(authid)
    _run(connection, "CHANGE_PASSWORD", (user, password), lambda: connection.logs_in(user, password))


def add_user(connection: Connection, authid: str, password: str, groups: Iterable[str]) -> None:
    """Make a user with a password, in these groups; see :func:`change_password`."""
    _run(connection, "ADD_USER", (host_user(authid), password, _listed(groups)))


def set_groups(connection: Connection, authid: str, *, add: Iterable[str], remove: Iterable[str]) -> None:
    """Add a user to groups and take it out of others; see :func:`change_password`."""
    for task, groups in (("ADD_GROUPS", _listed(add)), ("REMOVE_GROUPS", _listed(remove))):
        if groups:
            _run(connection, task, (host_user(authid), groups))


def _run(
    connection: Connection, task: str, values: tuple[str, ...], is_done: Callable[[], bool] = lambda: True
) -> None:
    with connection.connected_to(DATABASE) as rds:
        [(last,)] = rds.execute(_LAST)
        marks = ", ".join("?" * len(values))
        rds.execute(f"CALL RDSADMIN.{task}({marks})", values, advice=_ADVICE.format(user=connection.user))
        pause = _SHORTEST_PAUSE
        while True:
            lives = [str(life).strip().upper() for _, life in rds.execute(_SINCE, (task, last))]
            if "ERROR" in lives:
                # Its output may hold the parameters.
                raise PasswordRefused(
                    f"the task {task} for '{values[0]}' at {connection.host} failed",
                    "see rdsadmin.get_task_status; fit PASSWORD_LENGTH and the EXCLUDE_ settings to what it says",
                )
            # Do not log in before the password is valid: that would count as a wrong password.
            if lives and set(lives) == {"SUCCESS"} and is_done():
                return
            if time.monotonic() + pause > connection.deadline - _RESERVE:
                raise ServiceFailed(
                    f"the task {task} for '{values[0]}' at {connection.host} is not done in time",
                    "the rotation will be repeated; give the function a longer timeout",
                )
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _listed(groups: Iterable[str]) -> str:
    # The host's own spelling is in lower case.
    return ",".join(sorted(group.lower() for group in groups))


sleep = time.sleep
