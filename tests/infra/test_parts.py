"""Over which stacks a file is spread, and what these are called."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
import pytest
from synthesis import bundles, read

from infra.config.model import Secret
from infra.config.parts import parts
from infra.stack import RotationStack

SECRETS = [Secret(name=f"team/app-{number}", engine="postgres") for number in range(2000)]


def places(stacks: int) -> dict[str, int]:
    return {one.label: place for place, part in enumerate(parts(SECRETS, stacks)) for _, one in part}


def test_a_secret_stays_or_moves_to_a_stack_that_is_new() -> None:
    """The stack that it leaves is deployed first: otherwise its rotation would be switched on, and then off."""
    before = places(1)
    for stacks in range(2, 21):
        after = places(stacks)
        moved = {name for name in before if before[name] != after[name]}
        assert moved
        assert {after[name] for name in moved} == {stacks - 1}
        before = after


@pytest.mark.parametrize("stacks", [2, 9, 20])
def test_stacks_are_about_as_large_as_one_another(stacks: int) -> None:
    counts = [len(part) for part in parts(SECRETS, stacks)]
    assert max(counts) < 1.4 * len(SECRETS) / stacks


def test_where_a_secret_is_hangs_on_its_name_alone_and_not_on_the_release() -> None:
    assert places(9)["team/app-7"] == 4
    assert [place for _, place in sorted(places(5).items())][:8] == [2, 2, 2, 0, 3, 4, 1, 2]


def test_2000_secrets_fit_as_soon_as_there_are_stacks_enough(tmp_path: Path) -> None:
    names = "\n".join(f"  - {{name: team/orders/postgres/application-{number:04}}}" for number in range(2000))
    text = f"stacks: 12\ndefaults: {{engine: postgres, every: 30 days}}\nsecrets:\n{names}\n"
    rotations = read(tmp_path, text)
    assert max(len(part) for part in parts(rotations.secrets, rotations.stacks)) <= 220


@pytest.mark.slow
def test_account_and_region_are_the_stacks_own(tmp_path: Path) -> None:
    text = "account: '111122223333'\nregion: eu-west-1\nsecrets: [{name: app, engine: postgres, every: 1 day}]"
    app = cdk.App(outdir=str(tmp_path / "out"))
    stack = RotationStack(app, read(tmp_path, text), certificates=None, bundles=bundles)
    assert (stack.account, stack.region) == ("111122223333", "eu-west-1")
