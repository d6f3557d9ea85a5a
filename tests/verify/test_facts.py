"""What is asked of Secrets Manager: the same answer each time, and another one where the service is another."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from infra.verify.inside import facts, probe, rotations
from infra.verify.inside.handler import answer
from infra.verify.inside.service import NotInTime, Service, simulated
from infra.verify.report import Report, Row, show
from rotators.steps import STEPS
from rotators.testing import labels
from verify.grounds import ground, simulation

TIME = 900.0


def look(**event: Any) -> dict[str, Any]:
    return answer({"task": "service", **event}, ground(), lambda: TIME)


def printed(rows: list[dict[str, Any]]) -> str:
    console = Console(record=True, width=200, force_terminal=False)
    show(Report([Row("service", **row) for row in rows]), console, "a simulation")
    return console.export_text()


def test_every_fact_has_a_name_of_its_own_and_a_page_of_aws() -> None:
    names = [fact.name for fact in facts.FACTS]
    assert len(set(names)) == len(names) >= 19
    for fact in facts.FACTS:
        assert fact.page.startswith("https://docs.aws.amazon.com/secretsmanager/latest/")


@pytest.mark.slow
def test_a_simulation_differs_from_itself_in_nothing() -> None:
    answered = look()
    assert answered["left"] == []
    assert [row["name"] for row in answered["rows"]] == [fact.name for fact in facts.FACTS]
    for row in answered["rows"]:
        assert row["expected"] == row["seen"]
        assert "did not happen" not in str(row["seen"])
    assert printed(answered["rows"]).startswith(f"no difference in {len(facts.FACTS)} facts")


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("AWSPREVIOUS follows AWSCURRENT", [[], ["AWSPREVIOUS"], ["AWSCURRENT"]]),
        (
            "a configuration is tested by testSecret alone, on a version that is gone then",
            [
                "testSecret AWSPENDING has-a-value ClientRequestToken+RotationToken+SecretId+Step",
                ["AWSCURRENT"],
                False,
            ],
        ),
        ("a rotation that is cancelled leaves AWSPENDING where it is", [True, False, ["AWSCURRENT"], ["AWSPENDING"]]),
    ],
)
def test_what_is_seen_is_told_in_words_that_hold_for_every_account(name: str, seen: Any) -> None:
    [row] = look(only=[name])["rows"]
    assert row["seen"] == seen


def test_a_rotation_is_told_step_by_step() -> None:
    [row] = look(only=["a rotation stages an empty version and calls the four steps"])["rows"]
    assert [note.split()[0] for note in row["seen"][:4]] == list(STEPS)
    assert [note.split()[2] for note in row["seen"][:4]] == ["ResourceNotFoundException", *["has-a-value"] * 3]


def test_a_service_that_does_something_else_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation in the real service's place takes larger values, and leaves AWSPREVIOUS where it is."""

    def planted() -> Any:
        monkeypatch.setattr(labels, "LARGEST_VALUE", 70_000)
        monkeypatch.setattr(labels, "PREVIOUS", "AWSFORMER")
        return simulation()

    names = [
        "a value has 65,536 bytes at most",
        "AWSPREVIOUS follows AWSCURRENT",
        "AWSCURRENT is never removed",
    ]
    rows = answer({"task": "service", "only": names}, ground(planted), lambda: TIME)["rows"]
    text = printed(rows)
    assert "DIFFERS service: a value has 65,536 bytes at most" in text
    assert 'expected: ["accepted", "PutSecretValue: ValidationException"' in text
    assert 'seen: ["accepted", "accepted"' in text
    assert "stated in: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html" in text
    assert "AWSFORMER" in text
    assert "DIFFERS service: AWSCURRENT is never removed" not in text
    assert "2 differences in 3 facts (service 3), on a simulation" in text


def test_what_never_happens_is_a_difference_and_no_end_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(_: Service) -> Any:
        raise NotInTime

    fact = facts.Fact("it gets stuck", "https://docs.aws.amazon.com/secretsmanager/latest/", stuck)
    monkeypatch.setattr(facts, "FACTS", [fact])
    [row] = look()["rows"]
    assert row["seen"] == "did not happen in time"


def test_what_there_is_no_time_for_is_left_for_the_next_invocation() -> None:
    names = [fact.name for fact in facts.FACTS[:2]]
    times = iter([TIME, 1.0])
    answered = answer({"task": "service", "only": names}, ground(), lambda: next(times))
    assert [row["name"] for row in answered["rows"]] == names[:1]
    assert answered["left"] == names[1:]


def test_every_secret_that_was_made_is_gone_afterwards() -> None:
    with simulated("a/") as (service, _):
        service.secret()
        assert len(service.client.list_secrets()["SecretList"]) == 1
        service.remove()
        assert service.client.list_secrets(IncludePlannedDeletion=True)["SecretList"] == []


@pytest.mark.parametrize("step", STEPS)
def test_the_probe_fails_where_its_secret_says(step: str) -> None:
    with simulated("a/") as (service, simulation_of_it):
        arn = service.secret(**{probe.FAIL: step})
        service.client.rotate_secret(SecretId=arn, RotationLambdaARN=service.probe_arn)
        [rotation] = simulation_of_it.run()
    assert rotation.failed_step == step
    assert isinstance(rotation.error, probe.AsTold)


def test_a_strategy_that_fails_keeps_no_other_from_being_looked_at() -> None:
    class Target:
        def make_application(self) -> Any:
            raise OSError("with a password")

    def nowhere() -> tuple[str, str]:
        service.client.describe_secret(SecretId="nowhere")
        raise AssertionError

    with simulated("a/") as (service, _):
        seen = rotations.observe(
            service, Target(), {"single-user": lambda: ("an-arn", "an-admin"), "alternating-users": nowhere}
        )
    assert seen == {
        "a secret is rotated, single-user": "failed: OSError",
        "a secret is rotated, alternating-users": "DescribeSecret: ResourceNotFoundException: "
        "Secrets Manager can't find the specified secret.",
    }
