"""What ``rotations.yaml`` may say, and what it is told where it says something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthesis import NETWORK, read

from infra.config import MistakesFound, load
from infra.config.check import check
from infra.config.environment import Generator, environment, generator, size
from infra.config.functions import groups
from infra.config.load import schema
from infra.config.model import Rotations, Secret
from infra.config.parts import parts
from infra.config.reference import page
from infra.config.schedule import rules
from rotators.packaging.platforms import engines
from rotators.testing.servers.certificates import CertificateAuthority

ROOT = Path(__file__).parents[2]
ONE = "secrets: [{name: app, engine: postgres, every: 30 days}]\n"
OURS = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"
THEIRS = "arn:aws:secretsmanager:eu-west-1:444455556666:secret:"
DATABASE = "arn:aws:rds:eu-west-1:111122223333:db:orders"
DAILY = "engine: mysql, every: 1 day"


def mistakes(folder: Path, text: str) -> str:
    with pytest.raises(MistakesFound) as found:
        read(folder, text)
    return str(found.value)


def secret(keys: str) -> str:
    return f"secrets:\n  - {{name: app, engine: postgres, every: 30 days, {keys}}}\n"


def test_the_example_is_right_and_has_every_engine() -> None:
    rotations = load(ROOT / "rotations.yaml")
    assert {one.engine for one in rotations.secrets} == set(engines())


def test_schema_and_page_that_are_checked_in_are_the_models() -> None:
    """``make reference`` writes both."""
    assert json.loads((ROOT / "infra/rotations.schema.json").read_text()) == schema()
    assert (ROOT / "docs/reference/rotations.md").read_text() == page()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "secrets: [{name: app, engine: postgre, every: 30 days}]",
            "rotations.yaml:1: secrets[0].engine is \"postgre\": use one of 'postgres', 'mysql'",
        ),
        (secret("strategy: alternating-users"), "secrets[0].strategy is 'alternating-users' without an admin secret"),
        (
            "secrets:\n  - name: app\n    engine: postgres\n    schedule: cron(0 8 * * ?)\n",
            "rotations.yaml:4: secrets[0].schedule",
        ),
        (
            "secrets: [{name: app, engine: postgres, every: 4 hours, window: 5h}]",
            "secrets[0].window is '5h': the window reaches into the next one; make the Duration shorter",
        ),
        (
            f"secrets:\n  - {{name: a/b, engine: mysql, every: 1 day}}\n  - {{arn: {OURS}a/b-AbCdEf, {DAILY}}}\n",
            "rotations.yaml:3: secrets[1] is 'a/b', the same as secrets[0]",
        ),
        (
            NETWORK.replace("private", "public") + ONE,
            "networks.main.secrets_manager is 'nat' in public subnets: a function gets no public address there",
        ),
        (NETWORK.replace("private", "isolated") + ONE, "from which there is no route to Secrets Manager"),
        (
            "secrets: [{name: app, engine: db2, every: 30 days}]",
            "secrets[0].admin is missing: no user of db2 can change its own password",
        ),
        (f"ca_bundle: {{file: ca.pem}}\n{ONE}", "rotations.yaml:1: ca_bundle.file is 'ca.pem': the CA bundle"),
        (secret("strategy: dual-password"), "is 'dual-password', but a user of postgres can have only one password"),
        (secret("network: nowhere"), "secrets[0].network is 'nowhere', which is not in networks"),
        (secret("kms_key: mine"), "secrets[0].kms_key is 'mine', which is neither an ARN nor one of keys (none)"),
        (
            secret("adm: x"),
            "secrets[0].adm is not a key that is allowed here: use one of admin, admin_host, admin_kms_key",
        ),
        (
            secret("password: {length: 4}"),
            "secrets[0].password.length is 4: input should be greater than or equal to 8",
        ),
        (secret("admin: app, strategy: alternating-users"), "secrets[0].admin is the secret itself"),
        (secret("schedule: rate(3 days)"), "has both every and schedule"),
        ("secrets: [{engine: postgres, every: 30 days}]", "secrets[0] has no secret: give one of name, arn and create"),
        ("secrets: [{name: app, engine: postgres}]", "secrets[0] has no schedule; give every: 30 days"),
        ("secrets: [{name: app, engine: postgres, every: 3 hours}]", "secrets[0].every is '3 hours'"),
        ("secrets: [{name: app, engine: postgres, every: 0 days}]", "for rotation on demand only, write every: never"),
        ("secrets: [{name: app, engine: postgres, every: 1001 days}]", "secrets[0].every is '1001 days'"),
        (
            "secrets: [{name: app, engine: postgres, every: soon}]",
            "write a number of days or hours (30 days), or never",
        ),
        (
            "secrets: [{create: {name: a, values: {username: u, masterarn: b}}, engine: mysql, every: 1 day}]",
            "secrets[0].admin is missing: the function needs permission to read the admin's secret",
        ),
        ("secrets: []", "secrets is []"),
        ("secrets: &a [*a]", "secrets[0] contains itself: the anchor of line 1 is used inside its own value"),
        ("secrets: [\x07]", "rotations.yaml: is not YAML: it can't be parsed"),
        ("secrets: [{name: app, engine: mysql, every: 2026-01-01}]", 'secrets[0].every is "2026-01-01": '),
        ("secrets: [{name: app, engine: größer, every: 1 day}]", 'secrets[0].engine is "größer": '),
        # Names of the user's own, which look like a type's, or are a key's.
        (f"networks: {{my-net: {{}}}}\n{ONE}", "networks.my-net.vpc is missing"),
        (f"networks: {{my-net: 3}}\n{ONE}", "networks.my-net is 3: input should be a valid dictionary"),
        (f"keys: {{my-key: {{}}}}\n{ONE}", "keys.my-key needs either arn or create"),
        (
            f"networks: {{kind: {{vpcc: x}}}}\n{ONE}",
            "networks.kind.vpcc is not a key that is allowed here: use one of da",
        ),
        (
            f"networks: {{vpc: {{vpcc: x}}}}\n{ONE}",
            "networks.vpc.vpcc is not a key that is allowed here: use one of data",
        ),
        (
            f"networks: {{subnets: {{vpcc: x}}}}\n{ONE}",
            "networks.subnets.vpcc is not a key that is allowed here: use on",
        ),
        (NETWORK.replace("nat", "3") + ONE, "rotations.yaml:7: networks.main.secrets_manager is 3: "),
        ("defaults: {every: 1 day}\nsecrets: [app]", 'secrets[0] is "app": '),
        ("[]", "must be a mapping with the key secrets"),
        ("secrets: [", "is not YAML: line 1"),
        (f"defaults: {{evry: 3 days}}\n{ONE}", "rotations.yaml:1: defaults.evry is not a key that is allowed here"),
        (f"functions: {{postgres: {{memory: 1}}}}\n{ONE}", "functions.postgres.memory is 1: input should be greater"),
        (
            f"functions: {{other: {{memory: 512}}}}\n{ONE}",
            "functions.other is not the function of any secret: the functions are postg",
        ),
        (
            f"function: {{reserved_concurrency: 2}}\n{ONE}",
            "function.reserved_concurrency is 2: input should be greater",
        ),
        (f"nonsense: 1\n{ONE}", "nonsense is not a key that is allowed here: use one of account, alarms"),
        (
            "secrets: [{create: {name: a, values: {username: u, password: x}}, engine: mysql, every: 1 day}]",
            "has a password, which would be in the template",
        ),
        ("secrets: [{name: app, engine: mysql, every: 1 day, stagger: 3h}]", "stagger without a cron of one hour"),
        (
            "secrets: [{name: app, engine: mysql, schedule: 'cron(0 22 * * ? *)', stagger: 3h}]",
            "has a stagger that reaches into the next day",
        ),
        (
            f"account: '111122223333'\nsecrets: [{{arn: {THEIRS}a-AbCdEf, {DAILY}}}]",
            "secrets[0].kms_key must be the ARN of a key for a secret in another account",
        ),
        (
            f"region: eu-west-2\nsecrets: [{{arn: {OURS}a-AbCdEf, {DAILY}}}]",
            "secrets[0].arn is of another Region than eu-west-2",
        ),
        (
            secret("admin: rds!db-1"),
            "rotations.yaml:2: secrets[0].admin_host is missing: RDS manages the admin's secret",
        ),
        (secret(f"admin: '{OURS}rds!cluster-1-AbCdEf'"), "secrets[0].admin_host is missing: RDS manages the admin's"),
        (
            secret("admin: redshift!dw-admin, admin_named_in_secret: true"),
            "secrets[0].admin_host is missing: Redshift manages the admin's secret, which has no host",
        ),
        (secret("admin_host: db"), "secrets[0].admin_host needs an admin, and there is none: add admin"),
        (
            secret("admin: boss, admin_host: 'https://db'"),
            "secrets[0].admin_host is 'https://db': write a host, host:port, or the ARN of a DB instance",
        ),
        (secret("admin: boss, admin_host: 'arn:aws:rds:eu-west-1:1:db:x'"), "secrets[0].admin_host is 'arn:aws:rds:"),
        (
            secret(f"admin: boss, admin_host: '{DATABASE}'"),
            "an admin's secret that rds manages, and 'boss' is not one: give the endpoint",
        ),
        (secret(f"admin: redshift!dw-admin, admin_host: '{DATABASE}'"), "and 'redshift!dw-admin' is not one"),
        (
            "region: eu-west-2\n" + secret(f"admin: rds!db-1, admin_host: '{DATABASE}'"),
            "secrets[0].admin_host is of another Region than eu-west-2: give the endpoint",
        ),
        (
            secret(f"admin: '{THEIRS}rds!db-1-AbCdEf', admin_host: '{DATABASE}'"),
            "secrets[0].admin_host is of another account than 444455556666: give the endpoint",
        ),
        (
            NETWORK.replace("private", "isolated").replace("nat", "create-endpoint")
            + secret(f"network: main, admin: rds!db-1, admin_host: '{DATABASE}'"),
            "from the network 'main' a function reaches only Secrets Manager: give the endpoint",
        ),
        (
            secret("admin: boss, allow_admin_reset: true"),
            "user is missing: allow_admin_reset applies to one user, and the name in the secret is not trusted",
        ),
        (secret("admin: boss, twin: adopt"), "secrets[0].user is missing: twin: adopt applies to one user"),
        (secret("user: app"), "secrets[0].user needs an admin, and there is none: add admin"),
        (secret("admin: boss, user: ''"), 'secrets[0].user is "": string should have at least 1 character'),
        (
            secret("kms_key: 'arn:aws:kms:eu-west-1:1:key'"),
            "is 'arn:aws:kms:eu-west-1:1:key', which is not the ARN of a KMS",
        ),
        (f"stack: 3\n{ONE}", "stack is 3: input should be a valid string"),
        ("networks: {main: {}}\n" + ONE, "rotations.yaml:1: networks.main.vpc is missing"),
        (
            secret("password: {lenth: 9}"),
            "secrets[0].password.lenth is not a key that is allowed here: use one of exclude_",
        ),
        (
            "secrets: [{create: {name: a, values: {username: u}}, user: v, admin: b, engine: mysql, every: 1 day}]",
            "secrets[0].user is 'v', but the secret is created for 'u': leave it out",
        ),
    ],
)
def test_a_mistake_is_named_with_its_path(tmp_path: Path, text: str, said: str) -> None:
    assert said in mistakes(tmp_path, text)


def test_every_mistake_is_named_at_once_and_each_on_its_line(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path, "secrets:\n  - {name: a, engine: x, every: 1 day}\n  - {name: b, engine: y, every: 1 day}\n"
    )
    assert [line.split(" ")[0] for line in found.splitlines()] == ["rotations.yaml:2:", "rotations.yaml:3:"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("functions: {postgres: 3}\n", "rotations.yaml:1: functions.postgres is 3: input should be a valid dictionary"),
        ("functions: {my-fn: 3}\n", "rotations.yaml:1: functions.my-fn is 3: input should be a valid dictionary"),
        (
            "function: {memory: 1}\nfunctions: {postgres: {timeout: 30}}\n",
            "rotations.yaml:1: function.memory is 1: input should be greater than or equal to 128",
        ),
    ],
)
def test_a_mistake_of_a_function_is_told_once(tmp_path: Path, text: str, said: str) -> None:
    assert mistakes(tmp_path, text + ONE) == said


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MistakesFound, match=r"^none\.yaml: can't be read: No such file"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("file", "stack"),
    [
        ("rotations.yaml", "Rotations"),
        ("payments.yaml", "Rotations-Payments"),
        ("prod-eu_west.yml", "Rotations-ProdEuWest"),
        ("7.yaml", "Rotations-7"),
        ("eu--west.1.yaml", "Rotations-EuWest1"),
        ("-.yaml", "Rotations"),
        ("paymentsEU.yaml", "Rotations-PaymentsEU"),
    ],
)
def test_two_files_have_stacks_of_two_names(tmp_path: Path, file: str, stack: str) -> None:
    path = tmp_path / file
    path.write_text("secrets: [{name: app, engine: postgres, every: 1 day}]")
    assert load(path).stack == stack
    path.write_text("stack: Mine\nsecrets: [{name: app, engine: postgres, every: 1 day}]")
    assert load(path).stack == "Mine"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rotations.yaml"
    file.write_bytes(b"secrets: [{name: \xff}]")
    with pytest.raises(MistakesFound, match=r"^rotations\.yaml: is not UTF-8 text$"):
        load(file)
    # Whatever the locale is.
    file.write_bytes("# ä\n".encode() + ONE.encode())
    assert load(file).secrets


def test_several_mistakes_are_one_line_where_an_error_has_one(tmp_path: Path) -> None:
    with pytest.raises(MistakesFound) as found:
        read(tmp_path, "secrets: [{name: a, engine: x, every: 1 day}]\nstack: 3\n")
    first, second = str(found.value).splitlines()
    assert found.value.what == f"{first} {second}"


@pytest.mark.parametrize(("length", "shown"), [(58, '"' + 58 * "-" + '"'), (59, '"' + 59 * "-" + "…")])
def test_a_value_is_shown_up_to_60_characters(tmp_path: Path, length: int, shown: str) -> None:
    assert f"secrets[0].engine is {shown}: use" in mistakes(
        tmp_path, f"secrets: [{{name: a, engine: '{length * '-'}', every: 1 day}}]"
    )


def test_a_ca_that_has_expired_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = CertificateAuthority(tmp_path).ca_file
    text = f"ca_bundle: {{file: {ca.name}}}\n{ONE}"
    assert read(tmp_path, text).ca_bundle is not None
    monkeypatch.setattr("ssl.cert_time_to_seconds", lambda _: 0)
    assert "the CA certificate 'rotators test CA' has expired, on 1970-01-01" in mistakes(tmp_path, text)


def test_who_names_one_way_of_scheduling_inherits_no_part_of_another(tmp_path: Path) -> None:
    text = """
    defaults: {every: 4 hours, window: 3h}
    secrets:
      - {name: a, engine: postgres}
      - {name: b, engine: postgres, schedule: 'cron(0 8 1 * ? *)'}
      - {name: c, engine: postgres, every: never}
    """
    found = [rules(one) for one in read(tmp_path, text).secrets]
    assert [(one.expression, one.duration) for one in found] == [
        ("rate(4 hours)", "3h"),
        ("cron(0 8 1 * ? *)", None),
        (None, None),
    ]


def test_neither_window_nor_stagger_of_a_schedule_is_inherited_by_who_has_another(tmp_path: Path) -> None:
    text = """
    defaults: {engine: postgres, schedule: 'cron(0 2 * * ? *)', window: 1h, stagger: 3h}
    secrets: [{name: a, every: 2 days}, {name: b, schedule: 'cron(0 8 1 * ? *)'}]
    """
    found = [rules(one) for one in read(tmp_path, text).secrets]
    assert [(one.expression, one.duration) for one in found] == [("rate(2 days)", None), ("cron(0 8 1 * ? *)", None)]


def test_a_fleet_is_staggered_and_each_keeps_its_hour(tmp_path: Path) -> None:
    secrets = "\n".join(f"  - {{name: app{n}, engine: postgres}}" for n in range(40))
    text = f"defaults: {{schedule: 'cron(0 2 * * ? *)', stagger: 3h, window: 1h}}\nsecrets:\n{secrets}\n"
    first, second = ([rules(one).expression for one in read(tmp_path, text).secrets] for _ in range(2))
    assert first == second
    assert set(first) == {f"cron(0 {hour} * * ? *)" for hour in (2, 3, 4, 5)}


def test_a_secrets_hour_is_the_same_in_every_release(tmp_path: Path) -> None:
    """It is made of the name: another way of making it would move a fleet's windows at an update."""
    found = read(
        tmp_path,
        """
        defaults: {engine: postgres, schedule: 'cron(0 2 * * ? *)', stagger: 11h}
        secrets: [{name: orders}, {name: billing}, {name: prod/app}]
        """,
    )
    assert [rules(one).expression for one in found.secrets] == [f"cron(0 {hour} * * ? *)" for hour in (13, 10, 4)]


