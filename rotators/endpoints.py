"""Finds the server of an admin whose secret RDS or Redshift manages, from data that only AWS can write.

Such a secret holds a user and a password, but no address. Its owning service and its ``aws:`` tags, which only AWS can
set, name the database. The database's service then gives the endpoint, and must name this secret as its admin's.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/service-linked-secrets.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from rotators.aws import UNREADABLE, make_client
from rotators.errors import SecretsManagerDenied, SecretsManagerError, SecretsManagerUnreachable, UserPairMismatch
from rotators.limits import within
from rotators.logs import logger

if TYPE_CHECKING:
    from rotators.versions import SecretOwner, SecretVersions

ResultT = TypeVar("ResultT")

# Two attempts within the deadline, so that the error names a silent API before Lambda ends the function.
_CLIENT_CONFIG = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
_PATIENCE = 6.0
# Seconds. The steps of a rotation follow each other: the later ones use the first one's answer.
_REMEMBERED = 60.0
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"}
_BY_HAND = "set ROTATION_ADMIN_HOST of the function to the endpoint (admin_host in rotations.yaml)"


@dataclass(frozen=True)
class Endpoint:
    """A server's address.

    Args:
        host: its name.
        port: its port.
    """

    host: str
    port: int


@dataclass(frozen=True)
class _Found:
    """A database as its service describes it.

    Args:
        secret_arn: the secret that it names as its admin's.
        address: its endpoint.
        status: its status, such as ``available``.
    """

    secret_arn: str | None
    address: Endpoint | None
    status: str


class ManagedEndpoints:
    """Finds the writer's endpoint for a managed admin secret.

    Args:
        versions: reads a secret's owner and tags.
    """

    def __init__(self, versions: SecretVersions) -> None:
        self._versions = versions
        self._known: dict[str, tuple[Endpoint, float]] = {}

    def find(self, secret_arn: str, deadline: float) -> Endpoint | None:
        """The address of a managed admin secret's database.

        Args:
            secret_arn: the admin's secret.
            deadline: when the answer must be there, on the clock of ``time.monotonic``.

        Returns:
            The address; None if no service manages the secret, or the function may not ask. The log says which.

        Raises:
            UserPairMismatch: the database names another secret as its admin's.
            SecretsManagerUnreachable: Secrets Manager or the database's service gave no answer.
            SecretsManagerError: one of the two refused, or knows no such database.
        """
        endpoint, until = self._known.get(secret_arn, (None, 0.0))
        if endpoint is not None and time.monotonic() < until:
            return endpoint
        try:
            endpoint = self._ask(secret_arn, deadline)
        except SecretsManagerDenied as error:
            logger.warning("the function may not ask AWS for the admin's server", admin=secret_arn, reason=error.what)
            return None
        if endpoint is not None:
            self._known[secret_arn] = (endpoint, time.monotonic() + _REMEMBERED)
            logger.info("AWS named the admin's server", admin=secret_arn, host=endpoint.host)
        return endpoint

    def _ask(self, secret_arn: str, deadline: float) -> Endpoint | None:
        owner = self._versions.owner(secret_arn)
        named = _named(owner)
        if len(named) != 1:
            reason = "no service manages it" if owner.service is None else f"its owner is '{owner.service}'"
            reason += f", and {len(named) or 'none'} of its tags name{'' if len(named) > 1 else 's'} a database of it"
            logger.warning("AWS does not name the admin's server", admin=secret_arn, reason=reason)
            return None
        ((kind, database),) = named
        found = kind.look_up(_Api(kind.service, database, deadline))
        if found.secret_arn != owner.secret_arn:
            raise UserPairMismatch(
                f"the tags of the admin secret {owner.secret_arn} name {database}, and that one names "
                f"{found.secret_arn or 'no secret'} as its admin's",
                f"name the secret that it names; or {_BY_HAND}",
            )
        if found.address is None:
            raise SecretsManagerError(
                f"{database}, which the tags of the admin secret {owner.secret_arn} name, has no endpoint "
                f"(it is '{found.status}')",
                f"wait until it is available; or {_BY_HAND}",
            )
        return found.address


class _Api:
    """Asks RDS or Redshift about a database.

    Args:
        service: the service's name in boto3.
        database: the database's ARN.
        deadline: when the last answer must be there.
    """

    def __init__(self, service: str, database: str, deadline: float) -> None:
        self.database = database
        self._service = service
        self._region = database.split(":")[3]
        self._end = min(deadline, time.monotonic() + _PATIENCE)

    @property
    def identifier(self) -> str:
        """The database's identifier: the last part of its ARN."""
        return self.database.split(":", 6)[-1]

    def call(self, operation: str, result: str, **parameters: str) -> list[Mapping[str, Any]]:
        """Call an operation, and read all pages of its answer.

        Args:
            operation: its name in boto3.
            result: the key of the list in its answer.
            parameters: its parameters.

        Returns:
            The list's items.

        Raises:
            SecretsManagerError: the call failed, or there is no such database.
        """
        hop = f"the API of {self._service} in {self._region}"
        try:
            return within(max(0.0, self._end - time.monotonic()), self._pages(operation, result, parameters))
        except ClientError as error:
            raise self._refusal(error, hop) from None
        except (HTTPClientError, BotoConnectionError, TimeoutError) as error:
            raise SecretsManagerUnreachable(
                f"{hop} gave no answer ({type(error).__name__}) when asked where {self.database} is",
                f"give the function's subnet an interface endpoint for {self._service} or a NAT gateway, and let its "
                f"security group reach port 443; or {_BY_HAND}",
            ) from None
        except (BotoCoreError, *UNREADABLE) as error:
            raise SecretsManagerError(
                f"{hop} could not be asked where {self.database} is ({type(error).__name__})",
                f"check the function's role and region; or {_BY_HAND}",
            ) from None

    def _pages(
        self, operation: str, result: str, parameters: Mapping[str, str]
    ) -> Callable[[], list[Mapping[str, Any]]]:
        def ask() -> list[Mapping[str, Any]]:
            client = make_client(self._service, region_name=self._region, config=_CLIENT_CONFIG)
            pages = client.get_paginator(operation).paginate(**parameters)
            return [one for page in pages for one in page.get(result, ())]

        return ask

    def _refusal(self, error: ClientError, hop: str) -> SecretsManagerError:
        detail = error.response.get("Error", {})
        code, message = str(detail.get("Code", "")), str(detail.get("Message", "")).strip().rstrip(".")
        what = f"{hop} refused {error.operation_name} for {self.database}: {code}: {message}"
        if code in _DENIED:
            return SecretsManagerDenied(what, f"allow the function's role {self._service}:{error.operation_name}")
        return SecretsManagerError(what, f"Secrets Manager retries the rotation; or {_BY_HAND}")


