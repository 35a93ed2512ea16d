import assert from "node:assert/strict";
import { test } from "node:test";
import { RefusedError } from "../src/index.js";
import type { Route, TransportName } from "../src/link/link.js";
import { isForeign } from "../src/link/origin.js";
import { Bench, connected } from "./support/bench.js";
import { GatewayEnd } from "./support/gateway.js";
import { HttpEnd, problem } from "./support/http.js";

function route(transport: TransportName, url: URL | string): Route {
  return { transport, url: new URL(url), open: () => Promise.reject(new Error("not to be opened")) };
}

const { signal } = new AbortController();

test("a page of a foreign origin stops, and says which origin is not allowed and where to allow it", async () => {
  Object.assign(globalThis, { origin: "https://app.example.com" });
  const offers = ["webtransport", "websocket"] as const;
  const bench = new Bench([], { token: "secret" }, { offers, isForeign: async () => true });
  await bench.send(1);
  Reflect.deleteProperty(globalThis, "origin");
  assert.equal(bench.status, "stopped");
  const { error } = bench.client.state;
  assert(error instanceof RefusedError);
  assert.equal(error.code, 4011);
  assert.match(error.message, /https:\/\/app\.example\.com/);
  assert.match(error.message, /\[origins\] allow/);
  await bench.clock.advance(600_000);
  assert.deepEqual([bench.tried, bench.askedOrigin], [["webtransport", "websocket"], ["secret"]]);
  assert.equal(bench.client.state.unsettled.events, 1);
  // It is allowed now.
  const link = new GatewayEnd();
  bench.links.push(link);
  bench.client.authenticate("secret");
  await link.welcome();
  assert.deepEqual(await link.heardEvents(), [1]);
  await bench.end();
});

test("a page that is let in nowhere asks about its origin until it is told, and goes on trying", async () => {
  let told = false;
  const isForeign = async () => {
    if (!told) throw new Error("out of reach");
    return false;
  };
  const bench = new Bench([], {}, { isForeign });
  await bench.clock.advance(60_000);
  assert.equal(bench.status, "waiting");
  assert.match(bench.message, /webtransport is blocked/);
  assert(bench.askedOrigin.length > 1);
  assert.equal(bench.askedOrigin.length, bench.tried.length);
  told = true;
  await bench.clock.advance(60_000);
  const asked = bench.askedOrigin.length;
  await bench.clock.advance(600_000);
  assert.equal(bench.askedOrigin.length, asked);
  assert.equal(bench.status, "waiting");
  await bench.end();
});

test("a page that was let in once does not ask about its origin", async () => {
  const [bench, link] = await connected(1, {}, { isForeign: async () => true });
  link.break();
  await bench.clock.advance(60_000);
  assert.deepEqual([bench.status, bench.askedOrigin], ["waiting", []]);
  await bench.end();
});

test("the gateway is asked by a request without preflight, where the token is in the address", async () => {
  const end = await HttpEnd.listen();
  const asked = isForeign([route("websocket", "ws://127.0.0.1:9/v1/stream"), route("https", end.url)], "a b", signal);
  const { method, path, headers, body, answer } = await end.heard();
  assert.deepEqual([method, path, body], ["POST", "/v1/events?token=a+b", ""]);
  assert.match(headers["content-type"] ?? "", /^text\/plain/);
  const simple = [
    "accept",
    "accept-language",
    "content-language",
    "content-type",
    "content-length",
    "host",
    "connection",
  ];
  const browsers = ["user-agent", "accept-encoding", "pragma", "cache-control", "sec-fetch-mode"];
  assert.deepEqual(
    Object.keys(headers).filter((name) => ![...simple, ...browsers].includes(name)),
    [],
  );
  answer(403, problem(403, "origin"));
  assert.equal(await asked, true);
  await end.close();
});

test("without HTTPS it is asked beside the way that there is", async () => {
  const end = await HttpEnd.listen();
  const socket = new URL("stream", end.url.href.replace("http", "ws"));
  const asked = isForeign([route("websocket", socket)], undefined, signal);
  const { path, answer } = await end.heard();
  assert.equal(path, "/v1/events");
  answer(403, problem(403, "forbidden"));
  assert.equal(await asked, false);
  await end.close();
});

for (const [status, answer, what] of [
  [200, { accepted: 0, reason: "origin" }, "an answer that takes it"],
  [403, "", "a proxy's refusal"],
  [403, "null", "a refusal of nothing"],
] as const) {
  test(`${what} is no word about origins`, async () => {
    const end = await HttpEnd.listen();
    const asked = isForeign([route("https", end.url)], undefined, signal);
    (await end.heard()).answer(status, answer);
    assert.equal(await asked, false);
    await end.close();
  });
}
