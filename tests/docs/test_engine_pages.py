"""The page of each engine: its statements make two users, its secrets rotate them, and its YAML is taken."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from targets import (
    ALTERNATING,
    Db2Target,
    MongoTarget,
    MysqlTarget,
    OracleDouble,
    PostgresTarget,
    RedshiftTarget,
    SqlserverDouble,
)

from infra.config.load import load
from rotators.engines.specs import SPECS
from rotators.testing import RotationService
from rotators.testing.servers.postgres import available as postgres_available

FOLDER = Path(__file__).parents[2] / "docs/how-to"
ENGINES = ("db2", "documentdb", "mysql", "oracle", "postgres", "redshift", "sqlserver")
NEWEST = postgres_available()[-1:] or [None]


@pytest.mark.parametrize("name", sorted(SPECS))
def test_each_engine_has_a_page_in_the_reference(name: str) -> None:
    pages = [FOLDER.parent / f"reference/{stem}.md" for stem in (name, SPECS[name].driver_layer)]
    text = next(page.read_text() for page in pages if page.exists())
    assert f"`{name}`" in text
    assert "**Tested on**" in text


class Page:
    """A page with passwords of its own in place of those that it shows: some servers log what sets them."""

    def __init__(self, engine: str) -> None:
        self.text = (FOLDER / f"rotate-{engine}.md").read_text()
        self.passwords = {name: f"Aa1-{secrets.token_urlsafe(15)}" for name in ("USER-PASSWORD", "ADMIN-PASSWORD")}

    def blocks(self, language: str) -> list[str]:
        found = re.findall(rf"```{language}\n(.*?)```", self.text, re.DOTALL)
        for shown, password in self.passwords.items():
            found = [block.replace(shown, password) for block in found]
        return found

    def statements(self) -> list[str]:
        (block,) = self.blocks("sql")
        return [line.rstrip(";") for line in block.splitlines()]


def rotates(page: Page, target: Any, service: RotationService, **address: Any) -> None:
    """Rotate the page's secret twice, with the page's admin."""
    user, admin = (json.loads(block) | address for block in page.blocks("json"))
    rotator = target.rotator(service, ROTATION_STRATEGY=ALTERNATING)
    admin_arn = service.create_secret(f"admin-{secrets.token_hex(4)}", admin, rotator)
    arn = service.create_secret(f"app-{secrets.token_hex(4)}", {**user, "masterarn": admin_arn}, rotator)
    for _ in range(2):
        rotation = service.rotate(arn)
        assert rotation.succeeded, rotation.error
    assert service.value(arn)["username"] == user["username"]
    target.log_in(service.value(arn))


@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
def test_postgres(postgres: PostgresTarget, rotation_service: RotationService) -> None:
    page = Page("postgres")
    for statement in page.statements():
        if statement.startswith("\\password "):
            name = statement.removeprefix("\\password ")
            password = page.passwords["ADMIN-PASSWORD" if "admin" in name else "USER-PASSWORD"]
            postgres.set_password(name, password)
        else:
            postgres.as_admin(statement)
    rotates(page, postgres, rotation_service, host=postgres.server.host, port=postgres.server.port)


def test_mysql_and_mariadb(mysql_family: MysqlTarget, rotation_service: RotationService) -> None:
    page = Page("mysql")
    mysql_family.as_admin("CREATE DATABASE orders")
    for statement in page.statements():
        mysql_family.as_admin(statement)
    kind = {"engine": mysql_family.kind, "host": mysql_family.server.host, "port": mysql_family.server.port}
    rotates(page, mysql_family, rotation_service, **kind)


def test_documentdb(mongo: MongoTarget, rotation_service: RotationService) -> None:
    page = Page("documentdb")
    (block,) = page.blocks("js")
    for line in block.splitlines():
        called = re.fullmatch(r'db\.getSiblingDB\("(\w+)"\)\.runCommand\((.*)\)', line)
        assert called is not None
        mongo.as_admin(json.loads(called[2]), called[1])
    rotates(page, mongo, rotation_service, host=mongo.server.host, port=mongo.server.port)


def test_sqlserver(sqlserver: SqlserverDouble, rotation_service: RotationService) -> None:
    page = Page("sqlserver")
    here = sqlserver.address
    database = ""
    for statement in page.statements():
        words = statement.replace("[orders]", f"[{here.database}]")
        if words.startswith("USE "):
            database = words.removeprefix("USE [").removesuffix("]")
        else:
            sqlserver.as_root(database, words)
    rotates(page, sqlserver, rotation_service, host=here.host, port=here.port, dbname=here.database)


def test_oracle(oracle: OracleDouble, rotation_service: RotationService) -> None:
    page = Page("oracle")
    for statement in page.statements():
        oracle.as_root(statement)
    here = oracle.address
    rotates(page, oracle, rotation_service, host=here.host, port=here.port, dbname=here.database)


def test_redshift(redshift: RedshiftTarget, rotation_service: RotationService) -> None:
    page = Page("redshift")
    for statement in page.statements():
        redshift.as_admin(statement.replace("DATABASE dev", "DATABASE postgres"))
    server = redshift.server
    admin: Callable[..., dict[str, Any]] = server.admin_secret
    page.passwords["ADMIN-PASSWORD"] = admin()["password"]
    page.text = page.text.replace("awsuser", admin()["username"])
    rotates(page, redshift, rotation_service, host=server.host, port=server.port, dbname="postgres")


def test_db2(db2: Db2Target, rotation_service: RotationService) -> None:
    page = Page("db2")
    made = db2.make_bare("orders_app")
    page.passwords |= {"USER-PASSWORD": made.password, "ADMIN-PASSWORD": db2.admin_secret()["password"]}
    address = {key: db2.admin_secret()[key] for key in ("host", "port")}
    rotates(page, db2, rotation_service, **address)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_yaml_is_taken_and_the_commands_name_what_the_page_made(engine: str, tmp_path: Path) -> None:
    page = (FOLDER / f"rotate-{engine}.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "rotations.yaml"
    file.write_text(block)
    (secret,) = load(file).secrets
    for name, json_file in ((secret.name, "app.json"), (secret.admin, "admin.json")):
        assert f"aws secretsmanager create-secret --name {name} --secret-string file://{json_file}\n" in page
    engines = {json.loads(one)["engine"] for one in re.findall(r"```json\n(.*?)```", page, re.DOTALL)}
    assert engines == {secret.engine}
    local = re.findall(r"^    rotators local (\w+) app.json --admin admin.json", page, re.MULTILINE)
    assert local == ([] if engine == "db2" else [secret.engine])
