import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.credentials import Credentials, SecretValue
from rotators.errors import SecretMalformed

BASE = {"engine": "postgres", "host": "db.example", "username": "app", "password": "correct horse"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
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
    with pytest.raises(SecretMalformed, match="is JSON, but not an object"):
        Credentials.from_json(text, "secret 'x'")


@given(st.dictionaries(st.text(), json_values))
def test_every_key_survives_a_change_of_the_password(extra: dict[str, object]) -> None:
    before = {**extra, **BASE}
    after = json.loads(Credentials.from_json(json.dumps(before), "x").replace(password="new").to_json())
    assert after == {**before, "password": "new"}
    assert list(after) == list(before)


@pytest.mark.parametrize("key", ["username", "password", "host"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_key_that_is_empty_is_named(key: str, value: object) -> None:
    with pytest.raises(SecretMalformed, match=rf"secret 'app' \(AWSCURRENT\): the key '{key}' is missing or empty"):
        credentials(**{key: value}).validate(5432)


@pytest.mark.parametrize("key", ["username", "password", "host", "engine", "dbname", "masterarn", "tlsServerName"])
def test_a_key_of_another_type_is_named(key: str) -> None:
    with pytest.raises(SecretMalformed, match=f"the key '{key}' is not text"):
        credentials(**{key: 17}).validate(5432)


@pytest.mark.parametrize(("value", "port"), [(3306, 3306), ("3306", 3306), (" 3306 ", 3306), ("", 5432), (None, 5432)])
def test_a_port_is_a_number_or_a_text_or_the_engines_own(value: object, port: int) -> None:
    assert credentials(port=value).port(5432) == port


@pytest.mark.parametrize("value", ["nonsense", "0", 0, 65536, -1, 5432.0, True, [5432], {"a": 1}, "54 32"])
def test_a_port_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(SecretMalformed, match="the key 'port' is not a port number"):
        credentials(port=value).validate(5432)


@pytest.mark.parametrize(
    ("value", "tls"), [(True, True), ("true", True), (None, True), ("", True), (False, False), ("False", False)]
)
def test_ssl_is_true_unless_it_says_false(value: object, tls: bool) -> None:
    assert credentials(ssl=value).wants_tls is tls


def test_ssl_that_is_neither_is_refused() -> None:
    with pytest.raises(SecretMalformed, match="'ssl' is neither true nor false"):
        credentials(ssl="maybe").validate(5432)


def test_a_nul_character_is_refused() -> None:
    with pytest.raises(SecretMalformed, match="'username' holds a NUL"):
        credentials(username="a\0b").validate(5432)


def test_repr_shows_names_and_hides_the_rest() -> None:
    shown = repr(credentials(apiToken="s3cr3t-token", nested={"deep": "deep-secret"}))
    assert shown == (
        "Credentials(engine='postgres', host='db.example', username='app', password=***, apiToken=***, nested=***)"
    )
    assert repr(SecretValue({"key": "value-of-key"})) == "SecretValue(key=***)"


def test_hidden_values_are_all_texts_that_must_not_show() -> None:
    value = credentials(extra={"list": ["one", {"two": "three"}]}, number=4)
    assert sorted(value.hidden_values()) == ["correct horse", "one", "three"]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"host": "DB.example."}, True),
        ({"port": "5432"}, True),
        ({"port": 5433}, False),
        ({"host": "db2.example"}, False),
    ],
)
def test_the_same_server_is_the_same_host_and_port(changes: dict[str, object], same: bool) -> None:
    assert credentials().same_server(credentials(**changes), 5432) is same


def test_the_same_cluster_is_known_by_its_identifier() -> None:
    assert credentials(dbClusterIdentifier="c1").same_cluster(credentials(host="r", dbClusterIdentifier="c1"))
    assert not credentials(dbClusterIdentifier="c1").same_cluster(credentials(dbClusterIdentifier="c2"))
    assert not credentials().same_cluster(credentials())
    assert credentials(namespaceName="n").same_cluster(credentials(host="r", namespaceName="n"))
    assert not credentials(namespaceName="n").same_cluster(credentials(dbClusterIdentifier="n"))