@pytest.mark.parametrize(
    ("every", "expression"),
    [("1 day", "rate(1 day)"), ("2 days", "rate(2 days)"), ("30 day", "rate(30 days)"), ("4 hours", "rate(4 hours)")],
)
def test_a_rate_is_written_as_the_service_takes_it(tmp_path: Path, every: str, expression: str) -> None:
    """One day, and else several: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html"""
    (one,) = read(tmp_path, f"secrets: [{{name: app, engine: postgres, every: {every}}}]").secrets
    assert rules(one).expression == expression


@pytest.mark.parametrize(
    ("hour", "stagger", "said"),
    [
        (2, "1h", None),
        (0, "23h", None),
        (22, "1h", None),
        (2, "0h", "secrets[0].stagger is '0h'; write a number of hours from 1h to 23h"),
        (2, "24h", "secrets[0].stagger is '24h'; write a number of hours from 1h to 23h"),
        (22, "2h", "secrets[0] has a stagger that reaches into the next day; begin earlier, or make it shorter"),
    ],
)
def test_a_stagger_is_of_1_to_23_hours_within_a_day(tmp_path: Path, hour: int, stagger: str, said: str | None) -> None:
    text = f"secrets: [{{name: app, engine: mysql, schedule: 'cron(0 {hour} * * ? *)', stagger: {stagger}}}]"
    if said is None:
        assert read(tmp_path, text).secrets
    else:
        assert said in mistakes(tmp_path, text)


