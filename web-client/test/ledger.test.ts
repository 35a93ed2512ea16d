import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger } from "../demo/ledger.js";

function ledgerOf(count: number): { ledger: Ledger; fates: () => string[] } {
  const ledger = new Ledger("page");
  const entries = Array.from({ length: count }, (_, index) => ledger.enter(index).entry);
  return { ledger, fates: () => entries.map((entry) => entry.fate) };
}

test("all but the newest that are unsettled are acknowledged, and then arrive", () => {
  const { ledger, fates } = ledgerOf(3);
  assert.equal(ledger.acknowledge(2, 1).length, 2);
  assert.deepEqual(fates(), ["acknowledged", "acknowledged", "outbox"]);
  assert.ok(ledger.arrive("page-1"));
  assert.deepEqual(fates(), ["arrived", "acknowledged", "outbox"]);
  const { sent, acknowledged, arrived, again } = ledger.counts;
  assert.deepEqual([sent, acknowledged, arrived, again], [3, 2, 1, 0]);
});

test("events of an earlier visit are acknowledged first", () => {
  const { ledger, fates } = ledgerOf(2);
  ledger.acknowledge(5, 3);
  assert.deepEqual(fates(), ["outbox", "outbox"]);
  ledger.acknowledge(2, 1);
  assert.deepEqual(fates(), ["acknowledged", "outbox"]);
});

test("what is refused between two acknowledged events is neither", () => {
  const { ledger, fates } = ledgerOf(3);
  ledger.acknowledge(1, 0);
  ledger.give("page-2", "refused");
  ledger.acknowledge(1, 0);
  assert.deepEqual(fates(), ["acknowledged", "refused", "acknowledged"]);
});

test("what arrives before its acknowledgement counts once", () => {
  const { ledger, fates } = ledgerOf(1);
  ledger.arrive("page-1");
  assert.deepEqual(fates(), ["outbox"]);
  ledger.acknowledge(9, 0);
  assert.deepEqual(fates(), ["arrived"]);
  assert.deepEqual([ledger.counts.arrived, ledger.counts.again], [1, 0]);
});

test("what arrives twice is told", () => {
  const { ledger } = ledgerOf(2);
  ledger.acknowledge(1, 1);
  for (const id of ["page-1", "page-1", "page-2", "page-2"]) ledger.arrive(id);
  assert.deepEqual([ledger.counts.arrived, ledger.counts.again], [2, 2]);
});

test("events of others are not of this page", () => {
  const { ledger } = ledgerOf(1);
  for (const id of [undefined, "other-1", "page-0", "page-2", "page-x", "page"])
    assert.equal(ledger.arrive(id), false, id);
  assert.equal(ledger.counts.arrived, 0);
});

test("refused and dropped events are neither acknowledged nor in the outbox", () => {
  const { ledger, fates } = ledgerOf(4);
  ledger.give("page-2", "refused");
  ledger.give("page-3", "dropped");
  assert.equal(ledger.give("page-3", "dropped"), null);
  ledger.acknowledge(9, 0);
  assert.deepEqual(fates(), ["acknowledged", "refused", "dropped", "acknowledged"]);
  const { acknowledged, refused, dropped } = ledger.counts;
  assert.deepEqual([acknowledged, refused, dropped, ledger.outbox], [2, 1, 1, 0]);
});
