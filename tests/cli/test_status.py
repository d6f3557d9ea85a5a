from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import Result
from moto import mock_aws
from rotate_parts import CANARY, Fine
from typer.testing import CliRunner

from rotators.checks.aws import AwsRefused
from rotators.cli import fleet, render, status
from rotators.cli.aws import Account
from rotators.cli.failed_steps import read
from rotators.cli.fleet import Member, Place
from rotators.cli.listed import Function, Listed, State
from rotators.cli.main import app
from rotators.cli.status import Choice, survey
from rotators.credentials import SecretValue
from rotators.due import overdue
from rotators.errors import ConfigurationError, LoginRefused
from rotators.rotator import Rotation, Rotator
from rotators.testing import Clock, RotationService
from rotators.versions import SecretVersions

ROLE = "arn:aws:iam::123456789012:role/rotation"
# When the stub of many secrets is asked.
ASKED = datetime(2026, 6, 1, tzinfo=UTC)


class Refusing(Fine):
    """Is refused when it sets the password."""

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        raise LoginRefused(f"db.invalid refused the login with {rotation.pending['password']}", "mend it\nby hand")


@pytest.fixture
def now() -> datetime:
    """The time of a test: the whole run may take longer than what is compared here."""
    return datetime.now(UTC)


@pytest.fixture
def long_ago(now: datetime) -> Iterator[RotationService]:
    """A service that stands still 40 days ago."""
    with RotationService(clock=Clock(now - timedelta(days=40))) as service:
        yield service


def secret(
    service: RotationService, name: str, rotator: type[Rotator[Any]] = Fine, days: int | None = 30, **function: Any
) -> str:
    """A secret with rotation on, and its function where that is described."""
    handler = rotator(SecretVersions(service.client))
    arn = service.create_secret(name, {"username": "app", "password": CANARY}, handler)
    service.configure(arn, handler, days=days)
    if function:
        deploy(f"rotate-{name.replace('/', '-')}", **function)
    return arn


def deploy(name: str, **function: Any) -> None:
    iam = boto3.client("iam")
    if not iam.list_roles()["Roles"]:
        iam.create_role(RoleName="rotation", AssumeRolePolicyDocument="{}")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("function.py", "")
    settings = {"Runtime": "python3.13", "Handler": "rotators.handlers.postgres.handler"} | function
    boto3.client("lambda").create_function(FunctionName=name, Role=ROLE, Code={"ZipFile": code.getvalue()}, **settings)


