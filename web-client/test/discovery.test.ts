import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { DiscoveryError } from "../src/errors/discovery-error.js";
import type { Browser } from "../src/link/browser.js";
import { dialer, routes } from "../src/link/dial.js";
import type { TransportName } from "../src/link/link.js";

const base = new URL("http://gateway.test/");

function routesOf(document: unknown, only?: readonly TransportName[], browser: Browser | null = null) {
  return routes(typeof document === "string" ? document : JSON.stringify(document), base, only, browser);
}

const document = {
  v: 1,
  transports: [
    { type: "quic", url: "quic://localhost:4433" },
    { type: "webtransport", url: "https://localhost:4433/v1/stream" },
    { type: "websocket", url: "ws://localhost:8080/v1/stream" },
    { type: "https", url: "http://localhost:8080/v1/events" },
  ],
  certificate_hashes: [
    { algorithm: "sha-512", value: "AA==" },
    { algorithm: "sha-256", value: "AQID" },
  ],
  limits: {},
  later: true,
};

test("transports keep their order, and relative URLs are the gateway's", () => {
  const relative = { type: "https", url: "/v1/other" };
  assert.deepEqual(
    having(BROWSER, () => routesOf({ ...document, transports: [...document.transports, relative] })).map(
      ({ transport, url }) => `${transport} ${url.href}`,
    ),
    [
      "webtransport https://localhost:4433/v1/stream",
      "websocket ws://localhost:8080/v1/stream",
      "https http://localhost:8080/v1/events",
      "https http://gateway.test/v1/other",
    ],
  );
});

test("hashes that browsers know are decoded and handed to them", async () => {
  const seen: unknown[] = [];
  class WebTransport {
    readonly closed = new Promise(() => {});
    readonly ready = Promise.reject(new Error("no"));
    constructor(_: string, options: unknown) {
      seen.push(options);
    }
    close(): void {}
  }
  Object.assign(globalThis, { WebTransport });
  try {
    const [route] = routesOf(document, ["webtransport"]);
    await assert.rejects(route?.open(route.url, signal) ?? assert.fail(), /no/);
  } finally {
    Reflect.deleteProperty(globalThis, "WebTransport");
  }
  const hashes = [{ algorithm: "sha-256", value: Uint8Array.of(1, 2, 3) }];
  assert.deepEqual(seen, [{ serverCertificateHashes: hashes }]);
});

for (const [what, wrong] of [
  [/JSON/, "<html>"],
  [/v is missing/, "[]"],
  [/version 2/, { ...document, v: 2 }],
  [/not a function/, { v: 1, transports: "all" }],
  [/URL/, { v: 1, transports: [{ type: "https", url: "http://[" }] }],
] as const) {
  test(`a wrong document is refused: ${JSON.stringify(wrong)}`, () => assert.throws(() => routesOf(wrong), what));
}

/** Runs `test` as where these exist and the other transports do not. */
function having<T>(names: readonly string[], test: () => T): T {
  const known = ["WebTransport", "WebSocket", "fetch"].map((name) => [name, Reflect.get(globalThis, name)] as const);
  try {
    for (const [name] of known) Reflect.deleteProperty(globalThis, name);
    for (const name of names) Reflect.set(globalThis, name, class {});
    return test();
  } finally {
    for (const [name, value] of known) {
      Reflect.deleteProperty(globalThis, name);
      if (value) Reflect.set(globalThis, name, value);
    }
  }
}

const BROWSER = ["WebTransport", "WebSocket", "fetch"];

function names(document: unknown, only?: readonly TransportName[], version?: string): string[] {
  const browser = version === undefined ? null : { name: "safari", version };
  return routesOf(document, only, browser).map(({ transport }) => transport);
}

