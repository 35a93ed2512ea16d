// Drives one client in a page or a worker, and remembers what the client said.
import { connect } from "/dist/index.js";

const states = [];
const drops = [];
const refusals = [];
const waiting = new Set();
let client = null;
let startedAt = 0;
let acknowledgements = 0;
let firstAcknowledgedMs = null;

/** `{endpoint, options}` */
function start({ endpoint, options }) {
  startedAt = performance.now();
  client = connect(endpoint, options);
  remember(client.state);
  client.on("state", remember);
  client.on("acknowledged", ({ count }) => {
    firstAcknowledgedMs ??= performance.now() - startedAt;
    acknowledgements += count;
    look();
  });
  client.on("refused", ({ seq, code, message }) => refusals.push({ seq, code, message }));
  client.on("dropped", ({ reason, events }) => drops.push({ reason, count: events.length }));
}

/** `{tab, first, last, padding}`: resolves when all of them are in the outbox. */
async function send({ tab, first, last, padding }) {
  const sent = [];
  const pad = "x".repeat(padding);
  for (let n = first; n <= last; n += 1) sent.push(client.send({ type: "browser.test", data: { tab, n, pad } }));
  await Promise.all(sent);
}

/** The same, without waiting. Failures count as complaints of the page. */
function sendOn(what) {
  send(what);
}

/** The same, in the moment that the page is left, by a listener that is there after the client's. */
function sendAsItGoes(what) {
  addEventListener("pagehide", () => void send(what));
}

/** At most once each; says how many were handed over. */
function sendLossy({ tab, first, last }) {
  let handed = 0;
  for (let n = first; n <= last; n += 1) handed += Number(client.sendLossy({ type: "browser.test", data: { tab, n } }));
  return handed;
}

function authenticate({ token }) {
  client.authenticate(token);
}

async function flush() {
  await client.flush();
}

async function close() {
  await client.close();
}

/** Waits for a state that has the members of `wanted`, among those numbered from `from` on. */
async function reached({ wanted, from }) {
  const fits = (state) => Object.entries(wanted).every(([name, value]) => state[name] === value);
  await seen(() => states.slice(from).some(fits));
  return states.slice(from).find(fits);
}

async function acknowledged({ count }) {
  await seen(() => acknowledgements >= count);
}

function story() {
  return {
    states,
    drops,
    refusals,
    acknowledgements,
    firstAcknowledgedMs,
    unsettled: client?.state.unsettled ?? null,
    persistent: client?.state.persistent ?? null,
  };
}

/** All that can be asked for. */
export const driver = {
  start,
  send,
  sendOn,
  sendAsItGoes,
  sendLossy,
  authenticate,
  flush,
  close,
  reached,
  acknowledged,
  story,
};

function remember({ status, transport, reason, error, client: name }) {
  states.push({
    atMs: performance.now() - startedAt,
    status,
    transport,
    reason,
    error: error ? String(error) : null,
    name,
  });
  look();
}

function seen(holds) {
  return new Promise((resolve) => {
    waiting.add({ holds, resolve });
    look();
  });
}

function look() {
  for (const wait of waiting) {
    if (!wait.holds()) continue;
    waiting.delete(wait);
    wait.resolve();
  }
}
