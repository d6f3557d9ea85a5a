"""A program of Django's, run by a test in its own process: Django's settings are a process's.

Usage: django_application.py KIND, with what the test gives in its environment. For each line on its standard input it
makes some requests, and writes a line: the failures, and the ids of the server's sessions that served. Of a line
"refresh" the secret is read again before.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

import django
from django.conf import settings
from django.core.signals import request_finished, request_started

from rotators.client import Secret

KIND = sys.argv[1]
QUERY = "SELECT CONNECTION_ID()" if KIND == "mysql" else "SELECT pg_backend_pid()"
CA_FILE = os.environ["CA_FILE"]


def database() -> dict[str, Any]:
    """The settings' entry."""
    secret = Secret(os.environ["SECRET"], max_age=float(os.environ["MAX_AGE"]))
    if KIND == "mysql":
        import ssl  # noqa: PLC0415

        import pymysql  # noqa: PLC0415

        # Django's backend is written for mysqlclient, whose place PyMySQL can take.
        pymysql.version_info = (2, 2, 7, "final", 0)
        pymysql.install_as_MySQLdb()
        options: dict[str, Any] = {"secret": secret, "ssl": ssl.create_default_context(cafile=CA_FILE)}
        return {"ENGINE": "rotators.client.django.mysql", "NAME": "", "OPTIONS": options, "CONN_MAX_AGE": None}
    options = {"secret": secret, "sslmode": "verify-full", "sslrootcert": CA_FILE}
    entry = {"ENGINE": "rotators.client.django.postgresql", "NAME": "postgres", "OPTIONS": options}
    if KIND == "pool":
        options["pool"] = {"min_size": 1, "max_size": 2}
        return entry | {"CONN_HEALTH_CHECKS": True}
    return entry | {"CONN_MAX_AGE": None}


def main() -> None:
    """Serve."""
    settings.configure(DATABASES={"default": database()}, USE_TZ=True)
    django.setup()
    from django.db import connection, connections  # noqa: PLC0415  # after the settings

    def requests() -> dict[str, Any]:
        failures, sessions = [], []
        for _ in range(5):
            # What Django's handlers send around each request.
            request_started.send(sender=None)
            try:
                with connection.cursor() as cursor:
                    cursor.execute(QUERY)
                    sessions.append(cursor.fetchone()[0])
            except Exception as error:  # noqa: BLE001  # counted
                failures.append(f"{type(error).__name__}: {error}")
            request_finished.send(sender=None)
        return {"failures": failures, "sessions": sessions}

    # One thread, as a worker has: Django's connections are a thread's own.
    def work() -> None:
        for line in sys.stdin:
            if line.strip() == "refresh":
                settings.DATABASES["default"]["OPTIONS"]["secret"].refresh()
            print(json.dumps(requests()), flush=True)  # noqa: T201  # the test reads it
        connections.close_all()
        if KIND == "pool":
            connection.close_pool()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


main()