def test_secrets_share_a_function_by_engine_network_and_strategy(tmp_path: Path) -> None:
    text = (
        NETWORK
        + """
defaults: {every: 30 days}
secrets:
  - {name: a, engine: postgres, network: main}
  - {name: b, engine: postgres, network: main}
  - {name: c, engine: postgres}
  - {name: d, engine: postgres, network: main, strategy: alternating-users, admin: boss}
  - {name: e, engine: postgres, network: main, function: of-its-own, test_query: SELECT 1}
"""
    )
    found = {group.name: [one.label for _, one in group.secrets] for group in groups(read(tmp_path, text))}
    assert found == {
        "postgres-main": ["a", "b"],
        "postgres": ["c"],
        "postgres-main-alternating-users": ["d"],
        "of-its-own": ["e"],
    }


def test_a_functions_own_settings_come_before_those_of_all_functions(tmp_path: Path) -> None:
    text = """
    function: {memory: 512, timeout: 90, environment: {REALM: all, ROTATION_CONNECT_TIMEOUT: '3'}}
    functions:
      own: {memory: 1024, environment: {REALM: own, MORE: yes it is}}
    secrets:
      - {name: a, engine: postgres, every: 1 day}
      - {name: b, engine: postgres, every: 1 day, function: own}
    """
    usual, own = (group.settings for group in groups(read(tmp_path, text)))
    assert (usual.memory, usual.timeout) == (512, 90)
    assert usual.environment == {"REALM": "all", "ROTATION_CONNECT_TIMEOUT": "3"}
    assert (own.memory, own.timeout) == (1024, 90)
    assert own.environment == {"REALM": "own", "ROTATION_CONNECT_TIMEOUT": "3", "MORE": "yes it is"}


