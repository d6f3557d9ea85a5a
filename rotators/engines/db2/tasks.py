"""RDS's tasks for users: asked for in the database ``rdsadmin``, done some time later, and waited for.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/db2-sp-granting-revoking-privileges.html,
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/db2-user-defined-functions.html#db2-udf-get-task-status
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rotators.errors import PasswordRefused, ServiceFailed

if TYPE_CHECKING:
    from rotators.engines.db2.session import Db2Session

DATABASE = "rdsadmin"
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
# Left for the steps' own end.
_RESERVE = 2.0
_LAST = "SELECT COALESCE(MAX(TASK_ID), 0) FROM TABLE(RDSADMIN.GET_TASK_STATUS(NULL, NULL, NULL)) AS T"
_SINCE = """
SELECT TASK_ID, LIFECYCLE
FROM TABLE(RDSADMIN.GET_TASK_STATUS(NULL, NULL, CAST(? AS VARCHAR(32)))) AS T
WHERE TASK_ID > ?
ORDER BY TASK_ID
"""


def change_password(session: Db2Session, user: str, password: str, logs_in: Callable[[], bool]) -> None:
    """Give a user another password, and wait until it is accepted.

    Raises:
        PasswordRefused: the task failed.
        ServiceFailed: it is not done within the step's time.
    """
    _run(session, "CHANGE_PASSWORD", (user, password), logs_in)


def add_user(session: Db2Session, user: str, password: str, groups: list[str]) -> None:
    """Make a user with a password, in these groups; see :func:`change_password`."""
    _run(session, "ADD_USER", (user, password, ",".join(groups)))


def set_groups(session: Db2Session, user: str, *, add: list[str], remove: list[str]) -> None:
    """Add a user to groups and take it out of others; see :func:`change_password`."""
    for task, groups in (("ADD_GROUPS", add), ("REMOVE_GROUPS", remove)):
        if groups:
            _run(session, task, (user, ",".join(groups)))


def _run(session: Db2Session, task: str, values: tuple[str, ...], is_done: Callable[[], bool] = lambda: True) -> None:
    deadline = time.monotonic() + max(_RESERVE, session.time_left - _RESERVE)
    with session.elsewhere(DATABASE) as rds:
        [(last,)] = rds.execute(_LAST)
        marks = ", ".join("?" * len(values))
        rds.execute(f"CALL RDSADMIN.{task}({marks})", values, advice=_ADVICE.format(user=session.user))
        pause = _SHORTEST_PAUSE
        while True:
            lives = [str(life).strip().upper() for _, life in rds.execute(_SINCE, (task, last))]
            if "ERROR" in lives:
                # Its output may hold the parameters.
                raise PasswordRefused(
                    f"the task {task} for '{values[0]}' at {session.host} failed",
                    "see rdsadmin.get_task_status; fit PASSWORD_LENGTH and the EXCLUDE_ settings to what it says",
                )
            # Nobody logs in with a password that is not in force yet: that would count as a wrong one.
            if lives and set(lives) == {"SUCCESS"} and is_done():
                return
            if time.monotonic() + pause > deadline:
                raise ServiceFailed(
                    f"the task {task} for '{values[0]}' at {session.host} is not done in time",
                    "the rotation will be repeated; give the function a longer timeout",
                )
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


_ADVICE = "the admin '{user}' must be the instance's master user, who alone may run rdsadmin's procedures"
sleep = time.sleep
