import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameError } from "../src/errors/frame-error.js";
import { FrameSplitter } from "../src/wire/splitter.js";

/** Type, length and body of three frames; the second is empty, the third has a length of two bytes. */
const frames = [
  [0x06, 2, 1, 2],
  [0x07, 0],
  [0x04, 0x40, 0x41, ...new Array<number>(65).fill(9)],
];
const stream = Uint8Array.from(frames.flat());

for (const size of [1, 2, 3, 7, stream.length]) {
  test(`chunks of ${size} bytes give the same frames`, () => {
    const splitter = new FrameSplitter(1_000);
    const found: number[][] = [];
    for (let offset = 0; offset < stream.length; offset += size) {
      for (const frame of splitter.push(stream.slice(offset, offset + size))) found.push([...frame]);
    }
    assert.deepEqual(found, frames);
    assert.equal(splitter.unfinishedBytes, 0);
  });
}

test("an unfinished frame is known as such", () => {
  const splitter = new FrameSplitter(1_000);
  assert.deepEqual([...splitter.push(Uint8Array.of(0x06, 2, 1))], []);
  assert.equal(splitter.unfinishedBytes, 3);
});

test("a frame beyond the limit is refused by its length alone", () => {
  const splitter = new FrameSplitter(10);
  assert.equal([...splitter.push(Uint8Array.of(0x04, 8, ...new Array<number>(8).fill(0)))].length, 1);
  assert.throws(() => [...splitter.push(Uint8Array.of(0x04, 9))], FrameError);
});

test("a long frame that comes byte by byte is joined on the way", () => {
  const splitter = new FrameSplitter(20_000);
  const body = Uint8Array.from({ length: 10_000 }, (_, index) => index % 251);
  assert.deepEqual([...splitter.push(Uint8Array.of(0x04, 0x67, 0x10))], []);
  const whole = [...body].flatMap((byte) => [...splitter.push(Uint8Array.of(byte))].map((frame) => frame.slice()));
  assert.deepEqual(whole, [Uint8Array.of(0x04, 0x67, 0x10, ...body)]);
});
