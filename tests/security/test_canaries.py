"""A canary in each value of a secret, and then a look into all that a run has written, in success and in failure.

The function runs in a process of its own under AWS's runtime client, as it is deployed; so does the command line in
test_cli_canaries.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from targets import ALTERNATING, MysqlTarget
from witness import CANARY, Witness, spellings

import rotators
from rotators.testing import RotationService
from rotators.testing.endpoint import served
from rotators.testing.lambda_process import LambdaProcess, add_runtime, protect
from rotators.testing.servers.certificates import CertificateAuthority

pytestmark = [pytest.mark.server, pytest.mark.slow]
HANDLERS = {"PostgresTarget": "postgres", "MongoTarget": "mongo", "SqlserverDouble": "sqlserver"}
# Whatever can be asked to say more does.
LOUD = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "TRACE", "POWERTOOLS_LOG_LEVEL": "DEBUG"}


def all_values(service: RotationService, *arns: str) -> set[str]:
    """Every password that a version of these secrets holds, and the canaries beside it."""
    found = set()
    for arn in arns:
        for one in service.client.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True)["Versions"]:
            try:
                text = service.client.get_secret_value(SecretId=arn, VersionId=one["VersionId"])["SecretString"]
            except service.client.exceptions.ResourceNotFoundException:
                continue
            value = json.loads(text)
            found |= {str(value[key]) for key in ("password", "note", "nested") if key in value}
    return found


@pytest.fixture
def endpoint(rotation_service: RotationService) -> Iterator[str]:
    with served(rotation_service) as url:
        yield url


def function(folder: Path, engine: str) -> Path:
    """The function as the repository has it, laid out as Lambda does."""
    (folder / "task").mkdir(parents=True)
    packages = [str(Path(rotators.__file__).parents[1]), next(one for one in sys.path if one.endswith("site-packages"))]
    (folder / "task" / "function.py").write_text(
        f"import sys\nsys.path += {packages!r}\nfrom rotators.handlers.{engine} import handler\n"
    )
    add_runtime(folder)
    protect(folder)
    return folder


@pytest.mark.parametrize("strategy", [ALTERNATING])
def test_nothing_that_a_function_writes_holds_a_value(
    target: Any, strategy: str, rotation_service: RotationService, endpoint: str, tmp_path: Path
) -> None:
    """A rotation that ends well, and one that fails at each of these: the CA, the password, the test, the JSON."""
    engine = target.kind if isinstance(target, MysqlTarget) else HANDLERS.get(type(target).__name__)
    if engine is None:
        pytest.skip("the double of this engine is no server on a socket")
    application = target.make_application()
    target.set_password(application.username, f"{CANARY}-of-the-user")
    admin = {**target.admin_secret(), "note": f"{CANARY}-beside-the-admin"}
    value = {
        **target.secret(application),
        "password": f"{CANARY}-of-the-user",
        "note": f"{CANARY}-'beside\"\\it",
        "nested": json.dumps({"token": f"{CANARY}-within"}),
    }
    ca_file = tmp_path / "ca.pem"
    good = Path(target.server.ca_file if hasattr(target.server, "ca_file") else target.ca_file).read_bytes()
    ca_file.write_bytes(good)
    written = tmp_path / "written"
    written.mkdir()
    variables = {
        **LOUD,
        "ROTATION_STRATEGY": strategy,
        "ROTATION_CA_BUNDLE": str(ca_file),
        "TMPDIR": str(written),
        "HOME": str(written),
    }
    witness, kinds = Witness(written), []
    mark = target.log_mark()
    client = rotation_service.client
    with LambdaProcess(function(tmp_path / "lambda", engine), endpoint, variables) as process:

        def handler(event: Any, context: Any) -> Any:
            try:
                return process(event, context)
            finally:
                witness.look_at(process.pid)
                witness.note(json.dumps([process.answer.body, dict(process.answer.headers)], default=str))

        masterarn = rotation_service.create_secret("admin", admin, handler)
        value["masterarn"] = masterarn
        arn = rotation_service.create_secret("app", value, handler)
        assert rotation_service.rotate(arn).error is None
        current = rotation_service.value(arn)
        for wrong, ca in (
            (json.dumps(current), CertificateAuthority(tmp_path, "another").ca_file.read_bytes()),
            (json.dumps({**current, "password": f"{CANARY}-wrong"}), good),
            (json.dumps({**current, "dbname": f"nowhere-{CANARY}"[:9], "port": 1}), good),
            (f'{{"password": "{CANARY}-in-half-a-json', good),
        ):
            ca_file.write_bytes(ca)
            name = f"secret{len(kinds)}"
            made = rotation_service.create_secret(name, json.loads(json.dumps(current)), handler)
            client.put_secret_value(SecretId=made, SecretString=wrong)
            failed = rotation_service.rotate(made)
            assert failed.error is not None
            kinds.append(str(process.answer.body.get("errorType")))
        ca_file.write_bytes(good)
    assert kinds[0] == "TlsFailed"
    assert kinds[1] == "LoginRefused"
    assert len(set(kinds)) == len(kinds)
    text = "\n".join([witness.text(), *process.output])
    assert '"level":"ERROR"' in text
    assert '"_aws"' in text
    values = {*all_values(rotation_service, arn, masterarn), CANARY, f"{CANARY}-within"}
    assert len(values) >= 6
    for one in values:
        assert not [spelling for spelling in spellings(one) if spelling in text], "a value is written"
    # What the server notes of our statements: verifiers, where the engine takes them.
    log = target.log_since(mark)
    passwords = {str(rotation_service.value(arn, stage)["password"]) for stage in ("AWSCURRENT", "AWSPREVIOUS")}
    assert not [one for one in passwords if one in log]
