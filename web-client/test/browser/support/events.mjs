// What arrived, against what was sent.
import assert from "node:assert/strict";

/** Every event that the pages of a test sent arrived once, those of each tab in order. `sent`: how many by tab name. */
export function assertArrived(events, sent) {
  const found = Object.fromEntries(Object.keys(sent).map((tab) => [tab, []]));
  for (const event of events) {
    assert.equal(event.type, "browser.test", JSON.stringify(event));
    assert.ok(found[event.data.tab], `from a tab that sent nothing: ${JSON.stringify(event)}`);
    found[event.data.tab].push(event.data.n);
  }
  for (const [tab, count] of Object.entries(sent)) {
    const numbers = found[tab];
    const seen = new Set();
    const twice = numbers.filter((n) => seen.size === seen.add(n).size);
    const missing = range(count).filter((n) => !seen.has(n));
    assert.deepEqual({ missing: short(missing), twice: short(twice) }, { missing: "", twice: "" }, `tab ${tab}`);
    assert.deepEqual(numbers, range(count), `order of tab ${tab}`);
  }
}

/** The same where the gateway has lost its memory: an event may be there again, under the id it had. */
export function assertArrivedAtLeastOnce(events, sent) {
  const ids = new Set();
  assertArrived(
    events.filter(({ id }) => ids.size < ids.add(id).size),
    sent,
  );
}

/** The names that clients went by. */
export function clients(events) {
  return new Set(events.map((event) => event.source.replace(/^\/default\//, "")));
}

function range(count) {
  return Array.from({ length: count }, (_, index) => index + 1);
}

/** `1-500, 503` */
function short(numbers) {
  const parts = [];
  for (const n of numbers) {
    const part = parts.at(-1);
    if (part && part[1] === n - 1) part[1] = n;
    else parts.push([n, n]);
  }
  return parts.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(", ");
}
