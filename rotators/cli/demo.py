"""``rotators demo``: real rotations of a real PostgreSQL user, while an application keeps logging in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from rotators.cli.quiet import silence_logs
from rotators.cli.screen import Screen
from rotators.errors import ConfigurationError, RotationError, UnexpectedError

_STEPS = {
    ("single-user", "createSecret"): "a new password is stored, and nothing else has changed",
    ("single-user", "setSecret"): "password and label change together: one commit in the database",
    ("single-user", "testSecret"): "the new password logs in and reads",
    ("single-user", "finishSecret"): "nothing is left to do; the service removes AWSPENDING",
    ("alternating-users", "createSecret"): "the other user's new password is stored",
    ("alternating-users", "setSecret"): "the admin makes the two users equal, and sets the password last",
    ("alternating-users", "testSecret"): "the other user logs in and reads; the first one still works",
    ("alternating-users", "finishSecret"): "AWSCURRENT moves; an application with the former secret still logs in",
}
_EXPLANATIONS = {
    "single-user": "One user changes its own password. Only a login that is under way in the moment of the commit "
    "can be refused.",
    "alternating-users": "app and app_clone take turns, each the exact equal of the other. No login is refused at any "
    "moment.",
}
_PASSWORD_STATEMENT = re.compile(r"ALTER ROLE \S+ PASSWORD '(?:SCRAM-SHA-256\$|md5)[^']{0,28}")


@dataclass(frozen=True)
class _Result:
    strategy: str
    rotations: int
    total: int
    refused: int
    longest_refusal: float


def demo(
    rotations: Annotated[
        int, typer.Option("--rotations", "-n", min=1, max=50, help="Rotations with each strategy.")
    ] = 3,
) -> None:
    """Rotate a real PostgreSQL secret under a running application, here and now, without an AWS account.

    A PostgreSQL server starts in a temporary folder, as RDS would run it, and ends with the demo. Secrets Manager
    and its rotation service are simulated.

    Example: rotators demo --rotations 5
    """
    try:
        from rotators.cli import _demo_parts as parts  # noqa: PLC0415  # what it needs is an extra
    except ModuleNotFoundError as missing:
        raise ConfigurationError(
            f"the demo needs {missing.name}, which is not installed", "pip install 'rotators[demo]'"
        ) from None
    silence_logs()
    screen = Screen()
    with parts.start_server() as server, parts.RotationService() as service:
        screen.title(
            "rotators demo",
            f"A real {server.installation.name} over TLS, with an admin that has RDS's rights and no more. "
            "Secrets Manager is simulated, rotation service and all.",
        )
        results = [
            _rotate(screen, parts, server, service, strategy=strategy, rotations=rotations)
            for strategy in ("single-user", "alternating-users")
        ]
        _report_logins(screen, results)
        _report_log(screen, server, parts.made_passwords())
    if any(result.refused for result in results if result.strategy == "alternating-users"):
        raise UnexpectedError("a login was refused with alternating users", "please report it")


def _rotate(screen: Screen, parts: Any, server: Any, service: Any, *, strategy: str, rotations: int) -> _Result:
    screen.chapter(strategy, _EXPLANATIONS[strategy])
    arn = parts.make_secret(server, service, strategy)
    names: dict[str, str] = {}

    def versions() -> list[tuple[str, list[str]]]:
        labels = service.labels(arn)
        for token in labels:
            names.setdefault(token, f"v{len(names) + 1}")
        return [(names[token], sorted(stages)) for token, stages in labels.items()]

    def watch(_: Any, step: str) -> None:
        screen.labels(step, versions(), _STEPS[strategy, step])

    service.after_step = [watch]
    screen.labels("before", versions(), f"user {service.value(arn)['username']}")
    with parts.application(server, service, arn) as application:
        for number in range(rotations):
            # The steps are the same each time: once is enough to see them.
            service.after_step = [watch] if number == 0 else []
            rotation = service.rotate(arn)
            if not rotation.succeeded:
                raise (
                    rotation.error
                    if isinstance(rotation.error, RotationError)
                    else UnexpectedError(f"the rotation failed: {type(rotation.error).__name__}")
                )
            application.wait_for_logins(15)
            screen.labels(f"rotation {number + 1}", versions(), f"user {service.value(arn)['username']}")
    count = application.count
    return _Result(strategy, rotations, count.total, count.refused, count.longest_refusal)


def _report_logins(screen: Screen, results: list[_Result]) -> None:
    screen.table(
        "The application reads the secret and logs in, again and again",
        ("strategy", "rotations", "logins", "refused", "longest refusal"),
        [
            (
                result.strategy,
                str(result.rotations),
                str(result.total),
                str(result.refused),
                f"{result.longest_refusal * 1000:.0f} ms" if result.refused else "none",
            )
            for result in results
        ],
    )


def _report_log(screen: Screen, server: Any, passwords: list[str]) -> None:
    log = server.log_text()
    statements = _PASSWORD_STATEMENT.findall(log)
    shown = sum(password in log for password in passwords)
    screen.chapter(
        "The server's own log",
        "Every statement is logged here. The database gets a verifier, made in the function, and never a password.",
    )
    if statements:
        screen.say(f"  {statements[-1]}…", "dim")
    screen.say(
        f"  {len(statements)} statements set a password; {shown} of {len(passwords)} passwords can be read in the log.",
        "bold red" if shown else "bold green",
    )
    if shown:
        raise UnexpectedError("the server's log contains a password", "please report it")
