import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameError } from "../src/errors/frame-error.js";
import { join } from "../src/wire/join.js";
import { splitter } from "../src/wire/split.js";
import { varint } from "../src/wire/varint.js";

/** Type, length and body of three frames; the second is empty, the third has a length of two bytes. */
const frames = [
  [0x06, 2, 1, 2],
  [0x07, 0],
  [0x04, 0x40, 0x41, ...new Array<number>(65).fill(9)],
];
const bodies = frames.map(([type = 0, first = 0, ...rest]) => [type, ...rest.slice(first >> 6)]);
const stream = Uint8Array.from(frames.flat());

/** Type and body of the frames in chunks that come one after the other, and how much of another one has begun. */
function cut(chunks: readonly Uint8Array[], frameBytesMax = 1_000): { found: number[][]; kept: number } {
  const found: number[][] = [];
  const split = splitter(frameBytesMax, (type, body) => found.push([type, ...body]));
  let kept = 0;
  for (const chunk of chunks) kept = split(chunk);
  return { found, kept };
}

for (const size of [1, 2, 3, 7, stream.length]) {
  test(`chunks of ${size} bytes give the same frames`, () => {
    const chunks = Array.from({ length: Math.ceil(stream.length / size) }, (_, index) =>
      stream.slice(index * size, (index + 1) * size),
    );
    const { found, kept } = cut(chunks);
    assert.deepEqual(found, bodies);
    assert.equal(kept, 0);
  });
}

test("an unfinished frame is known as such", () => {
  assert.deepEqual(cut([Uint8Array.of(0x07, 0, 0x06, 2, 1)]), { found: [[0x07]], kept: 3 });
});

test("a frame beyond the limit is refused by its length alone", () => {
  assert.equal(cut([Uint8Array.of(0x04, 8, ...new Array<number>(8).fill(0))], 10).found.length, 1);
  assert.throws(() => cut([Uint8Array.of(0x04, 9)], 10), FrameError);
});

test("a long frame in short chunks is copied a few times at most", () => {
  const body = 100_000;
  const bytes = join([Uint8Array.of(0x04), varint(body), new Uint8Array(body)]);
  const chunks = Array.from({ length: bytes.length / 50 + 1 }, (_, index) => bytes.slice(index * 50, (index + 1) * 50));
  const { set } = Uint8Array.prototype;
  let copied = 0;
  Uint8Array.prototype.set = function (from: ArrayLike<number>, offset?: number) {
    copied += from.length;
    set.call(this, from, offset);
  };
  try {
    assert.equal(cut(chunks, 200_000).found[0]?.length, 1 + body);
  } finally {
    Uint8Array.prototype.set = set;
  }
  assert(copied < 4 * bytes.length, `${copied} bytes copied`);
});
