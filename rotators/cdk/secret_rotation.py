"""The rotation of a secret: who may call the function, and when it is called."""

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
    """Let Secrets Manager call a function, on behalf of the secret's account only.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets-required-permissions-function.html

    Args:
        scope: where it is made.
        id_: its id there.
        function: the one to call.
        secret: the one secret for which; None: for any of the account.
        account: the account, where no secret says; None: this one.
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

    ``add_rotation_schedule`` of aws-cdk-lib knows neither cron nor windows, and takes no function that is imported.

    Args:
        secret: the secret.
        function: what rotates it.
        permission: lets Secrets Manager call the function.
        needs: what lets the function rotate the secret and reach the service: its policies, an endpoint.
        expression: ``rate(…)`` or ``cron(…)``; None: on demand only.
        duration: the window's length, ``3h``; None: the service's own.
        rotate_immediately: rotate when this is deployed or changed; else the service only tests the configuration.
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
        scope: where it is made.
        id_: its id there.
        secret_id: the secret's name or ARN; where it changes, the schedule is made anew.
        function: what rotates it.
        needs: what must be there before.
        expression: ``rate(…)`` or ``cron(…)``; None: on demand only.
        duration: the window's length; None: the service's own.
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
    # The service calls the function as soon as it has the schedule: all that it needs must be there.
    schedule.node.add_dependency(*function.ready, *needs)
    return schedule
