import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameError } from "../src/errors/frame-error.js";
import { readVarint, varint } from "../src/wire/varint.js";

function written(value: number): string {
  return Buffer.from(varint(value)).toString("hex");
}

function read(hex: string): ReturnType<typeof readVarint> {
  return readVarint(Uint8Array.from(Buffer.from(hex, "hex")));
}

// The examples of RFC 9000, appendix A.1, but for the one above 2^53-1, and the edges of each length.
for (const [value, hex] of [
  [37, "25"],
  [15_293, "7bbd"],
  [494_878_333, "9d7f3e7d"],
  [0, "00"],
  [63, "3f"],
  [64, "4040"],
  [16_383, "7fff"],
  [16_384, "80004000"],
  [2 ** 30 - 1, "bfffffff"],
  [2 ** 30, "c000000040000000"],
  [Number.MAX_SAFE_INTEGER, "c01fffffffffffff"],
] as const) {
  test(`${value} is ${hex}`, () => {
    assert.equal(written(value), hex);
    assert.deepEqual(read(hex), { value, length: hex.length / 2 });
  });
}

test("a longer form than needed is read", () => {
  assert.deepEqual(read("4025"), { value: 37, length: 2 });
});

test("a varint whose bytes have not all come is not there yet", () => {
  for (const hex of ["", "40", "800000", "c0000000400000"]) assert.equal(read(hex), null);
});

test("what a JavaScript number cannot say exactly is refused", () => {
  assert.throws(() => read("c020000000000000"), FrameError);
});