@pytest.mark.parametrize(
    ("keys", "functions", "architecture"),
    [
        ("engine: postgres", "", "arm64"),
        ("engine: postgres", "functions: {postgres: {architecture: x86_64}}", "x86_64"),
        ("engine: db2, admin: boss", "", "x86_64"),
        ("engine: custom, function: own", "functions: {own: {code: own/src, handler: billing.handler}}", "arm64"),
    ],
)
def test_a_function_runs_on_arm64_unless_its_driver_or_the_file_says_otherwise(
    tmp_path: Path, keys: str, functions: str, architecture: str
) -> None:
    (group,) = groups(read(tmp_path, f"{functions}\nsecrets: [{{name: app, every: 1 day, {keys}}}]"))
    assert group.architecture == architecture


def test_a_function_runs_in_the_network_of_its_secrets(tmp_path: Path) -> None:
    text = f"{NETWORK}\nsecrets: [{{name: a, {DAILY}, network: main}}, {{name: b, {DAILY}}}]"
    inside, outside = groups(read(tmp_path, text))
    assert inside.network is not None
    assert inside.network.vpc == "vpc-00000001"
    assert outside.network is None


def test_a_function_is_not_told_of_an_admin_that_the_secrets_name(tmp_path: Path) -> None:
    """Their masterarn is right; the variable would be the admin of every secret that has none."""
    (named,) = groups(read(tmp_path, secret("admin: boss, admin_named_in_secret: true")))
    assert named.admin is None
    assert "ROTATION_ADMIN_SECRET" not in environment(named)
    (told,) = groups(read(tmp_path, secret("admin: boss")))
    assert environment(told)["ROTATION_ADMIN_SECRET"] == "boss"


