"""Where a managed admin secret's server is: asked of moto's Secrets Manager, RDS and Redshift."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, NoCredentialsError

from rotators.endpoints import Endpoint, ManagedEndpoints
from rotators.errors import (
    SecretNotFound,
    SecretsManagerDenied,
    SecretsManagerError,
    SecretsManagerUnreachable,
    UserPairMismatch,
)
from rotators.testing import RotationService
from rotators.versions import SecretVersions

OWNER = "aws:secretsmanager:owningService"
ACCOUNT = "eu-west-1:123456789012"
NAMESPACE = f"arn:aws:redshift-serverless:{ACCOUNT}:namespace/0a1b2c3d"

# What answers an operation in the real one's place: given its parameters, and how to call the real one.
Answer = Callable[[dict[str, Any], Callable[[], Any]], Any]


class Cloud:
    """Databases with admin secrets that AWS manages, and operations that answer something else."""

    def __init__(self, service: RotationService) -> None:
        self.secrets = service.client
        self.answers: dict[str, Answer] = {}
        self.calls: list[str] = []

    def instance(self, name: str = "orders") -> str:
        """A DB instance; gives its admin's secret."""
        made = boto3.client("rds").create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t3.micro",
            Engine="postgres",
            MasterUsername="admin",
            AllocatedStorage=20,
            ManageMasterUserPassword=True,
        )
        return str(made["DBInstance"]["MasterUserSecret"]["SecretArn"])

    def cluster(self, name: str = "shop") -> str:
        """An Aurora cluster; gives its admin's secret."""
        made = boto3.client("rds").create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            MasterUsername="admin",
            Port=5433,
            ManageMasterUserPassword=True,
        )
        return str(made["DBCluster"]["MasterUserSecret"]["SecretArn"])

    def warehouse(self, name: str = "dw") -> str:
        """A Redshift cluster; moto does not manage its secret, so it is made as Redshift would."""
        boto3.client("redshift").create_cluster(
            ClusterIdentifier=name, NodeType="ra3.large", MasterUsername="admin", MasterUserPassword="Passw0rd"
        )
        tag = "aws:redshift:primaryClusterArn"
        arn = self.secret(
            f"redshift!{name}-admin", {OWNER: "redshift", tag: f"arn:aws:redshift:{ACCOUNT}:cluster:{name}"}
        )

        def answer(_: dict[str, Any], real: Callable[[], Any]) -> Any:
            reply = real()
            for one in reply["Clusters"]:
                one["MasterPasswordSecretArn"] = arn
            return reply

        self.answers["DescribeClusters"] = answer
        return arn

    def serverless(self) -> str:
        """A namespace of Redshift Serverless with its workgroup, which moto has not."""
        tag = "aws:redshift-serverless:namespaceArn"
        arn = self.secret("redshift!analytics-admin", {OWNER: "redshift", tag: NAMESPACE})
        other = {"namespaceName": "other", "namespaceArn": f"{NAMESPACE}9", "adminPasswordSecretArn": "another"}
        own = {"namespaceName": "analytics", "namespaceArn": NAMESPACE, "adminPasswordSecretArn": arn}
        groups = [
            {"namespaceName": "other", "endpoint": {"address": "other.example.com", "port": 5439}},
            {"namespaceName": "analytics", "endpoint": {"address": "analytics.example.com", "port": 5440}},
        ]
        # Each on a page of its own.
        self.answers["ListNamespaces"] = lambda given, _: (
            {"namespaces": [own]} if "nextToken" in given else {"namespaces": [other], "nextToken": "2"}
        )
        self.answers["ListWorkgroups"] = lambda *_: {"workgroups": groups}
        return arn

    def secret(self, name: str, tags: dict[str, str]) -> str:
        """A secret with tags; the tag of its owner makes moto name an owner."""
        made = self.secrets.create_secret(
            Name=name,
            SecretString='{"username": "admin", "password": "mine"}',
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        return made["ARN"]

    def tags(self, arn: str) -> dict[str, str]:
        """A secret's tags."""
        return {tag["Key"]: tag["Value"] for tag in self.secrets.describe_secret(SecretId=arn)["Tags"]}

    def refuse(self, operation: str, code: str, message: str = "no identity-based policy allows it") -> None:
        """Have an operation end with an error."""

        def answer(*_: Any) -> Any:
            raise ClientError({"Error": {"Code": code, "Message": message}}, operation)

        self.answers[operation] = answer


@pytest.fixture
def cloud(rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud(rotation_service)
    real = BaseClient._make_api_call  # type: ignore[attr-defined]  # private, and what every call goes through

    def call(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        made.calls.append(operation)
        answer = made.answers.get(operation)
        if answer is None:
            return real(client, operation, parameters)
        return answer(parameters, lambda: real(client, operation, parameters))

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return made


def find(arn: str, seconds: float = 10.0) -> Endpoint | None:
    return ManagedEndpoints(SecretVersions()).find(arn, time.monotonic() + seconds)


def test_an_instances_endpoint(cloud: Cloud) -> None:
    assert find(cloud.instance()) == Endpoint("orders.aaaaaaaaaa.eu-west-1.rds.amazonaws.com", 5432)


def test_a_clusters_writer_and_not_its_reader(cloud: Cloud) -> None:
    found = find(cloud.cluster())
    assert found is not None
    assert found.host.startswith("shop.cluster-")
    assert not found.host.startswith("shop.cluster-ro-")
    assert found.port == 5433


def test_a_redshift_clusters_endpoint(cloud: Cloud) -> None:
    found = find(cloud.warehouse())
    assert found is not None
    assert found.host.startswith("dw.")
    assert found.port == 5439


def test_the_endpoint_of_a_namespaces_workgroup(cloud: Cloud) -> None:
    assert find(cloud.serverless()) == Endpoint("analytics.example.com", 5440)


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
def test_a_tag_counts_in_any_case_of_its_letters(cloud: Cloud, spell: Callable[[str], str]) -> None:
    arn = cloud.instance()
    key = "aws:rds:primaryDBInstanceArn"
    value = cloud.tags(arn)[key]
    cloud.secrets.untag_resource(SecretId=arn, TagKeys=[key])
    cloud.secrets.tag_resource(SecretId=arn, Tags=[{"Key": spell(key), "Value": value}])
    assert find(arn) == Endpoint("orders.aaaaaaaaaa.eu-west-1.rds.amazonaws.com", 5432)


def test_the_steps_of_a_rotation_ask_once(cloud: Cloud) -> None:
    arn = cloud.instance()
    endpoints = ManagedEndpoints(SecretVersions())
    cloud.calls.clear()
    found = [endpoints.find(arn, time.monotonic() + 10) for _ in range(4)]
    assert len(set(found)) == 1
    assert cloud.calls == ["DescribeSecret", "DescribeDBInstances"]


def test_what_was_found_is_asked_for_again_after_a_while(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = cloud.instance()
    endpoints = ManagedEndpoints(SecretVersions())
    monkeypatch.setattr("rotators.endpoints._REMEMBERED", 0.0)
    endpoints.find(arn, time.monotonic() + 10)
    cloud.calls.clear()
    endpoints.find(arn, time.monotonic() + 10)
    assert "DescribeDBInstances" in cloud.calls


class TestForged:
    """Issue 11, fault 4: whoever writes or tags a secret can't name the host that hears the admin's password."""

    @pytest.mark.parametrize(
        "tags",
        [
            {},
            # A customer's own, which nobody reserves.
            {"rds:primaryDBInstanceArn": f"arn:aws:rds:{ACCOUNT}:db:orders"},
            {"aws-rds:primaryDBInstanceArn": f"arn:aws:rds:{ACCOUNT}:db:orders"},
            # As managed ones have it, and no service says that it manages this one.
            {"aws:rds:primaryDBInstanceArn": f"arn:aws:rds:{ACCOUNT}:db:orders"},
            # Another service's: its tags are no business of RDS.
            {OWNER: "appflow", "aws:rds:primaryDBInstanceArn": f"arn:aws:rds:{ACCOUNT}:db:orders"},
            {OWNER: "redshift", "aws:rds:primaryDBInstanceArn": f"arn:aws:rds:{ACCOUNT}:db:orders"},
        ],
    )
    def test_a_secret_that_no_service_manages_is_not_believed(
        self, cloud: Cloud, log: io.StringIO, tags: dict[str, str]
    ) -> None:
        cloud.instance()
        arn = cloud.secret("rds!db-0a1b2c3d", tags)
        cloud.calls.clear()
        assert find(arn) is None
        assert cloud.calls == ["DescribeSecret"]
        (line,) = [json.loads(one) for one in log.getvalue().splitlines()]
        assert line["message"] == "AWS does not name the admin's server"
        assert "no service manages it" in line["reason"] or "none of its tags names a database" in line["reason"]

    def test_a_managed_secret_with_a_customers_tag_beside_aws_own(self, cloud: Cloud) -> None:
        arn = cloud.instance()
        cloud.instance("attackers")
        forged = {"Key": "rds:primaryDBInstanceArn", "Value": f"arn:aws:rds:{ACCOUNT}:db:attackers"}
        cloud.secrets.tag_resource(SecretId=arn, Tags=[forged])
        found = find(arn)
        assert found is not None
        assert found.host.startswith("orders.")

    def test_two_databases_in_the_tags_are_one_too_many(self, cloud: Cloud) -> None:
        arn = cloud.instance()
        cluster = f"arn:aws:rds:{ACCOUNT}:cluster:shop"
        cloud.secrets.tag_resource(SecretId=arn, Tags=[{"Key": "aws:rds:primaryDBClusterArn", "Value": cluster}])
        assert find(arn) is None

    def test_a_database_that_names_another_secret_as_its_admins(self, cloud: Cloud) -> None:
        """A database that was renamed, and another made under its name."""
        theirs = cloud.instance("orders")
        ours = cloud.secret("rds!db-left-behind", {**cloud.tags(theirs)})
        with pytest.raises(UserPairMismatch) as refused:
            find(ours)
        assert f"names {theirs} as its admin's" in str(refused.value)
        assert "set ROTATION_ADMIN_HOST" in str(refused.value)

    def test_a_database_that_manages_no_secret_any_more(self, cloud: Cloud) -> None:
        arn = cloud.instance()
        tags = cloud.tags(arn)
        boto3.client("rds").modify_db_instance(
            DBInstanceIdentifier="orders", ManageMasterUserPassword=False, MasterUserPassword="Passw0rd"
        )
        with pytest.raises(UserPairMismatch, match="names no secret as its admin's"):
            find(cloud.secret("rds!db-left-behind", tags))

    @pytest.mark.parametrize(
        "arn",
        [
            "arn:aws:rds:eu-west-1:444455556666:db:orders",  # another account's, whose name may be one of ours too
            "arn:aws:rds::123456789012:db:orders",
            f"arn:aws:elasticache:{ACCOUNT}:db:orders",
            "orders",
        ],
    )
    def test_a_tag_that_names_no_database_of_this_account(self, cloud: Cloud, arn: str) -> None:
        cloud.instance()
        assert find(cloud.secret("rds!db-odd", {OWNER: "rds", "aws:rds:primaryDBInstanceArn": arn})) is None


class TestRefused:
    def test_one_that_may_not_look_at_the_secret_says_so_in_the_log(self, cloud: Cloud, log: io.StringIO) -> None:
        arn = cloud.instance()
        cloud.refuse("DescribeSecret", "AccessDeniedException")
        assert find(arn) is None
        (line,) = [json.loads(one) for one in log.getvalue().splitlines()]
        assert line["message"] == "the function may not ask AWS for the admin's server"
        assert "AccessDenied" in line["reason"]

    @pytest.mark.parametrize(
        ("operation", "code"),
        [("DescribeDBInstances", "AccessDenied"), ("DescribeDBInstances", "AccessDeniedException")],
    )
    def test_one_that_may_not_ask_rds(self, cloud: Cloud, log: io.StringIO, operation: str, code: str) -> None:
        arn = cloud.instance()
        cloud.refuse(operation, code)
        assert find(arn) is None
        assert f"the API of rds in eu-west-1 refused {operation}" in log.getvalue()

    def test_one_that_may_not_list_workgroups(self, cloud: Cloud) -> None:
        arn = cloud.serverless()
        cloud.refuse("ListWorkgroups", "AccessDeniedException")
        assert find(arn) is None

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            ("DBInstanceNotFound", "the API of rds in eu-west-1 refused DescribeDBInstances for arn:aws:rds:"),
            ("Throttling", "Throttling: no identity-based policy allows it"),
            ("ExpiredToken", "ExpiredToken"),
        ],
    )
    def test_whatever_else_the_api_refuses_is_an_error(self, cloud: Cloud, code: str, said: str) -> None:
        arn = cloud.instance()
        cloud.refuse("DescribeDBInstances", code)
        with pytest.raises(SecretsManagerError) as failed:
            find(arn)
        assert said in str(failed.value)
        assert not isinstance(failed.value, SecretsManagerDenied)

    @pytest.mark.usefixtures("rotation_service")
    def test_a_secret_that_is_not_there(self) -> None:
        with pytest.raises(SecretNotFound):
            find(f"arn:aws:secretsmanager:{ACCOUNT}:secret:rds!db-gone-AbCdEf")

    def test_an_instance_that_has_no_endpoint_yet(self, cloud: Cloud) -> None:
        arn = cloud.instance()

        def creating(_: dict[str, Any], real: Callable[[], Any]) -> Any:
            reply = real()
            del reply["DBInstances"][0]["Endpoint"]
            reply["DBInstances"][0]["DBInstanceStatus"] = "creating"
            return reply

        cloud.answers["DescribeDBInstances"] = creating
        with pytest.raises(SecretsManagerError, match="has no endpoint \\(it is 'creating'\\)"):
            find(arn)

    def test_a_namespace_without_a_workgroup(self, cloud: Cloud) -> None:
        arn = cloud.serverless()
        cloud.answers["ListWorkgroups"] = lambda *_: {"workgroups": []}
        with pytest.raises(SecretsManagerError, match="has no endpoint"):
            find(arn)

    def test_an_answer_without_the_database(self, cloud: Cloud) -> None:
        arn = cloud.instance()
        cloud.answers["DescribeDBInstances"] = lambda *_: {"DBInstances": []}
        with pytest.raises(SecretsManagerError, match="AWS knows none of arn:aws:rds:"):
            find(arn)

    def test_a_call_that_can_not_be_made(self, cloud: Cloud) -> None:
        arn = cloud.instance()

        def nobody(*_: Any) -> Any:
            raise NoCredentialsError

        cloud.answers["DescribeDBInstances"] = nobody
        with pytest.raises(SecretsManagerError, match=r"could not be asked where .* is \(NoCredentialsError\)"):
            find(arn)


class TestSilent:
    @pytest.mark.parametrize("listens", [True, False])
    def test_an_api_that_does_not_answer_is_named_in_time(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, *, listens: bool
    ) -> None:
        arn = cloud.instance()
        with socket.create_server(("127.0.0.1", 0)) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL_RDS", f"http://127.0.0.1:{server.getsockname()[1]}")
            if not listens:
                server.close()
            started = time.monotonic()
            with pytest.raises(SecretsManagerUnreachable) as failed:
                find(arn, seconds=1.0 if listens else 10.0)
            assert time.monotonic() - started < 9
        said = str(failed.value)
        assert said.startswith("the API of rds in eu-west-1 gave no answer")
        assert "interface endpoint for rds" in said
        assert "ROTATION_ADMIN_HOST" in said

    def test_it_takes_no_longer_than_the_step_has(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        arn = cloud.instance()
        monkeypatch.setattr("rotators.endpoints.make_client", lambda *_, **__: time.sleep(30))
        started = time.monotonic()
        with pytest.raises(SecretsManagerUnreachable, match="TimeoutError"):
            ManagedEndpoints(SecretVersions(cloud.secrets)).find(arn, started + 0.2)
        assert time.monotonic() - started < 2


def test_no_client_is_made_before_one_is_needed(
    monkeypatch: pytest.MonkeyPatch, rotation_service: RotationService
) -> None:
    monkeypatch.setattr("rotators.endpoints.make_client", pytest.fail)
    arn = rotation_service.client.create_secret(Name="admin", SecretString="{}")["ARN"]
    endpoints = ManagedEndpoints(SecretVersions(rotation_service.client))
    assert endpoints.find(arn, time.monotonic() + 10) is None
