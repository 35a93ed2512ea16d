import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameError } from "../src/errors/frame-error.js";
import { decode } from "../src/wire/decode.js";
import { encode } from "../src/wire/encode.js";
import type { GatewayFrame } from "../src/wire/frames.js";
import { splitter } from "../src/wire/split.js";
import { decodeClientFrame, encodeGatewayFrame } from "./support/frames.js";
import {
  clientFrame,
  entries,
  type FrameVector,
  gatewayValue,
  hex,
  unhex,
  type ViolationVector,
} from "./support/vectors.js";

/** Frames of the binary coding, which is all that this client speaks. */
const vectors = entries<FrameVector>("frames.json").flatMap(({ hex, ...vector }) =>
  hex === null ? [] : [{ ...vector, hex }],
);

/** What the gateway refuses to read from itself, and a client must take: codes and reasons of later versions. */
const LATER: ReadonlyMap<string, (bytes: Uint8Array) => void> = new Map([
  ["ACK: a code that does not exist", (bytes) => assert.equal(ack(bytes).list[0]?.refused, true)],
  ["ACK: a reason that does not exist", (bytes) => assert.equal(ack(bytes).reason, "unknown")],
]);

/** Its attributes have white space, which a gateway keeps as it came and this client never writes. */
const SPACED = "define, values of every kind";

for (const vector of vectors) {
  const digits = vector.hex;
  if (vector.from === "gateway") {
    test(`reads: ${vector.name}`, () => {
      const frame = decodeBytes(unhex(digits));
      const { type, value } = gatewayValue(frame);
      assert.equal(type, vector.type);
      // Members of later versions are let through.
      if (vector.decode_only && value) assert.deepEqual({ ...(value as object), ...(vector.value as object) }, value);
      else assert.deepEqual(value, vector.value);
      if (!vector.decode_only) assert.equal(hex(encodeGatewayFrame(frame)), digits, "as the tests' gateway writes it");
    });
    continue;
  }
  const frame = clientFrame(vector);
  if (!frame || vector.decode_only) continue;
  test(`writes: ${vector.name}`, () => {
    if (vector.name !== SPACED) assert.equal(hex(encode(frame)), digits);
    assert.deepEqual(decodeClientFrame(unhex(digits)), frame, "as the tests' gateway reads it");
  });
}

test("every frame of the client is written, every frame of the gateway is read", () => {
  const written = vectors.filter((vector) => vector.from === "client" && clientFrame(vector));
  const read = vectors.filter(({ from }) => from === "gateway");
  const types = (some: readonly FrameVector[]) => [...new Set(some.map(({ type }) => type))].sort();
  assert(written.some(({ name }) => name === SPACED));
  assert.deepEqual(types(written), ["close", "define", "ev", "hello", "ping", "pong", "reauth", "report"]);
  assert.deepEqual(types(read), ["ack", "close", "goaway", "ignored", "ping", "pong", "welcome"]);
});

const violations = entries<ViolationVector>("violations.json").filter(
  ({ from, coding }) => from === "gateway" && coding === "binary",
);

for (const { name, hex: digits = "" } of violations) {
  const later = LATER.get(name);
  if (later) {
    test(`takes what a later version may send: ${name}`, () => later(unhex(digits)));
  } else {
    test(`refuses: ${name}`, () => {
      assert.throws(() => {
        const kept = splitter(524_288, decode)(unhex(digits));
        if (kept > 0) throw new FrameError("cut short");
      });
    });
  }
}

test("there are violations of a gateway to refuse", () => {
  assert(violations.length > LATER.size);
  for (const name of LATER.keys()) assert(violations.some((violation) => violation.name === name));
});

function decodeBytes(bytes: Uint8Array): GatewayFrame {
  const frames: GatewayFrame[] = [];
  const kept = splitter(1_000_000, (type, body) => frames.push(decode(type, body)))(bytes);
  const [frame, ...others] = frames;
  assert(frame && others.length === 0 && kept === 0);
  return frame;
}

function ack(bytes: Uint8Array) {
  const frame = decodeBytes(bytes);
  assert(frame.type === "ack");
  return frame.body;
}