def _instance(api: _Api) -> _Found:
    found = api.call("describe_db_instances", "DBInstances", DBInstanceIdentifier=api.database)
    one = _only(api, found, lambda one: one.get("DBInstanceArn"))
    return _Found(_managed_secret(one), _address(one.get("Endpoint")), str(one.get("DBInstanceStatus")))


def _cluster(api: _Api) -> _Found:
    found = api.call("describe_db_clusters", "DBClusters", DBClusterIdentifier=api.database)
    one = _only(api, found, lambda one: one.get("DBClusterArn"))
    # A cluster's Endpoint is its writer's.
    writer = _address({"Address": one.get("Endpoint"), "Port": one.get("Port")})
    return _Found(_managed_secret(one), writer, str(one.get("Status")))


def _redshift(api: _Api) -> _Found:
    found = api.call("describe_clusters", "Clusters", ClusterIdentifier=api.identifier)
    # The answer has no ARN of the cluster. That the secret belongs to it is checked next.
    one = _only(api, found, lambda one: api.database if one.get("ClusterIdentifier") == api.identifier else None)
    secret = one.get("MasterPasswordSecretArn")
    return _Found(secret, _address(one.get("Endpoint")), str(one.get("ClusterStatus")))


def _serverless(api: _Api) -> _Found:
    # A namespace is looked up by its name, which neither the secret nor its ARN contains.
    namespaces = api.call("list_namespaces", "namespaces")
    one = _only(api, namespaces, lambda one: one.get("namespaceArn"))
    workgroups = [
        group
        for group in api.call("list_workgroups", "workgroups")
        if group.get("namespaceName") == one.get("namespaceName")
    ]
    endpoint = workgroups[0].get("endpoint") or {} if len(workgroups) == 1 else {}
    address = _address({"Address": endpoint.get("address"), "Port": endpoint.get("port")})
    return _Found(one.get("adminPasswordSecretArn"), address, f"{one.get('status')}, {len(workgroups)} workgroups")


