from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rotators.testing.servers import mysql
from rotators.testing.servers.mysql import MysqlServer
from rotators.testing.servers.processes import ServerFailed

VARIABLES = ("ROTATORS_TEST_MARIADB", "ROTATORS_TEST_MYSQL")


def fake_installation(folder: Path, program: str, answer: str) -> Path:
    folder.mkdir(parents=True)
    (folder / program).write_text(f"#!/bin/sh\necho '{program}  {answer}'\n")
    (folder / program).chmod(0o755)
    return folder / program


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Look for installations on a machine that has only those of the test."""
    monkeypatch.setattr(mysql, "_path", lambda: str(tmp_path / "path"))
    monkeypatch.setattr(mysql, "unpacked", lambda: tmp_path / "cache/mysql-9")
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return mysql.available.__wrapped__


def test_nothing_there_is_nothing_found(look):
    assert look() == ()


def test_path_and_the_cache_folder_are_looked_at(look, tmp_path):
    fake_installation(tmp_path / "path", "mariadbd", "Ver 10.11.18-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64")
    # On Debian MySQL's name leads to MariaDB.
    (tmp_path / "path/mysqld").symlink_to("mariadbd")
    fake_installation(tmp_path / "cache/mysql-9/usr/sbin", "mysqld", "Ver 9.7.4-2 for Linux on x86_64 ((Debian))")

    assert [one.name for one in look()] == ["MariaDB 10.11.18 (PATH)", "MySQL 9.7.4 (Debian unstable)"]


def test_several_of_each_are_named_and_none_comes_twice(look, tmp_path, monkeypatch):
    """Issue 12, E23."""
    fake_installation(tmp_path / "path", "mariadbd", "Ver 10.11.18-MariaDB for debian-linux-gnu on x86_64")
    for folder, version in (("a", "11.8.9"), ("b", "10.5.23"), ("c", "10.11.18")):
        fake_installation(tmp_path / folder / "usr/sbin", "mariadbd", f"Ver {version}-MariaDB for debian-linux-gnu")
    for folder, version in (("d", "8.4.1"), ("e", "9.7.4")):
        fake_installation(tmp_path / folder / "bin", "mysqld", f"Ver {version} for Linux on x86_64")
    monkeypatch.setenv("ROTATORS_TEST_MARIADB", ":".join(str(tmp_path / folder) for folder in "abc"))
    monkeypatch.setenv("ROTATORS_TEST_MYSQL", ":".join(str(tmp_path / folder) for folder in "de"))

    assert [(one.kind, one.version, one.named) for one in look()] == [
        ("mariadb", "10.5.23", True),
        ("mariadb", "10.11.18", False),
        ("mariadb", "11.8.9", True),
        ("mysql", "8.4.1", True),
        ("mysql", "9.7.4", True),
    ]


def test_what_a_server_needs_of_its_folder_it_is_told(look, tmp_path, monkeypatch):
    """What is compiled in are places of the machine that built it."""
    for folder in ("lib/mysql/plugin", "share/mysql/charsets"):
        (tmp_path / "d/usr" / folder).mkdir(parents=True)
    fake_installation(tmp_path / "d/usr/sbin", "mysqld", "Ver 9.7.4 for Linux on x86_64")
    monkeypatch.setenv("ROTATORS_TEST_MYSQL", str(tmp_path / "d"))

    (found,) = look()

    base = tmp_path / "d/usr"
    assert found.options[:4] == (
        f"--basedir={base}",
        f"--plugin-dir={base}/lib/mysql/plugin",
        f"--lc-messages-dir={base}/share/mysql",
        f"--character-sets-dir={base}/share/mysql/charsets",
    )


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_folder_that_is_named_and_holds_none_is_an_error(look, tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))

    with pytest.raises(LookupError, match=f"{variable} names .*nowhere, where no (MariaDB|MySQL) is"):
        look()


@pytest.mark.parametrize("place", ["usr/sbin", "usr/bin", "usr/scripts"])
def test_mariadbs_data_folder_is_made_by_what_came_with_it(look, tmp_path, monkeypatch, place):
    """Not by that of another version on PATH."""
    fake_installation(tmp_path / "a/usr/sbin", "mariadbd", "Ver 11.8.9-MariaDB for debian-linux-gnu")
    monkeypatch.setenv("ROTATORS_TEST_MARIADB", str(tmp_path / "a"))
    (found,) = look()
    with pytest.raises(ServerFailed, match="there is no mariadb-install-db in any of"):
        found.install_db  # noqa: B018  # a property that raises
    (tmp_path / "a" / place).mkdir(exist_ok=True)
    (tmp_path / "a" / place / "mariadb-install-db").touch()

    assert found.install_db == tmp_path / "a" / place / "mariadb-install-db"


@pytest.mark.server
@pytest.mark.parametrize("installation", mysql.available(), ids=lambda one: f"{one.kind}-{one.version}")
def test_the_installations_version_is_the_servers_and_a_restart_loses_nothing(installation):
    with MysqlServer(installation, options=("--innodb-flush-log-at-trx-commit=2",)) as server:
        assert str(server.query("SELECT version()")[0][0]).startswith(installation.version)
        server.connect(server.admin.username, server.admin.password).close()
        port, process = server.port, server.process.pid
        server.query("CREATE USER committed")
        server.restart()
        assert server.query("SELECT User FROM mysql.user WHERE User = 'committed'")
        assert server.port == port
        assert server.process.pid != process


@pytest.mark.server
def test_a_data_folder_that_cannot_be_made_says_why():
    found = next((one for one in mysql.available() if one.kind == "mariadb"), None)
    if found is None:
        pytest.skip("MariaDB is not installed")

    with pytest.raises(ServerFailed, match="there is no mariadb-install-db"):
        MysqlServer(replace(found, server=Path("nowhere/sbin/mariadbd")))
