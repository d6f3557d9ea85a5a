"""A policy statement for a user's own rotator, with the reason for any wildcard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import Acknowledgment
from aws_cdk import aws_iam as iam


@dataclass(frozen=True)
class OwnStatement:
    """A statement that the user wrote.

    Args:
        actions: the actions, as in IAM.
        resources: the ARNs.
        conditions: the conditions, as in IAM.
        because: why an action or a resource has a wildcard; None: none has one.
    """

    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] = field(default_factory=dict)
    because: str | None = None

    @property
    def characters(self) -> int:
        """The length of its actions, resources and conditions."""
        return len(json.dumps([list(self.actions), list(self.resources), self.conditions]))

    def of(self, number: int) -> iam.PolicyStatement:
        """The statement with a number in its Sid."""
        return iam.PolicyStatement(
            sid=f"OfItsOwn{number}",
            actions=list(self.actions),
            resources=list(self.resources),
            conditions=self.conditions or None,
        )

    def acknowledgments(self) -> Iterator[Acknowledgment]:
        """cdk-nag's findings on wildcards, with the user's reason."""
        for kind, values in (("Action", self.actions), ("Resource", self.resources)):
            for value in values:
                if self.because is not None and "*" in value:
                    yield Acknowledgment(id=f"AwsSolutions::AwsSolutions-IAM5[{kind}::{value}]", reason=self.because)
