import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { DiscoveryError, discover, parseDiscovery, routes, type TransportName } from "../src/index.js";

const base = new URL("http://gateway.test/");

function parsed(document: unknown): ReturnType<typeof parseDiscovery> {
  return parseDiscovery(typeof document === "string" ? document : JSON.stringify(document), base);
}

const document = {
  v: 1,
  transports: [
    { type: "quic", url: "quic://localhost:4433" },
    { type: "webtransport", url: "https://localhost:4433/v1/stream" },
    { type: "websocket", url: "ws://localhost:8080/v1/stream" },
  ],
  certificate_hashes: [
    { algorithm: "sha-512", value: "AA==" },
    { algorithm: "sha-256", value: "AQID" },
  ],
  limits: {},
  later: true,
};

test("transports keep their order, hashes that browsers know are decoded", () => {
  const { transports, certificateHashes } = parsed(document);
  assert.deepEqual(
    transports.map(({ type, url }) => `${type} ${url.href}`),
    [
      "quic quic://localhost:4433",
      "webtransport https://localhost:4433/v1/stream",
      "websocket ws://localhost:8080/v1/stream",
    ],
  );
  assert.deepEqual(certificateHashes, [{ algorithm: "sha-256", value: Uint8Array.of(1, 2, 3) }]);
});

test("without certificate hashes the ordinary check holds", () => {
  assert.deepEqual(parsed({ v: 1, transports: [] }).certificateHashes, []);
});

for (const [what, wrong] of [
  ["is not JSON", "<html>"],
  ["is not a JSON object", "[]"],
  ["of version 2", { ...document, v: 2 }],
  ["expected a list", { v: 1, transports: "all" }],
  ["expected a string", { v: 1, transports: [{ type: "websocket" }] }],
  ["not a URL", { v: 1, transports: [{ type: "websocket", url: "http://[" }] }],
  ["not base64", { v: 1, transports: [], certificate_hashes: [{ algorithm: "sha-256", value: "?" }] }],
] as const) {
  test(`a wrong document is refused: ${what}`, () => {
    assert.throws(
      () => parsed(wrong),
      (error: unknown) => error instanceof DiscoveryError && error.message.includes(what),
    );
  });
}

test("only transports that the browser has are routes, and one can be forced", () => {
  const discovery = parsed(document);
  const names = (...only: TransportName[]) =>
    routes(discovery, only.length > 0 ? only : undefined).map(({ transport }) => transport);
  assert.deepEqual(names(), ["websocket"]);
  assert.throws(() => names("webtransport"), DiscoveryError);
  Object.assign(globalThis, { WebTransport: class {} });
  try {
    assert.deepEqual(names(), ["webtransport", "websocket"]);
    assert.deepEqual(names("websocket"), ["websocket"]);
  } finally {
    Reflect.deleteProperty(globalThis, "WebTransport");
  }
});

test("a browser that the gateway excludes starts elsewhere, unless it is forced", () => {
  const exclude = [{ transport: "webtransport", browser: "safari", below: "26.4" }];
  const discovery = parsed({ ...document, exclude });
  const names = (version: string, ...only: TransportName[]) =>
    routes(discovery, only.length > 0 ? only : undefined, { name: "safari", version }).map(
      ({ transport }) => transport,
    );
  Object.assign(globalThis, { WebTransport: class {} });
  try {
    assert.deepEqual(names("26.3.1"), ["websocket"]);
    assert.deepEqual(names("26.4"), ["webtransport", "websocket"]);
    assert.deepEqual(names("26.3.1", "webtransport"), ["webtransport"]);
  } finally {
    Reflect.deleteProperty(globalThis, "WebTransport");
  }
});

test("the document is asked for at its fixed path, and a refusal is an error that names it", async () => {
  const server = createServer((request, response) => {
    response.statusCode =
      request.url === "/.well-known/tidegate" && request.headers.host?.startsWith("127") ? 200 : 503;
    response.end(JSON.stringify(document));
  });
  await new Promise<void>((listening) => server.listen(0, listening));
  const { port } = server.address() as AddressInfo;
  const { signal } = new AbortController();
  try {
    assert.equal((await discover(new URL(`http://127.0.0.1:${port}/app/page`), signal)).transports.length, 3);
    await assert.rejects(discover(new URL(`http://localhost:${port}`), signal), /well-known\/tidegate answered 503/);
  } finally {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
  await assert.rejects(discover(new URL(`http://127.0.0.1:${port}`), signal), DiscoveryError);
});
