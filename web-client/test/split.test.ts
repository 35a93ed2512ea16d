import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameError } from "../src/errors/frame-error.js";
import { join } from "../src/wire/join.js";
import { split } from "../src/wire/split.js";

/** Type, length and body of three frames; the second is empty, the third has a length of two bytes. */
const frames = [
  [0x06, 2, 1, 2],
  [0x07, 0],
  [0x04, 0x40, 0x41, ...new Array<number>(65).fill(9)],
];
const bodies = frames.map(([type = 0, first = 0, ...rest]) => [type, ...rest.slice(first >> 6)]);
const stream = Uint8Array.from(frames.flat());

/** Type and body of the frames in chunks that come one after the other, and what is left over. */
function cut(chunks: readonly Uint8Array[], frameBytesMax = 1_000): { found: number[][]; rest: Uint8Array } {
  const found: number[][] = [];
  let rest: Uint8Array = new Uint8Array(0);
  for (const chunk of chunks) {
    rest = split(join([rest, chunk]), frameBytesMax, (type, body) => found.push([type, ...body]));
  }
  return { found, rest };
}

for (const size of [1, 2, 3, 7, stream.length]) {
  test(`chunks of ${size} bytes give the same frames`, () => {
    const chunks = Array.from({ length: Math.ceil(stream.length / size) }, (_, index) =>
      stream.slice(index * size, (index + 1) * size),
    );
    const { found, rest } = cut(chunks);
    assert.deepEqual(found, bodies);
    assert.equal(rest.length, 0);
  });
}

test("an unfinished frame is known as such", () => {
  assert.deepEqual(cut([Uint8Array.of(0x07, 0, 0x06, 2, 1)]), { found: [[0x07]], rest: Uint8Array.of(0x06, 2, 1) });
});

test("a frame beyond the limit is refused by its length alone", () => {
  assert.equal(cut([Uint8Array.of(0x04, 8, ...new Array<number>(8).fill(0))], 10).found.length, 1);
  assert.throws(() => cut([Uint8Array.of(0x04, 9)], 10), FrameError);
});
