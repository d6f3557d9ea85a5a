import string
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.environment import Environment
from rotators.errors import ConfigurationError
from rotators.passwords import UNRESERVED_PUNCTUATION, PasswordLimits, PasswordPolicy, placeholder_password

LIMITS = PasswordLimits()


def policy(**variables: str) -> PasswordPolicy:
    return PasswordPolicy.from_environment(Environment(variables), LIMITS)


def test_by_default_a_password_fits_urls_pgpass_lines_and_shells() -> None:
    for _ in range(500):
        password = policy().generate()
        assert len(password) == 32
        assert password[0].isalpha()
        assert not set(password) & set("/@\"'\\:; %+{}&?#$`!*<>|[](),=^")
        assert quote(password, safe="") == password
        assert urlsplit(f"postgres://app:{password}@host/db").password == password
        for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, UNRESERVED_PUNCTUATION):
            assert set(kind) & set(password)


def test_passwords_differ() -> None:
    assert len({policy().generate() for _ in range(1000)}) == 1000


def test_the_templates_variables_mean_what_they_mean_there() -> None:
    made = policy(
        EXCLUDE_CHARACTERS="/@\"'\\:abc",
        PASSWORD_LENGTH="40",
        EXCLUDE_NUMBERS="true",
        EXCLUDE_UPPERCASE="True",
    ).generate()
    assert len(made) == 40
    assert not set(made) & set("/@\"'\\:abc" + string.digits + string.ascii_uppercase)
    assert set(made) & set(string.punctuation)
    assert policy(EXCLUDE_PUNCTUATION="1", EXCLUDE_LOWERCASE="yes").generate().isalnum()


LETTERS_AND_DIGITS = (string.ascii_lowercase, string.ascii_uppercase, string.digits)


@pytest.mark.parametrize(
    ("variables", "kinds"),
    [
        ({}, (*LETTERS_AND_DIGITS, "-._~")),
        (
            {"EXCLUDE_CHARACTERS": "aZ"},
            (LETTERS_AND_DIGITS[0][1:], LETTERS_AND_DIGITS[1][:-1], string.digits, string.punctuation),
        ),
        ({"EXCLUDE_LOWERCASE": "true"}, (*LETTERS_AND_DIGITS[1:], "-._~")),
        ({"EXCLUDE_UPPERCASE": "true"}, (string.ascii_lowercase, string.digits, "-._~")),
        ({"EXCLUDE_NUMBERS": "true"}, (*LETTERS_AND_DIGITS[:2], "-._~")),
        ({"EXCLUDE_PUNCTUATION": "true"}, LETTERS_AND_DIGITS),
        (
            {"EXCLUDE_CHARACTERS": string.digits, "REQUIRE_EACH_INCLUDED_TYPE": "false"},
            (*LETTERS_AND_DIGITS[:2], string.punctuation),
        ),
    ],
)
def test_each_variable_takes_out_what_it_names_and_nothing_else(
    variables: dict[str, str], kinds: tuple[str, ...]
) -> None:
    assert policy(**variables).kinds == kinds
    assert policy(**variables).require_each is ("REQUIRE_EACH_INCLUDED_TYPE" not in variables)


def test_length_and_exclusions_hold_at_every_rotation() -> None:
    again = policy(PASSWORD_LENGTH="20", EXCLUDE_PUNCTUATION="true")
    assert [len(again.generate()) for _ in range(3)] == [20, 20, 20]
    assert all(again.generate().isalnum() for _ in range(50))


def test_an_engines_limits_come_first() -> None:
    limits = PasswordLimits(longest=30, never="@/")
    made = PasswordPolicy.from_environment(Environment({"EXCLUDE_CHARACTERS": "x"}), limits)
    assert made.length == 30
    assert not set("".join(made.kinds)) & set("@/x")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"PASSWORD_LENGTH": "7"}, "PASSWORD_LENGTH is 7. set it to a number from 8 to 128"),
        ({"PASSWORD_LENGTH": "129"}, "PASSWORD_LENGTH is 129"),
        ({"PASSWORD_LENGTH": "many"}, "PASSWORD_LENGTH is not a whole number"),
        ({"EXCLUDE_NUMBERS": "perhaps"}, "EXCLUDE_NUMBERS is neither true nor false"),
        ({"EXCLUDE_CHARACTERS": string.digits}, "excludes every character of a kind"),
        ({"EXCLUDE_CHARACTERS": string.printable, "REQUIRE_EACH_INCLUDED_TYPE": "false"}, "excludes every character"),
    ],
)
def test_settings_that_allow_no_password_are_refused(variables: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy(**variables)
    assert says in str(caught.value)


@given(
    excluded=st.text(alphabet=string.ascii_letters + string.digits + string.punctuation, max_size=60),
    length=st.integers(8, 128),
    require_each=st.booleans(),
)
def test_a_policy_is_refused_or_kept(excluded: str, length: int, require_each: bool) -> None:
    variables = {"PASSWORD_LENGTH": str(length), "REQUIRE_EACH_INCLUDED_TYPE": str(require_each)}
    if excluded:
        variables["EXCLUDE_CHARACTERS"] = excluded
    try:
        made = policy(**variables)
    except ConfigurationError:
        kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation)
        assert require_each
        assert any(set(kind) <= set(excluded) for kind in kinds)
        return
    password = made.generate()
    assert len(password) == length
    assert not set(password) & set(excluded)
    if require_each:
        assert all(set(kind) & set(password) for kind in made.kinds)


def test_what_is_thrown_away_passes_every_policy_and_fits_everywhere() -> None:
    made = {placeholder_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        assert len(password) == 30
        for kind in (str.isupper, str.islower, str.isdigit, lambda c: not c.isalnum()):
            assert any(map(kind, password))
