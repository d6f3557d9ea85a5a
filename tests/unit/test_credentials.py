import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.credentials import Credentials, SecretValue, replace_members
from rotators.errors import SecretMalformed

BASE = {"engine": "postgres", "host": "db.example", "username": "app", "password": "correct horse"}

# Small ones: what can go wrong in a long list goes wrong in one of two, and drawing takes most of these tests' time.
short = st.text(max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | short,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(short, inner, max_size=3),
    max_leaves=6,
)


def credentials(**changes: object) -> Credentials:
    return Credentials({**BASE, **changes}, "secret 'app' (AWSCURRENT)")


@pytest.mark.parametrize("text", ["", "not json", '{"a": NaN}', '{"a": Infinity}', "[" * 100_000])
def test_what_is_not_json_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(SecretMalformed, match="secret 'x' is not JSON") as caught:
        Credentials.from_json(text, "secret 'x'")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_password_in_broken_json_is_not_in_the_error() -> None:
    with pytest.raises(SecretMalformed) as caught:
        Credentials.from_json('{"password": "hunter2hunter2"', "secret 'x'")
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize("text", ['"a password"', "[]", "17", "null"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(SecretMalformed, match="is JSON, but not an object") as caught:
        Credentials.from_json(text, "secret 'x'")
    assert "must be a JSON object" in caught.value.advice


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"a": }', "secret 'x' is not JSON (at character 6)"),
        ('{"a": NaN}', "secret 'x' is not JSON"),
        ("[" * 100_000, "secret 'x' is not JSON"),
    ],
)
def test_the_place_of_the_fault_is_told_where_it_is_known(text: str, what: str) -> None:
    with pytest.raises(SecretMalformed) as caught:
        Credentials.from_json(text, "secret 'x'")
    assert caught.value.what == what
    assert "must be a JSON object" in caught.value.advice


def test_where_a_value_was_read_is_kept_with_it() -> None:
    value = Credentials.from_json(json.dumps(BASE), "secret 'x'")
    assert value.source == "secret 'x'"
    assert value.replace(password="new").source == "secret 'x'"


def test_a_value_is_a_mapping_of_its_keys() -> None:
    assert list(credentials(port=1)) == [*BASE, "port"]
    assert dict(credentials()) == BASE


@given(st.dictionaries(short, json_values, max_size=5))
def test_every_key_survives_a_change_of_the_password(extra: dict[str, object]) -> None:
    before = {**extra, **BASE}
    after = json.loads(Credentials.from_json(json.dumps(before), "x").replace(password="new").to_json())
    assert after == {**before, "password": "new"}
    assert list(after) == list(before)


