"""The cost of a rotation: CPU, time, calls to Secrets Manager, packets to the database.

    python benchmarks/rotation.py --server mariadb --strategy alternating-users --path DIR --handler module:function

Ours and the other take turns, each warm in its own process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from contenders import (
    OTHER,
    OURS,
    Pairing,
    Secret,
    Taken,
    another,
    ours,
    processes,
    quiet,
    ratio,
    spread,
    stage,
    where,
)
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rotators.testing.proxy import PacketProxy

# One more rotation creates each second user, and fills the caches.
_WARM_UP = 2


def measure(
    pairing: Pairing, *, turns: int, rotations: int
) -> tuple[dict[str, list[Taken]], dict[str, tuple[int, int]]]:
    """The measurements of each contender in each turn, and its connections and packets in one rotation.

    Args:
        pairing: what is measured.
        turns: how often each has its turn.
        rotations: in a turn.
    """
    with stage(pairing.server) as on:
        server, service = on.server, on.service
        contenders = [ours(on.root / "ours", server, pairing.strategy)]
        if pairing.path is not None:
            contenders.append(another(on.root / "other", server, pairing.path, pairing.handler, compiled=True))
        functions = processes(on.stack, contenders, on.endpoint)
        found: dict[str, list[Taken]] = {name: [] for name in functions}
        made = {
            name: Secret(service, server, function, alternating=pairing.alternating)
            for name, function in functions.items()
        }
        for secret in made.values():
            secret.rotate(_WARM_UP)
        for number in track(range(turns), description=str(pairing), transient=True):
            for name in found if number % 2 else reversed(found):
                found[name].append(made[name].rotate(rotations))
        packets = {}
        with PacketProxy(server.host, server.port) as proxy:
            for name, function in functions.items():
                through = Secret(service, server, function, alternating=pairing.alternating, port=proxy.port)
                through.rotate(_WARM_UP)
                proxy.reset()
                through.rotate()
                proxy.settle()
                packets[name] = proxy.connections, proxy.packets
    return found, packets


def rows(found: dict[str, list[Taken]], packets: dict[str, tuple[int, int]]) -> list[tuple[str, ...]]:
    """The table's rows."""
    made = [
        (
            name,
            spread([one.cpu for one in taken]),
            spread([one.wall for one in taken]),
            str(taken[-1].calls),
            str(packets[name][0]),
            str(packets[name][1]),
        )
        for name, taken in found.items()
    ]
    if OTHER in found:
        made.append(
            (
                "ratio",
                ratio([one.cpu for one in found[OURS]], [one.cpu for one in found[OTHER]]),
                ratio([one.wall for one in found[OURS]], [one.wall for one in found[OTHER]]),
                *("" for _ in range(3)),
            )
        )
    return made


def main(  # noqa: PLR0917  # how typer declares options
    server_kind: Annotated[str, typer.Option("--server", help="postgresql, mariadb or mysql.")] = "postgresql",
    strategy: Annotated[str, typer.Option(help="Ours; the other has an admin secret where ours has.")] = "single-user",
    path: Annotated[Path | None, typer.Option(help="The other's folder; its libraries there, or in ../lib.")] = None,
    handler: Annotated[str, typer.Option(help="The other's module:function.")] = "lambda_function:lambda_handler",
    turns: Annotated[int, typer.Option(min=2, help="Turns of each.")] = 10,
    rotations: Annotated[int, typer.Option(min=1, help="Rotations in a turn.")] = 5,
) -> None:
    """Print medians, and the middle half of the turns."""
    quiet()
    pairing = Pairing(server_kind, strategy, path, handler)
    found, packets = measure(pairing, turns=turns, rotations=rotations)
    title = f"a rotation on {pairing}; {where()}"
    table = Table("", "CPU (ms)", "wall (ms)", "calls", "connections", "packets", title=title)
    for row in rows(found, packets):
        table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
