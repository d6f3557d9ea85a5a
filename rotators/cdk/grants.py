"""A role's permissions on lists of secrets, spread over as many policies as IAM needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import Token
from aws_cdk import aws_iam as iam
from constructs import Construct

from rotators.errors import ConfigurationError

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: 10,240 characters for all inline policies
# of a role together, including the function's other statements, and 6,144 for a managed policy.
_INLINE = 8000
_MANAGED = 5900
# By default, ten managed policies may be attached to a role.
MOST = 10
# Assumed length of an ARN that is not known yet: a secret's whole ARN with a name of some length.
_UNKNOWN = 170
# Assumed length of a statement without its list.
_FRAME = 450


@dataclass(frozen=True)
class Listing:
    """A statement for a list of ARNs, which may be split into several statements.

    Args:
        sid: its Sid; further statements get a number.
        actions: the actions that it allows.
        resource: the resource, if the ARNs are listed in a condition; None: the ARNs are the resources.
        conditions: its conditions.
        listed: the operator and the key of the condition that lists the ARNs.
    """

    sid: str
    actions: Sequence[str]
    resource: str | None = None
    conditions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    listed: tuple[str, str] | None = None

    def of(self, arns: Sequence[str], number: int) -> iam.PolicyStatement:
        """The statement for some of the ARNs."""
        return iam.PolicyStatement(
            sid=self.sid if number == 1 and self.listed is None else f"{self.sid}{number}",
            actions=list(self.actions),
            resources=list(arns) if self.resource is None else [self.resource],
            conditions={**self.conditions, **self._condition(arns)} or None,
        )

    def extend(self, statement: iam.PolicyStatement, arns: Sequence[str]) -> None:
        """Add the last of these ARNs to a statement that :meth:`of` made."""
        if self.resource is None:
            statement.add_resources(arns[-1])
        for operator, condition in self._condition(arns).items():
            statement.add_condition(operator, condition)

    def _condition(self, arns: Sequence[str]) -> dict[str, Any]:
        if self.listed is None:
            return {}
        operator, key = self.listed
        return {operator: {key: arns[0] if len(arns) == 1 else list(arns)}}


class Grants(Construct):
    """The policies of a role: an inline policy, and managed policies for what does not fit into it.

    Args:
        role: the role.
    """

    def __init__(self, scope: Construct, id_: str, *, role: iam.IRole) -> None:
        super().__init__(scope, id_)
        self._role = role
        self.policies: list[iam.Policy | iam.ManagedPolicy] = []
        self._room = 0
        self._numbers: dict[str, int] = {}
        self._granted: set[tuple[str, str | None, str]] = set()
        self._open: dict[tuple[str, str | None], tuple[iam.PolicyStatement, list[str]]] = {}

    def allow(self, statement: iam.PolicyStatement, characters: int = 0) -> None:
        """Add a statement without a list of ARNs.

        Args:
            statement: the statement.
            characters: the length of its actions, resources and conditions, if they may be many.

        Raises:
            ConfigurationError: the role's policies have no room for it.
        """
        self._put(statement, _FRAME + characters)

    def allow_each(self, listing: Listing, arn: str) -> None:
        """Add an ARN to the list of a statement, unless it is there already.

        Raises:
            ConfigurationError: there are more ARNs than a role's policies can name.
        """
        key = (listing.sid, listing.resource)
        if (*key, arn) in self._granted:
            return
        self._granted.add((*key, arn))
        length = _length(arn)
        if key in self._open and length <= self._room:
            statement, arns = self._open[key]
            arns.append(arn)
            listing.extend(statement, arns)
            self._room -= length
            return
        self._numbers[listing.sid] = self._numbers.get(listing.sid, 0) + 1
        statement = listing.of([arn], self._numbers[listing.sid])
        self._put(statement, _FRAME + length)
        self._open[key] = (statement, [arn])

    def _put(self, statement: iam.PolicyStatement, length: int) -> None:
        if self.policies and length <= self._room:
            self.policies[-1].add_statements(statement)
            self._room -= length
            return
        if len(self.policies) > MOST:
            raise ConfigurationError(
                f"a role's policies can name no more secrets: IAM attaches {MOST} managed policies to a role",
                "give some of its secrets another function, or spread them over more stacks",
            )
        self._open = {}
        if not self.policies:
            self.policies.append(iam.Policy(self, "Policy", statements=[statement], roles=[self._role]))
            self._room = _INLINE - length
            return
        id_ = f"More{len(self.policies)}"
        self.policies.append(iam.ManagedPolicy(self, id_, statements=[statement], roles=[self._role]))
        self._room = _MANAGED - length


def _length(arn: str) -> int:
    # A reference to a resource is a token: its ARN is not known yet. Of a pattern, only the beginning is known.
    if not Token.is_unresolved(arn):
        return len(arn) + 3
    name = arn.rpartition(":secret:")[2]
    return _UNKNOWN if Token.is_unresolved(name) or name == arn else len(name) + 70
