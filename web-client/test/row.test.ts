import assert from "node:assert/strict";
import { test } from "node:test";
import { Row } from "../src/outbox/row.js";
import type { StoredEvent } from "../src/outbox/store.js";

test("a row behaves like a sorted array, whatever is taken out of it", () => {
  let state = 1;
  const below = (limit: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % limit;
  };
  const row = new Row();
  const model: StoredEvent[] = [];
  let seq = 0;
  for (let step = 0; step < 5_000; step += 1) {
    for (let count = below(4); count > 0; count -= 1) {
      seq += 1 + below(3);
      const event = { seq, payload: new Uint8Array(below(9)), at: step };
      row.push(event);
      model.push(event);
    }
    const index = below(Math.min(model.length, 20) + 1);
    const count = below(4);
    assert.deepEqual(row.take(index, count), model.splice(index, count));
    const sought = below(seq + 3);
    const position = model.findIndex((event) => event.seq >= sought);
    assert.equal(row.search(sought), position < 0 ? model.length : position);
    assert.equal(row.has(sought), model[position]?.seq === sought);
    assert.equal(row.length, model.length);
  }
  assert.deepEqual(row.all(), model);
  assert.equal(
    row.bytes,
    model.reduce((sum, { payload }) => sum + payload.length, 0),
  );
  assert.deepEqual(row.take(0, row.length + 5), model);
  assert.deepEqual([row.length, row.bytes, row.at(0)], [0, 0, undefined]);
});
