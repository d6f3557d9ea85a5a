"""``python -m infra.verify``: what it asks for before anything costs."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from infra.verify import __main__ as command
from infra.verify.offers import OFFERS

AFTER = "name RDS's CA certificates with --ca-bundle"


def run(*arguments: str, variables: dict[str, str] | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(command.app, arguments, env={"COLUMNS": "1000", **(variables or {})})
    return result.exit_code, result.output


@pytest.mark.parametrize("engine", OFFERS)
def test_a_plan_tells_what_is_made_what_it_costs_and_whose_licence_it_needs(engine: str) -> None:
    code, text = run("--engine", engine, "--plan")
    offer = OFFERS[engine]
    assert code == 0
    for expected in (offer.title, offer.size, offer.page, f"licence: {offer.licence}", "everything is removed"):
        assert expected in text
    assert (f"${offer.price:.3f} an hour" in text) if offer.price is not None else "is not known here" in text


def test_a_price_is_told_with_its_date_and_region() -> None:
    _, text = run("--engine", "postgres", "--plan")
    assert "cost: $0.016 an hour for db.t4g.micro, $0.021 with storage and secrets" in text
    assert "list price us-east-1 of 2026-11-28, check https://aws.amazon.com/rds/postgresql/pricing/" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "cobol"], "'cobol' is not one of postgres, mysql"),
        ([], "Missing option '--engine'"),
        (["--engine", "postgres"], AFTER),
        (["--engine", "redshift"], "this costs money, and there is no terminal to ask you: set YES=1, or --yes"),
        (["--engine", "redshift", "--remove"], "there is no terminal to ask you"),
        (["--engine", "db2", "--ca-bundle", "x.pem"], "--ibm-site-id and --ibm-customer-id"),
        (["--engine", "postgres", "--every", "0"], "--every"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_to_set(arguments: list[str], said: str) -> None:
    code, text = run(*arguments)
    assert code == 2
    assert said in text
    assert "Traceback" not in text


def test_a_variable_answers_the_question_but_nothing_is_made_without_what_it_takes() -> None:
    code, text = run("--engine", "mysql", variables={"YES": "1"})
    assert (code, AFTER in text) == (2, True)


def test_a_failure_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", "--engine", "redshift", "--yes", "--profile", "nobody", "--region", "eu-west-1"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("verify: there is no profile 'nobody'")


def test_an_engine_without_a_server_here_can_not_be_rehearsed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["verify", "--engine", "oracle", "--dry-run"])
    monkeypatch.setattr("os.environ", {})
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert "this machine has no server of oracle to rehearse on" in capsys.readouterr().err
