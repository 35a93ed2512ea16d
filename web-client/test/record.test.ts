import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "../src/wire/encode.js";
import { recordOf } from "../src/wire/record.js";
import { decodeClientFrame } from "./support/frames.js";
import { utf8 } from "./support/text.js";

const TEXTS = ["", "{}", "\x7f", "naïve", "東京", "𝄞", "\ud834", "a".repeat(63), "a".repeat(64), "é".repeat(16_384)];

test("bytes are those of UTF-8, also of what is no proper text", () => {
  for (const text of TEXTS) assert.equal(recordOf(text).bytes, utf8(text).length, text.slice(0, 20));
});

test("records of any alphabet and length stand side by side in one frame", () => {
  const records = TEXTS.filter((text) => text !== "\ud834").map(recordOf);
  const { body } = decodeClientFrame(encode({ type: "events", body: { first_seq: 300, records } }));
  assert.deepEqual(body, { first_seq: 300, records });
});

test("what is no proper text does not shift what comes after it", () => {
  const records = ["\ud834", "next"].map(recordOf);
  const { body } = decodeClientFrame(encode({ type: "events", body: { first_seq: 1, records } }));
  assert.deepEqual(body, { first_seq: 1, records: ["\ufffd", "next"].map(recordOf) });
});
