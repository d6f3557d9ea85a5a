"""``rotators rotate``: what is chosen, how it is followed, and how a run that was broken off goes on."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from rich.console import Console
from rotate_parts import (
    CANARY,
    Fine,
    Refusing,
    ServiceTime,
    Slow,
    deploy,
    journal_of,
    make,
    outcomes,
    run,
    successes,
    tokens,
)

from rotators.checks.aws import AwsRefused
from rotators.cli import aws, rotate
from rotators.cli.aws import Account
from rotators.cli.failed_steps import FailedStep
from rotators.cli.listed import Function
from rotators.cli.quiet import silence_logs
from rotators.cli.rotate_choice import rotations_to_revoke
from rotators.cli.rotate_journal import Journal
from rotators.cli.rotate_look import Seen, judge
from rotators.cli.rotate_pace import ROTATIONS_A_SECOND, TokenBucket
from rotators.cli.rotate_screen import Screen
from rotators.errors import ConfigurationError
from rotators.testing import Refusal, RotationService

PLACES = {"regions": ["eu-west-1"], "profiles": [], "accounts": None, "role": None}
HEAD = {"journal": 1, "run": "r", "what": "w", "callers": [], "at": "2026-01-01T00:00:00+00:00", "places": PLACES}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the journals are written; the command lives in the service's time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rotate, "clock", ServiceTime(rotation_service))
    # The functions run in this process, and their log and metrics are none of the command's output.
    silence_logs()
    return tmp_path


def interrupt_after(service: RotationService, waits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotate, "clock", ServiceTime(service, waits))


def test_all_are_rotated_and_the_report_says_who_when_and_which_versions(rotation_service: RotationService) -> None:
    arns = {name: make(rotation_service, name) for name in ("prod/a", "prod/b")}
    before = {arn: list(rotation_service.labels(arn)) for arn in arns.values()}
    code, stdout, stderr = run("--all", "--yes", "--report", "r.json", "--report", "r.txt", "--output", "text")
    assert code == 0, stderr
    assert stdout.startswith(
        "2 secrets: 2 rotated\nwhat: rotate all secrets\nby: arn:aws:sts::123456789012:user/moto\n"
    )
    assert Path("r.txt").read_text() == stdout
    assert successes(rotation_service) == dict.fromkeys(arns.values(), 1)
    report = json.loads(Path("r.json").read_text())
    assert report["callers"] == ["arn:aws:sts::123456789012:user/moto"]
    for row in report["secrets"]:
        (turn,) = row["rotations"]
        assert turn["version_id_before"] in before[row["arn"]]
        assert "AWSCURRENT" in rotation_service.labels(row["arn"])[turn["version_id"]]
        assert turn["seconds"] > 0
    assert "prod/a: started" in stderr
    assert re.search(r"prod/b: rotated in \d s", stderr)
    assert "\x1b" not in stdout + stderr


def test_no_value_is_read_and_none_is_shown(rotation_service: RotationService, folder: Path) -> None:
    make(rotation_service, "app")
    make(rotation_service, "bad", Refusing)
    outcomes("--all", "--yes", "--timeout", "1", "--report", "r.html", "--report", "r.txt", code=1)
    asked = {call.operation for call in rotation_service.calls if call.step is None}
    assert "GetSecretValue" not in asked
    for file in folder.iterdir():
        assert CANARY not in file.read_text()


def test_a_dry_run_shows_what_would_be_done_and_does_nothing(rotation_service: RotationService, folder: Path) -> None:
    make(rotation_service, "app")
    rotation_service.client.create_secret(Name="key", SecretString=CANARY)
    found = outcomes("--all", "--dry-run", "--revoke-old")
    assert (found["app"]["result"], found["app"]["rotations_wanted"]) == ("planned", 2)
    assert (found["key"]["result"], found["key"]["cause"]) == ("left out", "no function rotates it")
    assert tokens(rotation_service) == {}
    assert not list(folder.iterdir())


def test_nobody_is_asked_where_nobody_is_and_nothing_is_rotated(rotation_service: RotationService) -> None:
    make(rotation_service, "app")
    code, _, stderr = run("--all")
    assert code == 1
    assert "add --yes" in stderr
    assert tokens(rotation_service) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["app", "--all"],
        ["--all", "--tag", "a=b"],
        ["--tag", "a"],
        ["app", "--report", "r.pdf"],
        ["app", "--stagger-by", "tag:"],
        ["app", "--stagger-by", "moon"],
        ["--resume", __file__, "--all"],
        ["--resume", __file__, "app"],
        ["--all", "--rate", "26"],
        ["--all", "--concurrency", "0"],
        ["--role", "audit", "--all"],
        ["--file", "/there/is/none"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments)[0] == 2


def test_names_come_from_the_line_and_from_a_file(rotation_service: RotationService, folder: Path) -> None:
    arns = [make(rotation_service, name) for name in ("a", "b", "c")]
    (folder / "names").write_text(f"# of the leak\na\n\n{arns[1]}\n")
    assert set(outcomes("--file", "names", "--yes")) == {"a", "b"}
    assert set(successes(rotation_service)) == set(arns[:2])
    (folder / "names").write_text("# none\n")
    assert "names no secret" in run("--file", "names", "--yes")[2]


def test_tags_and_prefixes_choose_and_what_is_off_is_shown(rotation_service: RotationService) -> None:
    make(rotation_service, "prod/a")
    off = make(rotation_service, "prod/off")
    rotation_service.client.cancel_rotate_secret(SecretId=off)
    make(rotation_service, "dev/a")
    found = outcomes("--name-prefix", "prod/", "--yes")
    assert {name: row["result"] for name, row in found.items()} == {"prod/a": "rotated", "prod/off": "left out"}
    assert found["prod/off"]["remedy"].startswith("aws secretsmanager rotate-secret --secret-id")
    # By name, it is a failure.
    assert outcomes("prod/off", "--yes", "--journal", "other", code=1)["prod/off"]["result"] == "left out"


def test_one_that_is_not_there_fails(rotation_service: RotationService) -> None:
    make(rotation_service, "app")
    found = outcomes("app", "no-app", "--yes", code=1)
    assert found["app"]["result"] == "rotated"
    assert found["no-app"]["cause"] == "there is no secret no-app in eu-west-1"


def test_what_a_service_rotates_is_left_out(rotation_service: RotationService) -> None:
    make(rotation_service, "rds!cluster-1")
    row = outcomes("--all", "--yes")["rds!cluster-1"]
    assert row["cause"] == "rds manages it and rotates it itself"
    assert tokens(rotation_service) == {}


def test_overdue_before_and_after_is_told(rotation_service: RotationService) -> None:
    make(rotation_service, "app", days=1)
    late = rotation_service._configured[rotation_service.client.describe_secret(SecretId="app")["ARN"]]
    late.next_window = rotation_service.clock.now - timedelta(days=5)
    # The schedule of the simulated service would rotate it before the run does.
    late.enabled = True
    row = outcomes("app", "--dry-run")["app"]
    assert row["overdue_before"].startswith("it should have rotated by ")
    rotation_service.rotate("app")
    assert outcomes("app", "--yes")["app"]["overdue_after"] is None


def test_a_rotation_that_is_half_done_is_refused_with_its_remedy(rotation_service: RotationService) -> None:
    arn = make(rotation_service, "app", Refusing)
    rotation_service.rotate(arn)
    row = outcomes("app", "--yes", code=1)["app"]
    assert row["result"] == "failed"
    assert row["rotations"] == []
    assert row["remedy"].endswith(f"rotators repair {arn}")
    assert len(tokens(rotation_service)) == 1


def test_a_failed_step_is_told_from_its_functions_log(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(rotation_service, "app", Refusing)
    pages = Account.pages

    def with_a_log(self: Account, service: str, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        if operation != "filter_log_events":
            yield from pages(self, service, operation, **parameters)
            return
        (rotation,) = [one.rotation for one in rotation_service._configured.values() if one.rotation]
        line = {"message": "the step failed", "secret": rotation.secret_arn, "version": rotation.token}
        line |= {"step": "setSecret", "error": "LoginRefused", "reason": "db.invalid refused the login"}
        yield {"events": [{"message": json.dumps(line), "timestamp": 0}]}

    monkeypatch.setattr(Account, "pages", with_a_log)
    code, stdout, stderr = run("app", "--yes", "--timeout", "2", "--output", "text")
    assert code == 1
    assert "app: failed; version " in stdout
    assert "setSecret at 1970-01-01 00:00 UTC: LoginRefused: db.invalid refused the login" in stdout
    assert "app: setSecret at 1970" in stderr


def test_a_rotation_that_succeeds_at_a_later_attempt_is_followed_so_long(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = make(rotation_service, "app")
    rotation_service.faults.fail("PutSecretValue", step="createSecret", kind="crash")
    row = outcomes("app", "--yes")["app"]
    assert row["result"] == "rotated"
    assert row["seconds"] > 300
    assert successes(rotation_service) == {arn: 1}


def test_none_is_started_once_too_many_have_failed(rotation_service: RotationService) -> None:
    for number in range(6):
        make(rotation_service, f"bad{number}", Refusing)
    found = outcomes("--all", "--yes", "--max-failures", "1", "--concurrency", "2", "--timeout", "1", code=1)
    results = sorted(row["result"] for row in found.values())
    assert results == ["not started"] * 4 + ["unfinished"] * 2
    assert len(tokens(rotation_service)) == 2
    waiting = next(row for row in found.values() if row["result"] == "not started")
    assert waiting["remedy"].startswith("rotators rotate --resume rotators-rotate-")


def test_a_version_that_is_discarded_is_a_failure(rotation_service: RotationService) -> None:
    arn = make(rotation_service, "app", Refusing)

    def discard(operation: str, when: str) -> None:
        pending = [token for token, on in rotation_service.labels(arn).items() if "AWSPENDING" in on]
        if operation == "DescribeSecret" and when == "before" and pending and len(rotation_service.calls) > 8:
            rotation_service.faults.hooks.clear()
            rotation_service.client.update_secret_version_stage(
                SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=pending[0]
            )

    rotation_service.faults.hooks.append(discard)
    row = outcomes("app", "--yes", code=1)["app"]
    assert "AWSPENDING version was discarded" in row["cause"]


def test_at_most_so_many_of_a_database_rotate_at_once(rotation_service: RotationService) -> None:
    under_way: dict[str, int] = {}
    most: dict[str, int] = {}

    def count(operation: str, when: str) -> None:
        if operation != "RotateSecret" or when != "after":
            return
        for group in "xy":
            now = sum(
                any("AWSPENDING" in on for on in rotation_service.labels(arn).values())
                for arn, of in groups.items()
                if of == group
            )
            under_way[group] = now
            most[group] = max(most.get(group, 0), now)

    groups = {}
    for number in range(12):
        arn = make(rotation_service, f"s{number}", Slow, host="X.invalid" if number % 3 else "y.invalid")
        groups[arn] = "x" if number % 3 else "y"
        rotation_service.client.tag_resource(SecretId=arn, Tags=[{"Key": "db", "Value": groups[arn]}])
    rotation_service.faults.hooks.append(count)
    found = outcomes("--all", "--yes", "--stagger-by", "tag:db", "--per-database", "2", "--rate", "25")
    assert most == {"x": 2, "y": 2}
    assert {row["group"] for row in found.values()} == {"x", "y"}
    found = outcomes("--all", "--dry-run", "--stagger-by", "host")
    assert {row["group"] for row in found.values()} == {"x.invalid", "y.invalid"}


def test_a_host_that_may_not_be_read_is_staggered_by_its_function(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(rotation_service, "app")
    row = outcomes("--all", "--dry-run", "--stagger-by", "host")["app"]
    assert (row["group"], row["note"]) == (
        "rotate-app",
        "its host is not known: it is staggered with those of its function",
    )


def test_after_ctrl_c_the_run_goes_on_where_it_was(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    arns = {make(rotation_service, f"app{number}") for number in range(8)}
    interrupt_after(rotation_service, 9, monkeypatch)
    code, stdout, stderr = run("--all", "--yes", "--output", "text")
    assert code == 1
    assert "not started" in stdout
    file = journal_of(folder)
    assert f"rotators rotate --resume {file.name}" in stderr
    begun = len(tokens(rotation_service))
    assert 0 < begun < 8
    monkeypatch.setattr(rotate, "clock", ServiceTime(rotation_service))
    found = outcomes("--resume", file.name)
    assert {row["result"] for row in found.values()} == {"rotated"}
    assert successes(rotation_service) == dict.fromkeys(arns, 1)
    assert {arn: len(made) for arn, made in tokens(rotation_service).items()} == dict.fromkeys(arns, 1)
    # And once more: nothing is left to do.
    outcomes("--resume", file.name)
    assert successes(rotation_service) == dict.fromkeys(arns, 1)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["crash", "network"])
def test_a_call_without_an_answer_rotates_nothing_twice(
    rotation_service: RotationService, folder: Path, when: Any, kind: Any
) -> None:
    arns = {make(rotation_service, f"app{number}") for number in range(3)}
    fault = rotation_service.faults.fail("RotateSecret", when=when, kind=kind, nth=2)
    if kind == "crash":
        # The process is gone, and nothing that follows runs.
        with pytest.raises(BaseException, match="RotateSecret"):
            run("--all", "--yes")
        rotation_service.run()
        found = outcomes("--resume", journal_of(folder).name)
    else:
        found = outcomes("--all", "--yes")
    assert fault.fired
    assert {row["result"] for row in found.values()} == {"rotated"}
    assert successes(rotation_service) == dict.fromkeys(arns, 1)
    assert {arn: len(made) for arn, made in tokens(rotation_service).items()} == dict.fromkeys(arns, 1)


def test_a_throttled_call_is_made_again_with_the_same_token(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # botocore's own repetitions take real seconds.
    monkeypatch.setattr(aws, "_CONFIG", Config(retries={"mode": "standard", "total_max_attempts": 1}))
    arn = make(rotation_service, "app")
    for nth in (1, 2):
        rotation_service.faults.fail("RotateSecret", kind=Refusal("ThrottledException", "slowly"), nth=nth)
    assert outcomes("--all", "--yes")["app"]["result"] == "rotated"
    assert {one: len(made) for one, made in tokens(rotation_service).items()} == {arn: 1}


def test_a_refused_call_is_told_and_is_no_rotation(rotation_service: RotationService, folder: Path) -> None:
    make(rotation_service, "app")
    refusal = Refusal("AccessDeniedException", "no")
    rotation_service.faults.fail("RotateSecret", kind=refusal)
    row = outcomes("--all", "--yes", code=1)["app"]
    assert (row["result"], row["rotations"]) == ("failed", [])
    assert row["remedy"] == "allow yourself secretsmanager:RotateSecret"
    # When that is mended, the journal goes on.
    row = outcomes("--resume", journal_of(folder).name)["app"]
    assert (row["result"], len(row["rotations"])) == ("rotated", 1)


def test_an_account_that_fails_is_a_row(rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch) -> None:
    make(rotation_service, "app")
    pages = Account.pages

    def refused(self: Account, service: str, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        if self.region == "us-east-1":
            raise AwsRefused("secretsmanager:ListSecrets was refused", "allow it")
        return pages(self, service, operation, **parameters)

    monkeypatch.setattr(Account, "pages", refused)
    code, stdout, _ = run("--all", "--yes", "--region", "eu-west-1", "--region", "us-east-1", "--output", "text")
    assert code == 1
    assert "us-east-1: failed; secretsmanager:ListSecrets was refused; do: allow it" in stdout
    assert "app: rotated" in stdout


def test_two_regions_have_quotas_of_their_own(rotation_service: RotationService) -> None:
    make(rotation_service, "app")
    boto3.client("secretsmanager", region_name="us-east-1").create_secret(Name="key", SecretString=CANARY)
    found = outcomes("--all", "--yes", "--region", "eu-west-1", "--region", "us-east-1")
    assert {name: row["region"] for name, row in found.items()} == {"app": "eu-west-1", "key": "us-east-1"}


def test_a_line_that_was_torn_off_is_as_if_it_were_not_there(rotation_service: RotationService, folder: Path) -> None:
    make(rotation_service, "app")
    rotation_service.faults.fail("RotateSecret", kind=Refusal("AccessDeniedException", "no"))
    outcomes("--all", "--yes", code=1)
    file = journal_of(folder)
    file.write_bytes(file.read_bytes() + b'{"kind": "start", "arn')
    assert outcomes("--resume", file.name)["app"]["result"] == "rotated"
    assert b'"arn{' not in file.read_bytes()
    for line in file.read_text().splitlines():
        json.loads(line)


def test_a_journal_that_is_none_is_refused(folder: Path, rotation_service: RotationService) -> None:
    for text, says in (
        ("", "not a journal of this"),
        ("[1]\n", "not a journal of this"),
        ('{"journal": 99}\n', "not a journal of this"),
        ('{"journal": 1, "secrets": 2}\n', "not a journal of this"),
        (f"{json.dumps(HEAD | {'secrets': 2})}\n", "ends before anything was rotated"),
    ):
        (folder / "j").write_text(text)
        assert says in run("--resume", "j")[2]
    (folder / "j").write_text("")
    make(rotation_service, "app")
    assert "the journal j exists already" in run("--all", "--yes", "--journal", "j")[2]
    assert "can't be opened" in run("--resume", "none")[2]
    assert "can't be written" in run("--all", "--yes", "--journal", "no/such/folder")[2]
    assert tokens(rotation_service) == {}


def test_two_processes_can_not_have_one_journal(folder: Path) -> None:
    with Journal.create(folder / "j"), pytest.raises(ConfigurationError, match="another process uses"):
        Journal.resume(folder / "j")
    assert (folder / "j").stat().st_mode & 0o777 == 0o600


def test_without_room_for_the_journal_nothing_is_started(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(rotation_service, "app")

    def full(*_: Any, **__: Any) -> None:
        raise ConfigurationError("the journal can't be written", "make room")

    monkeypatch.setattr(Journal, "write", full)
    assert "make room" in run("--all", "--yes")[2]
    assert tokens(rotation_service) == {}


def test_one_rotation_revokes_only_where_the_strategy_is_known_to_have_one_password() -> None:
    assert rotations_to_revoke(Function("", "postgres", "single-user")) == 1
    for strategy in ("auto", "dual-password", "alternating-users", "unknown"):
        assert rotations_to_revoke(Function("", "postgres", strategy)) == 2
    assert rotations_to_revoke(None) == 2


def test_with_mysql_a_second_password_of_another_strategy_is_told(rotation_service: RotationService) -> None:
    for name, handler in (("my", "mysql"), ("pg", "postgres")):
        make(rotation_service, name)
        settings = {"Environment": {"Variables": {"ROTATION_STRATEGY": "single-user"}}}
        deploy(f"rotate-{name}", Handler=f"rotators.handlers.{handler}.handler", **settings)
    found = outcomes("--all", "--dry-run", "--revoke-old")
    assert {row["rotations_wanted"] for row in found.values()} == {1}
    assert "DISCARD OLD PASSWORD" in found["my"]["note"]
    assert found["pg"]["note"] is None


def test_revoking_makes_two_rotations_one_after_the_other(rotation_service: RotationService, folder: Path) -> None:
    arn = make(rotation_service, "app")
    old = set(rotation_service.labels(arn))
    row = outcomes("app", "--yes", "--revoke-old")["app"]
    first, second = row["rotations"]
    assert second["version_id_before"] == first["version_id"]
    assert not old & set(rotation_service.labels(arn))
    assert successes(rotation_service) == {arn: 2}
    outcomes("--resume", journal_of(folder).name)
    assert successes(rotation_service) == {arn: 2}


@pytest.mark.parametrize("lag", [1, 2, 3, 5])
def test_reads_that_are_late_are_not_taken_for_a_rotation(rotation_service: RotationService, lag: int) -> None:
    arn = make(rotation_service, "app")
    old = set(rotation_service.labels(arn))

    def fall_behind(operation: str, when: str) -> None:
        rotation_service.consistency_lag = lag if (operation, when) == ("RotateSecret", "before") else 0

    rotation_service.faults.hooks.append(fall_behind)
    row = outcomes("app", "--yes", "--revoke-old")["app"]
    assert [turn["rotated"] for turn in row["rotations"]] == [True, True]
    assert row["note"] is None
    assert successes(rotation_service) == {arn: 2}
    assert not old & set(rotation_service.labels(arn))


def test_a_version_of_long_before_is_no_sign_of_a_rotation() -> None:
    def seen(**stages: list[str]) -> Seen:
        return judge({"VersionIdsToStages": stages}, "third", {"first", "second"}, None)

    assert seen(first=["AWSCURRENT"], second=["AWSPENDING"]) is Seen.GONE
    assert seen(second=["AWSCURRENT"], third=["AWSPENDING"]) is Seen.UNDER_WAY
    assert seen(second=["AWSPREVIOUS"], third=["AWSCURRENT", "AWSPENDING"]) is Seen.UNDER_WAY
    assert seen(second=["AWSPREVIOUS"], third=["AWSCURRENT"]) is Seen.ROTATED
    assert seen(fourth=["AWSCURRENT"], third=["AWSPREVIOUS"]) is Seen.REPLACED
    both = {"VersionIdsToStages": {"third": ["AWSCURRENT", "AWSPENDING"]}, "LastRotatedDate": "today"}
    assert judge(both, "third", {"second"}, "yesterday") is Seen.ROTATED
    assert judge(both, "third", {"second"}, "today") is Seen.UNDER_WAY


def test_revoking_that_is_broken_off_between_the_two_goes_on(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    arn = make(rotation_service, "app")
    interrupted = False
    for waits in range(2, 9):
        if successes(rotation_service).get(arn) == 1:
            break
        interrupt_after(rotation_service, waits, monkeypatch)
        if interrupted:
            run("--resume", journal_of(folder).name)
        else:
            assert run("app", "--yes", "--revoke-old")[0] == 1
        interrupted = True
    assert successes(rotation_service) == {arn: 1}
    monkeypatch.setattr(rotate, "clock", ServiceTime(rotation_service))
    assert outcomes("--resume", journal_of(folder).name)["app"]["result"] == "rotated"
    assert successes(rotation_service) == {arn: 2}


def test_a_bucket_admits_no_more_than_its_rate_in_any_second() -> None:
    bucket, now, taken = TokenBucket(22.5), 0.0, []
    while now < 4:
        if bucket.take(now):
            taken.append(now)
        now += max(0.001, bucket.delay(now))
    assert 85 <= len(taken) <= 91
    assert max(sum(1 for one in taken if start <= one < start + 1) for start in taken) <= 23
    bucket.punish(now, 1.0)
    assert bucket.delay(now) >= 1.0
    assert ROTATIONS_A_SECOND == 25


def test_a_terminal_has_a_table_that_shows_what_fails_first(rotation_service: RotationService) -> None:
    make(rotation_service, "app")
    make(rotation_service, "bad")
    now = rotation_service.clock.now
    tasks = rotate.find(rotate.fleet.pairs((), ()), rotate.Choice(), rotate.Order(), now, lambda *_: None)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, height=20, color_system=None)
    with Screen(tasks, console) as screen:
        for task in tasks:
            screen.started(task, now)
        screen.failing(tasks[1], FailedStep(now, tasks[1].arn, "v", "setSecret", "LoginRefused", "refused"))
        screen.tick(now + timedelta(seconds=7))
    shown = stream.getvalue()
    assert "0 of 2 rotated, 2 under way, 0 failed, 1 failing; 0 s" in shown
    assert shown.index("bad") < shown.index("app")
    assert "setSecret: LoginRefused" in shown


def test_fine_changes_the_value(rotation_service: RotationService) -> None:
    arn = make(rotation_service, "app", Fine)
    before = rotation_service.value(arn)
    outcomes("app", "--yes")
    assert rotation_service.value(arn) != before
