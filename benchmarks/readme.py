"""README's table: ours against a checkout of AWS's templates, on PostgreSQL and MariaDB, with one user and with two.

    python benchmarks/readme.py --against DIR

DIR is a checkout of github.com/aws-samples/aws-secrets-manager-rotation-lambdas; its folder lib holds the drivers, by
`pip install --target DIR/lib PyGreSQL PyMySQL`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cold
import rotation
import typer
from contenders import OTHER, OURS, Pairing, quiet, ratio, where

HANDLER = "lambda_function:lambda_handler"


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Args:
        server: the database.
        strategy: ours.
        template: AWS's, by the name of its folder.
    """

    server: str
    strategy: str
    template: str


CASES = (
    Case("postgresql", "single-user", "SecretsManagerRDSPostgreSQLRotationSingleUser"),
    Case("postgresql", "alternating-users", "SecretsManagerRDSPostgreSQLRotationMultiUser"),
    Case("mariadb", "single-user", "SecretsManagerRDSMariaDBRotationSingleUser"),
    Case("mariadb", "alternating-users", "SecretsManagerRDSMariaDBRotationMultiUser"),
)
HEAD = (
    *("", "CPU", "wall", "calls", "import, both compiled", "import, as deployed"),
    *("first rotation, as deployed", "memory, as deployed"),
)


def row(case: Case, path: Path, turns: int, starts: int) -> list[str]:
    """The figures of a case: ours divided by the template's."""
    pairing = Pairing(case.server, case.strategy, path, HANDLER)
    taken, _ = rotation.measure(pairing, turns=turns, rotations=5)
    started = cold.measure(pairing, starts)
    mine, plain = started[OURS, cold.COMPILED], started[OTHER, cold.PLAIN]
    return [
        f"{case.server}, {case.strategy}",
        ratio([one.cpu for one in taken[OURS]], [one.cpu for one in taken[OTHER]]),
        ratio([one.wall for one in taken[OURS]], [one.wall for one in taken[OTHER]]),
        f"{taken[OURS][-1].calls} : {taken[OTHER][-1].calls}",
        ratio([one.wall for one in mine], [one.wall for one in started[OTHER, cold.COMPILED]]),
        ratio([one.wall for one in mine], [one.wall for one in plain]),
        ratio([one.rotation for one in mine], [one.rotation for one in plain]),
        ratio([one.memory for one in mine], [one.memory for one in plain]),
    ]


def main(
    against: Annotated[Path, typer.Option(help="The checkout, with the folder lib.")],
    turns: Annotated[int, typer.Option(min=2, help="Turns of each, of five rotations.")] = 10,
    starts: Annotated[int, typer.Option(min=2, help="Cold starts of each kind.")] = 10,
) -> None:
    """Print the table in Markdown: medians of the ratios, and the middle half of them."""
    quiet()
    missing = [case.template for case in CASES if not (against / case.template).is_dir()]
    if missing:
        raise SystemExit(f"{against} has no folder {missing[0]}: name a checkout of AWS's templates")
    print(f"{where()}\n\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for case in CASES:
        print(f"| {' | '.join(row(case, against / case.template, turns, starts))} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
