import assert from "node:assert/strict";
import { test } from "node:test";
import { part } from "../src/part.js";

const ADDRESS = "https://app.test/dist/https.js";

test("a file that is there is loaded once, however many ask", async () => {
  let loads = 0;
  const load = part("it", async () => ({ it: ++loads }));
  assert.deepEqual(await Promise.all([load(), load()]), [{ it: 1 }, { it: 1 }]);
  assert.deepEqual(await load(), { it: 1 });
});

test("a file that could not be had is asked for once each time, by turns under another address, and kept when it is there", async () => {
  const asked: string[] = [];
  let missing = 3;
  const attempt = async (address: string) => {
    asked.push(address);
    missing -= 1;
    if (missing >= 0) throw new Error(`error loading dynamically imported module: ${address}`);
    return { it: address };
  };
  const load = part("it", () => attempt(ADDRESS), attempt);
  for (let time = 1; time <= 3; time += 1) {
    await assert.rejects(Promise.all([load(), load()]), /error loading/);
    assert.equal(asked.length, time);
  }
  assert.deepEqual(await load(), { it: `${ADDRESS}?3` });
  await load();
  assert.deepEqual(asked, [ADDRESS, `${ADDRESS}?1`, ADDRESS, `${ADDRESS}?3`]);
});

test("what is not the file that was asked for counts as none", async () => {
  const load = part<{ it: number }>("it", async () => Object({}));
  await assert.rejects(load(), /not what was asked for/);
});
