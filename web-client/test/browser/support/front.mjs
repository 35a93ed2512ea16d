// The HTTP part of the broken network: it stands before the gateway's plain listener, tells its discovery document with
// the network's own addresses in it, and can refuse WebSocket handshakes.
import { once } from "node:events";
import { createServer, request } from "node:http";
import { connect } from "node:net";

const DISCOVERY = "/.well-known/tidegate";

/** `plain()`: the gateway's port. `addresses()`: the ports that clients are told. */
export class Front {
  #server;
  #plain;
  #addresses;
  #upgraded = new Set();
  /** What becomes of WebSocket handshakes: `refuse` answers 403 and `hang` nothing, as proxies of companies do. */
  webSocket = "pass";
  /** Method and path of every request and handshake, as they came. */
  requests = [];

  static async start(plain, addresses) {
    const front = new Front();
    front.#plain = plain;
    front.#addresses = addresses;
    front.#server = createServer({ keepAlive: false }, (incoming, answer) => front.#answer(incoming, answer));
    front.#server.on("upgrade", (incoming, socket, head) => front.#upgrade(incoming, socket, head));
    front.#server.listen(0, "127.0.0.1");
    await once(front.#server, "listening");
    return front;
  }

  get port() {
    return this.#server.address().port;
  }

  async stop() {
    for (const socket of this.#upgraded) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(incoming, answer) {
    this.requests.push(`${incoming.method} ${incoming.url}`);
    const { method, url: path, headers } = incoming;
    const forward = request({ host: "127.0.0.1", port: this.#plain(), method, path, headers, agent: false });
    forward.on("response", async (reply) => {
      const { "content-length": length, ...headers } = reply.headers;
      // No connection is left over for later: what gets frozen is what is in use then.
      headers.connection = "close";
      if (path === DISCOVERY) {
        const document = await text(reply).catch(() => null);
        if (document === null) answer.destroy();
        else answer.writeHead(reply.statusCode, headers).end(this.#rewritten(document));
        return;
      }
      answer.writeHead(reply.statusCode, length === undefined ? headers : { ...headers, "content-length": length });
      reply.on("error", () => answer.destroy());
      reply.pipe(answer);
    });
    forward.on("error", () => answer.destroy());
    answer.on("close", () => forward.destroy());
    incoming.pipe(forward);
  }

  #rewritten(body) {
    const { tcp, udp } = this.#addresses();
    const document = JSON.parse(body);
    for (const transport of document.transports) {
      const url = new URL(transport.url);
      const port = ["webtransport", "quic"].includes(transport.type) ? udp : tcp;
      transport.url = transport.url.replace(url.host, `localhost:${port}`);
    }
    return JSON.stringify(document);
  }

  #upgrade(incoming, socket, head) {
    this.requests.push(`UPGRADE ${incoming.url}`);
    socket.on("error", () => {});
    if (this.webSocket !== "pass") {
      this.#upgraded.add(socket);
      socket.on("close", () => this.#upgraded.delete(socket));
      if (this.webSocket === "refuse") {
        socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      }
      return;
    }
    const back = connect(this.#plain(), "127.0.0.1");
    this.#upgraded.add(back);
    back.on("close", () => this.#upgraded.delete(back));
    back.on("error", () => socket.destroy());
    socket.on("close", () => back.destroy());
    back.on("close", () => socket.destroy());
    const { rawHeaders } = incoming;
    const lines = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1]}`] : []));
    back.write(`GET ${incoming.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    back.write(head);
    back.setNoDelay();
    socket.setNoDelay();
    socket.pipe(back).pipe(socket);
  }
}

async function text(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