test("only transports that exist here are routes", () => {
  assert.deepEqual(
    having(BROWSER, () => names(document)),
    ["webtransport", "websocket", "https"],
  );
  assert.deepEqual(
    having(["WebSocket", "fetch"], () => names(document)),
    ["websocket", "https"],
  );
  assert.deepEqual(
    having(["fetch"], () => names(document)),
    ["https"],
  );
  const [quic] = document.transports;
  assert.throws(() => names({ ...document, transports: [quic] }), /gateway offers quic, the application allows all/);
});

test("only transports that the application allows are routes", () => {
  assert.deepEqual(
    having(BROWSER, () => names(document, ["https", "webtransport"])),
    ["webtransport", "https"],
  );
  assert.throws(() => having(["fetch"], () => names(document, ["websocket"])), /the application allows websocket/);
});

test("a browser that the gateway excludes starts elsewhere, unless there is nowhere else", () => {
  const excluding = { ...document, exclude: [{ transport: "webtransport", browser: "safari", below: "26.4" }] };
  const of = (version: string, only?: TransportName[]) => having(BROWSER, () => names(excluding, only, version));
  assert.deepEqual(of("26.3.1"), ["websocket", "https"]);
  assert.deepEqual(of("26.4"), ["webtransport", "websocket", "https"]);
  assert.deepEqual(of("26.3.1", ["webtransport", "https"]), ["https"]);
  assert.deepEqual(of("26.3.1", ["webtransport"]), ["webtransport"]);
});

test("a document with more ways in than anybody needs does not make the client try them all", () => {
  const transports = Array.from({ length: 100 }, (_, port) => ({ type: "https", url: `https://h:${port + 1}/` }));
  assert.equal(names({ v: 1, transports }).length, 8);
});

/** A server that answers with what `answer` does. */
async function served(answer: RequestListener, test: (url: URL) => Promise<void>): Promise<void> {
  const server = createServer(answer);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  try {
    await test(new URL(`http://127.0.0.1:${port}/app/page`));
  } finally {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
}

const { signal } = new AbortController();

test("the document is asked for at its fixed path", async () => {
  const answer: RequestListener = (request, response) => {
    response.statusCode = request.url === "/.well-known/tidegate" ? 200 : 404;
    response.end(JSON.stringify(document));
  };
  await served(answer, async (url) => assert.equal((await dialer(url, ["https"])(signal)).length, 1));
});

for (const [what, status, body, advice] of [
  ["404", 404, "", /well-known\/tidegate: answered 404; is that the gateway's own address/],
  ["502", 502, "", /answered 502; .* is it up/],
  ["a redirect", 302, "", /answered 302/],
  ["a page", 200, "<html>", /JSON; is that the gateway/],
  ["bytes without end", 200, " ".repeat(70_000), /more than 65536 bytes/],
] as const) {
  test(`an endpoint that answers ${what} is refused with advice`, async () => {
    const answer: RequestListener = (_, response) => {
      response.writeHead(status, { location: "/elsewhere" });
      response.end(body);
    };
    await served(answer, (url) =>
      assert.rejects(
        dialer(url)(signal),
        (error: unknown) => error instanceof DiscoveryError && advice.test(error.message),
      ),
    );
  });
}

test("how long the gateway asks to wait is handed on", async () => {
  const answer: RequestListener = (_, response) => {
    response.writeHead(503, { "retry-after": "7" });
    response.end();
  };
  await served(answer, (url) => assert.rejects(dialer(url)(signal), { name: "DiscoveryError", retryMs: 7_000 }));
});

test("where the gateway cannot be asked any more, its last good document is used", async () => {
  let status = 503;
  const answer: RequestListener = (_, response) => {
    response.statusCode = status;
    response.end(JSON.stringify(document));
  };
  await served(answer, async (url) => {
    const dial = dialer(url, ["https"]);
    await assert.rejects(dial(signal), DiscoveryError);
    status = 200;
    assert.equal((await dial(signal)).length, 1);
    status = 503;
    assert.equal((await dial(signal))[0]?.url.href, "http://localhost:8080/v1/events");
  });
  await assert.rejects(dialer(new URL("http://127.0.0.1:1"))(signal), /fetch failed; is that/);
});