def spelled(value: object, spell: st.DataObject) -> str:
    """A JSON value in one of the ways in which it may be written."""
    blanks = st.text(" \t\r\n", max_size=2)
    if isinstance(value, dict):
        members = (
            f"{spell.draw(blanks)}{spelled(key, spell)}{spell.draw(blanks)}:{spell.draw(blanks)}"
            f"{spelled(inner, spell)}{spell.draw(blanks)}"
            for key, inner in value.items()
        )
        return "{" + (",".join(members) or spell.draw(blanks)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(f"{spell.draw(blanks)}{spelled(inner, spell)}" for inner in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=spell.draw(st.booleans()))
    return json.dumps(value)


@given(st.dictionaries(short, json_values, min_size=1, max_size=4), json_values, st.data())
def test_what_is_not_replaced_comes_out_as_it_went_in(
    values: dict[str, object], new: object, data: st.DataObject
) -> None:
    text = spelled(values, data)
    key = data.draw(st.sampled_from(sorted(values)))
    changed = replace_members(text, {key: new})
    assert json.loads(changed) == {**values, key: new}
    # But for the one value, the two texts are the same to the character.
    assert replace_members(changed, {key: "x"}) == replace_members(text, {key: "x"})
    assert replace_members(text, {}) == text


@given(st.dictionaries(short, json_values, max_size=3), st.dictionaries(short, json_values, max_size=3), st.data())
def test_what_is_added_stands_behind_what_was_there(
    values: dict[str, object], new: dict[str, object], data: st.DataObject
) -> None:
    text = spelled(values, data)
    added = {key: value for key, value in new.items() if key not in values}
    changed = replace_members(text, added)
    assert json.loads(changed) == {**values, **added}
    assert changed.startswith(text.removesuffix("}").rstrip())


ODD = """ {
  "username" : "app",\t"password": "old", "ratio": 1.50, "big": 1E5, "id": 123456789012345678901234567890,
  "unicode": "ü\\u00fc\\/", "twice": 1, "twice": {"password": "mine"},
  "pass\\u0077ord2": "x", "list": [ 1.0 ,2 ], "password" : "older", "half": "\\ud800" }
"""


def test_a_text_is_changed_only_where_a_value_is() -> None:
    value = SecretValue.from_json(ODD, "x")
    assert value.to_json() == ODD
    changed = value.replace(password="new", username="app", ratio=1.5)
    # A key that is there twice: the last counts here, the first elsewhere, and neither may keep the old password.
    assert changed.to_json() == ODD.replace('"old"', '"new"').replace('"older"', '"new"')
    assert changed["password"] == "new"
    assert changed.replace(password2="y").to_json() == changed.to_json().replace('"x"', '"y"')
    assert changed.replace(more=None).to_json() == changed.to_json().replace(" }\n", ', "more": null }\n')


@pytest.mark.parametrize(
    ("text", "after"),
    [("{}", '{"a": 1}'), ("{ }", '{"a": 1 }'), ('{"b":2}', '{"b":2, "a": 1}'), ('{"a":"x"}', '{"a":1}')],
)
def test_a_key_that_is_not_there_is_added_at_the_end(text: str, after: str) -> None:
    assert SecretValue.from_json(text, "x").replace(a=1).to_json() == after


def test_a_key_set_to_none_counts_as_missing() -> None:
    value = credentials(port=5433, ssl=False, tlsServerName="db").replace(port=None, ssl=None, tlsServerName=None)
    assert (value.port(5432), value.wants_tls, value.tls_server_name) == (5432, True, None)
    with pytest.raises(SecretMalformed, match="'host' is missing or empty"):
        _ = value.replace(host=None).host


@pytest.mark.parametrize("key", ["username", "password", "host"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_key_that_is_empty_is_named(key: str, value: object) -> None:
    with pytest.raises(SecretMalformed, match=rf"secret 'app' \(AWSCURRENT\): the key '{key}' is missing or empty"):
        credentials(**{key: value}).validate(5432)


@pytest.mark.parametrize("key", ["username", "password", "host", "engine", "dbname", "masterarn", "tlsServerName"])
def test_a_key_of_another_type_is_named(key: str) -> None:
    with pytest.raises(SecretMalformed, match=f"the key '{key}' is not text"):
        credentials(**{key: 17}).validate(5432)


@pytest.mark.parametrize(
    ("value", "port"),
    [(3306, 3306), ("3306", 3306), (" 3306 ", 3306), ("", 5432), (None, 5432), (1, 1), (65535, 65535)],
)
def test_a_port_is_a_number_or_a_text_or_the_engines_own(value: object, port: int) -> None:
    assert credentials(port=value).port(5432) == port


@pytest.mark.parametrize("value", ["nonsense", "0", 0, 65536, -1, 5432.0, True, [5432], {"a": 1}, "54 32"])
def test_a_port_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(SecretMalformed, match="the key 'port' is not a port number"):
        credentials(port=value).validate(5432)


@pytest.mark.parametrize(
    ("value", "tls"),
    [
        *[(True, True), ("true", True), (None, True), ("", True), (False, False), ("False", False)],
        *[(mode, True) for mode in ("require", "prefer", "verify-full", "verify-ca", "REQUIRED", "VERIFY_IDENTITY")],
    ],
)
def test_ssl_is_true_unless_it_says_false(value: object, tls: bool) -> None:
    assert credentials(ssl=value).wants_tls is tls


@pytest.mark.parametrize("value", ["maybe", "disable", "allow", [], {}, 2])
def test_ssl_that_is_neither_is_refused(value: object) -> None:
    with pytest.raises(SecretMalformed, match="'ssl' is neither true nor false"):
        credentials(ssl=value).validate(5432)


def test_an_engine_is_read_in_lower_case() -> None:
    assert credentials(engine=" Aurora-PostgreSQL ").engine == "aurora-postgresql"
    assert credentials(engine=None).engine is None
    assert credentials(engine=" ").engine is None


def test_a_nul_character_is_refused() -> None:
    with pytest.raises(SecretMalformed, match="'username' holds a NUL"):
        credentials(username="a\0b").validate(5432)


TEXTS = [
    "engine",
    "host",
    "username",
    "dbname",
    "masterarn",
    "tlsServerName",
    "authenticationDatabase",
]


@pytest.mark.parametrize("key", [*TEXTS, "password"])
def test_half_a_character_is_refused(key: str) -> None:
    text = json.dumps({**BASE, key: "a\ud800b"})
    with pytest.raises(SecretMalformed, match=f"the key '{key}' holds half a character") as caught:
        Credentials.from_json(text, "x").validate(5432)
    str(caught.value).encode()


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("character", "\n\t\x1b\x7f\x85\u2028")
def test_a_control_character_in_a_name_is_refused(key: str, character: str) -> None:
    with pytest.raises(SecretMalformed, match=f"the key '{key}'") as caught:
        credentials(**{key: f"a{character}b"}).validate(5432)
    assert character not in str(caught.value)


# Of 253 characters: more no name has, and a final dot is not counted.
LONGEST = ".".join(["a" * 63] * 3 + ["a" * 61])


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("db.example:5432", "holds a port. write only the host's name or address, and the port as 'port'"),
        ("db.example,1433", "holds a port"),
        ("[::1]:5432", "holds a port"),
        ("https://db.example", "is a URL"),
        ("/var/run/postgresql", "is not a host name or address"),
        ("a,b", "is not a host name or address"),
        ("db example", "is not a host name or address"),
        ("user@db.example", "is not a host name or address"),
        ("db..example", "is not a host name that DNS could have"),
        (".example", "is not a host name that DNS could have"),
        ("a" * 64 + ".example", "is not a host name that DNS could have"),
        ("a." * 200, "is not a host name that DNS could have"),
        (LONGEST + "a", "is not a host name that DNS could have"),
        (LONGEST + "a.", "is not a host name that DNS could have"),
        # Of 248 characters, and of 254 as DNS spells it (xn--tda).
        ("ü." + ".".join(["a" * 63] * 3 + ["a" * 54]), "is not a host name that DNS could have"),
        ("[::1", "is not a host name or address"),
        ("::1]", "is not a host name or address"),
        ("\u05d0a.example", "is not a host name that DNS could have"),
    ],
)
@pytest.mark.parametrize("key", ["host", "tlsServerName"])
def test_what_is_no_host_is_refused_and_says_why(key: str, host: str, says: str) -> None:
    with pytest.raises(SecretMalformed) as caught:
        credentials(**{key: host}).validate(5432)
    assert f"the key '{key}' {says}" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        (" db.example\n", "db.example"),
        ("db.example.", "db.example."),
        ("a_b-c.example", "a_b-c.example"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("[fe80::1]", "fe80::1"),
        ("[::1]", "::1"),
        ("[1::]", "1::"),
        ("a", "a"),
        (LONGEST, LONGEST),
        (LONGEST + ".", LONGEST + "."),
        ("bücher.example", "bücher.example"),
        ("localhost", "localhost"),
    ],
)
def test_names_and_addresses_are_hosts(host: str, meant: str) -> None:
    assert credentials(host=host).validate(5432).host == meant


