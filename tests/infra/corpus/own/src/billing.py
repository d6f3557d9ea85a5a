"""A rotator as small as can be."""

from rotators.credentials import SecretValue
from rotators.rotator import Rotation, Rotator


class Billing(Rotator[SecretValue]):
    """Counts."""

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        """The next number."""
        return rotation.current.replace(key=rotation.current["key"] + "1")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        """Nothing is to be done."""

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        """Everything logs in."""


handler = Billing()
second = Billing()
