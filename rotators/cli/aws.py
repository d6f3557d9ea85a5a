"""The command line's access to AWS: profiles and Regions, and errors in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from rotators.aws import UNREADABLE
from rotators.checks.aws import AwsRefused
from rotators.versions import SecretVersions

# Invoking a function may take minutes; other calls are quick. Retries adapt to the services' quotas.
_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "adaptive", "total_max_attempts": 5})
_INVOKE = Config(connect_timeout=5, read_timeout=900, retries={"mode": "standard", "total_max_attempts": 1})
_LOG_IN = "log in with the AWS CLI (aws sso login, aws configure), or name a profile with --profile"


class Account:
    """One account and Region.

    Args:
        profile: a profile of the AWS CLI's configuration; None: the environment's.
        region: the Region; None: the profile's.
        session: a session to use instead of both.

    Raises:
        AwsRefused: there is no such profile.
    """

    def __init__(
        self, profile: str | None = None, region: str | None = None, session: boto3.Session | None = None
    ) -> None:
        try:
            self._session = session or boto3.Session(profile_name=profile, region_name=region)
        except ProfileNotFound:
            raise AwsRefused(f"there is no profile '{profile}'", "see: aws configure list-profiles") from None
        self._clients: dict[tuple[str, bool], Any] = {}
        # Clients may be shared by threads, but not made by two at once:
        # https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html#caveats
        self._making = Lock()

    @property
    def region(self) -> str:
        """The Region.

        Raises:
            AwsRefused: no Region is set.
        """
        region = self._session.region_name
        if not region:
            raise AwsRefused("no Region is known", "name one with --region, or set AWS_DEFAULT_REGION")
        return str(region)

    def assume(self, account_id: str, role: str) -> Callable[[str | None], Account]:
        """Assume a role in another account of this partition, by one call.

        Args:
            account_id: its twelve digits.
            role: the role's name, with its path if it has one.

        Returns:
            A function that makes the account in a Region; None as the Region means this account's.

        Raises:
            AwsRefused: the role may not be assumed.
        """
        partition = self._session.get_partition_for_region(self.region)
        arn = f"arn:{partition}:iam::{account_id}:role/{role}"
        given = self.call("sts", "assume_role", RoleArn=arn, RoleSessionName="rotators")["Credentials"]

        def make(region: str | None) -> Account:
            return Account(
                session=boto3.Session(
                    aws_access_key_id=given["AccessKeyId"],
                    aws_secret_access_key=given["SecretAccessKey"],
                    aws_session_token=given["SessionToken"],
                    region_name=region or self.region,
                )
            )

        return make

    @cached_property
    def versions(self) -> SecretVersions:
        """The versions of this account's secrets."""
        return SecretVersions(self.client("secretsmanager"))

    def client(self, service: str, *, invoking: bool = False) -> Any:
        """A client for a service, made once.

        Args:
            service: its name in boto3.
            invoking: whether it invokes functions: it waits longer, and does not retry.

        Raises:
            AwsRefused: no client can be made.
        """
        with self._making:
            if (service, invoking) not in self._clients:
                # boto3's stubs know the service by its literal name only.
                make: Any = self._session.client
                try:
                    self._clients[service, invoking] = make(
                        service, region_name=self.region, config=_INVOKE if invoking else _CONFIG
                    )
                except (BotoCoreError, ValueError) as error:
                    raise _no_call(error, service) from None
            return self._clients[service, invoking]

    def call(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Make one call; see :class:`rotators.checks.aws.Aws`."""
        try:
            reply: Mapping[str, Any] = getattr(self.client(service, invoking=operation == "invoke"), operation)(
                **parameters
            )
        except ClientError as error:
            raise _refusal(error, service) from None
        except (BotoCoreError, *UNREADABLE) as error:
            # What does not come from AWS, but from a proxy or a wrong endpoint, can't be parsed.
            raise _no_call(error, f"{service}:{operation}") from None
        return reply

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        """All pages of a list operation.

        Args:
            service: its name in boto3.
            operation: its name in boto3.
            parameters: the operation's parameters.

        Raises:
            AwsRefused: see :meth:`call`.
        """
        client = self.client(service)
        try:
            yield from client.get_paginator(operation).paginate(**parameters)
        except ClientError as error:
            raise _refusal(error, service) from None
        except (BotoCoreError, *UNREADABLE) as error:
            # What does not come from AWS, but from a proxy or a wrong endpoint, can't be parsed.
            raise _no_call(error, f"{service}:{operation}") from None


def _refusal(error: ClientError, service: str) -> AwsRefused:
    detail = error.response.get("Error", {})
    code, message = str(detail.get("Code", "")), str(detail.get("Message", "")).strip().rstrip(".")
    refused = AwsRefused(f"{service}:{error.operation_name} was refused: {code}: {message}", code=code)
    if refused.denied:
        refused.advice = f"allow yourself {service}:{error.operation_name}"
    elif code in {"ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"}:
        refused.advice = _LOG_IN
    refused.args = (refused.what, refused.advice)
    return refused


def _no_call(error: Exception, what: str) -> AwsRefused:
    name = type(error).__name__
    if isinstance(
        error, NoCredentialsError | PartialCredentialsError | UnauthorizedSSOTokenError | TokenRetrievalError
    ):
        return AwsRefused(f"there are no credentials for AWS ({name})", _LOG_IN)
    if isinstance(error, NoRegionError):
        return AwsRefused("no Region is known", "name one with --region, or set AWS_DEFAULT_REGION")
    if isinstance(error, ParamValidationError):
        # Its text holds the values.
        return AwsRefused(f"{what} could not be asked ({name})", "correct the secret's name or ARN")
    return AwsRefused(f"{what} could not be asked ({name})", "see the network, and the endpoint's name")
