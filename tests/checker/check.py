#!/usr/bin/env python3
"""The second checker: an accountant who never saw the program.

It follows `contracts/` alone, needs nothing but Python 3.9, and shares no code with what it judges.
It reads receipt files as bytes and money as the digits that stand there; it refuses to know ledger,
price card and clock. The one idea: every line proves itself and the line before, so what is left is
to add up, and to hold the sums against two witnesses, the providers' bills and the budgets.

    python3 check.py DATA_DIR [--bill BILL.json ...] [--budgets BUDGETS.json] [--json]

DATA_DIR is the folder with `costs/`. A bill is the saved answer of a simulated provider's
`GET /bill`; give all of them or none, for what is charged as reported must be billed by one.
Budgets are the saved answer of `GET /budgets`, taken when nothing was in flight and no limit had
been lowered below what was spent.

A finding is one line: code, file, line, what. Exit 0: clean. 1: findings. 2: wrong usage.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from reading import (INPUT, OUTPUT, RUN_ID, ZERO, Refused, count, identity, instant, listed, load,
                     money, parse, text)

SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"}\n\Z')


class Finding(NamedTuple):
    """One thing that is not as it must be. Line 0 means the file as a whole."""

    code: str
    file: str
    line: int
    what: str


class Attempt:
    """What the books say of one attempt after its corrections."""

    __slots__ = ("file", "line", "key", "agent", "status", "cost", "held", "uncertain", "exact",
                 "floor", "flagged", "likely", "tokens")

    def __init__(self, file: str, line: int, receipt: dict[str, Any]) -> None:
        self.file, self.line = file, line
        self.key: tuple[str, str, int] = identity(receipt)
        self.agent, self.status = receipt["agent"], receipt["status"]
        self.cost, self.held = receipt["cost_usd"], receipt["held_usd"]
        self.uncertain: Decimal = receipt["uncertain_usd"]
        self.learn(receipt)

    def learn(self, receipt: dict[str, Any]) -> None:
        """Takes over what a line says of the bill: its own, or a later correction."""
        self.exact = (receipt["usage_source"], receipt["cost_is"]) == ("reported", "exact")
        self.floor = receipt["cost_is"] == "lower_bound"
        self.likely = "expected" in receipt["flags"] and receipt["status"] == "unknown"
        self.flagged = not {"bound_violation", "expected"}.isdisjoint(receipt["flags"])
        self.tokens = (receipt["input_tokens"], receipt["output_tokens"])


class Books:
    """Everything read so far. `judge_*` hold it against a witness and add findings."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.attempts: dict[str, Attempt] = {}
        self.requests: set[tuple[str, str, int]] = set()
        self.charged: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.billed: dict[str, Decimal] = {}
        self.files = self.lines = 0

    def find(self, code: str, file: str, line: int, what: str) -> None:
        self.findings.append(Finding(code, file, line, what))

    def read_folder(self, costs: Path) -> None:
        """Reads every receipt file of a folder, in the order of their names."""
        for path in sorted(costs.glob("*.jsonl")):
            self.files += 1
            RunFile(self, path).read()

    def judge_bills(self, bills: list[Path]) -> None:
        """No bill without its receipt, none above its charge, none below where it was reported."""
        for path in bills:
            self.read_bill(path)
        for attempt_id, attempt in self.attempts.items():
            billed, place = self.billed.get(attempt_id), (attempt.file, attempt.line)
            most = attempt.cost + (attempt.uncertain if attempt.floor else ZERO)
            if billed is not None and billed > most and not attempt.likely:
                self.find("underpaid", *place, f"billed {billed}, charged at most {most}")
            elif billed is not None and attempt.exact and billed != attempt.cost:
                self.find("inexact", *place, f"billed {billed}, reported as {attempt.cost}")
            elif billed is None and attempt.exact and attempt.cost > 0:
                self.find("not_billed", *place, f"{attempt.cost} reported, and nobody billed it")

    def read_bill(self, path: Path) -> None:
        """Takes one provider's bill, which must add up by itself."""
        name, bill = path.name, load(path.read_bytes())
        entries, total = listed(bill, "attempts"), ZERO
        for row, entry in enumerate(entries, start=1):
            attempt_id, cost = text(entry, "attempt_id"), money(entry, "cost_usd")
            total += cost
            attempt = self.attempts.get(attempt_id)
            if attempt_id in self.billed:
                self.find("billed_twice", name, row, f"attempt `{attempt_id}`")
            elif attempt is None:
                self.find("no_receipt", name, row, f"attempt `{attempt_id}`, {cost} billed")
            elif attempt.exact and attempt.tokens != (
                    count(entry, "input_tokens"), count(entry, "output_tokens")):
                self.find("tokens", attempt.file, attempt.line, "other counts than on the bill")
            self.billed[attempt_id] = self.billed.get(attempt_id, ZERO) + cost
        if (len(entries), total) != (count(bill, "count"), money(bill, "total_cost_usd")):
            self.find("bill", name, 0, f"{len(entries)} entries of {total} are not its own totals")

    def judge_budgets(self, path: Path, with_bills: bool) -> None:
        """What is shown as spent is what the files say, and no limit was billed beyond."""
        accounts = listed(load(path.read_bytes()), "budgets")
        runs = {text(account, "run_id"): account for account in accounts}
        for row, account in enumerate(accounts, start=1):
            if account.get("period", "lifetime") == "lifetime":
                scope = family(runs, account["run_id"])
                self.judge_account(Account(path.name, row, account, scope), runs, with_bills)
        for run in sorted(set(self.charged) - set(runs)):
            self.find("no_budget", f"{run}.jsonl", 0, "its run is in no budget")

    def judge_account(self, account: Account, runs: dict[str, Any], with_bills: bool) -> None:
        """One run with its descendants against its files and, where there are bills, its limit."""
        mine = [(key, it) for key, it in self.attempts.items() if it.key[0] in account.scope]
        unknown = sum((it.cost for _, it in mine if it.status == "unknown"), ZERO)
        shown = {field: money(account.shown, field) for field in
                 ("spent_usd", "posted_usd", "unknown_usd", "held_usd", "uncertain_usd")}
        spent = sum((self.charged[run] for run in account.scope), ZERO)
        wanted = {"spent_usd": spent, "posted_usd": spent - unknown, "unknown_usd": unknown,
                  "held_usd": unknown, "uncertain_usd": sum((it.uncertain for _, it in mine), ZERO)}
        for field, right in wanted.items():
            if shown[field] != right:
                self.find(field[:-4], account.file, account.row, f"`{account.run}` shows "
                          f"{shown[field]}, its receipts say {right}")
        limit, mode = account.shown.get("budget_usd"), account.shown.get("mode")
        if limit is None or mode == "soft" or not with_bills:
            return
        billed = sum((self.billed.get(key, ZERO) for key, _ in mine), ZERO)
        # What a provider that broke its word, or mode `expected`, may add is published, exactly.
        above = sum((max(ZERO, self.billed.get(key, ZERO) - it.held) for key, it in mine
                     if it.flagged or runs[it.key[0]].get("mode") == "expected"), ZERO)
        if billed > money(account.shown, "budget_usd") + above:
            self.find("overspent", account.file, account.row,
                      f"`{account.run}` was billed {billed} on a limit of {limit}")


