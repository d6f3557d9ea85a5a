"""The state machine of a fleet, in Amazon States Language: lists the secrets, then follows each rotation to its end.

It needs no function: it calls Secrets Manager and S3 itself. RotateSecret and DescribeSecret return no secret value, so
none passes through it. Its expressions are JSONPath.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DEFAULTS: dict[str, Any] = {
    "dry_run": True,
    "filters": [],
    "tag": None,
    "concurrency": 20,
    "max_failures": 1_000_000,
    "wait_seconds": 3600,
    "poll_seconds": 15,
}
"""The keys of an execution's input, with their defaults: by default it rotates nothing."""
MAP_LABEL = "Secrets"
ROTATED, WOULD_ROTATE, SKIPPED, UNFINISHED, FAILED = "rotated", "would rotate", "skipped", "unfinished", "failed"
"""The outcomes in a result. The last two count as failures of the Map Run."""
# Entries per page of ListSecrets: an entry has up to 20 KB of tags, and a state's data at most 256 KiB.
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_PAGE, _SMALL_PAGE = 20, 2
# Keys that DescribeSecret leaves out if they have no value. JSONPath needs them.
_BLANK: dict[str, Any] = {
    "RotationEnabled": False,
    "LastRotatedDate": None,
    "NextRotationDate": None,
    "VersionIdsToStages": {},
}
# An SDK integration names an error after the SDK's class. Throttling has no class, and is the service's general error.
# https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
_REFUSED = "SecretsManager.InvalidRequestException"
_PASSING = {
    "SecretsManager": [
        "SecretsManager.InternalServiceErrorException",
        "SecretsManager.SdkClientException",
        "SecretsManager.SecretsManagerException",
    ],
    "S3": ["S3.S3Exception", "S3.SdkClientException"],
}
_SHORT = {"S3": "s3", "SecretsManager": "secretsmanager"}


def definition(*, partition: str, bucket: str, functions: Sequence[str]) -> dict[str, Any]:
    """The state machine.

    Args:
        partition: the partition of AWS.
        bucket: the name of the bucket for lists and results.
        functions: the ARNs of the rotation functions whose secrets it rotates, as the secrets name them.
    """
    return {
        "Comment": "Rotates a fleet of secrets: docs/how-to/rotate-a-fleet.md",
        "StartAt": "Defaults",
        "States": {**_settings(), **_list(partition, bucket), **_map(partition, bucket, functions)},
    }


def _settings() -> dict[str, Any]:
    """The execution's input, completed with the defaults. An unknown key fails, or a typing error could rotate more."""
    whole = [("concurrency", 1), ("max_failures", 0), ("wait_seconds", 1), ("poll_seconds", 1)]
    return {
        "Defaults": {
            "Type": "Pass",
            "Parameters": {"defaults": DEFAULTS, "given.$": "$$.Execution.Input"},
            "Next": "Settings",
        },
        "Settings": {
            "Type": "Pass",
            "Parameters": {"settings.$": "States.JsonMerge($.defaults, $.given, false)"},
            "Next": "EachSetting",
        },
        # Not every interpreter accepts a path with a wildcard in an intrinsic function: one state for each.
        "EachSetting": {
            "Type": "Pass",
            "Parameters": {"settings.$": "$.settings", "each.$": "$.settings.*"},
            "Next": "CountSettings",
        },
        "CountSettings": {
            "Type": "Pass",
            "Parameters": {
                "settings.$": "$.settings",
                "known.$": "States.ArrayLength($.each)",
                "page_size": _PAGE,
                "pages": 0,
            },
            "Next": "CheckSettings",
        },
        "CheckSettings": {
            "Type": "Choice",
            "Choices": [
                {
                    "And": [
                        {"Variable": "$.known", "NumericEquals": len(DEFAULTS)},
                        {"Variable": "$.settings.dry_run", "IsBoolean": True},
                        {"Variable": "$.settings.filters", "IsString": False},
                        *({"Variable": f"$.settings.{key}", "NumericGreaterThanEquals": least} for key, least in whole),
                    ],
                    "Next": "ListFirst",
                }
            ],
            "Default": "WrongInput",
        },
        "WrongInput": {
            "Type": "Fail",
            "Error": "WrongInput",
            "Cause": f"The input may hold {', '.join(DEFAULTS)}, each of the form in docs/how-to/rotate-a-fleet.md",
        },
    }


