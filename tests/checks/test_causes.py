"""Each cause of a rotation that fails, made real, and the line that ``rotators check`` prints for it.

``docs/reference/causes.md`` is made of them: CAUSES_PAGE=docs/reference/causes.md pytest tests/checks/test_causes.py
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql
from scenes import SimulatedAccount, allow, deploy, permit, plain
from targets import ALTERNATING, SINGLE, MysqlTarget, PostgresTarget, rotated

from rotators.checks.finding import Outcome
from rotators.cli.check import look
from rotators.cli.look import From
from rotators.testing import KMS_REFUSAL, RotationService
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.fixtures import require_postgres
from rotators.testing.servers.postgres import PostgresServer

PAGE = Path(__file__).parents[2] / "docs/reference/causes.md"
HEAD = """# Causes of a failed rotation

This page shows what `rotators check` prints for each cause. A test reproduces every row
(`tests/checks/test_causes.py`), on a real PostgreSQL or MySQL and in a simulated AWS account, and makes this page. Your
names, versions and dates differ. How to use it: [find out why a rotation failed](../how-to/find-out-why.md).

| cause | what `rotators check` prints |
|---|---|
"""


class Scene:
    """A secret and all it needs, healthy."""

    def __init__(self, target: Any, service: RotationService, stack: contextlib.ExitStack) -> None:
        self.target, self.service, self.stack = target, service, stack
        self.account = SimulatedAccount(region="eu-west-1")
        self.strategy = SINGLE
        self.variables: dict[str, str] = {}
        self.keys: dict[str, Any] = {}
        self.function: dict[str, Any] = {}
        self.user = ""
        self.arn = ""
        self.name = ""
        self.canaries = {target.server.admin.password} if hasattr(target.server, "admin") else set()

    def make(self, number: int, **secret: Any) -> Scene:
        """Make it, with what was asked for so far."""
        self.user = self.user or f"cause{number}"
        application = self.target.make_bare(self.user)
        rotator = self.target.rotator(self.service, ROTATION_STRATEGY=self.strategy, **self.variables)
        if self.strategy == ALTERNATING:
            admin = self.keys.pop("admin", self.target.admin_secret())
            self.keys.setdefault("masterarn", self.service.create_secret(f"admin{number}", admin, rotator))
        value = self.target.secret(application, **{**self.keys, **secret})
        self.canaries |= {application.password}
        self.arn = self.service.create_secret(f"causes-{number}", value, rotator)
        self.service.configure(self.arn, rotator, days=30)
        self.name = deploy(self.account, self.service, self.arn, **self.function)
        return self

    def put(self, text: str | None = None, **changes: Any) -> None:
        """Change AWSCURRENT by hand."""
        value = json.dumps(self.service.value(self.arn) | changes) if text is None else text
        self.service.client.put_secret_value(SecretId=self.arn, SecretString=value)

    def run(self, statement: str) -> None:
        """As the superuser; ``{}`` is the user."""
        self.target.as_superuser(sql.SQL(statement).format(sql.Identifier(self.user)))

    @property
    def server(self) -> PostgresServer:
        server: PostgresServer = self.target.server
        return server

    @property
    def aws(self) -> Any:
        return self.account.client


Break = Callable[[Scene, int], None]
CAUSES: dict[str, tuple[str, Break]] = {}


def cause(words: str, subject: str) -> Callable[[Break], Break]:
    """A cause, and the subject of the finding that tells of it."""

    def add(make: Break) -> Break:
        CAUSES[words] = subject, make
        return make

    return add


# On the way to the server.


@cause("The host name does not exist", "server DNS")
def _(scene: Scene, number: int) -> None:
    scene.make(number, host="no-such-host.invalid")


@cause("The server is stopped, or the port is wrong", "server port")
def _(scene: Scene, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    scene.make(number, port=port)


@cause("Another program listens there", "server TLS")
def _(scene: Scene, number: int) -> None:
    other = scene.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    scene.variables["ROTATION_CONNECT_TIMEOUT"] = "0.5"
    scene.make(number, port=other.getsockname()[1])


@cause("The CA is not the one that signed the certificate", "server TLS")
def _(scene: Scene, number: int) -> None:
    scene.variables["ROTATION_CA_BUNDLE"] = str(
        CertificateAuthority(Path(scene.server.ca_file).parent, f"o{number}").ca_file
    )
    scene.make(number)


@cause("The server's certificate has expired", "server TLS")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.stack.enter_context(scene.server.presenting(expired=True))


@cause("The certificate is for another name", "server TLS")
def _(scene: Scene, number: int) -> None:
    scene.make(number, tlsServerName="db.example.com")


@cause("The secret asks for a connection without TLS", "server TLS")
def _(scene: Scene, number: int) -> None:
    scene.make(number, ssl=False)


@cause("ROTATION_CA_BUNDLE names no file", "settings")
def _(scene: Scene, number: int) -> None:
    scene.variables["ROTATION_CA_BUNDLE"] = "/opt/nothing.pem"
    scene.make(number)


@cause("The host is a replica", "server")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    standby = scene.stack.enter_context(scene.server.start_standby())
    standby.catch_up()
    scene.put(port=standby.port)


# The user.


@cause("The password was changed by hand", "login AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.target.set_password(scene.user, "canary-of-somebody-else")


@cause("AWSCURRENT was moved back to an old version, or the label never moved", "login AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    assert scene.service.rotate(scene.arn).succeeded
    labels = scene.service.labels(scene.arn)
    at, before = (next(v for v, names in labels.items() if label in names) for label in ("AWSCURRENT", "AWSPREVIOUS"))
    scene.service.client.update_secret_version_stage(
        SecretId=scene.arn, VersionStage="AWSCURRENT", MoveToVersionId=before, RemoveFromVersionId=at
    )


@cause("A rotation stopped after the password was set, and before the label moved", "login AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    rotation = scene.service.stage(scene.arn)
    scene.service.invoke(rotation, "createSecret")
    scene.target.set_password(scene.user, scene.service.value(scene.arn, "AWSPENDING")["password"])


@cause("AWSPENDING has no value", "AWSPENDING")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.service.stage(scene.arn)


@cause("AWSPENDING has a value that is not set in the database yet", "login AWSPENDING")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.service.invoke(scene.service.stage(scene.arn), "createSecret")


@cause("AWSPENDING has a value that can't be used", "secret AWSPENDING")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    rotation = scene.service.stage(scene.arn)
    scene.service.client.put_secret_value(
        SecretId=scene.arn, ClientRequestToken=rotation.token, SecretString="{}", VersionStages=["AWSPENDING"]
    )


@cause("The user may not log in (NOLOGIN)", "login AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.run("ALTER ROLE {} NOLOGIN")


@cause("The user's VALID UNTIL has passed", "login AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.run("ALTER ROLE {} VALID UNTIL '2020-01-01'")


@cause("The user was dropped", "login AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.run("DROP ROLE {}")


@cause("The user logs in by IAM", "user")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.run("GRANT rds_iam TO {}")


@cause("The database does not exist", "login AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number, dbname="no_such_database")


@cause("pg_hba.conf does not allow the user", "login AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.user = "refused"
    scene.make(number)


@cause("The user has too many connections", "login AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.run("ALTER ROLE {} CONNECTION LIMIT 0")


@cause("RDS restricts who may set passwords, and the user is not among them", "rehearsal")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.run("ALTER ROLE {} SET rds.restrict_password_commands = 'on'")


@cause("ROTATION_TEST_QUERY fails", "ROTATION_TEST_QUERY")
def _(scene: Scene, number: int) -> None:
    scene.variables["ROTATION_TEST_QUERY"] = "SELECT * FROM no_such_table"
    scene.make(number)


# The admin and the second user.


@cause("CREATEROLE was revoked from the admin", "rights of the admin")
def _(scene: Scene, number: int) -> None:
    _with_admin(scene, number, "LOGIN")


@cause("The admin lacks the ADMIN option on the user (PostgreSQL 16 and newer)", "rights of the admin")
def _(scene: Scene, number: int) -> None:
    _with_admin(scene, number, "LOGIN CREATEROLE")


def _with_admin(scene: Scene, number: int, options: str) -> None:
    admin = f"admin{number}"
    scene.target.as_superuser(f"CREATE ROLE {admin} {options}")
    scene.target.set_password(admin, "canary-of-the-admin")
    scene.canaries.add("canary-of-the-admin")
    scene.strategy = ALTERNATING
    scene.keys["admin"] = scene.server.secret(admin, "canary-of-the-admin")
    scene.make(number)


@cause("The admin's password is wrong", "login admin")
def _(scene: Scene, number: int) -> None:
    scene.strategy = ALTERNATING
    scene.keys["admin"] = scene.target.admin_secret() | {"password": "canary-wrong"}
    scene.make(number)


@cause("No admin secret is named", "admin secret")
def _(scene: Scene, number: int) -> None:
    scene.strategy = ALTERNATING
    scene.keys["masterarn"] = None
    scene.make(number)


@cause("The admin secret has no host", "admin secret")
def _(scene: Scene, number: int) -> None:
    scene.strategy = ALTERNATING
    scene.keys["admin"] = {"username": "postgres", "password": "canary-without-a-host"}
    scene.make(number)


@cause("The admin secret was deleted", "admin secret")
def _(scene: Scene, number: int) -> None:
    scene.strategy = ALTERNATING
    scene.make(number)
    scene.service.client.delete_secret(SecretId=scene.service.value(scene.arn)["masterarn"], RecoveryWindowInDays=7)


@cause("The admin secret is for another server", "proof at the admin's server")
def _(scene: Scene, number: int) -> None:
    scene.strategy = ALTERNATING
    scene.make(number)
    value = scene.service.value(scene.arn)
    # Another server, which has a user of that name and password as well.
    other = scene.stack.enter_context(PostgresServer(require_postgres()))
    other.create_app_user(scene.user, password=value["password"])
    admin = other.admin_secret()
    scene.put(host="localhost")
    scene.service.client.put_secret_value(SecretId=value["masterarn"], SecretString=json.dumps(admin))
    scene.service._functions[_function(scene)]._environment._variables["ROTATION_CA_BUNDLE"] = _both(scene, other)


def _both(scene: Scene, other: PostgresServer) -> str:
    """The CAs of two servers."""
    file = Path(scene.server.ca_file).parent / "both.pem"
    file.write_text(Path(scene.server.ca_file).read_text() + Path(other.ca_file).read_text())
    return str(file)


@cause("The existing second user belongs to another application", "second user")
def _(scene: Scene, number: int) -> None:
    scene.strategy = ALTERNATING
    scene.make(number)
    scene.target.make_bare(f"{scene.user}_clone")


@cause("The second user's name would be too long", "second user")
def _(scene: Scene, number: int) -> None:
    scene.user = f"cause{number}_" + "x" * 50
    scene.strategy = ALTERNATING
    scene.make(number)


# The secret and the function's settings.


@cause("The secret is for another engine", "secret AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number, engine="mysql")


@cause("The secret's value is not JSON", "secret's JSON")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.put("canary-instead-of-json")


@cause("A key of the secret is missing", "secret AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number, host=None)


@cause("The port is not a number", "secret AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number, port="5432/tcp")


@cause("The host holds a URL", "secret AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number, host="postgres://db")


@cause("ROTATION_STRATEGY is dual-password, which the engine does not have", "settings")
def _(scene: Scene, number: int) -> None:
    scene.strategy = "dual-password"
    scene.make(number)


@cause("The function's password settings exclude all characters of a kind", "settings")
def _(scene: Scene, number: int) -> None:
    scene.variables["EXCLUDE_CHARACTERS"] = "0123456789"
    scene.make(number)


# What AWS knows.


@cause("The secret does not exist", "secret")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.arn = f"causes-{number}-gone"


@cause("The secret is scheduled for deletion", "secret")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.service.client.delete_secret(SecretId=scene.arn, RecoveryWindowInDays=7)


@cause("Rotation is switched off", "rotation")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.service.client.cancel_rotate_secret(SecretId=scene.arn)


@cause("The secret has no schedule", "schedule")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.service.configure(scene.arn, scene.service._functions[_function(scene)])


@cause("The window is too short", "schedule")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.service.client.rotate_secret(
        SecretId=scene.arn,
        RotateImmediately=False,
        RotationRules={"ScheduleExpression": "cron(0 3 1 * ? *)", "Duration": "1h"},
    )


@cause("The rotation is overdue", "schedule")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.service._configured[scene.arn].next_window = scene.service.clock.now - timedelta(days=3)


@cause("The function may not use the KMS key", "secret AWSCURRENT")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    # The first is the check's own, with the rights of the user who asks.
    scene.service.faults.fail("GetSecretValue", kind=KMS_REFUSAL, nth=2)


@cause("The KMS key is disabled", "KMS key")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    _key(scene, lambda kms, key: kms.disable_key(KeyId=key))


@cause("The KMS key is scheduled for deletion", "KMS key")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    _key(scene, lambda kms, key: kms.schedule_key_deletion(KeyId=key))


def _key(scene: Scene, spoil: Callable[[Any, str], Any]) -> None:
    kms = scene.aws("kms")
    key = kms.create_key()["KeyMetadata"]
    scene.service.client.update_secret(SecretId=scene.arn, KmsKeyId=key["Arn"])
    spoil(kms, key["KeyId"])


@cause("The function was deleted", "function")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.aws("lambda").delete_function(FunctionName=scene.name)


@cause("The function is throttled", "function's concurrency")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.aws("lambda").put_function_concurrency(FunctionName=scene.name, ReservedConcurrentExecutions=0)


@cause("Secrets Manager may not invoke the function", "function's resource policy")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.aws("lambda").remove_permission(FunctionName=scene.name, StatementId="SecretsManager")


@cause("The function's resource policy names no SourceAccount", "function's resource policy")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.aws("lambda").remove_permission(FunctionName=scene.name, StatementId="SecretsManager")
    permit(scene.account, scene.name, SourceArn="")


@cause("The function's role lacks PutSecretValue", "function's role")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    allow(scene.account, ["secretsmanager:Describe*", "secretsmanager:Get*", "secretsmanager:Update*"])


@cause("The function's time-out is too short", "function's time-out")
def _(scene: Scene, number: int) -> None:
    scene.function["Timeout"] = 3
    scene.make(number)


@cause("The function's runtime is no longer supported", "function's runtime")
def _(scene: Scene, number: int) -> None:
    scene.function["Runtime"] = "python3.8"
    scene.make(number)


@cause("The function is not one of rotators", "inside check")
def _(scene: Scene, number: int) -> None:
    scene.make(number)
    scene.service._functions[_function(scene)] = _aws_template


def _aws_template(event: dict[str, str], context: object) -> None:
    del context
    event["ClientRequestToken"]


def _function(scene: Scene) -> str:
    return scene.service._configured[scene.arn].function_arn


@pytest.fixture(scope="module")
def lines() -> Iterator[dict[str, str]]:
    """What was printed, by cause; written to the page where the environment names one."""
    found: dict[str, str] = {}
    yield found
    page = os.environ.get("CAUSES_PAGE")
    if page:
        rows = [f"| {words} | {_cell(found[words])} |" for words in (*CAUSES, POLICY) if words in found]
        Path(page).write_text(HEAD + "\n".join(rows) + "\n")


def _cell(line: str) -> str:
    return "`" + line.replace("|", "\\|") + "`"


def _documented() -> dict[str, str]:
    rows = re.findall(r"^\| (.+?) \| `(.+)` \|$", PAGE.read_text() if PAGE.exists() else "", re.MULTILINE)
    return {words: line.replace("\\|", "|") for words, line in rows}


# Of so many causes one is tried by `make test`, and all by `make test-long`.
SHARE = 3
NUMBERS = itertools.count(100)
POLICY = "The server's policy refuses the function's passwords (MySQL)"


@pytest.mark.server
@pytest.mark.parametrize(
    "words",
    [pytest.param(words, marks=pytest.mark.long if number % SHARE else ()) for number, words in enumerate(CAUSES)],
)
def test_the_cause_is_named_with_its_remedy(
    words: str,
    own_server: PostgresTarget,
    rotation_service: RotationService,
    lines: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    subject, make = CAUSES[words]
    with contextlib.ExitStack() as stack:
        scene = Scene(own_server, rotation_service, stack)
        make(scene, next(NUMBERS))
        before = rotation_service.labels(scene.arn) if scene.arn.startswith("arn:") else None
        mark = own_server.log_mark()
        found = look(scene.account, scene.arn, From())
        refused = own_server.failed_logins(own_server.log_since(mark))
        # No password twice: AWSCURRENT, AWSPENDING and AWSPREVIOUS are the most.
        assert refused <= 3
        assert before is None or rotation_service.labels(scene.arn) == before
    bad = [one for one in found if one.outcome is not Outcome.OK]
    named = [one for one in bad if one.subject == subject and one.outcome is not Outcome.UNKNOWN]
    assert named, "\n".join(map(str, found))
    assert named[-1].remedy
    printed = "\n".join(map(str, found))
    canaries = scene.canaries | own_server.passwords | {"canary"}
    out = capsys.readouterr()
    assert not [one for one in canaries if one in printed or one in out.err], "a password is printed"
    lines[words] = plain(str(named[-1]))
    if not os.environ.get("CAUSES_PAGE"):
        assert lines[words] == _documented().get(words)


@pytest.mark.server
def test_a_policy_that_refuses_our_passwords_is_named(
    mysql_family: MysqlTarget, rotation_service: RotationService, lines: dict[str, str]
) -> None:
    if mysql_family.kind != "mysql":
        pytest.skip("MariaDB is sent hashes, and sees no password")
    subject = rotated(mysql_family, rotation_service, SINGLE)
    account = SimulatedAccount(region="eu-west-1")
    deploy(account, rotation_service, subject.arn)
    query = mysql_family.server.query
    query("INSTALL COMPONENT 'file://component_validate_password'")
    try:
        query("SET GLOBAL validate_password.length = 64")
        found = look(account, subject.arn, From())
    finally:
        query("UNINSTALL COMPONENT 'file://component_validate_password'")
    named = next(one for one in found if one.subject == "password policy")
    assert named.outcome is Outcome.FAILURE
    lines[POLICY] = plain(str(named))
    if not os.environ.get("CAUSES_PAGE"):
        assert lines[POLICY] == _documented().get(POLICY)


def test_the_page_has_thirty_causes_and_none_ends_in_unknown() -> None:
    documented = _documented()
    assert set(documented) == {*CAUSES, POLICY}
    assert len(documented) >= 30
    for line in documented.values():
        assert line.startswith(("failure: ", "warning: "))
        assert " -> " in line
