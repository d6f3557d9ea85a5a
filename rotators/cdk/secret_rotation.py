"""The rotation of a secret: who may invoke the function, and its schedule."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IConstruct

from rotators.cdk.bundled_function import BundledFunction
from rotators.cdk.secret_reference import SecretReference

_SERVICE = "secretsmanager.amazonaws.com"


def permit(
    scope: Construct,
    id_: str,
    function: BundledFunction,
    secret: SecretReference | None = None,
    *,
    account: str | None = None,
) -> lambda_.CfnPermission:
    """Allow Secrets Manager to invoke a function, only on behalf of the secret's account.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets-required-permissions-function.html

    Args:
        scope: the scope of the permission.
        id_: its id there.
        function: the function.
        secret: the only secret for which it may be invoked; None: any secret of the account.
        account: the account, if ``secret`` is None; None: this one.
    """
    owner = account if secret is None else secret.account
    return lambda_.CfnPermission(
        scope,
        id_,
        action="lambda:InvokeFunction",
        function_name=function.rotation_arn,
        principal=_SERVICE,
        source_account=Aws.ACCOUNT_ID if owner is None else owner,
        source_arn=None if secret is None else secret.arn,
    )


class SecretRotation(Construct):
    """The schedule of a secret of this account.

    aws-cdk-lib's ``add_rotation_schedule`` supports neither cron nor windows, and no imported function.

    Args:
        secret: the secret.
        function: the function that rotates it.
        permission: allows Secrets Manager to invoke the function.
        needs: constructs that the function needs to rotate the secret: its policies, an endpoint.
        expression: ``rate(…)`` or ``cron(…)``; None: on demand only.
        duration: the window's length, such as ``3h``; None: the service's default.
        rotate_immediately: rotate when this is deployed or changed; otherwise the service only tests the configuration.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        secret: SecretReference,
        function: BundledFunction,
        permission: lambda_.CfnPermission,
        needs: Sequence[IConstruct],
        expression: str | None,
        duration: str | None = None,
        rotate_immediately: bool = False,
    ) -> None:
        super().__init__(scope, id_)
        schedule_of(
            self,
            "Schedule",
            secret_id=secret.secret_id,
            function=function,
            needs=[permission, *needs],
            expression=expression,
            duration=duration,
            rotate_immediately=rotate_immediately,
        )


def schedule_of(
    scope: Construct,
    id_: str,
    *,
    secret_id: str,
    function: BundledFunction,
    needs: Sequence[IConstruct],
    expression: str | None,
    duration: str | None,
    rotate_immediately: bool,
) -> secretsmanager.CfnRotationSchedule:
    """A secret's schedule: see :class:`SecretRotation`.

    Args:
        scope: the scope of the schedule.
        id_: its id there.
        secret_id: the secret's name or ARN. If it changes, the schedule is replaced.
        function: the function that rotates it.
        needs: constructs that must exist before.
        expression: ``rate(…)`` or ``cron(…)``; None: on demand only.
        duration: the window's length; None: the service's default.
        rotate_immediately: rotate when this is deployed or changed.
    """
    rules = secretsmanager.CfnRotationSchedule.RotationRulesProperty(schedule_expression=expression, duration=duration)
    schedule = secretsmanager.CfnRotationSchedule(
        scope,
        id_,
        secret_id=secret_id,
        rotation_lambda_arn=function.rotation_arn,
        rotate_immediately_on_update=rotate_immediately,
        rotation_rules=None if expression is None else rules,
    )
    # The service invokes the function as soon as it has the schedule, so everything it needs must exist.
    schedule.node.add_dependency(*function.ready, *needs)
    return schedule
