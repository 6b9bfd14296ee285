"""How the checker reads: strictly, once, and to the last digit.

It turns bytes into plain values or says in a sentence why it will not; it refuses to know what the
values are for. The one idea: a number of money is the digits that stand there, so nothing here ever
passes through a float, and nothing that two readers could read differently is let through.
"""

from __future__ import annotations

import decimal
import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

# Sums of money are exact or they are an error; sixty digits hold any that can be written here.
decimal.setcontext(decimal.Context(prec=60, traps=[decimal.Inexact, decimal.InvalidOperation]))

ZERO = Decimal(0)
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z\Z", re.ASCII)
TEXTS = ("request_id", "run_id", "agent", "timestamp", "provider", "model", "attempt_id",
         "price_id", "prev", "hash")
COUNTS = ("input_tokens", "output_tokens", "latency_ms", "attempt", "seq")
WORDS = {
    "status": ("success", "fallback", "error", "voided", "cut_off", "unknown", "correction"),
    "usage_source": ("reported", "counted", "estimated", "bound"),
    "cost_is": ("exact", "lower_bound", "estimate", "hold"),
    "cap_source": ("caller", "model", "budget", "gateway", "none"),
}
INPUT = ("input_uncached", "cache_read", "cache_write_5m", "cache_write_1h")
OUTPUT = ("output_visible", "reasoning")


class Refused(ValueError):
    """A text that is no receipt, bill or list of budgets, with the reason."""


def parse(line: bytes) -> dict[str, Any]:
    """One line as a receipt whose fields have their types, or the reason why it is none."""
    receipt = load(line)
    for field in TEXTS:
        text(receipt, field)
    for field in COUNTS:
        count(receipt, field)
    for field, words in WORDS.items():
        if receipt.get(field) not in words:
            raise Refused(f"`{field}` is none of its words")
    receipt.setdefault("uncertain_usd", 0)
    for field in ("cost_usd", "held_usd", "uncertain_usd"):
        receipt[field] = money(receipt, field)
    for field in ("usage", "cost", "decision"):
        if not isinstance(receipt.get(field), dict):
            raise Refused(f"`{field}` is no object")
    usage, cost = receipt["usage"], receipt["cost"]
    receipt["usage"] = {it: count(usage, it) for it in INPUT + OUTPUT if it in usage}
    receipt["cost"] = {part: money(cost, part) for part in cost}
    if "corrects" in receipt:
        count(receipt, "corrects")
    if not isinstance(receipt.setdefault("flags", []), list):
        raise Refused("`flags` is no list")
    instant(receipt["timestamp"])
    return receipt


def load(data: bytes) -> dict[str, Any]:
    """One JSON object, strictly: UTF-8, no field twice, no NaN, numbers as their digits."""
    try:
        value = json.loads(data.decode("utf-8"), parse_float=Decimal, parse_constant=no_number,
                           object_pairs_hook=once)
    except (ValueError, RecursionError, decimal.DecimalException) as error:
        raise Refused(f"it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused("it is no JSON object")
    return value


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON in which a field that stands twice is an error."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands twice")
    return found


def no_number(word: str) -> NoReturn:
    raise ValueError(f"`{word}` is no number")


def text(record: dict[str, Any], field: str) -> str:
    value = record.get(field)
    if not isinstance(value, str):
        raise Refused(f"`{field}` is no text")
    return value


def count(record: dict[str, Any], field: str) -> int:
    value = record.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Refused(f"`{field}` is no count")
    return value


def money(record: dict[str, Any], field: str) -> Decimal:
    """An amount as it is written: a number of at most 12 decimals, and less than 1e18."""
    value = record.get(field)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise Refused(f"`{field}` is no amount")
    amount = Decimal(value)
    if -int(amount.as_tuple().exponent) > 12 or amount.adjusted() >= 18:
        raise Refused(f"`{field}` has more than 12 decimals, or more than 18 digits before them")
    return amount


def listed(record: dict[str, Any], field: str) -> list[dict[str, Any]]:
    value = record.get(field)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refused(f"`{field}` is no list of objects")
    return value


def instant(stamp: str) -> tuple[str, str]:
    """A time as its second and nine digits of fraction, which compare as the times do."""
    found = TIME.match(stamp)
    try:
        if found is None:
            raise ValueError("no UTC time")
        datetime.fromisoformat(found.group(1))
    except ValueError as error:
        raise Refused(f"`timestamp` is no time: {error}") from error
    return found.group(1), (found.group(2) or "").ljust(9, "0")


def identity(receipt: dict[str, Any]) -> tuple[str, str, int]:
    """What names an attempt beside its id: run, request, and which try."""
    return receipt["run_id"], receipt["request_id"], receipt["attempt"]
