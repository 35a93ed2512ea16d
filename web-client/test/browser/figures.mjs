// What the client costs a page, measured in Chromium: prints a table, and writes the same as JSON where a file is given.
//
//   npm run bench -- [FILE.json]
//
// The gateway is the one that the tests take; a release build tells more about latency: TIDEGATE_BIN=.../release/tidegate.
import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { transform } from "esbuild";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

const TRANSPORTS = ["webtransport", "websocket", "https"];
const STORAGES = ["auto", "memory"];
const BURST = 10_000;
/** The first burst runs before the browser has compiled the client. */
const AGAIN = 5;
const STEADY = { perSecond: 1_000, seconds: 10 };
const POUR = { count: 90_000, atOnce: 10_000 };

const ends = [];
const stage = await Stage.set({ after: (end) => ends.push(end), diagnostic: console.error });
const figures = [];
try {
  for (const storage of STORAGES) {
    await measured(storage, "webtransport", "main thread", async (tab, cdp) => {
      const before = await taskMs(cdp);
      const { queuedMs, settledMs } = await tab.call("burst", { count: BURST });
      const busyMs = (await taskMs(cdp)) - before;
      const again = [];
      for (let run = 0; run < AGAIN; run += 1) again.push((await tab.call("burst", { count: BURST })).queuedMs);
      add(`hand over ${BURST} events, ${storage}, first time`, queuedMs, "ms", 50);
      add(
        `hand over ${BURST} events, ${storage}, median of ${AGAIN} more`,
        again.sort((a, b) => a - b)[AGAIN >> 1],
        "ms",
        50,
      );
      add(`main thread until they are settled, ${storage}, CPU time`, busyMs, "ms", 50);
      add(`until they are settled, ${storage}`, settledMs, "ms");
    });
  }
  for (const transport of TRANSPORTS) {
    await measured("auto", transport, "steady", async (tab) => {
      const run = await tab.call("steady", STEADY);
      const of = `${STEADY.perSecond}/s for ${STEADY.seconds} s, ${transport}`;
      add(`latency p50, ${of}`, run.p50Ms, "ms");
      add(`latency p99, ${of}`, run.p99Ms, "ms");
      add(`tasks over 50 ms, ${of}`, run.longTasks, "", 0);
      add(`longest task over 50 ms, ${of}`, run.longestTaskMs, "ms");
    });
  }
  await measured("auto", "webtransport", "heap", async (tab, cdp) => {
    await tab.call("pour", { count: BURST, atOnce: POUR.atOnce });
    const few = await heapBytes(cdp);
    await tab.call("pour", POUR);
    const many = await heapBytes(cdp);
    add("heap after 10,000 events", few / 1024, "KiB");
    add("heap after 100,000 events", many / 1024, "KiB");
  });
  await sizes();
} finally {
  for (const end of ends) await end();
}
await report();

/** One measurement in a browser of its own, on an empty profile. */
async function measured(storage, transport, what, measure) {
  const browser = await stage.chromium();
  try {
    const tab = await Tab.open(browser, stage.site, "", "figures.html");
    const options = { transports: [transport], outbox: { storage, maxBytes: 64 * 1024 * 1024 } };
    const used = await tab.call("start", { endpoint: stage.network.endpoint, options });
    if (used !== transport) throw new Error(`${what}: ${used} instead of ${transport}`);
    const cdp = await browser.context.newCDPSession(tab.page);
    // CPU time, which what else this machine does is not part of.
    await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
    await measure(tab, cdp);
    tab.assertQuiet();
  } finally {
    await browser.kill();
  }
}

/** CPU time that the page's main thread has spent in tasks. */
async function taskMs(cdp) {
  const { metrics } = await cdp.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "TaskDuration").value * 1000;
}

async function heapBytes(cdp) {
  await cdp.send("HeapProfiler.collectGarbage");
  const { usedSize } = await cdp.send("Runtime.getHeapUsage");
  return usedSize;
}

async function sizes() {
  const source = await readFile(new URL("../../dist/index.js", import.meta.url), "utf8");
  const { code } = await transform(source, { minify: true, format: "esm", target: "es2022", legalComments: "none" });
  add("dist/index.js, minified", code.length / 1024, "KiB");
  add("dist/index.js, minified and gzip -9", gzipSync(code, { level: 9 }).length / 1024, "KiB", 12);
}

function add(name, value, unit, target = null) {
  figures.push({ name, value: Math.round(value * 10) / 10, unit, ...(target !== null && { target }) });
}

async function report() {
  const width = Math.max(...figures.map(({ name }) => name.length));
  for (const { name, value, unit, target } of figures) {
    const aim = target === undefined ? "" : `  (target: ${target})`;
    console.log(`${name.padEnd(width)}  ${value.toLocaleString("en").padStart(10)} ${unit}${aim}`);
  }
  const file = process.argv[2];
  if (file) await writeFile(file, `${JSON.stringify(figures, null, 2)}\n`);
}
