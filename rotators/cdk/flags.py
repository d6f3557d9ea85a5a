"""Which of aws-cdk-lib's later behaviours hold: set in code, for `make synth` reads no cdk.json.

https://docs.aws.amazon.com/cdk/v2/guide/featureflags.html
"""

from __future__ import annotations

from constructs import IConstruct

# What aws-cdk-lib recommends for the services of this stack; a test compares the two.
FLAGS: dict[str, bool] = {
    # A version of a function counts its layers: all our code is in them.
    "@aws-cdk/aws-lambda:recognizeLayerVersion": True,
    "@aws-cdk/aws-lambda:createNewPoliciesWithAddToRolePolicy": False,
    "@aws-cdk/aws-lambda:useCdkManagedLogGroup": True,
    "@aws-cdk/aws-iam:importedRoleStackSafeDefaultPolicyName": True,
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-iam:oidcRejectUnauthorizedConnections": True,
    "@aws-cdk/aws-kms:aliasNameRef": True,
    "@aws-cdk/aws-kms:applyImportedAliasPermissionsToPrincipal": True,
    "@aws-cdk/aws-kms:reduceCrossAccountRegionPolicyScope": True,
    "@aws-cdk/aws-events:eventsTargetQueueSameAccount": True,
    "@aws-cdk/aws-events:requireEventBusPolicySid": True,
    "@aws-cdk/aws-cloudwatch-actions:changeLambdaPermissionLogicalIdForLambdaAction": True,
    "@aws-cdk/aws-secretsmanager:useAttachedSecretResourcePolicyForSecretTargetAttachments": True,
    "@aws-cdk/aws-sns-subscriptions:restrictSqsDescryption": True,
}
# Services whose recommended flags all stand above.
SERVICES = frozenset(flag.partition(":")[0] for flag in FLAGS)


def set_flags(scope: IConstruct) -> None:
    """Set them for all that will be inside of a construct; what its app has chosen otherwise stays.

    Args:
        scope: a construct without children.
    """
    for flag, value in FLAGS.items():
        if scope.node.try_get_context(flag) is None:
            scope.node.set_context(flag, value)
