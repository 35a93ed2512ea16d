// Drives the demo page of a running gateway in Chromium, over WebTransport and then over WebSocket. Not part of `npm test`.
//
//   TIDEGATE_URL         the gateway's plain listener, with the demo page turned on (required)
//   TIDEGATE_SCREENSHOT  where to save a picture of the page, PNG (optional)
//   CHROMIUM             the browser; default /usr/bin/chromium
//
// Status 0: each transport got every event acknowledged. 1: it did not, and the output says what the page saw.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const EVENTS = 50;
const DEADLINE_MS = 30_000;

const url = process.env.TIDEGATE_URL;
const screenshot = process.env.TIDEGATE_SCREENSHOT;
if (!url) {
  console.error("TIDEGATE_URL is not set: give the plain listener of a running gateway, such as http://localhost:8080");
  process.exit(1);
}

const profile = await mkdtemp(join(tmpdir(), "tidegate-browser-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: [
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  for (const transport of ["webtransport", "websocket"]) await drive(transport);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}

/** Moves the pointer until the page has sent enough, then waits until all of that is acknowledged. */
async function drive(transport) {
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`page error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  try {
    // WebTransport must be what the page chooses by itself; the WebSocket has to be asked for.
    await page.goto(transport === "webtransport" ? url : new URL(`?transport=${transport}`, url).href);
    await until(page, `an open ${transport}`, (wanted) => globalThis.tidegateDemo?.transport === wanted, transport);
    await moveAround(page);
    await until(
      page,
      `${EVENTS} events sent and all acknowledged`,
      (wanted) =>
        globalThis.tidegateDemo.sent >= wanted && globalThis.tidegateDemo.acknowledged === globalThis.tidegateDemo.sent,
      EVENTS,
    );
    if (complaints.length > 0) throw new Error("the page complained");
    if (screenshot && transport === "webtransport") await page.screenshot({ path: screenshot });
    const { sent, acknowledged, transport: used, latencyMs } = await numbers(page);
    console.log(`${used}: sent ${sent}, acknowledged ${acknowledged}, last latency ${latencyMs.toFixed(1)} ms`);
  } catch (error) {
    const seen = await page.evaluate(() => document.querySelector("#status")?.textContent).catch(() => "no page");
    const details = [`page says "${seen}"`, JSON.stringify(await numbers(page).catch(() => null)), ...complaints];
    throw new Error(`${transport}: ${error.message}\n  ${details.join("\n  ")}`);
  } finally {
    await page.close();
  }
}

/** Chromium may fold several moves into one, so the page is asked how many became events. */
async function moveAround(page) {
  const box = await page.locator("#sketch").boundingBox();
  const deadline = Date.now() + DEADLINE_MS;
  for (let step = 0; (await numbers(page)).sent < EVENTS; step += 1) {
    if (Date.now() > deadline) throw new Error(`the page did not make ${EVENTS} events out of pointer moves`);
    const angle = step / 12;
    const reach = 0.42 * Math.cos(angle / 7);
    await page.mouse.move(
      box.x + box.width * (0.5 + reach * Math.cos(angle)),
      box.y + box.height * (0.5 + reach * Math.sin(angle)),
    );
  }
}

async function until(page, what, condition, argument) {
  try {
    await page.waitForFunction(condition, argument, { timeout: DEADLINE_MS });
  } catch (error) {
    throw new Error(`no ${what} within ${DEADLINE_MS / 1000} s`, { cause: error });
  }
}

function numbers(page) {
  return page.evaluate(() => {
    const { sent, acknowledged, transport, latencyMs } = globalThis.tidegateDemo;
    return { sent, acknowledged, transport, latencyMs };
  });
}
