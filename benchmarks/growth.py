"""How a rotation with two users grows with grants, databases, secrets and roles.

    python benchmarks/growth.py --of grants --server mysql
    python benchmarks/growth.py --of roles --sizes 1 --sizes 100 --path DIR --handler module:function

Each size has its own user, with so many tables granted, databases with a table granted, roles, or other secrets
rotated by the same process before. The first rotation makes the second user or copies all to it; the one after next
finds both alike, and compares.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from contenders import Secret, another, make_user, ours, processes, quiet, stage, where
from rich.console import Console
from rich.table import Table

from rotators.testing.servers.postgres import PostgresServer

SIZES = {"grants": [10, 100, 1_000, 10_000], "databases": [1, 10, 100], "secrets": [1, 10, 100], "roles": [1, 10, 100]}
# A Lambda function's longest time.
_LONGEST = 900.0
_TOGETHER = 500


@contextmanager
def statements(server: Any, database: str | None = None) -> Iterator[Any]:
    """Run statements as the superuser."""
    postgres = isinstance(server, PostgresServer)
    connection = server.superuser(database) if postgres and database else server.superuser()
    with closing(connection), connection.cursor() as cursor:
        yield cursor.execute


def prepare(server: Any, kind: str, size: int, user: str) -> None:
    """Give a user this number of a kind."""
    name = f'"{user}"' if isinstance(server, PostgresServer) else f"'{user}'@'%'"
    if kind != "secrets":
        _PREPARE[kind](server, size, user, name)


def _grants(server: Any, size: int, user: str, name: str) -> None:
    with statements(server) as run:
        run(f"CREATE SCHEMA of_{user}")
        if not isinstance(server, PostgresServer):
            # MySQL accepts a grant on a table that does not exist if the grant includes CREATE.
            for number in range(size):
                run(f"GRANT SELECT, INSERT, CREATE ON of_{user}.t{number} TO {name}")
            return
        run(f"GRANT USAGE ON SCHEMA of_{user} TO {name}")
        for first in range(0, size, _TOGETHER):
            tables = [f"of_{user}.t{number}" for number in range(first, min(size, first + _TOGETHER))]
            run("".join(f"CREATE TABLE {table} (); GRANT SELECT, INSERT ON {table} TO {name};" for table in tables))


def _databases(server: Any, size: int, user: str, name: str) -> None:
    for number in range(size):
        database = f"{user}_{number}"
        with statements(server) as run:
            run(f"CREATE DATABASE {database}")
            if not isinstance(server, PostgresServer):
                run(f"GRANT SELECT, INSERT ON {database}.* TO {name}")
        if isinstance(server, PostgresServer):
            with statements(server, database) as run:
                run(f"CREATE TABLE t (x int); GRANT SELECT, INSERT ON t TO {name}")


def _roles(server: Any, size: int, user: str, name: str) -> None:
    with statements(server) as run:
        for number in range(size):
            run(f"CREATE ROLE {user}_r{number}")
            if isinstance(server, PostgresServer):
                run(f'GRANT {user}_r{number} TO "{server.admin.username}" WITH ADMIN OPTION')
            run(f"GRANT {user}_r{number} TO {name}")


_PREPARE = {"grants": _grants, "databases": _databases, "roles": _roles}


def main(
    of: Annotated[str, typer.Option(help=f"One of {', '.join(SIZES)}.")] = "grants",
    server_kind: Annotated[str, typer.Option("--server", help="postgresql, mariadb or mysql.")] = "postgresql",
    sizes: Annotated[list[int] | None, typer.Option(help="How many; may be given several times.")] = None,
    path: Annotated[Path | None, typer.Option(help="The other's folder; its libraries there, or in ../lib.")] = None,
    handler: Annotated[str, typer.Option(help="The other's module:function.")] = "lambda_function:lambda_handler",
) -> None:
    """Print a row for each size and contender."""
    quiet()
    table = Table(
        *(of, "", "first (s)", "its CPU (s)", "in step (s)", "its CPU (s)", "CPU of each (ms)"),
        title=f"growth with {of}, {server_kind}, alternating-users; {where()}",
    )
    with stage(server_kind, timeout=_LONGEST) as on:
        server, service = on.server, on.service
        contenders = [ours(on.root / "ours", server, "alternating-users")]
        if path is not None:
            contenders.append(another(on.root / "other", server, path, handler, compiled=True))
        functions = processes(on.stack, contenders, on.endpoint)
        for size in sizes or SIZES[of]:
            for name, function in functions.items():
                user = make_user(server)
                prepare(server, of, size, user[0])
                if of == "secrets":
                    for _ in range(size - 1):
                        Secret(service, server, function, alternating=True).rotate()
                begun = time.perf_counter()
                secret = Secret(service, server, function, alternating=True, user=user)
                try:
                    first = secret.rotate()
                    # Back to the first user, and again to the second: nothing differs now.
                    secret.rotate()
                    again = secret.rotate()
                except SystemExit as failed:
                    table.add_row(
                        f"{size:,}", name, f"failed after {time.perf_counter() - begun:.0f} s", str(failed)[:60]
                    )
                    continue
                table.add_row(
                    f"{size:,}",
                    name,
                    f"{first.wall:.2f}",
                    f"{first.cpu:.2f}",
                    f"{again.wall:.2f}",
                    f"{again.cpu:.2f}",
                    f"{again.cpu / size * 1000:.2f}",
                )
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
