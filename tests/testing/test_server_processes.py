from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from rotators.testing.servers import accounts, processes
from rotators.testing.servers.accounts import SystemAccount, reachable_copy, temporary_folder
from rotators.testing.servers.processes import (
    PortTaken,
    ServerFailed,
    ServerProcess,
    free_port,
    on_free_port,
    run_program,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run servers as someone else")
# Any account can run it: a virtual environment's python may be out of nobody's reach.
SHELL = "/bin/sh"
LISTEN = "import socket, sys; socket.create_server(('127.0.0.1', int(sys.argv[1])))"


@pytest.fixture
def account():
    return SystemAccount.for_servers()


@pytest.fixture
def folder(account):
    with temporary_folder(account) as path:
        yield path


@pytest.fixture
def start(account, folder):
    """Start a shell script as a server. What is left running is stopped at the end."""
    started = []

    def start(script, **options):
        process = ServerProcess(
            [SHELL, "-c", script], account=account, folder=folder, log_file=folder / "log", **options
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()


def wait_for_end(pid):
    """Wait until a process that is not our child has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([process], [], [], 10)[0], f"process {pid} is still there"
    finally:
        os.close(process)


def log(folder):
    return (folder / "log").read_text()


def test_runs_under_the_account_in_its_folder_with_an_environment_of_its_own(start, account, folder, monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-c nonsense=1")

    with start("id -u; id -g; id -G; pwd; env; echo READY; sleep 60", environment={"ICU_DATA": "/icu"}) as process:
        process.wait_until(lambda: "READY" in log(folder))

    uid, gid, groups, cwd, *environment = log(folder).splitlines()
    assert (int(uid), int(gid)) == (account.uid, account.gid)
    assert account.uid != 0
    assert not account.is_current or groups.split()[0] == str(os.getegid())
    assert account.is_current or groups == str(account.gid)
    assert Path(cwd) == folder
    assert "ICU_DATA=/icu" in environment
    # A MySQL that starts removes what others have in a folder for temporary files that they share.
    assert f"TMPDIR={folder}" in environment
    assert not any(line.startswith("PGOPTIONS") for line in environment)


def test_stop_ends_the_server_and_may_be_called_again(start):
    process = start("exec sleep 60")
    assert process.running

    process.stop()
    process.stop()

    assert not process.running
    wait_for_end(process.pid)


def test_stop_uses_the_signal_asked_for(start, folder):
    process = start("trap 'echo quit; exit' USR1; echo READY; while :; do sleep 0.01; done", stop_signal=signal.SIGUSR1)
    process.wait_until(lambda: "READY" in log(folder))

    process.stop()

    assert "quit" in log(folder)


def test_a_server_that_does_not_stop_is_killed(start, folder, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE", 0.1)
    process = start("trap '' TERM; echo READY; while :; do sleep 0.01; done")
    process.wait_until(lambda: "READY" in log(folder))

    process.stop()

    wait_for_end(process.pid)


def test_a_server_that_ends_by_itself_is_noticed_and_stop_is_no_error(start):
    process = start("exit 3")
    with pytest.raises(ServerFailed, match="code 3"):
        process.wait_until(lambda: False)

    process.stop()


def test_a_server_that_does_not_start_shows_the_end_of_its_log(start):
    process = start("for i in $(seq 100); do echo line $i; done; echo FATAL: no space >&2; exit 1")

    with pytest.raises(ServerFailed) as failure:
        process.wait_until(lambda: False)

    assert str(failure.value).endswith("line 99\nline 100\nFATAL: no space")
    assert "line 9\n" not in str(failure.value)


def test_a_server_that_is_never_ready_fails_at_the_time_limit(start):
    process = start("echo waiting for the moon; exec sleep 60")

    with pytest.raises(ServerFailed, match=r"not ready within 0\.1 s(?s:.*)waiting for the moon"):
        process.wait_until(lambda: False, timeout=0.1)


def test_a_program_that_is_not_there_is_an_error_with_its_name(account, folder):
    with pytest.raises(ServerFailed, match="no-such-server"):
        ServerProcess(["/no-such-server"], account=account, folder=folder, log_file=folder / "log")


# How a test process may end without tidying up.
ENDS = {
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "os._exit": "os._exit(1)",
    "an exception": "raise SystemExit(1)",
    "os._exit, well after the thread that started it": "time.sleep(0.2); assert process.running; os._exit(1)",
}


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_server_does_not_outlive_the_process_that_started_it(end):
    program = f"""
        import os, signal, threading, time
        from rotators.testing.servers.accounts import SystemAccount, temporary_folder
        from rotators.testing.servers.processes import ServerProcess
        account = SystemAccount.for_servers()
        manager = temporary_folder(account)
        folder = manager.__enter__()
        def start():
            global process
            process = ServerProcess([{SHELL!r}, "-c", "exec sleep 60"],
                                    account=account, folder=folder, log_file=folder / "log")
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        print(process.pid, folder, flush=True)
        {end}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode != 0
    pid, folder = done.stdout.split()
    wait_for_end(int(pid))
    wait_until_gone(Path(folder))


def wait_until_gone(path):
    # The watchdog removes the folder a moment after the server's end; its own end can't be waited for.
    for _ in range(500):
        if not path.exists():
            return
        select.select([], [], [], 0.01)
    pytest.fail(f"{path} is still there")


def test_a_port_in_use_is_told_apart(folder):
    us = SystemAccount(os.geteuid(), os.getegid())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = ServerProcess(
            [sys.executable, "-c", LISTEN, str(taken.getsockname()[1])],
            account=us,
            folder=folder,
            log_file=folder / "log",
        )
        with process, pytest.raises(PortTaken, match="Address already in use"):
            process.wait_until(lambda: False)


def test_an_earlier_start_with_its_port_taken_does_not_count_for_the_next(start, folder):
    (folder / "log").write_text("Address already in use\n")

    with pytest.raises(ServerFailed) as failure:
        start("exit 1").wait_until(lambda: False)

    assert not isinstance(failure.value, PortTaken)


def test_another_port_is_tried_when_one_is_taken():
    tried = []

    def start(port):
        tried.append(port)
        if len(tried) < 3:
            raise PortTaken("taken")
        return port

    assert on_free_port(start) == tried[2]


def test_ten_ports_taken_are_an_error():
    tried = []

    def start(port):
        tried.append(port)
        raise PortTaken("taken")

    with pytest.raises(PortTaken):
        on_free_port(start)
    assert len(tried) == 10


def test_a_free_port_can_be_listened_on():
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_a_program_gives_what_it_prints_or_an_error_with_the_end_of_it(account, folder):
    assert run_program([SHELL, "-c", "id -u"], account=account, folder=folder) == f"{account.uid}\n"
    with pytest.raises(ServerFailed, match=r"sh ended with code 4:\nno room"):
        run_program([SHELL, "-c", "echo no room >&2; exit 4"], account=account, folder=folder)
    long = "echo begun; echo '[ERROR] no memory'; for n in $(seq 50); do echo advice $n; done; exit 1"
    with pytest.raises(ServerFailed, match=r"code 1:\n\[ERROR\] no memory\nadvice 21\n"):
        run_program([SHELL, "-c", long], account=account, folder=folder)
    with pytest.raises(ServerFailed, match="/no-such-program could not be started"):
        run_program(["/no-such-program"], account=account, folder=folder)


def test_a_temporary_folder_is_the_accounts_own_and_goes_away(account):
    with temporary_folder(account) as folder:
        status = folder.stat()
        assert stat.S_IMODE(status.st_mode) == 0o700
        assert (status.st_uid, status.st_gid) == (account.uid, account.gid)
        assert account.reaches(folder / "file")
        (folder / "file").touch()
    assert not folder.exists()


@as_root
def test_a_temporary_folder_is_where_the_account_gets_to(account, tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with temporary_folder(account) as folder:
        assert folder.parent == Path("/tmp")  # noqa: S108 (where it must be)


def test_a_temporary_folder_is_in_the_usual_place(account, monkeypatch):
    with temporary_folder(account) as usual:
        monkeypatch.setattr(tempfile, "tempdir", str(usual))
        with temporary_folder(account) as folder:
            assert folder.parent == usual


def test_what_the_account_reaches_is_not_copied(account, folder):
    assert reachable_copy(folder, "programs-1", account) == folder


@pytest.fixture
def cache(monkeypatch):
    # Not below tmp_path, which is closed to others.
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o755)
        monkeypatch.setattr(accounts, "_CACHE", Path(place, "cache"))
        yield accounts._CACHE


@pytest.fixture
def strict_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def hidden(tmp_path, strict_umask):
    """A folder with a program, installed under a strict umask in a place such as root's home."""
    tmp_path.chmod(0o700)
    (tmp_path / "install/bin").mkdir(parents=True)
    (tmp_path / "install/lib").mkdir()
    (tmp_path / "install/lib/greeting-1").write_text("hello\n")
    (tmp_path / "install/lib/greeting").symlink_to("greeting-1")
    program = tmp_path / "install/bin/greet"
    program.write_text('#!/bin/sh\ncat "$(dirname "$0")/../lib/greeting"\n')
    program.chmod(0o700)
    return tmp_path / "install"


@as_root
def test_what_the_account_does_not_reach_is_copied_once(account, hidden, cache, folder):
    assert not account.reaches(hidden / "bin")

    copy = reachable_copy(hidden, "programs-1", account)

    assert copy == cache / "programs-1"
    assert run_program([copy / "bin/greet"], account=account, folder=folder) == "hello\n"
    shutil.rmtree(hidden / "lib")
    assert reachable_copy(hidden, "programs-1", account) == copy
    assert (copy / "lib/greeting").exists()
    assert [path.name for path in cache.iterdir()] == ["programs-1"]


@as_root
def test_when_two_processes_copy_at_once_one_copy_is_used(account, hidden, cache, monkeypatch):
    monkeypatch.setattr(accounts, "_open_to_all", lambda _: (cache / "programs-1/bin").mkdir(parents=True))

    assert reachable_copy(hidden, "programs-1", account) == cache / "programs-1"
    assert [path.name for path in cache.iterdir()] == ["programs-1"]
    assert not (cache / "programs-1/lib").exists()


@as_root
def test_a_cache_of_someone_else_is_not_used(account, hidden, cache):
    cache.mkdir()
    os.chown(cache, account.uid, account.gid)

    with pytest.raises(PermissionError, match="belongs to another user"):
        reachable_copy(hidden, "programs-1", account)


@as_root
def test_a_link_in_the_place_of_the_cache_is_not_followed(account, hidden, cache, tmp_path):
    cache.symlink_to(tmp_path)

    with pytest.raises(PermissionError, match="belongs to another user"):
        reachable_copy(hidden, "programs-1", account)


@as_root
def test_a_copy_that_fails_leaves_nothing(account, hidden, cache, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("no space left on device")

    monkeypatch.setattr(shutil, "copytree", fail)

    with pytest.raises(OSError, match="no space left"):
        reachable_copy(hidden, "programs-1", account)
    assert list(cache.iterdir()) == []


def test_ones_own_home_is_reached_and_a_strangers_is_not(tmp_path):
    tmp_path.chmod(0o700)

    assert SystemAccount(os.geteuid(), os.getegid()).reaches(tmp_path / "file")
    assert not SystemAccount(os.geteuid() + 1, os.getegid() + 1).reaches(tmp_path / "file")
