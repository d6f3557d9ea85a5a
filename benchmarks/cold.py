"""A cold start: import, first rotation and memory, with compiled modules and without.

    python benchmarks/cold.py --path DIR --handler module:function

Each start is a process of its own, from folders that nobody can write, under AWS's own runtime client. The import is
that of the handler and of a client for Secrets Manager. All take turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from contenders import (
    OTHER,
    OURS,
    Contender,
    Pairing,
    Secret,
    another,
    ours,
    quiet,
    ratio,
    spread,
    stage,
    where,
)
from rich.console import Console
from rich.progress import track
from rich.table import Table

COMPILED, PLAIN = "compiled", "not compiled"


@dataclass
class Start:
    """The measurements of one start.

    Args:
        wall: seconds of the import.
        cpu: CPU seconds of the import.
        rotation: seconds of the first rotation.
        memory: resident bytes after it.
    """

    wall: float
    cpu: float
    rotation: float
    memory: int


def measure(pairing: Pairing, starts: int) -> dict[tuple[str, str], list[Start]]:
    """The starts of each contender, with and without compiled modules.

    Args:
        pairing: what is measured.
        starts: how many of each.
    """
    found: dict[tuple[str, str], list[Start]] = {}
    with stage(pairing.server) as on:
        server, service = on.server, on.service
        contenders: dict[tuple[str, str], Contender] = {}
        for way in (COMPILED, PLAIN):
            compiled = way == COMPILED
            contenders[OURS, way] = ours(on.root / f"ours {way}", server, pairing.strategy, compiled=compiled)
            if pairing.path is not None:
                contenders[OTHER, way] = another(
                    on.root / f"other {way}",
                    server,
                    pairing.path,
                    pairing.handler,
                    compiled=compiled,
                    with_client=True,
                )
        found = {key: [] for key in contenders}
        for number in track(range(starts), description=str(pairing), transient=True):
            for key in contenders if number % 2 else reversed(contenders):
                with contenders[key].start(on.endpoint) as function:
                    if function.import_seconds is None or function.import_cpu is None:
                        raise SystemExit("".join(function.output))
                    taken = Secret(service, server, function, alternating=pairing.alternating).rotate()
                    start = Start(function.import_seconds, function.import_cpu, taken.wall, function.resident_bytes)
                found[key].append(start)
    return found


def rows(found: dict[tuple[str, str], list[Start]]) -> list[tuple[str, ...]]:
    """The table's rows."""
    made = [
        (
            f"{name}, {way}",
            spread([one.wall for one in starts], digits=0),
            spread([one.cpu for one in starts], digits=0),
            spread([one.rotation for one in starts], digits=0),
            spread([one.memory for one in starts], factor=1 / 2**20),
        )
        for (name, way), starts in found.items()
    ]
    for label, mine, others in (
        ("ratio, both compiled", COMPILED, COMPILED),
        ("ratio, neither", PLAIN, PLAIN),
        ("ratio, as each is deployed", COMPILED, PLAIN),
    ):
        if (OTHER, others) in found:
            one, other = found[OURS, mine], found[OTHER, others]
            values = [
                ratio([getattr(start, name) for start in one], [getattr(start, name) for start in other])
                for name in ("wall", "cpu", "rotation", "memory")
            ]
            made.append((label, *values))
    return made


def main(
    server_kind: Annotated[str, typer.Option("--server", help="postgresql, mariadb or mysql.")] = "postgresql",
    strategy: Annotated[str, typer.Option(help="Ours; the other has an admin secret where ours has.")] = "single-user",
    path: Annotated[Path | None, typer.Option(help="The other's folder; its libraries there, or in ../lib.")] = None,
    handler: Annotated[str, typer.Option(help="The other's module:function.")] = "lambda_function:lambda_handler",
    starts: Annotated[int, typer.Option(min=2, help="Cold starts of each kind.")] = 10,
) -> None:
    """Print medians, and the middle half of the starts."""
    quiet()
    pairing = Pairing(server_kind, strategy, path, handler)
    table = Table(
        *("", "import (ms)", "its CPU (ms)", "first rotation (ms)", "memory (MiB)"),
        title=f"cold starts, {pairing}; {where()}",
    )
    for row in rows(measure(pairing, starts)):
        table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
