"""What a rotator of one's own may do beside rotating its secrets, and why where it is not named one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import Acknowledgment
from aws_cdk import aws_iam as iam


@dataclass(frozen=True)
class OwnStatement:
    """A statement of the user's.

    Args:
        actions: the actions, as IAM writes them.
        resources: the ARNs.
        conditions: on what conditions, as IAM writes them.
        because: why an action or a resource has a wildcard; None: none has one.
    """

    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] = field(default_factory=dict)
    because: str | None = None

    @property
    def characters(self) -> int:
        """How many characters it has, but for its frame."""
        return len(json.dumps([list(self.actions), list(self.resources), self.conditions]))

    def of(self, number: int) -> iam.PolicyStatement:
        """The statement, as the function's so-manieth."""
        return iam.PolicyStatement(
            sid=f"OfItsOwn{number}",
            actions=list(self.actions),
            resources=list(self.resources),
            conditions=self.conditions or None,
        )

    def acknowledgments(self) -> Iterator[Acknowledgment]:
        """What cdk-nag finds of wildcards, with the reason that the user has given."""
        for kind, values in (("Action", self.actions), ("Resource", self.resources)):
            for value in values:
                if self.because is not None and "*" in value:
                    yield Acknowledgment(id=f"AwsSolutions::AwsSolutions-IAM5[{kind}::{value}]", reason=self.because)