def _list(partition: str, bucket: str) -> dict[str, Any]:
    """List the secrets. Each page of ListSecrets becomes an object in S3, because a state takes only 256 KiB."""
    asked = {"Filters.$": "$.settings.filters", "MaxResults.$": "$.page_size"}
    catch = [{"ErrorEquals": ["States.DataLimitExceeded"], "ResultPath": "$.error", "Next": "SmallerPages"}]
    again = {"ResultPath": "$.listed", "Catch": catch, "Next": "AnyListed"}
    return {
        "ListFirst": _call(partition, "SecretsManager", "listSecrets", asked, **again),
        "ListMore": _call(
            partition, "SecretsManager", "listSecrets", {**asked, "NextToken.$": "$.listed.NextToken"}, **again
        ),
        "SmallerPages": {"Type": "Pass", "Result": _SMALL_PAGE, "ResultPath": "$.page_size", "Next": "WhichPage"},
        "WhichPage": _choice([_present("$.listed.NextToken")], "ListMore", default="ListFirst"),
        "AnyListed": _choice([_present("$.listed.SecretList[0]")], "CountPage", default="AnyMore"),
        "CountPage": {
            "Type": "Pass",
            "Parameters": {"number.$": "States.MathAdd($.pages, 1)"},
            "ResultPath": "$.page",
            "Next": "WritePage",
        },
        "WritePage": _call(
            partition,
            "S3",
            "putObject",
            {
                "Bucket": bucket,
                "Key.$": "States.Format('runs/{}/secrets/{}.json', $$.Execution.Name, $.page.number)",
                "Body.$": "$.listed.SecretList",
                "ContentType": "application/json",
            },
            ResultPath=None,
            Next="PageWritten",
        ),
        "PageWritten": {"Type": "Pass", "InputPath": "$.page.number", "ResultPath": "$.pages", "Next": "AnyMore"},
        "AnyMore": _choice([_present("$.listed.NextToken")], "ListMore", default="AnyAtAll"),
        "AnyAtAll": _choice([{"Variable": "$.pages", "NumericEquals": 0}], "NoneListed", default="EachSecret"),
        "NoneListed": {"Type": "Succeed"},
    }


def _map(partition: str, bucket: str, functions: Sequence[str]) -> dict[str, Any]:
    """A Distributed Map over the entries of all pages. Its child workflows may take as long as rotations."""
    return {
        "EachSecret": {
            "Type": "Map",
            "Label": MAP_LABEL,
            "MaxConcurrencyPath": "$.settings.concurrency",
            "ToleratedFailureCountPath": "$.settings.max_failures",
            # Reads the objects themselves: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
            "ItemReader": {
                "Resource": f"arn:{partition}:states:::s3:listObjectsV2",
                "ReaderConfig": {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"},
                "Parameters": {
                    "Bucket": bucket,
                    "Prefix.$": "States.Format('runs/{}/secrets/', $$.Execution.Name)",
                },
            },
            "ItemSelector": {
                "secret.$": "$$.Map.Item.Value",
                "settings.$": "$.settings",
                "run.$": "$$.Execution.Name",
                # The same for every attempt in this execution, so Secrets Manager does not start a second rotation.
                "token.$": "States.Hash(States.Format('{} {}', $$.Execution.Id, $$.Map.Item.Value.ARN), 'SHA-256')",
                "waited": 0,
                "error": {"Error": "", "Cause": ""},
                "before": {"seen": _BLANK},
                "described": _BLANK,
                "blank": _BLANK,
                "opened": "{",
                "closed": ":[]}",
            },
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Ours",
                "States": {
                    **_choose(functions),
                    **_begin(partition),
                    **_follow(partition),
                    **_outcomes(partition, bucket),
                },
            },
            "ResultWriter": {
                "Resource": f"arn:{partition}:states:::s3:putObject",
                "Parameters": {
                    "Bucket": bucket,
                    "Prefix.$": "States.Format('runs/{}/executions', $$.Execution.Name)",
                },
            },
            "End": True,
        }
    }


def _choose(functions: Sequence[str]) -> dict[str, Any]:
    """Choose the secrets: ListSecrets' filters only compare prefixes, and can't filter by function."""
    rotated_by = [{"Variable": "$.secret.RotationLambdaARN", "StringEquals": arn} for arn in functions]
    ours = {"And": [_present("$.secret.RotationLambdaARN"), {"Or": rotated_by}]}
    return {
        "Ours": _choice([ours], "AnyTag", default="NotMeant"),
        "AnyTag": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.settings.tag", "IsNull": True, "Next": "Look"},
                {**_present("$.secret.Tags"), "Next": "CompareTags"},
            ],
            "Default": "NotMeant",
        },
        "CompareTags": {
            "Type": "Pass",
            "Parameters": {"found.$": "States.ArrayContains($.secret.Tags, $.settings.tag)"},
            "ResultPath": "$.tagged",
            "Next": "Tagged",
        },
        "Tagged": _choice([{"Variable": "$.tagged.found", "BooleanEquals": True}], "Look", default="NotMeant"),
        "NotMeant": {"Type": "Pass", "InputPath": "$.run", "End": True},
    }


