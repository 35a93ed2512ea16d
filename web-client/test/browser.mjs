// Drives the demo page of a running gateway in Chromium, over WebTransport and then over WebSocket. Not part of `npm test`.
//
//   TIDEGATE_URL          the gateway's plain listener, with the demo page turned on (required)
//   TIDEGATE_SCREENSHOTS  a directory for pictures of the page, light.png and dark.png (optional)
//   CHROMIUM              the browser; default /usr/bin/chromium
//
// Status 0: each transport got every event acknowledged, and where the log is the destination the page saw it arrive. 1: it did not, and the output says what the page saw.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const EVENTS = 50;
/** For each thing that is waited for; long enough for a machine that does other things too. */
const DEADLINE_MS = 60_000;
/** Pages to open until one is on the wanted transport: the client takes the next one where the first is not open in 3 s. */
const PAGES_MAX = 3;

const url = process.env.TIDEGATE_URL;
const screenshots = process.env.TIDEGATE_SCREENSHOTS;
if (!url) {
  console.error("TIDEGATE_URL is not set: give the plain listener of a running gateway, such as http://localhost:8080");
  process.exit(1);
}

const profile = await mkdtemp(join(tmpdir(), "tidegate-browser-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  chromiumSandbox: false,
  timeout: DEADLINE_MS,
  args: ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
context.setDefaultTimeout(DEADLINE_MS);
try {
  // WebTransport must be what the page chooses by itself; the WebSocket has to be asked for.
  await drive("webtransport", url);
  await drive("websocket", new URL("?transport=websocket", url).href);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}

/** Moves the pointer until the page has sent enough, then waits until all of that is acknowledged. */
async function drive(transport, address) {
  const { page, complaints } = await openOver(transport, address);
  try {
    await moveAround(page);
    await until(
      page,
      `${EVENTS} events sent, all acknowledged, and the page saying so`,
      (wanted) => {
        const { sent, acknowledged } = globalThis.tidegateDemo;
        const shown = document.querySelector("#acknowledged")?.textContent;
        return sent >= wanted && acknowledged === sent && shown === acknowledged.toLocaleString();
      },
      EVENTS,
    );
    // With Kafka behind the gateway nothing is read back.
    if (await page.locator('#there-state[data-open="true"]').count()) {
      await until(page, "arrival of every event", () => {
        const { sent, arrived } = globalThis.tidegateDemo;
        return arrived === sent && document.querySelector("#arrived")?.textContent === arrived.toLocaleString();
      });
    }
    if (screenshots && transport === "webtransport") await photograph(page);
    if (complaints.length > 0) throw new Error("the page complained");
    const { sent, acknowledged, transport: used, latencyMs } = await numbers(page);
    if (used !== transport) throw new Error(`the page went on over ${used}`);
    console.log(`${used}: sent ${sent}, acknowledged ${acknowledged}, last latency ${latencyMs.toFixed(1)} ms`);
  } catch (error) {
    throw new Error(`${transport}: ${error.message}\n  ${await seen(page, complaints)}`);
  } finally {
    await page.close();
  }
}

/** A page that has a session open over `transport`, and a growing list of what it complains about. */
async function openOver(transport, address) {
  for (let count = 1; ; count += 1) {
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(`page error: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(`console: ${message.text()}`);
    });
    try {
      await page.goto(address);
      await until(page, "open session", () => (globalThis.tidegateDemo?.transport ?? null) !== null);
      const { transport: used } = await numbers(page);
      if (used === transport) return { page, complaints };
      throw new Error(`the page chose ${used}`);
    } catch (error) {
      const story = `${transport}: ${error.message}\n  ${await seen(page, complaints)}`;
      await page.close();
      if (count === PAGES_MAX) throw new Error(story);
      console.error(`${story}\n  opening another page`);
    }
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

async function photograph(page) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(screenshots, `${colorScheme}.png`) });
  }
}

/** What the page says of itself, for the reader of a failure. */
async function seen(page, complaints) {
  const status = await page.evaluate(() => document.querySelector("#status")?.textContent).catch(() => "no page");
  const figures = JSON.stringify(await numbers(page).catch(() => null));
  return [`page says "${status}"`, figures, ...complaints].join("\n  ");
}

async function until(page, what, condition, argument) {
  try {
    await page.waitForFunction(condition, argument);
  } catch (error) {
    throw new Error(`no ${what} within ${DEADLINE_MS / 1000} s`, { cause: error });
  }
}

function numbers(page) {
  return page.evaluate(() => {
    const { sent, acknowledged, arrived, transport, latencyMs } = globalThis.tidegateDemo;
    return { sent, acknowledged, arrived, transport, latencyMs };
  });
}
