"""Each rule of the checker is shown to fail, and honest books are shown to pass.

Books are made here line by line and spoilt one thing at a time; a row says what is spoilt and which
findings must come of it. What others promise as valid and invalid chains is judged as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

import check

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
Receipt = dict[str, Any]


def receipt(number: int, status: str = "success", **changes: Any) -> Receipt:
    """A receipt of run `R` that costs 0.03, held at 0.05, with its parts in order."""
    made: Receipt = {
        "request_id": f"req-{number}", "run_id": "R", "agent": "tester",
        "timestamp": f"2025-11-06T10:30:{number:02}Z", "provider": "p", "model": "m",
        "input_tokens": 500, "output_tokens": 200, "cost_usd": 0.03, "latency_ms": 7,
        "status": status, "attempt": 1, "attempt_id": f"id-{number}",
        "usage": {"input_uncached": 400, "cache_read": 100, "output_visible": 150, "reasoning": 50},
        "usage_source": "reported", "cost_is": "exact", "cost": {"input": 0.01, "output": 0.02},
        "held_usd": 0.05, "cap": 300, "cap_source": "caller", "price_id": "pc-1",
        "decision": {"objective": "cost", "why": "w", "cheapest_usd": 0.03, "candidates": 1},
    }
    made.update(changes)
    return made


def free(number: int, **changes: Any) -> Receipt:
    """A receipt of a voided attempt."""
    nothing = {"input_tokens": 0, "output_tokens": 0, "usage": {}, "cost": {"input": 0}}
    return receipt(number, "voided", **{"cost_usd": 0, **nothing, **changes})


def unknown(number: int, **changes: Any) -> Receipt:
    """A receipt of an attempt that is charged at its hold."""
    told = {"usage_source": "bound", "cost_is": "hold", "cost": {"hold": 0.05}, "cost_usd": 0.05}
    return receipt(number, "unknown", **{**told, **changes})


def correction(number: int, seq: int, of: int, cost: float, **changes: Any) -> Receipt:
    """A receipt that resolves the unknown one of line `seq`, the attempt numbered `of`."""
    told = {"request_id": f"req-{of}", "attempt_id": f"id-{of}", "corrects": seq}
    return receipt(number, "correction", cost_usd=cost, cost={"hold": cost}, **{**told, **changes})


def honest() -> list[Receipt]:
    """A run with everything that can happen; an unknown of 0.05 is found to have cost 0.03."""
    return [
        receipt(1), free(2), receipt(3, "fallback", request_id="req-2", attempt=2), unknown(4),
        receipt(5, "cut_off", usage_source="counted", cost_is="lower_bound", uncertain_usd=0.02),
        correction(6, 4, 4, -0.02), unknown(7),
    ]


def sealed(receipts: list[Receipt]) -> bytes:
    """Receipts as the file of their run; `seq` and `prev` are right unless they are there."""
    lines, head = b"", ""
    for seq, it in enumerate(receipts, start=1):
        body = json.dumps({"seq": seq, "prev": head, **it}, separators=(",", ":")).encode()[:-1]
        head = hashlib.sha256(body).hexdigest()
        lines += body + b',"hash":"' + head.encode() + b'"}\n'
    return lines


def bill(*costs: tuple[int, float], **changes: Any) -> dict[str, Any]:
    """A provider's bill of attempts by number and cost."""
    rows = [{"attempt_id": f"id-{number}", "model": "m", "input_tokens": 500, "output_tokens": 200,
             "cost_usd": cost, "at": "2025-11-06T10:30:00Z"} for number, cost in costs]
    total = float(sum(round(cost * 100) for _, cost in costs)) / 100
    return {"attempts": rows, "count": len(rows), "total_cost_usd": total, **changes}


def account(run: str, spent: float, **changes: Any) -> dict[str, Any]:
    """A run's budget with 0.05 unknown and 0.02 uncertain, as `honest` leaves it."""
    return {"run_id": run, "budget_usd": 0.2, "spent_usd": spent, "posted_usd": 0.12,
            "unknown_usd": 0.05, "held_usd": 0.05, "uncertain_usd": 0.02, "mode": "clamp",
            **changes}


BILLED = ((1, 0.03), (3, 0.03), (4, 0.03), (5, 0.05), (7, 0.04))


