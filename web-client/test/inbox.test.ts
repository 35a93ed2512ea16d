import assert from "node:assert/strict";
import { test } from "node:test";
import { LinkError } from "../src/errors/link-error.js";
import { Inbox } from "../src/link/inbox.js";

async function rest<T>(inbox: Inbox<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of inbox) items.push(item);
  return items;
}

test("items come in order, pushed before or while waiting", async () => {
  const inbox = new Inbox<number>(10);
  inbox.push(1);
  const all = rest(inbox);
  inbox.push(2);
  await Promise.resolve();
  inbox.push(3);
  inbox.end();
  assert.deepEqual(await all, [1, 2, 3]);
});

test("an error comes behind what was pushed before it", async () => {
  const inbox = new Inbox<number>(10);
  inbox.push(1);
  inbox.end(new Error("broke"));
  inbox.end();
  assert.equal(inbox.push(2), false);
  assert.deepEqual(await inbox.next(), { done: false, value: 1 });
  await assert.rejects(inbox.next(), /broke/);
});

test("a waiting reader hears of the end", async () => {
  const [ended, broken] = [new Inbox<number>(1), new Inbox<number>(1)];
  const waiting = [ended.next(), broken.next()] as const;
  ended.end();
  broken.end(new Error("broke"));
  assert.equal((await waiting[0]).done, true);
  await assert.rejects(waiting[1], /broke/);
});

test("a full inbox breaks instead of growing", async () => {
  const inbox = new Inbox<number>(2);
  assert.deepEqual([inbox.push(1), inbox.push(2), inbox.push(3)], [true, true, false]);
  assert.equal((await inbox.next()).value, 1);
  assert.equal((await inbox.next()).value, 2);
  await assert.rejects(inbox.next(), LinkError);
});

test("items count by the size they are given", async () => {
  const inbox = new Inbox<string>(100);
  assert.deepEqual([inbox.push("a", 60), inbox.push("b", 40)], [true, true]);
  await inbox.next();
  assert.deepEqual([inbox.push("c", 60), inbox.push("d", 1)], [true, false]);
});