def test_each_stack_has_functions_of_its_own_secrets_alone(tmp_path: Path) -> None:
    """Here a test_query of one stack's secret does not count for the other's."""
    text = f"stacks: 2\nsecrets: [{{name: b, {DAILY}}}, {{name: a, {DAILY}, test_query: SELECT 1}}]"
    rotations = read(tmp_path, text)
    found = [groups(rotations, part) for part in parts(rotations.secrets, rotations.stacks)]
    assert [[(group.name, group.secrets) for group in stack] for stack in found] == [
        [("mysql", ((number, rotations.secrets[number]),))] for number in (0, 1)
    ]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("test_query: SELECT 1", "secrets[1].test_query differs from that of secrets[0], with which it shares the"),
        ("admin: other", "secrets[1].admin is one of several for the function 'postgres', which can have only one"),
        (
            "admin: boss, admin_host: db",
            "secrets[0].admin_host is one of several for the function 'postgres', which can have only one ('db')",
        ),
    ],
)
def test_what_a_function_is_told_is_the_same_for_all_its_secrets(tmp_path: Path, second: str, said: str) -> None:
    first = "{name: a, engine: postgres, every: 1 day, admin: boss}"
    own = second if "admin" in second else f"{second}, admin: boss"
    assert said in mistakes(
        tmp_path, f"secrets:\n  - {first}\n  - {{name: b, engine: postgres, every: 1 day, {own}}}\n"
    )


def test_a_user_is_named_for_each_secret_and_taken_from_one_that_is_made(tmp_path: Path) -> None:
    text = f"""
    defaults: {{every: 1 day, allow_admin_reset: true}}
    secrets:
      - {{name: a, engine: postgres, admin: boss, user: app}}
      - {{arn: "{OURS}b-AbCdEf", engine: postgres, admin: boss, user: Ä b}}
      - {{create: {{name: c, values: {{username: made}}}}, engine: postgres, admin: boss}}
    """
    (group,) = groups(read(tmp_path, text))
    assert group.users == {"a": "app", f"{OURS}b-AbCdEf": "Ä b", "c": "made"}
    assert json.loads(environment(group)["ROTATION_USERS"]) == group.users


