"""Report section on a transfer: errors before and after, choices of the start, trained groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ase.data import atomic_names, atomic_numbers

from gnnpot.evaluation.tables import metrics_table
from gnnpot.report.tables import facts_table, scrolled, table_row
from gnnpot.units import ERROR_UNITS

_NAMES = {"baseline": "before training", "transferred": "transferred", "scratch": "from scratch"}


def transfer_section(result: Mapping[str, Any]) -> str:
    """Errors before and after, the choices that led to the start, and what was trained.

    Args:
        result: Content of ``transfer.json``.
    """
    there = {words: result[name] for name, words in _NAMES.items() if result[name] is not None}
    parts = ["<h2>Transfer</h2>"]
    if result.get("gain"):
        parts.append(f"<p>{escape(result['gain'])}</p>")
    parts.append(metrics_table(there, "on " + result["transferred"]["split"]))
    if result["verdict"]:
        items = "".join(f"<li>{escape(text)}</li>" for text in result["verdict"])
        parts.append(f'<ul class="warnings">{items}</ul>')
    if result.get("stability"):
        parts += ["<h3>Dynamics</h3>", _stability(result["stability"])]
    if result.get("steps"):
        steps = {f"{step['name']}: {step['choice']}": step["metrics"] for step in result["steps"]}
        parts += ["<h3>The start, choice by choice, on some training structures</h3>"]
        parts += [metrics_table(steps, "after"), _references(result["reference_energies"])]
    for number, rows in enumerate(result["groups"], start=1):
        parts += [f"<h3>What stage {number} trained</h3>", _groups(rows)]
    return "\n".join(parts)


def verdict(result: Mapping[str, Any]) -> list[str]:
    """Sentences that say where the transfer ends worse than its own start, or than training from scratch."""
    said = []
    for name, words in (("baseline", "before training"), ("scratch", "trained from scratch")):
        if result[name] is None:
            continue
        for quantity, unit in ERROR_UNITS.items():
            ours, theirs = result["transferred"][quantity], result[name][quantity]
            if ours is not None and theirs is not None and ours["rmse"] > theirs["rmse"]:
                said.append(
                    f"{quantity} worse than {words}: RMSE {ours['rmse']:.4g} against {theirs['rmse']:.4g} "
                    f"{unit} on the {result['transferred']['split']} structures"
                )
    runs = result.get("stability") or {}
    if "scratch" in runs and runs["transferred"]["time"] < runs["scratch"]["time"]:
        said.append(
            f"dynamics last shorter than trained from scratch: {runs['transferred']['time']:g} fs "
            f"({runs['transferred']['failure']}) against {runs['scratch']['time']:g} fs"
        )
    return said


def gain(result: Mapping[str, Any]) -> str:
    """One sentence on the gain over training from scratch, or "" where that was not compared.

    Args:
        result: Content of ``transfer.json``.
    """
    ours, theirs = result["transferred"], result["scratch"]
    if theirs is None:
        return ""
    changes = {
        name: 100 * (1 - ours[name]["rmse"] / theirs[name]["rmse"])
        for name in ERROR_UNITS
        if ours[name] is not None and theirs[name] is not None and theirs[name]["rmse"] > 0
    }
    cuts = [f"of {name} by {change:.0f} %" for name, change in changes.items() if change >= 0.5]
    raises = [f"of {name} by {-change:.0f} %" for name, change in changes.items() if change <= -0.5]
    number = result["num_train"]
    start = f"With {number:,} structure{'' if number == 1 else 's'}, starting from {_source(result)}"
    once = "That is one training each; gnnpot benchmark transfer tells how far others differ."
    if not cuts:
        more = f"; it raises the RMSE {_listed(raises)}" if raises else "; the errors are the same"
        return f"{start} does not help against training from scratch{more}. {once}"
    but = f", but raises that {_listed(raises)}" if raises else ""
    return f"{start} cuts the RMSE {_listed(cuts)} against training from scratch{but}. {once}"


def _source(result: Mapping[str, Any]) -> str:
    """Elements that the map takes weights from, else the file."""
    symbols = re.findall(r"[A-Z][a-z]?", " ".join(map(str, result.get("map", {}).values())))
    names = [atomic_names[atomic_numbers[symbol]].lower() for symbol in dict.fromkeys(symbols)]
    return _listed(names) or str(result["source"])


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def errors_in_words(metrics: Mapping[str, Any]) -> str:
    """RMSE of what is labeled."""
    told = [
        f"{name} {metrics[name]['rmse']:.4g} {unit}" for name, unit in ERROR_UNITS.items() if metrics[name]
    ]
    return "RMSE " + ", ".join(told)


def _stability(runs: Mapping[str, Mapping[str, Any]]) -> str:
    return facts_table(
        {
            _NAMES[name]: f"stable for {run['time']:g} fs" if run["stable"] else
            f"failed after {run['time']:g} fs: {run['failure']}"
            for name, run in runs.items()
        }
    )  # fmt: skip


def _references(values: Mapping[str, float]) -> str:
    return facts_table(
        {f"reference energy of {symbol}": f"{value:.4f} eV" for symbol, value in values.items()}
    )


def _groups(rows: Sequence[Mapping[str, Any]]) -> str:
    titles = ("group", "parameters", "training", "first values from")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = [
        table_row(row["name"], [f"{row['num_parameters']:,}", escape(row["state"]), escape(row["origin"])])
        for row in rows
    ]
    return scrolled(f'<tr class="only">{head}</tr>', body)
