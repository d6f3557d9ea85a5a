"""Two functions at once, as an asynchronous invocation may be delivered twice."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from targets import DUAL, MysqlTarget, rotated

from rotators.engines.mysql.mariadb import MariadbDialect
from rotators.engines.mysql.mysql import MysqlDialect
from rotators.testing import RotationService


def test_the_present_password_outlives_two_functions_that_add_the_same_one(
    mysql_family: MysqlTarget, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chaos: the one saw that the password was not there yet, the other one added it, and the first one once more."""
    subject = rotated(mysql_family, rotation_service, DUAL)
    assert rotation_service.rotate(subject.arn).succeeded
    rotation = rotation_service.stage(subject.arn)
    rotation_service.invoke(rotation, "createSecret")
    other = mysql_family.rotator(rotation_service, ROTATION_STRATEGY=DUAL)
    second = threading.Thread(target=other, args=(rotation.event("setSecret"),))
    dialect = MariadbDialect if mysql_family.kind == "mariadb" else MysqlDialect
    add = dialect.add_password

    def interrupted(self: Any, *arguments: Any) -> None:
        """The first one has read what there is: now the second one begins, and ends or has to wait."""
        if not second.ident:
            second.start()
            while second.is_alive() and not _waiting(mysql_family):
                time.sleep(0.01)
        add(self, *arguments)

    monkeypatch.setattr(dialect, "add_password", interrupted)
    rotation_service.invoke(rotation, "setSecret")
    second.join()
    assert subject.logs_in("AWSPENDING")
    assert subject.logs_in("AWSCURRENT")
    for step in ("testSecret", "finishSecret"):
        rotation_service.invoke(rotation, step)
    assert subject.logs_in("AWSPREVIOUS")


def _waiting(target: MysqlTarget) -> bool:
    """Whether a session waits for another one's lock."""
    return bool(target.server.query("SELECT 1 FROM information_schema.processlist WHERE state = 'User lock'"))