def _begin(partition: str) -> dict[str, Any]:
    """Read the secret's state, then call RotateSecret."""
    refused = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Refused"}]
    # It may refuse a retry whose first answer was lost: the version ids show it.
    perhaps = [{"ErrorEquals": [_REFUSED], "ResultPath": "$.error", "Next": "Wait"}, *refused]
    secret = {"SecretId.$": "$.secret.ARN"}
    return {
        "Look": _call(
            partition,
            "SecretsManager",
            "describeSecret",
            secret,
            ResultPath="$.described",
            Catch=refused,
            Next="KeepBefore",
        ),
        "KeepBefore": {
            "Type": "Pass",
            "Parameters": {"seen.$": "States.JsonMerge($.blank, $.described, false)"},
            "ResultPath": "$.before",
            "Next": "LabelsBefore",
        },
        "LabelsBefore": {
            "Type": "Pass",
            "Parameters": {"each.$": "$.before.seen.VersionIdsToStages.*", "pending": ["AWSPENDING"]},
            "ResultPath": "$.labels",
            "Next": "PendingBefore",
        },
        "PendingBefore": {
            "Type": "Pass",
            "Parameters": {"pending.$": "States.ArrayContains($.labels.each, $.labels.pending)"},
            "ResultPath": "$.judged",
            "Next": "MayRotate",
        },
        "MayRotate": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.before.seen.RotationEnabled", "BooleanEquals": False, "Next": "RotationOff"},
                {"Variable": "$.judged.pending", "BooleanEquals": True, "Next": "UnderWay"},
                {"Variable": "$.settings.dry_run", "BooleanEquals": True, "Next": "WouldRotate"},
            ],
            "Default": "Rotate",
        },
        "Rotate": _call(
            partition,
            "SecretsManager",
            "rotateSecret",
            {**secret, "ClientRequestToken.$": "$.token"},
            ResultPath=None,
            Catch=perhaps,
            Next="Wait",
        ),
    }


def _follow(partition: str) -> dict[str, Any]:
    """Whether the rotation has ended: its version is AWSCURRENT, and AWSPENDING is gone or LastRotatedDate is new.

    With a single user, AWSCURRENT moves in setSecret, before the rotation ends. A failed step can't be seen here: the
    service retries it, and the version keeps AWSPENDING. JSONPath can't use a version id as a key, so the labels of all
    versions are compared with those of all others.
    """
    refused = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Refused"}]
    versions = "$.described.VersionIdsToStages"
    # Braces are passed as values: States.Format reads them in its text as the place of a value.
    none = "States.StringToJson(States.Format('{}{}{}', $.opened, States.JsonToString($.token), $.closed))"
    labels = {"all.$": f"{versions}.*[*]", "others.$": "$.others.versions.*[*]"}
    return {
        "Wait": {"Type": "Wait", "SecondsPath": "$.settings.poll_seconds", "Next": "LookAgain"},
        "LookAgain": _call(
            partition,
            "SecretsManager",
            "describeSecret",
            {"SecretId.$": "$.secret.ARN"},
            ResultPath="$.described",
            Catch=refused,
            Next="Others",
        ),
        "Others": {
            "Type": "Pass",
            "Parameters": {
                "versions.$": f"States.JsonMerge({versions}, {none}, false)",
                "waited.$": "States.MathAdd($.waited, $.settings.poll_seconds)",
            },
            "ResultPath": "$.others",
            "Next": "Waited",
        },
        "Waited": {"Type": "Pass", "InputPath": "$.others.waited", "ResultPath": "$.waited", "Next": "Labels"},
        "Labels": {"Type": "Pass", "Parameters": labels, "ResultPath": "$.labels", "Next": "Judge"},
        "Judge": {
            "Type": "Pass",
            "Parameters": {
                "current.$": "States.ArrayContains($.labels.all, 'AWSCURRENT')",
                "current_elsewhere.$": "States.ArrayContains($.labels.others, 'AWSCURRENT')",
                "pending.$": "States.ArrayContains($.labels.all, 'AWSPENDING')",
                "pending_elsewhere.$": "States.ArrayContains($.labels.others, 'AWSPENDING')",
            },
            "ResultPath": "$.judged",
            "Next": "Ended",
        },
        "Ended": {
            "Type": "Choice",
            "Choices": [
                {
                    "And": [*_is_ours("current"), {"Or": [{"Not": {"And": _is_ours("pending")}}, _dated()]}],
                    "Next": "Rotated",
                },
                {
                    "And": [
                        *_is_ours("pending"),
                        {"Variable": "$.waited", "NumericLessThanPath": "$.settings.wait_seconds"},
                    ],
                    "Next": "Wait",
                },
                {"And": _is_ours("pending"), "Next": "Unfinished"},
                {"Not": {"Variable": "$.error.Error", "StringEquals": ""}, "Next": "Refused"},
            ],
            "Default": "Lost",
        },
    }