def write_log(name: str, text: str, at: datetime | None = None) -> None:
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="one")
    events = [
        {"timestamp": int((at or datetime.now(UTC)).timestamp() * 1000), "message": line} for line in text.splitlines()
    ]
    logs.put_log_events(logGroupName=name, logStreamName="one", logEvents=events)  # type: ignore[arg-type]


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["status", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert CANARY not in result.output
    return result


def rows(*arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    result = run(*arguments, "--output", "json")
    assert result.exit_code == code, result.output
    return {row["secret"]: row for row in json.loads(result.stdout)["secrets"]}


VARIABLES = {"Variables": {"ROTATION_STRATEGY": "single-user", "ROTATION_VALUES": CANARY}}


def test_a_healthy_secret_has_a_row_and_no_problem(rotation_service: RotationService, now: datetime) -> None:
    arn = secret(rotation_service, "prod/app", Environment=VARIABLES)
    assert rotation_service.rotate(arn).succeeded
    row = rows()["prod/app"]
    age = row.pop("age_seconds")
    assert 0 <= age < 600
    assert datetime.fromisoformat(row.pop("next")) > now + timedelta(days=28)
    assert abs(datetime.fromisoformat(row.pop("last")) - now) < timedelta(minutes=10)
    assert row == {
        "account": "123456789012",
        "region": "eu-west-1",
        "secret": "prod/app",
        "arn": arn,
        "engine": "postgres",
        "strategy": "single-user",
        "state": "current",
        "step": None,
        "error": None,
        "reason": None,
        "problem": None,
        "note": None,
    }
    plain = run()
    assert plain.stdout.startswith("prod/app: current, engine postgres, strategy single-user, age ")
    assert plain.stdout.count("\n") == 1
    assert plain.stderr == "1 looked at, 0 with a problem\n"
    assert "\x1b" not in plain.output
    assert "│ prod/app" in run("--output", "table").stdout.replace("┃", "│")
    assert run("--problems").stdout == ""
    # No value is asked for, and nothing is asked for each secret.
    asked = [call.operation for call in rotation_service.calls[-4:]]
    assert asked == ["ListSecrets"] * 4


def test_an_overdue_secret_says_since_when_and_what_its_log_says(long_ago: RotationService, now: datetime) -> None:
    arn = secret(long_ago, "app", Timeout=60)
    # Windows begin and end at midnight.
    late = now - timedelta(days=9)
    assert rows(code=1)["app"]["problem"] == f"overdue: it should have rotated by {late:%Y-%m-%d} 00:00 UTC"
    row = rows("app", code=1)["app"]
    assert row["state"] == "current"
    assert row["note"] == "its function has no log /aws/lambda/rotate-app"
    assert "app: current" in run("--problems").stdout
    line = {"message": "the step failed", "secret": arn, "step": "createSecret", "version": "gone"}
    write_log("/aws/lambda/rotate-app", json.dumps(line | {"error": "Unreachable", "reason": "no route"}))
    assert rows(code=1)["app"]["problem"].endswith("UTC: Unreachable: no route")


def test_a_failed_step_of_before_the_last_rotation_explains_nothing(long_ago: RotationService, now: datetime) -> None:
    arn = secret(long_ago, "app", Timeout=60)
    line = {"message": "the step failed", "secret": arn, "step": "setSecret", "version": "gone", "error": "Unreachable"}
    write_log("/aws/lambda/rotate-app", json.dumps(line), now - timedelta(days=2))
    assert "Unreachable" in rows(code=1)["app"]["problem"]
    long_ago.clock.advance(days=39)
    assert long_ago.rotate(arn).succeeded
    long_ago._configured[arn].next_window = now - timedelta(days=5)
    row = rows(code=1)["app"]
    assert "overdue" in row["problem"]
    assert row["step"] is None


def test_a_stuck_secret_says_at_which_step_and_the_last_error(
    rotation_service: RotationService, log: io.StringIO
) -> None:
    arn = secret(rotation_service, "app", Refusing, Description="Rotates mysql secrets", Handler="function.handler")
    secret(rotation_service, "fine")
    assert not rotation_service.rotate(arn).succeeded
    # Under way, as long as no failed step is known, and the service may still try.
    deploy("rotate-fine")
    row = rows("app")["app"]
    assert (row["state"], row["problem"]) == ("rotating", None)
    assert row["note"] == "its function has no log /aws/lambda/rotate-app"
    other = json.dumps({"message": "the step failed", "secret": arn, "step": "setSecret", "version": "other"})
    write_log("/aws/lambda/rotate-app", f"START RequestId\n{log.getvalue()}{other}\n[1, 2]")
    row = rows(code=1)["app"]
    assert (row["state"], row["step"], row["error"]) == ("stuck", "setSecret", "LoginRefused")
    assert (row["engine"], row["strategy"]) == ("mysql", "auto")
    assert row["reason"] == "db.invalid refused the login with ***. mend it by hand."
    shown = run("--problems")
    assert shown.exit_code == 1
    assert "stuck at setSecret at 20" in shown.stdout
    assert "fine" not in shown.stdout
    assert shown.stderr == "2 looked at, 1 with a problem\n"


def test_the_newest_line_counts_and_a_version_that_is_gone_does_not(rotation_service: RotationService) -> None:
    arn = secret(rotation_service, "app", Refusing)
    deploy("rotate-app")
    token = rotation_service.rotate(arn).token
    base = {"message": "the step failed", "secret": arn, "version": token}
    lines = [
        base | {"step": "createSecret", "error": "Unreachable", "reason": "first"},
        {"message": "an unexpected error ended the step", "secret": arn, "version": token, "step": "testSecret"},
        base | {"version": "other"} | {"step": "nonsense"},
    ]
    write_log("/aws/lambda/rotate-app", "\n".join(map(json.dumps, lines)))
    row = rows(code=1)["app"]
    assert (row["step"], row["error"]) == ("testSecret", "UnexpectedError")


def test_half_done_for_long_is_stuck_also_without_a_log(long_ago: RotationService) -> None:
    arn = secret(long_ago, "app", Refusing, days=None)
    deploy("rotate-app")
    assert not long_ago.rotate(arn).succeeded
    row = rows(code=1)["app"]
    assert row["state"] == "stuck"
    assert row["problem"].startswith("stuck: AWSPENDING is half-done since ")


def test_what_one_may_not_ask_is_said_and_is_no_failure(
    long_ago: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret(long_ago, "app")

    def refused(self: Account, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        raise AwsRefused("no", code="AccessDeniedException")

    pages = Account.pages

    def only_secrets(self: Account, service: str, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        if service == "logs":
            raise AwsRefused("no", code="AccessDeniedException")
        return pages(self, service, operation, **parameters)

    monkeypatch.setattr(Account, "call", refused)
    monkeypatch.setattr(Account, "pages", only_secrets)
    row = rows(code=1)["app"]
    assert (row["engine"], row["strategy"]) == ("unknown", "unknown")
    assert row["note"] == "you may not read its function's log (logs:FilterLogEvents)"
    assert row["problem"].startswith("overdue")


def test_a_function_that_is_gone_is_a_problem(rotation_service: RotationService) -> None:
    secret(rotation_service, "app")
    assert rows(code=1)["app"]["problem"] == "its function rotate-app does not exist"


def test_what_is_off_is_shown_with_all_or_by_name(rotation_service: RotationService) -> None:
    arn = rotation_service.client.create_secret(Name="key", SecretString=CANARY)["ARN"]
    assert rows() == {}
    for arguments in (["--all"], ["key"], [arn], [arn[:-7]]):
        assert rows(*arguments)["key"]["state"] == "off"
    half = secret(rotation_service, "half", Refusing)
    rotation_service.rotate(half)
    rotation_service.client.cancel_rotate_secret(SecretId=half)
    deploy("rotate-half")
    assert "half-way" in rows("--all", code=1)["half"]["problem"]


def test_a_deleted_one_is_shown_by_name_alone(rotation_service: RotationService) -> None:
    arn = secret(rotation_service, "app")
    rotation_service.client.delete_secret(SecretId=arn)
    assert rows("--all") == {}
    row = rows("app", code=1)["app"]
    assert row["state"] == "deleted"
    assert "scheduled for deletion since" in row["problem"]


def test_one_that_is_not_there_is_a_problem(rotation_service: RotationService) -> None:
    secret(rotation_service, "application", Environment=VARIABLES)
    found = rows("app", "application", "a*", code=1)
    assert {name: row["state"] for name, row in found.items()} == {
        "app": "missing",
        "a*": "missing",
        "application": "current",
    }
    assert "there is no secret app in eu-west-1" in found["app"]["problem"]


def test_what_aws_rotates_itself_says_so_and_is_no_problem(long_ago: RotationService) -> None:
    secret(long_ago, "rds!cluster-1")
    row = rows()["rds!cluster-1"]
    assert (row["state"], row["note"], row["engine"]) == ("managed", "rds manages it and rotates it itself", None)


def test_tags_and_prefixes_choose(rotation_service: RotationService) -> None:
    for name, tags in {"prod/a": {"team": "pay"}, "prod/b": {"team": "payments"}, "dev/a": {"team": "pay"}}.items():
        secret(rotation_service, name, Environment=VARIABLES)
        rotation_service.client.tag_resource(SecretId=name, Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
    assert set(rows("--tag", "team=pay")) == {"prod/a", "dev/a"}
    assert rotation_service.calls[-1].parameters["Filters"] == [
        {"Key": "tag-key", "Values": ["team"]},
        {"Key": "tag-value", "Values": ["pay"]},
    ]
    assert set(rows("--tag", "team=pay", "--name-prefix", "prod/")) == {"prod/a"}
    assert set(rows("--name-prefix", "prod")) == {"prod/a", "prod/b"}
    assert rows("--tag", "team=pay", "--tag", "stage=x") == {}
    # A text that the API would take for a negation is compared here.
    assert rows("--tag", "team=!pay") == {}
    assert {"Key": "tag-value", "Values": ["!pay"]} not in rotation_service.calls[-1].parameters["Filters"]


def test_two_regions_are_one_table(rotation_service: RotationService) -> None:
    secret(rotation_service, "app", Environment=VARIABLES)
    boto3.client("secretsmanager", region_name="us-east-1").create_secret(Name="other", SecretString=CANARY)
    found = rows("--all", "--region", "eu-west-1", "--region", "us-east-1")
    assert {name: row["region"] for name, row in found.items()} == {"app": "eu-west-1", "other": "us-east-1"}
    # A name need only be in one of them.
    assert set(rows("app", "--region", "us-east-1", "--region", "eu-west-1")) == {"app"}
    assert "123456789012 us-east-1: other: off" in run("--all", "--region", "us-east-1", "--region", "eu-west-1").stdout


@mock_aws
def test_an_account_that_fails_is_a_row_and_not_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    call = Account.call

    def one_refuses(self: Account, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        if operation == "assume_role":
            asked.append(parameters["RoleArn"])
            if "222222222222" in parameters["RoleArn"]:
                raise AwsRefused("sts:AssumeRole was refused", "allow yourself sts:AssumeRole", code="AccessDenied")
        return call(self, service, operation, **parameters)

    monkeypatch.setattr(Account, "call", one_refuses)
    for number in ("111111111111", "333333333333"):
        given = boto3.client("sts").assume_role(RoleArn=f"arn:aws:iam::{number}:role/audit", RoleSessionName="test")
        keys = given["Credentials"]
        client = boto3.client(
            "secretsmanager",
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )
        client.create_secret(Name=f"app-{number[0]}", SecretString=CANARY)
    file = tmp_path / "accounts"
    file.write_text("# all of ours\n111111111111  first one # the oldest\n\n222222222222\n333333333333\n")
    arguments = ["--accounts", str(file), "--role", "audit", "--all", "--region", "eu-west-1", "--region", "us-east-1"]
    result = run(*arguments, "--output", "json")
    assert result.exit_code == 1
    found = [(row["account"], row["region"], row["secret"]) for row in json.loads(result.stdout)["secrets"]]
    assert found == [
        ("111111111111 first one", "eu-west-1", "app-1"),
        ("222222222222", "eu-west-1", None),
        ("222222222222", "us-east-1", None),
        ("333333333333", "eu-west-1", "app-3"),
    ]
    # One for each account, whatever the Regions.
    assert sorted(asked) == [f"arn:aws:iam::{number * 12}:role/audit" for number in "123"]
    assert (
        "222222222222 eu-west-1: unknown: sts:AssumeRole was refused. allow yourself sts:AssumeRole."
        in run(*arguments).stdout
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["app", "--all"],
        ["app", "--tag", "a=b"],
        ["--tag", "team"],
        ["--tag", "a=b", "--tag", "a=c"],
        ["--role", "audit"],
        ["--accounts", __file__],
        ["--accounts", __file__, "--role", "a b"],
        ["--accounts", "/there/is/none", "--role", "audit"],
        ["--accounts", __file__, "--role", "audit", "--profile", "a", "--profile", "b"],
        ["--output", "yaml"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(("text", "says"), [("12345\n", "line 1, names no account"), ("# none\n", "names no account")])
def test_a_list_of_accounts_that_is_none_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "accounts"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        fleet.read_accounts(file)


def test_accounts_are_read_once_each(tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text("111111111111\tone\n111111111111 again\n")
    assert fleet.read_accounts(file) == [Member("111111111111", "one")]


def test_one_place_that_fails_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Iterator[Mapping[str, Any]]:
        raise AwsRefused("secretsmanager:ListSecrets was refused", "allow it")

    monkeypatch.setattr(Account, "pages", refused)
    with pytest.raises(AwsRefused):
        survey(fleet.pairs((), ()), Choice(), ASKED, lambda *_: None)
    two = survey(fleet.pairs((), ("eu-west-1", "us-east-1")), Choice(), ASKED, lambda *_: None)
    assert [row.state for row in two] == [State.UNKNOWN] * 2


class Stub(Account):
    """Serves pages of many secrets, and counts what it is asked."""

    def __init__(self, count: int) -> None:
        super().__init__(region="eu-west-1")
        self.count = count
        self.asked: list[str] = []

    def call(self, _: str, operation: str, **__: Any) -> Mapping[str, Any]:
        self.asked.append(operation)
        return {"Handler": "rotators.handlers.oracle.handler"}

    def pages(self, _: str, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        if operation != "list_secrets":
            self.asked.append(operation)
            yield {"events": []}
            return
        size = parameters["MaxResults"]
        for start in range(0, self.count, size):
            self.asked.append(operation)
            yield {"SecretList": [self._entry(number) for number in range(start, min(start + size, self.count))]}

    def _entry(self, number: int) -> dict[str, Any]:
        base = "arn:aws:{}:eu-west-1:123456789012:"
        return {
            "ARN": f"{base.format('secretsmanager')}secret:app-{number:05}-abcdef",
            "Name": f"app-{number:05}",
            "RotationEnabled": True,
            "RotationLambdaARN": f"{base.format('lambda')}function:rotate-{number % 3}",
            "NextRotationDate": ASKED - timedelta(days=1) if number % 3 == 0 else ASKED + timedelta(days=1),
            "LastRotatedDate": ASKED - timedelta(days=30),
            "SecretVersionsToStages": {"v": ["AWSCURRENT"]},
        }


def test_10_000_secrets_take_100_calls_and_a_few() -> None:
    account = Stub(10_000)
    found = survey([Place(None, "eu-west-1", lambda: account)], Choice(), ASKED, lambda *_: None)
    assert len(found) == 10_000
    assert sum(bool(row.problem) for row in found) == 3_334
    assert {row.engine for row in found} == {"oracle"}
    assert account.asked.count("list_secrets") == 100
    assert account.asked.count("get_function_configuration") == 3
    assert account.asked.count("filter_log_events") == 1
    assert len(account.asked) == 104


def test_pages_are_asked_for_at_their_full_size(rotation_service: RotationService) -> None:
    for number in range(101):
        rotation_service.client.create_secret(Name=f"key-{number}", SecretString=CANARY)
    before = len(rotation_service.calls)
    assert len(rows("--all")) == 101
    assert [call.parameters["MaxResults"] for call in rotation_service.calls[before:]] == [100, 100]


@pytest.mark.parametrize(
    ("configuration", "engine", "strategy"),
    [
        ({"Handler": "rotators/handlers/db2.handler"}, "db2", "auto"),
        ({"Handler": "rotators.handlers.overdue.handler"}, "unknown", "unknown"),
        ({"Handler": "function.handler", "FunctionName": "rotate-aurora-postgresql"}, "unknown", "unknown"),
        ({"Handler": "function.handler", "FunctionName": "rotate-postgres"}, "postgres", "auto"),
        ({"Handler": "function.handler", "Description": "from mysql to oracle"}, "unknown", "unknown"),
        ({"Environment": {"Variables": {"ROTATION_STRATEGY": CANARY}}}, "unknown", "unknown"),
        ({"Environment": {"Variables": {"ROTATION_STRATEGY": "dual-password"}}}, "unknown", "dual-password"),
        ({"FunctionName": "rotate-mongo", "Environment": {"Error": {"Message": "KMS"}}}, "mongo", "unknown"),
    ],
)
def test_what_a_function_is_made_of_tells_engine_and_strategy(
    configuration: dict[str, Any], engine: str, strategy: str
) -> None:
    function = Function.read("arn:aws:lambda:eu-west-1:123456789012:function:rotate:live", configuration)
    assert (function.engine, function.strategy, function.log_group) == (engine, strategy, "/aws/lambda/rotate")


def test_a_function_may_have_a_log_of_another_name() -> None:
    function = Function.read("arn:aws:lambda:eu-west-1:1:function:rotate", {"LoggingConfig": {"LogGroup": "/mine"}})
    assert function.log_group == "/mine"


def test_a_role_that_is_refused_is_not_asked_for_again_in_the_next_region(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(_: Account, account_id: str, role: str) -> Any:
        asked.append((account_id, role))
        raise AwsRefused("sts:AssumeRole was refused", code="AccessDenied")

    monkeypatch.setattr(Account, "assume", refuse)
    for place in fleet.assumed([Member("111111111111", "")], "audit", None, ("eu-west-1", "us-east-1")):
        with pytest.raises(AwsRefused) as caught:
            _ = place.account
        assert caught.value.denied
    assert asked == [("111111111111", "audit")]


def test_dates_are_in_utc_wherever_one_sits() -> None:
    tokyo = timezone(timedelta(hours=9))
    late = datetime(2026, 5, 1, 3, 30, tzinfo=tokyo)
    assert overdue(late, late + timedelta(hours=6)) is None
    assert overdue(late, late + timedelta(hours=7)) == "it should have rotated by 2026-04-30 18:30 UTC"
    assert overdue(None, late) is None
    entry = {"ARN": "arn", "Name": "app", "LastRotatedDate": late}
    assert str(Listed.read(entry, "eu-west-1").rotated) == "2026-04-30 18:30:00+00:00"


@pytest.mark.parametrize(
    "line",
    ["no JSON", "[]", '"the step failed"', '{"message": "the step is done"}', '{"message": "the step failed"}'],
)
def test_other_lines_of_a_log_tell_of_no_failed_step(line: str) -> None:
    assert read(line, 0) is None


def test_what_a_log_says_can_not_break_the_line() -> None:
    line = {
        "message": "the step failed",
        "secret": "arn",
        "step": "setSecret",
        "error": "\x1b[2J",
        "reason": "a\x1b\nb",
    }
    found = read(json.dumps(line), 0)
    assert found is not None
    assert (found.error, found.reason) == ("RotationError", "a\\x1b b")


def test_there_is_a_bar_at_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (False, True):
        screen = io.StringIO()
        console = render.Console
        made = console(file=screen, force_terminal=terminal, width=100)
        monkeypatch.setattr(render, "Console", lambda made=made, **_: made)
        with render.progress() as report:
            report("listing secrets", 1, 2)
        monkeypatch.undo()
        assert ("listing secrets" in screen.getvalue()) is terminal


def test_help_teaches_with_an_example() -> None:
    assert "Example: rotators status --tag" in (status.status.__doc__ or "")
    assert "rotators status --tag" in CliRunner().invoke(app, ["status", "--help"], env={"COLUMNS": "200"}).output
