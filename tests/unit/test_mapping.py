import copyreg
import importlib
import pkgutil
from typing import Any

import pytest

from rotators import engines, errors
from rotators.engines.mapping import ErrorMap, Meaning, driver_errors

TABLE = ErrorMap(
    {229: Meaning(errors.PermissionRefused, "grant it"), 976: Meaning(errors.ReadOnlyServer, "name the writer")},
    otherwise="see the log",
    of_passwords={15118: Meaning(errors.PasswordRefused, "a longer one")},
    lost=frozenset({1053}),
)


@pytest.mark.parametrize(
    ("code", "asked", "kind", "text"),
    [
        (229, {}, errors.PermissionRefused, "db: no. grant it."),
        (229, {"advice": "run: GRANT"}, errors.PermissionRefused, "db: no. run: GRANT."),
        (976, {"advice": "run: GRANT"}, errors.ReadOnlyServer, "db: no. name the writer."),
        (15118, {}, errors.ServiceFailed, "db: no. see the log."),
        (
            15118,
            {"password_of": "app"},
            errors.PasswordRefused,
            "db: no: the new password of 'app' is refused. a longer one.",
        ),
        (1053, {}, errors.ConnectionLost, "db: the connection was lost. the rotation will be repeated."),
        (7, {}, errors.ServiceFailed, "db: no. see the log."),
    ],
)
def test_a_code_is_mapped_and_kept(
    code: int, asked: dict[str, str], kind: type[errors.ServiceError], text: str
) -> None:
    error = TABLE.error(code, "db", "no", **asked)
    assert type(error) is kind
    assert str(error) == text
    assert error.code == str(code)


@pytest.mark.parametrize("code", ["28P01", 18456, "ORA-01017", "SQL30082N", "DPY-6005"])
def test_an_error_keeps_the_servers_code(code: str | int) -> None:
    assert errors.LoginRefused("no", code=code).code == str(code)


@pytest.mark.parametrize("code", [None, "", "the server's words", "a\nb", "x" * 17, "пароль"])
def test_what_is_no_code_is_not_kept(code: str | None) -> None:
    assert not errors.LoginRefused("no", code=code).code


def test_an_error_that_is_worded_anew_keeps_its_kind_and_code() -> None:
    first = TABLE.error(229, "db", "no")
    second = first.reworded("as the admin: no")
    assert type(second) is errors.PermissionRefused
    assert (second.what, second.advice, second.code) == ("as the admin: no", "grant it", "229")
    assert str(second) == "as the admin: no. grant it."
    assert str(first) == "db: no. grant it."
    assert second.reworded("no", "ask").advice == "ask"


def test_an_error_that_is_worded_anew_leaves_the_first_alone_where_exceptions_can_be_pickled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Libraries register how exceptions are copied; tblib's way lets both have one dictionary."""

    def shared(kind: type[Exception], state: dict[str, Any]) -> Exception:
        made = kind.__new__(kind)
        made.__dict__ = state
        return made

    monkeypatch.setitem(
        copyreg.dispatch_table, errors.PermissionRefused, lambda error: (shared, (type(error), error.__dict__))
    )
    first = TABLE.error(229, "db", "no")
    assert str(first.reworded("as the admin: no")) == "as the admin: no. grant it."
    assert str(first) == "db: no. grant it."


def test_a_drivers_exception_ends_where_it_is_mapped() -> None:
    closed: list[bool] = []
    with (
        pytest.raises(errors.ConnectionLost) as lost,
        driver_errors(lambda _: TABLE.error(1053, "db", ""), on_lost=lambda: closed.append(True)),
    ):
        raise OSError("SET PASSWORD = 'secret'")
    assert closed == [True]
    assert lost.value.__suppress_context__
    assert lost.value.__cause__ is None


def test_only_a_lost_connection_is_closed() -> None:
    with (
        pytest.raises(errors.PermissionRefused),
        driver_errors(lambda _: TABLE.error(229, "db", ""), on_lost=lambda: pytest.fail("closed")),
    ):
        raise OSError


def test_our_own_errors_and_other_kinds_pass() -> None:
    ours = errors.Unreachable("no time left")
    with pytest.raises(errors.Unreachable) as passed, driver_errors(lambda _: errors.ServiceFailed("never")):
        raise ours
    assert passed.value is ours
    with pytest.raises(KeyError), driver_errors(lambda _: errors.ServiceFailed("never"), OSError):
        raise KeyError


def test_each_engines_tables_give_an_error_with_advice() -> None:
    maps = {
        f"{module.name}.{name}": value
        for engine in pkgutil.iter_modules(engines.__path__)
        if engine.ispkg
        for module in pkgutil.iter_modules(importlib.import_module(f"rotators.engines.{engine.name}").__path__)
        if module.name == "errors"
        for name, value in vars(importlib.import_module(f"rotators.engines.{engine.name}.errors")).items()
        if isinstance(value, ErrorMap)
    }
    assert maps
    for name, table in maps.items():
        assert table.otherwise, name
        for code, (kind, advice) in {**table.of_passwords, **table.codes}.items():
            assert advice, (name, code)
            assert errors.ServiceError("", code=code).code == str(code), (name, code)
            assert issubclass(kind, errors.ServiceError), (name, code)