class Account(NamedTuple):
    """A row of the budgets, and the runs whose receipts it answers for."""

    file: str
    row: int
    shown: dict[str, Any]
    scope: set[str]

    @property
    def run(self) -> str:
        return str(self.shown["run_id"])


class RunFile:
    """One receipt file, read once from its first line to its last."""

    def __init__(self, books: Books, path: Path) -> None:
        self.books, self.path, self.name, self.run = books, path, path.name, path.stem
        self.line, self.seq, self.head, self.last = 0, 0, "", ("", "")
        self.unknowns: dict[int, Attempt] = {}
        self.corrected: set[int] = set()

    def find(self, code: str, what: str) -> None:
        self.books.find(code, self.name, self.line, what)

    def read(self) -> None:
        with self.path.open("rb") as file:
            for self.line, line in enumerate(file, start=1):
                self.books.lines += 1
                self.take(line)

    def take(self, line: bytes) -> None:
        """Judges one line. A line that cannot be read is found once and leaves its place empty."""
        seal = SEAL.search(line)
        try:
            receipt = parse(line)
            if seal is None:
                raise Refused("it does not end in its hash and a line feed")
        except Refused as why:
            self.find("receipt", str(why))
            self.seq += 1
            self.head = seal.group(1).decode() if seal else self.head
            return
        digest = hashlib.sha256(line[:seal.start()]).hexdigest()
        if digest != receipt["hash"]:
            self.find("altered", "its bytes are not those that were sealed")
        if receipt["prev"] != self.head:
            self.find("chain", "the line before is not the one that it was written after")
        if receipt["seq"] != self.seq + 1:
            self.find("seq", f"{receipt['seq']} after {self.seq}")
        self.seq, self.head = receipt["seq"], receipt["hash"]
        self.judge(receipt)

    def judge(self, receipt: dict[str, Any]) -> None:
        """What a receipt says about itself, its file and those before it."""
        if receipt["run_id"] != self.run or not RUN_ID.match(self.run):
            self.find("name", f"a receipt of run `{receipt['run_id']}`")
        now = instant(receipt["timestamp"])
        if now < self.last:
            self.find("time", f"{receipt['timestamp']} is before the line before")
        self.last = max(self.last, now)
        self.judge_sums(receipt)
        self.books.charged[self.run] += receipt["cost_usd"]
        if receipt["status"] == "correction":
            self.correct(receipt)
        else:
            self.enter(receipt)

    def judge_sums(self, receipt: dict[str, Any]) -> None:
        """The parts add up; in a correction the tokens are those of the bill that it found."""
        cost, usage = receipt["cost"], receipt["usage"]
        parts = sum(cost.values(), ZERO)
        if parts != receipt["cost_usd"]:
            self.find("cost_sum", f"{receipt['cost_usd']} charged, its parts are {parts}")
        for total, classes in (("input_tokens", INPUT), ("output_tokens", OUTPUT)):
            tokens = sum(usage.get(kind, 0) for kind in classes)
            if tokens != receipt[total] and receipt["status"] != "correction":
                self.find("token_sum", f"{total} {receipt[total]}, its classes are {tokens}")

    def enter(self, receipt: dict[str, Any]) -> None:
        """A new attempt: named once in all files, charged as its status allows."""
        attempt, books = Attempt(self.name, self.line, receipt), self.books
        other = books.attempts.setdefault(receipt["attempt_id"], attempt)
        if other is not attempt:
            self.find("attempt_twice", f"also in {other.file}:{other.line}")
        if attempt.key in books.requests:
            self.find("request_twice", f"attempt {attempt.key[2]} of request `{attempt.key[1]}`")
        books.requests.add(attempt.key)
        if attempt.status == "voided" and attempt.cost != 0:
            self.find("voided", f"it costs {attempt.cost}")
        if attempt.status == "unknown":
            self.unknowns[receipt["seq"]] = attempt
            if attempt.cost != attempt.held or receipt["cost_is"] != "hold":
                self.find("unknown", f"{attempt.cost} charged for a hold of {attempt.held}")
        self.judge_bound(attempt, receipt["cap_source"])

    def correct(self, receipt: dict[str, Any]) -> None:
        """A correction: of an unknown line before it, once, down to nothing at most."""
        same = (seq for seq, it in self.unknowns.items() if it.key == identity(receipt))
        seq: int = receipt.get("corrects", next(same, 0))
        attempt = self.unknowns.pop(seq, None)
        if attempt is None:
            why = "was corrected before" if seq in self.corrected else "is no unknown one"
            return self.find("correction", f"line {seq} {why}")
        self.corrected.add(seq)
        if attempt.key != identity(receipt) or self.books.attempts.get(
                receipt["attempt_id"]) is not attempt:
            self.find("correction", f"line {seq} is another attempt")
        attempt.cost += receipt["cost_usd"]
        attempt.status = "correction"
        attempt.learn(receipt)
        self.judge_bound(attempt, receipt["cap_source"])
        return None

    def judge_bound(self, attempt: Attempt, cap_source: str) -> None:
        """Nothing is below zero; above its hold is what had no cap, or says that it is."""
        if attempt.cost < 0 or attempt.held < 0 or attempt.uncertain < 0:
            self.find("negative", f"{attempt.cost} charged for a hold of {attempt.held}")
        if attempt.cost > attempt.held and not attempt.flagged and cap_source != "none":
            self.find("above_hold", f"{attempt.cost} charged for a hold of {attempt.held}")