def test_a_user_is_not_named_where_nobody_asked_for_it(tmp_path: Path) -> None:
    text = """
    secrets:
      - {create: {name: c, values: {username: made}}, engine: postgres, admin: boss, every: 1 day}
    """
    (group,) = groups(read(tmp_path, text))
    assert "ROTATION_USERS" not in environment(group)


def test_a_secret_of_another_account_is_not_given_the_user_of_its_namesake(tmp_path: Path) -> None:
    ours = "{name: app, engine: postgres, every: 1 day, admin: boss, user: app}"
    key = "arn:aws:kms:eu-west-1:444455556666:key/1a"
    theirs = f"{{arn: '{THEIRS}app-AbCdEf', engine: postgres, every: 1 day, admin: boss, kms_key: '{key}'USER}}"
    text = f"account: '111122223333'\nsecrets:\n  - {ours}\n  - {theirs}\n"
    said = "secrets[1].user is missing: another secret of the function 'postgres' has the same name"
    assert said in mistakes(tmp_path, text.replace("USER", ""))
    read(tmp_path, text.replace("USER", ", user: theirs"))


def test_more_users_than_a_functions_variables_can_hold_are_too_many(tmp_path: Path) -> None:
    def text(count: int, function: str = "") -> str:
        ones = "\n".join(
            f"  - {{name: team/orders/postgres/app{n:03}, engine: postgres, admin: boss, user: application{n:03}{own}}}"
            for n in range(count)
            for own in [function if n % 2 else ""]
        )
        return f"defaults: {{every: 1 day, allow_admin_reset: true}}\nsecrets:\n{ones}\n"

    (group,) = groups(read(tmp_path, text(82)))
    assert 3900 < size(environment(group)) <= 4096
    assert "secrets[99] is one too many for the function 'postgres'" in mistakes(tmp_path, text(100))
    assert len(groups(read(tmp_path, text(100, ", function: second")))) == 2


@pytest.mark.parametrize("host", ["db.example.com", "db.example.com:5433", "[fd00::1]:5432", DATABASE])
def test_a_managed_admin_is_found_by_its_address_or_by_its_database(tmp_path: Path, host: str) -> None:
    (group,) = groups(read(tmp_path, secret(f"admin: rds!db-1, admin_host: '{host}'")))
    assert group.admin_host == (None if host == DATABASE else host)
    assert group.first.admin_database == (DATABASE if host == DATABASE else None)


def test_an_admin_whose_secret_has_no_host_need_not_be_managed(tmp_path: Path) -> None:
    (group,) = groups(read(tmp_path, secret("admin: boss, admin_host: db")))
    assert environment(group)["ROTATION_ADMIN_HOST"] == "db"


def test_too_many_secrets_to_make_are_told(tmp_path: Path) -> None:
    many = [f"  - {{create: {{name: s{n}, values: {{username: u}}}}, {DAILY}}}\n" for n in range(101)]
    assert "secrets are 101 to create, and a stack can hold 100" in mistakes(tmp_path, "secrets:\n" + "".join(many))


def test_what_secrets_are_made_of_needs_room_too(tmp_path: Path) -> None:
    many = [
        f"  - {{create: {{name: s{n}, values: {{username: u}}}}, function: f{n % 12}, {DAILY}}}\n" for n in range(60)
    ]
    assert "stacks is 1, which can't hold 60 secrets: write stacks: 2" in mistakes(
        tmp_path, "secrets:\n" + "".join(many)
    )


@pytest.mark.parametrize(
    ("counts", "made", "foreign", "fits"),
    [
        ([220], 0, 0, True),
        ([221], 0, 0, False),
        ([50, 50], 100, 0, True),
        ([46], 0, 45, True),
        ([46], 0, 46, False),
        (20 * [1], 0, 0, True),
        (21 * [1], 0, 0, False),
        # 440 resources: 17 for each function, one for each secret and one for its permission (20 for a function with
        # more), one for every four in the check for overdue secrets, and two more for each secret that is made.
        ([*(15 * [3]), 2, 2, 2, 1], 0, 0, True),
        ([*(15 * [3]), 2, 2, 2, 2], 0, 0, False),
        ([61, *(17 * [1])], 0, 0, True),
        ([62, *(17 * [1])], 0, 0, False),
        ([59, *(17 * [1])], 1, 0, True),
        ([59, *(17 * [1])], 2, 0, False),
    ],
)
def test_a_stack_has_room_up_to_its_limits(counts: list[int], made: int, foreign: int, fits: bool) -> None:
    """The last secrets are made, or are another account's."""
    own = [(f"f{function}", f"s{function}-{n}") for function, count in enumerate(counts) for n in range(count)]
    secrets = []
    for place, (function, name) in enumerate(own, 1):
        named: dict[str, Any] = {"name": name}
        if place > len(own) - made:
            named = {"create": {"name": name, "values": {"username": "u"}}}
        elif place > len(own) - foreign:
            named = {"arn": f"{THEIRS}{name}-AbCdEf", "kms_key": "arn:aws:kms:eu-west-1:444455556666:key/1a"}
        secrets.append({**named, "engine": "mysql", "every": "1 day", "function": function})
    rotations = Rotations.model_validate({"account": "111122223333", "secrets": secrets})
    said = f"is 1, which can't hold {len(own)} secrets: write stacks: 2"
    assert [one.text for one in check(rotations, ROOT)] == ([] if fits else [said])


