// The application's own web server: the pages of test/browser/pages and the built client. Its origin is not the gateway's, as with most
// applications.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { onLoopback } from "./loopback.mjs";

const PAGES = new URL("../pages/", import.meta.url);
const DIST = new URL("../../../dist/", import.meta.url);
const EXAMPLES = new URL("../../../examples/", import.meta.url);
/** Where the examples look for the client, which is served at `/dist/`. */
const VENDOR = /^\/vendor\/(tidegate\/)?/;
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8" };

/** With `?example=ENDPOINT` pages are those of examples/, and send there. Serves on a free port of localhost; resolves with its origin and how to stop it. Paths in `broken` are answered with 503. */
export async function serveSite() {
  const broken = new Set();
  const { port, opened } = await onLoopback((host, port) => listen(host, port, broken), closed);
  return { origin: `http://localhost:${port}`, broken, stop: () => Promise.all(opened.map(closed)) };
}

async function listen(host, port, broken) {
  const server = createServer((request, answer) => {
    if (broken.has(request.url.split("?")[0])) answer.writeHead(503).end();
    else send(request, answer).catch(() => answer.writeHead(404).end());
  });
  server.listen(port, host);
  await once(server, "listening");
  return server;
}

async function send(request, answer) {
  const { pathname: asked, searchParams } = new URL(request.url, "http://localhost");
  const pathname = asked.replace(VENDOR, "/dist/");
  if (pathname === "/favicon.ico") {
    answer.writeHead(204).end();
    return;
  }
  const endpoint = searchParams.get("example");
  const file = pathname.startsWith("/dist/")
    ? new URL(`.${pathname.slice(5)}`, DIST)
    : new URL(`.${pathname}`, endpoint ? EXAMPLES : PAGES);
  let body = await readFile(file);
  if (endpoint) body = body.toString().replace("https://ingest.example.com", endpoint);
  // Not `no-store`: that would keep pages out of the back/forward cache.
  answer.writeHead(200, { "content-type": TYPES[extname(pathname)] ?? "application/octet-stream" });
  answer.end(body);
}

function closed(server) {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
}