def _outcomes(partition: str, bucket: str) -> dict[str, Any]:
    """Write the result of each secret as an object, as soon as the secret is done."""
    outcomes = {
        "Rotated": (ROTATED, "its new version is AWSCURRENT"),
        "WouldRotate": (WOULD_ROTATE, "dry run: nothing was done"),
        "RotationOff": (SKIPPED, "its rotation is off"),
        "UnderWay": (FAILED, "another rotation of it has not ended: see rotators explain"),
        "Unfinished": (
            UNFINISHED,
            "it did not end in wait_seconds; the service may try again for hours: see rotators check",
        ),
        "Lost": (FAILED, "its new version has neither AWSCURRENT nor AWSPENDING: see rotators explain"),
    }
    written = {
        "secret.$": "$.secret.ARN",
        "name.$": "$.secret.Name",
        "outcome.$": "$.result.outcome",
        "reason.$": "$.result.reason",
        "error.$": "$.error.Error",
        "version.$": "$.token",
        "started.$": "$$.Execution.StartTime",
        "ended.$": "$$.State.EnteredTime",
        "due_before.$": "$.before.seen.NextRotationDate",
        "rotated_before.$": "$.before.seen.LastRotatedDate",
        "versions_before.$": "$.before.seen.VersionIdsToStages",
        "versions_after.$": "$.described.VersionIdsToStages",
    }
    return {
        **{
            name: {
                "Type": "Pass",
                "Result": {"outcome": outcome, "reason": reason},
                "ResultPath": "$.result",
                "Next": "WriteResult",
            }
            for name, (outcome, reason) in outcomes.items()
        },
        "Refused": {
            "Type": "Pass",
            "Parameters": {"outcome": FAILED, "reason.$": "$.error.Cause"},
            "ResultPath": "$.result",
            "Next": "WriteResult",
        },
        "WriteResult": _call(
            partition,
            "S3",
            "putObject",
            {
                "Bucket": bucket,
                "Key.$": "States.Format('runs/{}/results/{}.json', $.run, $.token)",
                "Body": written,
                "ContentType": "application/json",
            },
            ResultPath=None,
            Next="Failed",
        ),
        "Failed": _choice(
            [
                {"Variable": "$.result.outcome", "StringEquals": FAILED},
                {"Variable": "$.result.outcome", "StringEquals": UNFINISHED},
            ],
            "Failure",
            default="Success",
        ),
        "Failure": {"Type": "Fail", "ErrorPath": "$.result.outcome", "CausePath": "$.result.reason"},
        "Success": {"Type": "Pass", "InputPath": "$.result", "End": True},
    }


def _call(partition: str, service: str, action: str, parameters: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A call of an AWS API, retried if it was throttled or the service failed."""
    return {
        "Type": "Task",
        "Resource": f"arn:{partition}:states:::aws-sdk:{_SHORT[service]}:{action}",
        "Parameters": parameters,
        "Retry": [
            {
                "ErrorEquals": _PASSING[service],
                "IntervalSeconds": 2,
                "BackoffRate": 2,
                "MaxDelaySeconds": 60,
                "MaxAttempts": 8,
                "JitterStrategy": "FULL",
            }
        ],
        **others,
    }


def _choice(any_of: Sequence[dict[str, Any]], then: str, *, default: str) -> dict[str, Any]:
    return {"Type": "Choice", "Choices": [{**one, "Next": then} for one in any_of], "Default": default}


def _present(path: str) -> dict[str, Any]:
    return {"Variable": path, "IsPresent": True}


def _is_ours(label: str) -> list[dict[str, Any]]:
    """The condition that the version of this rotation has a label, which only one version can have."""
    return [
        {"Variable": f"$.judged.{label}", "BooleanEquals": True},
        {"Variable": f"$.judged.{label}_elsewhere", "BooleanEquals": False},
    ]


def _dated() -> dict[str, Any]:
    """The condition that LastRotatedDate has changed: functions may leave AWSPENDING on the AWSCURRENT version."""
    now, before = "$.described.LastRotatedDate", "$.before.seen.LastRotatedDate"
    another = {"Or": [{"Variable": before, "IsNull": True}, {"Not": {"Variable": now, "StringEqualsPath": before}}]}
    return {"And": [_present(now), {"Variable": now, "IsNull": False}, another]}
