import io
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.errors import LoginRefused
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


def test_the_oldest_values_are_forgotten_first() -> None:
    redact = Redactor()
    redact.hide(["the-oldest"])
    redact.hide([f"value-{number:04}" for number in range(511)])
    assert redact.redact("the-oldest") == REDACTED
    redact.hide(["one-more-value"])
    assert redact.redact("the-oldest") == "the-oldest"
    assert redact.redact("value-0000") == REDACTED


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