def test_what_50_stacks_have_no_room_for_is_for_several_files() -> None:
    """As 21 functions' secrets whose names put them all into the first stack, though a 51st would take one."""
    many = [Secret(name=f"s{n}", engine="mysql", every="1 day", function=f"f{n}") for n in range(810)]
    first = [one for _, one in parts(many, 50)[0]]
    assert len(first) == 21
    assert len(parts(first, 51)[0]) == 20
    said = [one.text for one in check(Rotations(stacks=50, secrets=first), ROOT)]
    assert said == ["is 50, which can't hold 21 secrets: use several files"]


@pytest.mark.parametrize(("stacks", "longest"), [(1, 32), (2, 30), (10, 29)])
def test_a_functions_name_has_64_characters_with_prefix_and_the_stacks_number(
    tmp_path: Path, stacks: int, longest: int
) -> None:
    text = (
        f"prefix: {'p' * 32}\nstacks: {stacks}\nsecrets: [{{name: a, {DAILY}}}, {{name: b, {DAILY}, function: NAME}}]"
    )
    assert read(tmp_path, text.replace("NAME", "f" * longest)).secrets
    said = f"secrets[1].function is '{'f' * (longest + 1)}', and with the prefix a function's name would be longer"
    assert said in mistakes(tmp_path, text.replace("NAME", "f" * (longest + 1)))


def test_a_functions_variables_have_4096_bytes_at_most(tmp_path: Path) -> None:
    text = "function: {environment: {PAD: '%s'}}\n" + ONE
    (group,) = groups(read(tmp_path, text % ""))
    room = 4096 - size(environment(group))
    assert read(tmp_path, text % (room * "x")).secrets
    assert "would have 4,097 bytes, and Lambda allows 4,096" in mistakes(tmp_path, text % ((room + 1) * "x"))


@pytest.mark.parametrize(
    ("engine", "password", "made"),
    [
        ("postgres", "", Generator(32)),
        ("oracle", "", Generator(30)),
        (
            "oracle",
            "{length: 12, exclude_characters: ab, exclude_numbers: true, exclude_lowercase: true}",
            Generator(12, "ab", frozenset({"numbers", "lowercase"}), True),  # noqa: FBT003
        ),
        (
            "mysql",
            "{exclude_punctuation: true, exclude_uppercase: true, require_each_included_type: false}",
            Generator(32, None, frozenset({"punctuation", "uppercase"}), False),  # noqa: FBT003
        ),
    ],
)
def test_a_secret_that_is_made_has_a_password_by_its_policy(
    tmp_path: Path, engine: str, password: str, made: Generator
) -> None:
    own = f", password: {password}" if password else ""
    made_by = read(tmp_path, f"secrets: [{{name: app, engine: {engine}, every: 1 day{own}}}]").secrets[0]
    assert generator(made_by) == made


def test_a_secret_that_is_made_names_its_engine_its_values_and_the_admin_where_it_shall(tmp_path: Path) -> None:
    text = "secrets: [{create: {name: a, values: {username: u}}, admin: boss, engine: mysql, every: 1 day%s}]"
    [named] = read(tmp_path, text % ", admin_named_in_secret: true").secrets
    assert named.made_values == {"engine": "mysql", "username": "u", "masterarn": "boss"}
    [told] = read(tmp_path, text % "").secrets
    assert told.made_values == {"engine": "mysql", "username": "u"}
    [found] = read(tmp_path, ONE).secrets
    assert found.made_values == {}


def test_a_permission_that_is_too_long_for_a_policy_is_several(tmp_path: Path) -> None:
    actions = ", ".join(f"sqs:Action{number}" for number in range(400))
    own = "{code: own/src, handler: billing.handler, permissions: [{actions: [%s], resources: ['arn:aws:sqs:::a']}]}"
    text = f"secrets: [{{name: own, engine: custom, function: own, every: 1 day}}]\nfunctions: {{own: {own}}}\n"
    said = mistakes(tmp_path, text % actions)
    assert "functions.own.permissions[0] has " in said
    assert "an IAM policy can have 5,000: write several permissions" in said