class Case(unittest.TestCase):
    """A data directory of its own, and the checker run over it as a program is."""

    def codes(self, files: dict[str, bytes], bills: list[Any] | None = None,
              budgets: list[Any] | None = None) -> list[str]:
        """The codes that are found, each once, sorted."""
        with tempfile.TemporaryDirectory() as folder:
            root, words = Path(folder), [folder, "--json"]
            (root / "costs").mkdir()
            for name, data in files.items():
                (root / "costs" / name).write_bytes(data)
            for number, it in enumerate(bills or []):
                (root / f"{number}.json").write_text(json.dumps(it))
                words += ["--bill", f"{folder}/{number}.json"]
            if budgets is not None:
                (root / "budgets.json").write_text(json.dumps({"budgets": budgets}))
                words += ["--budgets", f"{folder}/budgets.json"]
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                code = check.main(words)
        found = sorted({it["code"] for it in json.loads(out.getvalue())["findings"]})
        self.assertEqual(code, 1 if found else 0)
        return found


class Lines(Case):
    """What a file shows by itself."""

    def test_honest_books_are_clean(self) -> None:
        self.assertEqual(self.codes({"R.jsonl": sealed(honest())}), [])
        self.assertEqual(self.codes({}), [])

    def test_the_examples_of_the_contracts(self) -> None:
        for kind in ("valid", "invalid"):
            chains = sorted((CONTRACTS / "examples" / "chain" / kind).glob("*.jsonl"))
            self.assertTrue(chains)
            for path in chains:
                with self.subTest(path.name):
                    found = self.codes({"R-001.jsonl": path.read_bytes()})
                    self.assertEqual(found == [], kind == "valid", found)

    def test_a_spoilt_receipt_is_found_under_a_right_hash(self) -> None:
        for line, changes, wanted in SPOILT:
            with self.subTest(f"line {line}: {changes}"):
                receipts = honest()
                receipts[line - 1].update(changes)
                self.assertEqual(self.codes({"R.jsonl": sealed(receipts)}), wanted.split())

    def test_a_field_that_is_not_there_is_found(self) -> None:
        for field in honest()[0]:
            if field != "cap":
                with self.subTest(field):
                    receipts = honest()
                    del receipts[0][field]
                    self.assertEqual(self.codes({"R.jsonl": sealed(receipts)}), ["receipt"])

    def test_any_byte_that_changes_is_found(self) -> None:
        whole = sealed(honest()[:2])
        for place in range(len(whole)):
            spoilt = bytearray(whole)
            spoilt[place] ^= 1
            self.assertNotEqual(self.codes({"R.jsonl": bytes(spoilt)}), [], place)

    def test_lines_lost_doubled_moved_and_torn(self) -> None:
        whole = sealed(honest()).splitlines(keepends=True)
        doubled = whole[:3] + whole[2:]
        rows: list[tuple[list[bytes], str]] = [
            (whole[1:], "chain seq"), (whole[:1] + whole[2:], "chain seq"),
            (doubled, "attempt_twice chain request_twice seq"),
            ([whole[1], whole[0], *whole[2:]], "chain seq time"),
            ([*whole[:6], whole[6][:-1]], "receipt"), ([*whole, b"\n"], "receipt"),
            ([*whole, b"\0" * 64], "receipt"), ([*whole[:6], b" " + whole[6]], "altered"),
        ]
        for lines, wanted in rows:
            with self.subTest(wanted):
                self.assertEqual(self.codes({"R.jsonl": b"".join(lines)}), wanted.split())

    def test_json_that_two_readers_could_read_differently_is_none(self) -> None:
        for old, new in ((b'"cap":300', b'"cap":300,"cap":300'), (b"0.03", b"NaN"),
                         (b'"cap":300', b'"later":NaN'), (b'"cap":300', b'"later":-Infinity'),
                         (b'"tester"', b'"\xff"'), (b"0.03", b"1e99999999999999999999"),
                         (b"500", b"9" * 5000), (b'"m"', b"[" * 100_000), (b"0.03", b"1e30"),
                         (b"0.03", b"0.0300000000001"), (b"0.03", b'"0.03"'), (b"500", b"true")):
            with self.subTest(new[:30]):
                body = sealed([receipt(1)]).rpartition(b',"hash":')[0].replace(old, new, 1)
                line = body + b',"hash":"%s"}\n' % hashlib.sha256(body).hexdigest().encode()
                self.assertEqual(self.codes({"R.jsonl": line}), ["receipt"])

    def test_names_hold_over_all_files(self) -> None:
        other = sealed([receipt(1, run_id="S")])
        self.assertEqual(self.codes({"R.jsonl": sealed(honest()), "S.jsonl": other}),
                         ["attempt_twice"])
        self.assertEqual(self.codes({"S.jsonl": sealed([receipt(1)])}), ["name"])

    def test_corrections(self) -> None:
        for receipts, wanted in (
            ([unknown(1), correction(2, 1, 1, -0.05)], ""),
            ([unknown(1), correction(2, 1, 1, 0.01, flags=["bound_violation"])], ""),
            ([unknown(1), correction(2, 1, 1, 0.01)], "above_hold"),
            ([unknown(1), correction(2, 1, 1, -0.06)], "negative"),
            ([unknown(1), correction(2, 1, 1, -0.01), correction(3, 1, 1, -0.01)], "correction"),
            ([receipt(1), correction(2, 1, 1, -0.01)], "correction"),
            ([unknown(1), correction(2, 2, 1, -0.01)], "correction"),
            ([unknown(1), unknown(2), correction(3, 1, 2, -0.01)], "correction"),
            ([correction(1, 2, 2, -0.01), unknown(2)], "correction"),
            ([unknown(1), correction(2, 1, 1, -0.01, attempt_id="id-9")], "correction"),
        ):
            with self.subTest(wanted):
                self.assertEqual(self.codes({"R.jsonl": sealed(receipts)}), wanted.split())

    def test_wrong_usage_is_no_verdict(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for words in ([folder], []):
                quiet = contextlib.redirect_stderr(io.StringIO())
                with self.assertRaises(SystemExit) as left, quiet:
                    check.main(words)
                self.assertEqual(left.exception.code, 2)

    def test_a_witness_that_cannot_be_read_is_wrong_usage(self) -> None:
        for witness in ([], {"attempts": {}}, {"attempts": [7]}, {"attempts": [{}]}):
            quiet = contextlib.redirect_stderr(io.StringIO())
            with self.subTest(witness), self.assertRaises(SystemExit) as left, quiet:
                self.codes({}, [witness])
            self.assertEqual(left.exception.code, 2)


# Line, what it says instead, and the findings; each line is sealed again, so the chain is whole.
SPOILT: list[tuple[int, dict[str, Any], str]] = [
    (1, {"seq": 2}, "seq"), (2, {"prev": "0" * 64}, "chain"), (1, {"prev": "0" * 64}, "chain"),
    (1, {"cost_usd": 0.04}, "cost_sum"), (1, {"cost": {"input": 0.01}}, "cost_sum"),
    (1, {"input_tokens": 501}, "token_sum"), (1, {"output_tokens": 199}, "token_sum"),
    (1, {"usage": {"input_uncached": 500, "reasoning": 201}}, "token_sum"),
    (1, {"held_usd": 0.02}, "above_hold"), (1, {"held_usd": 0.02, "cap_source": "none"}, ""),
    (1, {"held_usd": 0.02, "flags": ["bound_violation"]}, ""),
    (1, {"held_usd": 0.02, "flags": ["expected"]}, ""),
    (1, {"cost_usd": -0.03, "cost": {"input": -0.03}}, "negative"),
    (1, {"held_usd": -1}, "above_hold negative"), (5, {"uncertain_usd": -0.02}, "negative"),
    (2, {"cost_usd": 0.01, "cost": {"input": 0.01}}, "voided"),
    (7, {"cost_usd": 0.03, "cost": {"hold": 0.03}}, "unknown"),
    (7, {"cost_is": "exact"}, "unknown"),
    (2, {"timestamp": "2025-11-06T10:30:00.999999Z"}, "time"),
    (2, {"timestamp": "2025-11-06T10:30:01.0Z"}, ""),
    (2, {"timestamp": "2025-13-06T10:30:01Z"}, "receipt"),
    (2, {"timestamp": "yesterday"}, "receipt"), (1, {"attempt": 1.5}, "receipt"),
    (3, {"attempt_id": "id-1"}, "attempt_twice"), (3, {"attempt": 1}, "request_twice"),
    (1, {"status": "fine"}, "receipt"), (1, {"usage_source": "guess"}, "receipt"),
    (1, {"cost_is": None}, "receipt"), (1, {"run_id": "S"}, "name"),
    (1, {"flags": "bound_violation"}, "receipt"), (6, {"corrects": "4"}, "receipt"),
    (1, {"latency_ms": -1}, "receipt"), (1, {"decision": None}, "receipt"),
]


class Witnesses(Case):
    """What bills and budgets show."""

    def judged(self, bills: list[Any], budgets: list[Any] | None = None) -> list[str]:
        return self.codes({"R.jsonl": sealed(honest())}, bills, budgets)

    def test_honest_witnesses_agree(self) -> None:
        halves = [bill(*BILLED[:2]), bill(*BILLED[2:])]
        self.assertEqual(self.judged(halves, [account("R", 0.17)]), [])

    def test_bills(self) -> None:
        without = [row for row in BILLED if row[0] != 1]
        for bills, wanted in (
            ([bill(*BILLED, (99, 0.01))], "no_receipt"), ([bill(*without)], "not_billed"),
            ([bill(*BILLED), bill((1, 0.0))], "billed_twice"),
            ([bill(*without, (1, 0.04))], "underpaid"), ([bill(*without, (1, 0.02))], "inexact"),
            ([bill(*BILLED, (2, 0.01))], "tokens underpaid"),
            ([bill(*BILLED[:3], (5, 0.06), (7, 0.04))], "underpaid"),
            ([bill(*BILLED[:4], (7, 0.06))], "underpaid"), ([bill(*BILLED[:4])], ""),
            ([bill(*BILLED, count=4)], "bill"), ([bill(*BILLED, total_cost_usd=0.1)], "bill"),
            ([bill((1, 0.03), (3, 0.03), (4, 0.02), (5, 0.05), (7, 0.04))], "inexact"),
        ):
            with self.subTest(wanted):
                self.assertEqual(self.judged(bills), wanted.split())

    def test_other_counts_than_the_bill(self) -> None:
        spoilt = bill(*BILLED)
        spoilt["attempts"][0]["input_tokens"] = 501
        self.assertEqual(self.judged([spoilt]), ["tokens"])

    def test_budgets(self) -> None:
        for changes, wanted in (
            ({"spent_usd": 0.18}, "spent"), ({"posted_usd": 0.11}, "posted"),
            ({"unknown_usd": 0.04}, "unknown"), ({"held_usd": 0.06}, "held"),
            ({"uncertain_usd": 0}, "uncertain"), ({"budget_usd": 0.17}, "overspent"),
            ({"budget_usd": 0.18}, ""), ({"budget_usd": None}, ""),
            ({"budget_usd": 0.17, "mode": "soft"}, ""), ({"period": "day", "spent_usd": 0}, ""),
        ):
            with self.subTest(str(changes)):
                found = self.judged([bill(*BILLED)], [{**account("R", 0.17), **changes}])
                self.assertEqual(found, wanted.split())
        self.assertEqual(self.judged([bill(*BILLED)], []), ["no_budget"])

    def test_what_broke_its_word_is_published_and_no_more(self) -> None:
        books = sealed([receipt(1, flags=["bound_violation"], held_usd=0.02)])
        nothing = {"posted_usd": 0.03, "unknown_usd": 0, "held_usd": 0, "uncertain_usd": 0}
        for limit, wanted in ((0.02, []), (0.01, ["overspent"])):
            shown = account("R", 0.03, budget_usd=limit, **nothing)
            self.assertEqual(self.codes({"R.jsonl": books}, [bill((1, 0.03))], [shown]), wanted)

    def test_a_parent_answers_for_its_children(self) -> None:
        child = sealed([receipt(20, run_id="S"), receipt(21, run_id="S")])
        files = {"R.jsonl": sealed(honest()), "S.jsonl": child}
        nothing = {"unknown_usd": 0, "held_usd": 0, "uncertain_usd": 0}
        bills = [bill(*BILLED, (20, 0.03), (21, 0.03))]
        own = account("S", 0.06, posted_usd=0.06, parent="R", **nothing)
        whole = account("R", 0.23, posted_usd=0.18, budget_usd=0.24)
        self.assertEqual(self.codes(files, bills, [own, whole]), [])
        self.assertEqual(self.codes(files, bills, [own, {**whole, "budget_usd": 0.23}]),
                         ["overspent"])
        self.assertEqual(self.codes(files, bills, [{**own, "parent": None}, whole]),
                         ["posted", "spent"])


if __name__ == "__main__":
    unittest.main()
