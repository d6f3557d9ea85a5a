"""``rotations.yaml`` as a typed value: ``model`` has its keys and values, ``load`` reads it and names each mistake."""

from infra.config.load import load
from infra.config.mistakes import MistakesFound
from infra.config.model import Rotations

__all__ = ["MistakesFound", "Rotations", "load"]
