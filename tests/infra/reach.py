"""What a role can reach: its policies, as synthesized, evaluated as IAM does.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html, as far as policies of roles
go: an explicit denial comes first, and what nothing allows is denied. What this does not know is an error, no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from synthesis import as_list, text

REGION, ACCOUNT = "eu-west-1", "111122223333"
_ARNS = {
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{{}}",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{{}}-AbCdEf",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{}}",
}
_KNOWN = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::URLSuffix": "amazonaws.com"}


class Account:
    """The roles of a template, and what they may do.

    Args:
        template: as CDK made it.
    """

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.resources: dict[str, dict[str, Any]] = template["Resources"]
        self._read: dict[str, list[_Statement]] = {}

    def arn(self, id_: str) -> str:
        """The ARN of what the template makes."""
        return _ARNS[self.resources[id_]["Type"]].format(id_)

    def resolved(self, value: Any) -> str:
        """A value with its references, as it would be in the account."""

        def replace(match: re.Match[str]) -> str:
            name, _, attribute = match[1].partition(".")
            if name in _KNOWN:
                return _KNOWN[name]
            return name if attribute == "Name" else self.arn(name)

        return re.sub(r"\{([\w:.]+)\}", replace, text(value))

    def of_type(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The ids and properties of the resources of a type."""
        yield from ((id_, one.get("Properties", {})) for id_, one in self.resources.items() if one["Type"] == kind)

    def statements(self, role: str) -> Iterator[dict[str, Any]]:
        """All that is said of a role, in policies of its own and others'."""
        own = self.resources[role]["Properties"]
        assert not own.get("ManagedPolicyArns"), "a policy of AWS's is not looked into"
        documents = [one["PolicyDocument"] for one in own.get("Policies", ())]
        for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            documents += [p["PolicyDocument"] for _, p in self.of_type(kind) if {"Ref": role} in p["Roles"]]
        for document in documents:
            yield from document["Statement"]

    def allows(self, role: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Whether a request would be let through."""
        if role not in self._read:
            self._read[role] = [self._resolve(one) for one in self.statements(role)]
        effects = {one.effect for one in self._read[role] if one.applies(action.lower(), resource, context)}
        return "Allow" in effects and "Deny" not in effects

    def _resolve(self, statement: Mapping[str, Any]) -> _Statement:
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}, statement
        return _Statement(
            statement["Effect"],
            [_pattern(str(one).lower()) for one in as_list(statement["Action"])],
            [_pattern(self.resolved(one)) for one in as_list(statement["Resource"])],
            [
                (operator, key, [self.resolved(one) for one in as_list(values)])
                for operator, keys in statement.get("Condition", {}).items()
                for key, values in keys.items()
            ],
        )


@dataclass(frozen=True)
class _Statement:
    effect: str
    actions: list[re.Pattern[str]]
    resources: list[re.Pattern[str]]
    conditions: list[tuple[str, str, list[str]]]

    def applies(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        return (
            any(one.fullmatch(action) for one in self.actions)
            and any(one.fullmatch(resource) for one in self.resources)
            and all(_holds(operator, values, context.get(key)) for operator, key, values in self.conditions)
        )


def _holds(operator: str, values: list[str], found: str | None) -> bool:
    if operator == "Null":
        return (found is None) == (values == ["true"])
    if operator == "StringEquals":
        return found in values
    if operator in {"StringLike", "ArnEquals", "ArnLike"}:
        # The two of ARNs take patterns both.
        return found is not None and any(_pattern(one).fullmatch(found) for one in values)
    raise AssertionError(f"the operator {operator} is not known here")


def _pattern(text: str) -> re.Pattern[str]:
    """What IAM makes of a text with * and ?."""
    return re.compile("".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in text), re.DOTALL)