@dataclass(frozen=True)
class _Kind:
    """A kind of database that has an admin secret managed by AWS.

    Args:
        tag: the tag that names the database, in lower case.
        service: the database's service, as boto3, ARNs and IAM spell it.
        owners: the owning services of such secrets.
        look_up: asks the service for the database.
    """

    tag: str
    service: str
    owners: frozenset[str]
    look_up: Callable[[_Api], _Found]


# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
# https://docs.aws.amazon.com/redshift/latest/mgmt/redshift-secrets-manager-integration.html
_KINDS = {
    kind.tag: kind
    for kind in (
        _Kind("aws:rds:primarydbinstancearn", "rds", frozenset({"rds"}), _instance),
        _Kind("aws:rds:primarydbclusterarn", "rds", frozenset({"rds"}), _cluster),
        _Kind("aws:redshift:primaryclusterarn", "redshift", frozenset({"redshift"}), _redshift),
        _Kind(
            "aws:redshift-serverless:namespacearn",
            "redshift-serverless",
            frozenset({"redshift", "redshift-serverless"}),
            _serverless,
        ),
    )
}
# arn, partition, service, Region, account, resource.
_PARTS_OF_AN_ARN = 6


def _named(owner: SecretOwner) -> list[tuple[_Kind, str]]:
    """The databases that a secret's tags name and that belong to its owning service."""
    account = owner.secret_arn.split(":")[4:5]

    def all_named() -> Iterator[tuple[_Kind, str]]:
        for key, arn in owner.tags.items():
            # AWS reserves `aws:` in upper and lower case, and its own pages spell these tags in two ways.
            kind = _KINDS.get(key.lower())
            parts = arn.split(":", _PARTS_OF_AN_ARN - 1)
            if kind is None or owner.service not in kind.owners or len(parts) < _PARTS_OF_AN_ARN:
                continue
            if parts[0] == "arn" and parts[2] == kind.service and parts[3] and parts[4:5] == account:
                yield kind, arn

    return list(all_named())


def _only(api: _Api, found: list[Mapping[str, Any]], arn: Callable[[Mapping[str, Any]], Any]) -> Mapping[str, Any]:
    """The item of an answer that has the database's ARN.

    Raises:
        SecretsManagerError: there is none, or more than one.
    """
    meant = [one for one in found if arn(one) == api.database]
    if len(meant) != 1:
        raise SecretsManagerError(
            f"AWS knows {len(meant) or 'none'} of {api.database}, which the admin secret's tags name", _BY_HAND
        )
    return meant[0]


def _managed_secret(one: Mapping[str, Any]) -> str | None:
    secret = one.get("MasterUserSecret") or {}
    arn = secret.get("SecretArn")
    return None if arn is None else str(arn)


def _address(endpoint: Mapping[str, Any] | None) -> Endpoint | None:
    host, port = (endpoint or {}).get("Address"), (endpoint or {}).get("Port")
    return Endpoint(str(host), int(port)) if host and port else None
