"""aws-cdk-lib's feature flags, set in code because `make synth` reads no cdk.json.

https://docs.aws.amazon.com/cdk/v2/guide/featureflags.html
"""

from __future__ import annotations

from constructs import IConstruct

# The flags that aws-cdk-lib recommends for the services of this stack. A test compares the two.
FLAGS: dict[str, bool] = {
    # A function's version depends on its layers: they hold this package's code.
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
# Services whose recommended flags are all listed above.
SERVICES = frozenset(flag.partition(":")[0] for flag in FLAGS)


def set_flags(scope: IConstruct) -> None:
    """Set the flags for everything inside a construct, unless its app has set them differently.

    Args:
        scope: a construct without children.
    """
    for flag, value in FLAGS.items():
        if scope.node.try_get_context(flag) is None:
            scope.node.set_context(flag, value)
