// Measures one client in a page. One measurement a page: what came before is not in it.
import { connect } from "/dist/index.js";

const TICK_MS = 10;

const longTasks = [];
new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
  type: "longtask",
});

let client = null;
/** When each event was handed over, by number less one; a fresh profile's numbers begin at 1. */
let sentAt = [];
let latenciesMs = [];

async function start({ endpoint, options }) {
  client = connect(endpoint, options);
  client.on("acknowledged", ({ first, last }) => {
    const now = performance.now();
    for (let seq = first; seq <= last && sentAt.length > 0; seq += 1) latenciesMs.push(now - sentAt[seq - 1]);
  });
  await client.flush();
  while (client.state.status !== "open") await new Promise((resolve) => client.on("state", resolve));
  return client.state.transport;
}

/** Hands over `count` events in one go; how long the page's thread was busy with that, and how long until all were settled. */
async function burst({ count }) {
  const begin = performance.now();
  const sent = [];
  for (let n = 0; n < count; n += 1) sent.push(client.send(event(n)));
  const queuedMs = performance.now() - begin;
  await Promise.all(sent);
  await client.flush();
  return { queuedMs, settledMs: performance.now() - begin };
}

/** Hands over events at a steady rate; latencies from the hand-over, and tasks of more than 50 ms. */
async function steady({ perSecond, seconds }) {
  const count = perSecond * seconds;
  longTasks.length = 0;
  latenciesMs = [];
  sentAt = [];
  const begin = performance.now();
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(count, Math.floor(((performance.now() - begin) * perSecond) / 1000));
      while (sentAt.length < due) {
        sentAt.push(performance.now());
        client.send(event(sentAt.length));
      }
      if (sentAt.length < count) return;
      clearInterval(timer);
      resolve();
    }, TICK_MS);
  });
  await client.flush();
  latenciesMs.sort((a, b) => a - b);
  const at = (part) => latenciesMs[Math.min(count - 1, Math.floor(part * count))];
  return {
    count: latenciesMs.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: latenciesMs.at(-1),
    longTasks: longTasks.length,
    longestTaskMs: Math.max(0, ...longTasks),
  };
}

/** Sends `count` events, at most `atOnce` of them unsettled. */
async function pour({ count, atOnce }) {
  for (let done = 0; done < count; done += atOnce) await burst({ count: Math.min(atOnce, count - done) });
}

function event(n) {
  return { type: "pointer.moved", data: { n, x: 512 + (n % 100), y: 384 + (n % 77), path: "/shop/basket" } };
}

globalThis.driver = { start, burst, steady, pour };
globalThis.ready = Promise.resolve();