@given(st.text(st.characters(exclude_categories=[])))
def test_any_host_is_a_name_for_the_resolver_or_one_clear_error(host: str) -> None:
    """Nothing that the resolver would answer with a UnicodeError gets through."""
    found = ""
    with contextlib.suppress(SecretMalformed):
        found = Credentials.from_json(json.dumps({**BASE, "host": host}), "x").validate(5432).host
    found.encode("idna")


@pytest.mark.parametrize("arn", ["arn:aws: secret", "arn:aws\nsecret", "a\tb", "ä", "x" * 3000])
def test_an_admin_arn_that_is_none_is_refused(arn: str) -> None:
    with pytest.raises(SecretMalformed, match="the key 'masterarn' is not the ARN of a secret"):
        credentials(masterarn=arn).validate(5432)


def test_blanks_around_an_admin_arn_are_not_part_of_it() -> None:
    assert credentials(masterarn=" arn:aws:secretsmanager:eu-west-1:1:secret:a-AbCdEf\r\n").admin_arn == (
        "arn:aws:secretsmanager:eu-west-1:1:secret:a-AbCdEf"
    )
    assert credentials(masterarn=" \n").admin_arn is None


def test_repr_shows_names_and_hides_the_rest() -> None:
    shown = repr(credentials(apiToken="s3cr3t-token", nested={"deep": "deep-secret"}))
    assert shown == (
        "Credentials(engine='postgres', host='db.example', username='app', password=***, apiToken=***, nested=***)"
    )
    assert repr(SecretValue({"key": "value-of-key"})) == "SecretValue(key=***)"