def test_a_permission_as_long_as_a_policy_has_room_for_is_one(tmp_path: Path) -> None:
    def text(longer: int) -> str:
        actions = [*(f"sqs:Action{number:03}" for number in range(291)), "sqs:" + "A" * (18 + longer)]
        own = f"{{actions: [{', '.join(actions)}], resources: ['arn:aws:sqs:::a']}}"
        return (
            "secrets: [{name: own, engine: custom, function: own, every: 1 day}]\n"
            f"functions: {{own: {{code: own/src, handler: billing.handler, permissions: [{own}]}}}}\n"
        )

    assert read(tmp_path, text(0)).secrets
    assert "functions.own.permissions[0] has 5,001 characters" in mistakes(tmp_path, text(1))


@pytest.mark.parametrize("wild", ["sqs:*", "sqs:Send?"])
def test_a_wildcard_of_either_kind_has_a_reason(tmp_path: Path, wild: str) -> None:
    text = (
        "secrets: [{name: own, engine: custom, function: own, every: 1 day}]\n"
        "functions: {own: {code: own/src, handler: billing.handler, permissions: "
        f"[{{actions: ['{wild}'], resources: ['arn:aws:sqs:::a']MORE}}]}}}}\n"
    )
    said = f"functions.own.permissions[0].actions has a wildcard, '{wild}': name each of them, or say why not"
    assert said in mistakes(tmp_path, text.replace("MORE", ""))
    assert read(tmp_path, text.replace("MORE", ", because: it has names of its own")).secrets


def test_a_bar_in_a_description_does_not_end_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = schema()
    whole["properties"]["stack"]["description"] = "this|that"
    monkeypatch.setattr("infra.config.reference.schema", lambda: whole)
    assert "| `stack` | this\\|that | `Rotations` |" in page()


def test_a_function_is_told_what_the_file_says_and_nothing_else(tmp_path: Path) -> None:
    (plain,) = groups(read(tmp_path, ONE))
    assert environment(plain) == {"ROTATION_STRATEGY": "auto", "POWERTOOLS_SERVICE_NAME": "postgres"}
    text = """
    function: {log_level: DEBUG, environment: {ROTATION_CONNECT_TIMEOUT: '3'}}
    secrets:
      - name: app
        engine: postgres
        strategy: alternating-users
        admin: boss
        admin_host: db:5433
        user: Ä
        twin: adopt
        allow_admin_reset: true
        test_query: SELECT 1
        password: {length: 40}
        every: 1 day
    """
    (group,) = groups(read(tmp_path, text))
    assert environment(group) == {
        "ROTATION_CONNECT_TIMEOUT": "3",
        "ROTATION_STRATEGY": "alternating-users",
        "POWERTOOLS_SERVICE_NAME": "postgres-alternating-users",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        "PASSWORD_LENGTH": "40",
        "ROTATION_ADMIN_SECRET": "boss",
        "ROTATION_ADMIN_HOST": "db:5433",
        "ROTATION_USERS": '{"app":"Ä"}',
        "ROTATION_TEST_QUERY": "SELECT 1",
        "ALLOW_ADMIN_RESET": "true",
        "ROTATION_TWIN": "adopt",
    }


def test_a_rotator_of_ones_own_has_passwords_of_the_usual_length(tmp_path: Path) -> None:
    text = (
        "secrets: [{name: own, engine: custom, function: own, every: 1 day}]\n"
        "functions: {own: {code: own/src, handler: billing.handler}}\n"
    )
    assert generator(read(tmp_path, text).secrets[0]) == Generator(32)


def test_a_copy_has_the_key_of_its_region_or_the_services_own(tmp_path: Path) -> None:
    key = "arn:aws:kms:eu-central-1:111122223333:key/1a"
    replicas = f"[us-east-1, {{region: eu-central-1, kms_key: '{key}'}}]"
    values = f"{{name: a, values: {{username: u}}, replicas: {replicas}}}"
    (one,) = read(tmp_path, f"secrets: [{{create: {values}, {DAILY}}}]").secrets
    assert one.create is not None
    assert one.create.copies == {"us-east-1": None, "eu-central-1": key}


@pytest.mark.parametrize(
    ("region", "partition"),
    [(None, "aws"), ("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_a_region_is_of_a_partition(tmp_path: Path, region: str | None, partition: str) -> None:
    rotations = read(tmp_path, f"region: {region}\n{ONE}" if region else ONE)
    assert rotations.partition == partition


def test_a_function_is_told_what_a_secret_that_is_made_holds(tmp_path: Path) -> None:
    text = "secrets: [{create: {name: a, values: {username: Ä, port: 5433}}, engine: postgres, every: 1 day}]"
    (group,) = groups(read(tmp_path, text))
    assert environment(group)["ROTATION_VALUES"] == '{"a":{"engine":"postgres","username":"Ä","port":5433}}'
