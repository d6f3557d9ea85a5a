"""The report of a run as one HTML page, without scripts and external files; every text is escaped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from html import escape

from rotators.cli.rotate_outcome import Evidence, Outcome, Result, moment
from rotators.errors import one_line

# A browser may load only the style below.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --good: #1a7f37; --bad: #cf222e; --unsure: #9a6700; --line: #8884; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; } th, td > span { white-space: nowrap; } small { opacity: .8; }
dt { float: left; clear: left; width: 8rem; opacity: .7; } dd { margin-left: 8rem; }
code { font-size: .9em; }
.rotated { color: var(--good); } .failed { color: var(--bad); font-weight: bold; }
.unfinished, .not-started { color: var(--unsure); font-weight: bold; } .left-out { opacity: .7; }
.bar { position: relative; height: .9rem; min-width: 12rem; background: #8882; }
.bar i { position: absolute; top: 0; bottom: 0; min-width: 3px; background: var(--good); }
.bar i.not { background: var(--bad); }
@media print { body { margin: 0; max-width: none; } tr { break-inside: avoid; } }
"""


def page(evidence: Evidence) -> str:
    """The page.

    Args:
        evidence: the run.
    """
    return "\n".join(_page(evidence)) + "\n"


def _page(evidence: Evidence) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>Rotation of a fleet, {moment(evidence.begun)}</title>"
    yield f"<style>{_STYLE}</style></head><body>"
    yield "<h1>Rotation of a fleet</h1>"
    yield f'<p id="summary"><strong>{_text(evidence.summary)}</strong></p><dl>'
    facts = [("what", evidence.what)]
    facts += [("who", caller) for caller in evidence.callers]
    facts += [("began", moment(evidence.begun)), ("ended", moment(evidence.ended)), ("run", evidence.run)]
    facts += [("overdue before", _overdue([one.overdue_before for one in evidence.outcomes]))]
    facts += [("overdue after", _overdue([one.overdue_after or _still(one) for one in evidence.outcomes]))]
    facts += [("journal", evidence.journal)] if evidence.journal else []
    for name, value in facts:
        yield f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>"
    yield "</dl>"
    if evidence.wrong:
        yield "<h2>What is to be done</h2>"
        yield '<table id="problems"><thead><tr><th>secret</th><th>result</th><th>step</th><th>cause</th>'
        yield "<th>what to do</th></tr></thead><tbody>"
        yield from (_problem(one) for one in evidence.wrong)
        yield "</tbody></table>"
    yield "<h2>All secrets</h2>"
    yield '<table id="secrets"><thead><tr><th>account, Region</th><th>secret</th><th>result</th>'
    yield "<th>versions: before, after</th><th>seconds</th><th>timeline</th><th>overdue: before, after</th></tr>"
    yield "</thead><tbody>"
    first, last = _span(evidence)
    yield from (_row(one, first, last) for one in evidence.outcomes)
    yield "</tbody></table></body></html>"


def _problem(outcome: Outcome) -> str:
    cells = (
        _text(outcome.secret or _place(outcome)),
        _result(outcome.result),
        f"<span>{_text(outcome.step)}</span>",
        _text(outcome.cause),
        f"<code>{_text(outcome.remedy)}</code>" if outcome.remedy else "",
    )
    return _cells(cells)


def _row(outcome: Outcome, first: datetime, last: datetime) -> str:
    versions = [
        f"<code>{_text(turn.before or 'none')}</code> → <code>{_text(turn.token)}</code>" for turn in outcome.turns
    ]
    cells = (
        _text(_place(outcome)),
        _text(outcome.secret) + (f"<br><small>{_text(outcome.note)}</small>" if outcome.note else ""),
        _result(outcome.result),
        "<br>".join(versions),
        "" if outcome.seconds is None else f"{outcome.seconds:.1f}",
        _timeline(outcome, first, last),
        "<br>".join(filter(None, (_text(outcome.overdue_before), _text(outcome.overdue_after)))),
    )
    return _cells(cells)


def _timeline(outcome: Outcome, first: datetime, last: datetime) -> str:
    whole = max((last - first).total_seconds(), 1e-9)
    bars = []
    for turn in outcome.turns:
        left = (turn.started - first).total_seconds() / whole * 100
        width = ((turn.ended or last) - turn.started).total_seconds() / whole * 100
        told = f"{moment(turn.started)} to {moment(turn.ended)}" if turn.ended else f"from {moment(turn.started)}"
        kind = "" if turn.rotated else ' class="not"'
        bars.append(f'<i{kind} style="left:{left:.2f}%;width:{width:.2f}%" title="{_text(told)}"></i>')
    if not bars:
        return ""
    told = f"{moment(outcome.started)} to {moment(outcome.ended) or 'unknown'}"
    return f'<div class="bar">{"".join(bars)}</div><small>{_text(told)}</small>'


def _span(evidence: Evidence) -> tuple[datetime, datetime]:
    """From the first start to the last end. A resumed run has times from before it."""
    turns = [turn for one in evidence.outcomes for turn in one.turns]
    first = min((turn.started for turn in turns), default=evidence.begun)
    return first, max((turn.ended or evidence.ended for turn in turns), default=evidence.ended)


def _still(outcome: Outcome) -> str:
    """How late a secret still is: one that was overdue and was not rotated."""
    return "" if outcome.result is Result.ROTATED else outcome.overdue_before


def _overdue(told: list[str]) -> str:
    return str(sum(map(bool, told)))


def _place(outcome: Outcome) -> str:
    return " ".join(filter(None, (outcome.account, outcome.region)))


def _result(result: Result) -> str:
    return f'<span class="{result.replace(" ", "-")}">{_text(result)}</span>'


def _cells(cells: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _text(value: str) -> str:
    return escape(one_line(str(value)), quote=True)