def test_hidden_values_are_all_texts_that_must_not_show() -> None:
    value = credentials(extra={"list": ["one", {"two": "three"}]}, number=4)
    assert list(value.hidden_values()) == ["correct horse", "one", "three"]
    assert list(value.secret_values()) == ["correct horse"]


@pytest.mark.parametrize(
    ("password", "hidden"),
    [
        (12345, ["12345"]),
        (1.5, ["1.5"]),
        ({"a": "x"}, ["x"]),
        (["x", 1], ["x"]),
        ('"quoted"', ['"quoted"']),
        (' {"a": "x"}', [' {"a": "x"}', "x"]),
        ('["x"]', ['["x"]', "x"]),
        ("[" * 100_000, ["[" * 100_000]),
        ("{x}", ["{x}"]),
    ],
)
def test_what_is_secret_is_hidden_as_a_text_and_as_the_json_that_the_text_may_be(
    password: object, hidden: list[str]
) -> None:
    assert list(credentials(password=password).secret_values()) == hidden


@pytest.mark.parametrize(("depth", "found"), [(8, True), (9, False)])
def test_json_in_json_is_looked_into_eight_times(depth: int, *, found: bool) -> None:
    text = "innermost"
    for _ in range(depth):
        text = json.dumps([text])
    assert ("innermost" in SecretValue({"key": text}).hidden_values()) is found


def test_shown_values_are_the_public_texts_and_numbers() -> None:
    value = credentials(port=5432, ssl=True, dbname={"nested": "not shown"})
    assert sorted(value.shown_values()) == ["5432", "app", "db.example", "postgres"]
    assert "not shown" in value.hidden_values()
    assert list(SecretValue({"key": "x"}).shown_values()) == []


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"host": "DB.example."}, True),
        ({"port": "5432"}, True),
        ({"port": 5433}, False),
        ({"host": "db2.example"}, False),
        ({"host": "db.exampleX"}, False),
    ],
)
def test_the_same_server_is_the_same_host_and_port(changes: dict[str, object], same: bool) -> None:
    assert credentials().same_server(credentials(**changes), 5432) is same
