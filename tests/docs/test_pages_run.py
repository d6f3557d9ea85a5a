"""What the pages of strategies, networks, costs and going back say is true on a server, or taken by the app."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from targets import ALTERNATING, SINGLE, MysqlTarget, PostgresTarget, Rotated, rotated

from infra.config.load import load
from rotators.testing import RotationService
from rotators.testing.servers.postgres import available as postgres_available

DOCS = Path(__file__).parents[2] / "docs"
GO_BACK = (DOCS / "how-to/go-back.md").read_text()
NEWEST = postgres_available()[-1:] or [None]
newest_postgres = pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)


@pytest.mark.parametrize("page", ["another-account", "private-network"])
def test_the_yaml_of_a_page_is_taken(page: str, tmp_path: Path) -> None:
    (block,) = re.findall(
        r"^( *)```yaml\n(.*?)^ *```", (DOCS / f"how-to/{page}.md").read_text(), re.DOTALL | re.MULTILINE
    )
    file = tmp_path / "rotations.yaml"
    file.write_text(re.sub(rf"^{block[0]}", "", block[1], flags=re.MULTILINE))
    assert len(load(file).secrets) == 1


def alternated(target: Any, service: RotationService) -> Rotated:
    """A secret whose two users have both been made."""
    made = rotated(target, service, ALTERNATING)
    for _ in range(2):
        rotation = service.rotate(made.arn)
        assert rotation.succeeded, rotation.error
    return made


@newest_postgres
def test_the_password_before_logs_in_again_with_two_users_and_the_next_rotation_goes_on(
    postgres: PostgresTarget, rotation_service: RotationService
) -> None:
    subject = alternated(postgres, rotation_service)
    before = rotation_service.value(subject.arn, "AWSPREVIOUS")
    labels = {label: version for version, all_ in rotation_service.labels(subject.arn).items() for label in all_}
    rotation_service.client.update_secret_version_stage(
        SecretId=subject.arn,
        VersionStage="AWSCURRENT",
        MoveToVersionId=labels["AWSPREVIOUS"],
        RemoveFromVersionId=labels["AWSCURRENT"],
    )
    assert subject.value == before
    assert subject.logs_in("AWSCURRENT")
    assert rotation_service.rotate(subject.arn).succeeded


@newest_postgres
def test_with_one_user_it_does_not(postgres: PostgresTarget, rotation_service: RotationService) -> None:
    subject = rotated(postgres, rotation_service, SINGLE)
    assert rotation_service.rotate(subject.arn).succeeded
    assert not subject.logs_in("AWSPREVIOUS")


def statements(number: int) -> Iterator[str]:
    """Those of the page's block, counted from 0."""
    blocks = re.findall(r"```sql\n(.*?)```", re.sub(r"^   ", "", GO_BACK, flags=re.MULTILINE), re.DOTALL)
    yield from blocks[number].split(";\n")[:-1]


def leave(subject: Rotated, service: RotationService, run: Any, number: int) -> None:
    """Rotate as a single user from here on, and drop the second one as the page says."""
    user = subject.value["username"]
    assert not user.endswith("_clone")
    service.configure(subject.arn, subject.target.rotator(service, ROTATION_STRATEGY=SINGLE))
    for statement in statements(number):
        run(statement.replace("app_clone", f"{user}_clone"))
    rotation = service.rotate(subject.arn)
    assert rotation.succeeded, rotation.error
    assert subject.value["username"] == user
    subject.target.work(subject.value)


@newest_postgres
def test_two_users_become_one_on_postgres(postgres: PostgresTarget, rotation_service: RotationService) -> None:
    leave(alternated(postgres, rotation_service), rotation_service, postgres.as_admin, 0)


def test_two_users_become_one_on_mysql_and_mariadb(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    leave(alternated(mysql_family, rotation_service), rotation_service, mysql_family.as_admin, 1)


@newest_postgres
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
def test_a_rotation_makes_as_many_calls_as_the_page_of_costs_says(
    strategy: str, postgres: PostgresTarget, rotation_service: RotationService
) -> None:
    said = re.search(
        r"rotation: (\d+) with a single user, (\d+) with alternating users", (DOCS / "explanation/cost.md").read_text()
    )
    assert said is not None
    subject = rotated(postgres, rotation_service, strategy)
    first = len(rotation_service.calls)
    assert rotation_service.rotate(subject.arn).succeeded
    assert len(rotation_service.calls) - first == int(said[1 if strategy == SINGLE else 2])
