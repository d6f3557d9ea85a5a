import io
import json
import logging
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.errors import CUT, LoginRefused
from rotators.logs import REDACTED, Redactor, logger, redactor


@given(st.text(min_size=4))
def test_a_secret_is_taken_out_in_every_spelling(secret: str) -> None:
    redact = Redactor()
    redact.hide([secret])
    spellings = (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.replace("'", "''"))
    for spelling in spellings:
        assert redact.redact(f"<{spelling}>") == f"<{REDACTED}>"


@pytest.mark.parametrize("secret", ["p@ss/w rd%", "a+b c&d", "with'quote", 'with"quote', "back\\slash", "ünïcode"])
def test_spellings_of_urls_statements_and_json(secret: str) -> None:
    redact = Redactor()
    redact.hide([secret])
    for spelling in (quote(secret), quote(secret, safe=""), quote_plus(secret), secret.replace("'", "''")):
        assert spelling not in redact.redact(f"postgres://app:{spelling}@host")


def test_the_longer_of_two_secrets_goes_whole() -> None:
    redact = Redactor()
    redact.hide(["pass", "password1"])
    assert redact.redact("password1 pass") == f"{REDACTED} {REDACTED}"


def test_texts_too_short_to_be_secrets_stay() -> None:
    redact = Redactor()
    redact.hide(["a", "", None])
    assert redact.redact("a banana") == "a banana"


def test_what_was_learned_can_be_forgotten() -> None:
    redact = Redactor()
    redact.hide(["the-password"])
    redact.hide_unknown(["a-token"])
    redact.show(["a-token"])
    redact.forget()
    assert redact.redact("the-password") == "the-password"
    redact.hide_unknown(["a-token"])
    assert redact.redact("a-token") == REDACTED


def test_of_very_many_unknown_values_the_longest_are_remembered() -> None:
    redact = Redactor()
    redact.hide(["pass"])
    redact.hide_unknown([f"v{number:05}" for number in range(20_000)] + ["a-long-token-of-another-service"])
    redact.hide_unknown(["the-next-secrets-token"])
    text = "pass a-long-token-of-another-service the-next-secrets-token"
    assert redact.redact(text) == f"{REDACTED} {REDACTED} {REDACTED}"
    assert sum(len(found) for lengths in redact._compile()[0]._by_start.values() for found in lengths.values()) < 1000


@pytest.mark.parametrize(
    ("unknown", "text", "shown"),
    [
        ("example", "db.example:5432", "db.example:5432"),
        ("db.example:5432/app", "at db.example:5432/app", f"at db.example{REDACTED}app"),
        ("'app'", "user 'app' at db.example", "user 'app' at db.example"),
        ("db.example/app", "at db.example/app", "at db.example/app"),
        ("!?!?", "at db.example !?!?", f"at db.example {REDACTED}"),
        ("xapp", "user xapp", f"user {REDACTED}"),
        # A part of a word is no user's name: the token stays whole.
        ("tokenappxyz", "tokenappxyz", REDACTED),
    ],
)
def test_what_is_public_in_an_unknown_value_stays(unknown: str, text: str, shown: str) -> None:
    redact = Redactor()
    redact.show(["db.example", "app"])
    redact.hide_unknown([unknown])
    assert redact.redact(text) == shown


@pytest.mark.parametrize(
    ("password", "text", "shown"),
    [
        # A part of the host's name is in the log anyway, and the host must be readable.
        ("example", "example at db.example", f"{REDACTED} at db.example"),
        ("db.example", "db.example", REDACTED),
        # Overlapping a public text is no way to stay.
        ("example-secret", "at db.example-secret", f"at db.{REDACTED}"),
        ("aaaa", "aaaaaa", REDACTED),
    ],
)
def test_a_password_is_hidden_wherever_it_stands_by_itself(password: str, text: str, shown: str) -> None:
    redact = Redactor()
    redact.show(["db.example"])
    redact.hide([password])
    assert redact.redact(text) == shown


def test_a_text_that_was_cut_in_the_middle_of_a_password_shows_no_part_of_it() -> None:
    redact = Redactor()
    redact.hide(["correct horse battery"])
    text = "x" * 1985 + " correct horse battery"
    assert str(redact.clean(LoginRefused(text))).removeprefix("x" * 1985) in {f" {REDACTED}{CUT}.", f"{CUT}."}
    assert redact.redact(f"said correct hor{CUT}. Do") == f"said {REDACTED}{CUT}. Do"


def test_half_a_character_in_a_secret_or_a_message_breaks_nothing(log: io.StringIO) -> None:
    redactor.hide(["half\ud800secret"])
    logger.info("it is \udc00 and half\ud800secret")
    assert json.loads(log.getvalue().encode())["message"] == f"it is \udc00 and {REDACTED}"


def test_the_names_of_fields_stay(log: io.StringIO) -> None:
    redactor.hide(["milliseconds", "deep_down"])
    logger.info("done", milliseconds=5, extra={"deep": {"deep_down": "module", "module": "deep_down"}})
    entry = json.loads(log.getvalue())
    assert entry["milliseconds"] == 5
    assert entry["deep"] == {REDACTED: "module", "module": REDACTED}


def test_a_log_line_is_redacted_wherever_the_secret_stands(log: io.StringIO) -> None:
    redactor.hide(["log-line-secret"])
    try:
        raise ValueError("connection string with log-line-secret in it")
    except ValueError:
        logger.exception("failed for log-line-secret", extra={"deep": {"list": ["log-line-secret", 7]}})
    written = log.getvalue()
    assert "log-line-secret" not in written
    entry = json.loads(written)
    assert entry["message"] == f"failed for {REDACTED}"
    assert entry["deep"] == {"list": [REDACTED, 7]}
    assert REDACTED in entry["exception"]


def test_a_cleaned_error_carries_neither_secret_nor_chain() -> None:
    redactor.hide(["chained-secret"])
    error = LoginRefused("refused chained-secret", "not chained-secret")
    error.__cause__ = ValueError("chained-secret")
    cleaned = redactor.clean(error)
    assert str(cleaned) == f"refused {REDACTED}. not {REDACTED}."
    assert cleaned.args == (f"refused {REDACTED}", f"not {REDACTED}")
    assert cleaned.__cause__ is None
    assert cleaned.__context__ is None


@pytest.mark.parametrize("name", ["oracledb", "pymongo.command", "pymysql", "pytds", "pytds.tds_session"])
def test_no_driver_writes_a_statement_into_the_log(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever level the runtime gives its root logger."""
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)