def family(runs: dict[str, dict[str, Any]], run: str) -> set[str]:
    """A run and all that name it as their parent, or a parent that does."""
    found, grown = {run}, True
    while grown:
        more = {it for it, account in runs.items() if account.get("parent") in found}
        grown = not more <= found
        found |= more
    return found


def main(arguments: list[str] | None = None) -> int:
    """Reads, judges, prints; the answer is the exit code."""
    words = argparse.ArgumentParser(description="Checks receipts as contracts/ promises them.")
    words.add_argument("data_dir", type=Path, help="the folder with costs/")
    words.add_argument("--bill", type=Path, nargs="+", action="extend", default=[])
    words.add_argument("--budgets", type=Path)
    words.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    asked, books = words.parse_args(arguments), Books()
    costs = asked.data_dir / "costs"
    if not costs.is_dir():
        words.error(f"{asked.data_dir} has no folder `costs`")
    try:
        books.read_folder(costs)
        if asked.bill:
            books.judge_bills(asked.bill)
        if asked.budgets:
            books.judge_budgets(asked.budgets, bool(asked.bill))
    except (OSError, Refused) as error:
        words.error(str(error))
    show(books, asked.json)
    return 1 if books.findings else 0


def show(books: Books, as_json: bool) -> None:
    """One line a finding, then one of totals; or all of it as JSON, money as text."""
    totals = {"files": books.files, "receipts": books.lines,
              "charged_usd": format(sum(books.charged.values(), ZERO), "f"),
              "billed_usd": format(sum(books.billed.values(), ZERO), "f")}
    if as_json:
        print(json.dumps({**totals, "findings": [it._asdict() for it in books.findings]}))
        return
    for it in books.findings:
        print(f"{it.code} {it.file}:{it.line} {it.what}")
    print(f"{len(books.findings)} findings in", ", ".join(f"{k} {v}" for k, v in totals.items()))


if __name__ == "__main__":
    sys.exit(main())
