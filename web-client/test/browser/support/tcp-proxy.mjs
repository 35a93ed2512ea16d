// A TCP proxy that can be broken: every byte of a connection passes through a gate.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { pipeline, Transform } from "node:stream";
import { onLoopback } from "./loopback.mjs";

/** Passes connections on to a port of 127.0.0.1. */
export class TcpProxy {
  #target;
  #servers = [];
  #pairs = new Set();
  #isCut = false;
  #freezesNew = false;
  #delayMs = 0;
  port = 0;

  /** `target()` says the port that a new connection goes to. */
  static async start(target) {
    const proxy = new TcpProxy();
    proxy.#target = target;
    const { port, opened } = await onLoopback((host, port) => proxy.#listen(host, port), closed);
    proxy.port = port;
    proxy.#servers = opened;
    return proxy;
  }

  /** How many connections are open. */
  get connections() {
    return this.#pairs.size;
  }

  /** Ends every connection without a word, and refuses new ones. */
  cut() {
    this.#isCut = true;
    for (const pair of this.#pairs) pair.destroy();
  }

  /** Nothing moves any more on the connections there are; with `newToo` on none. They stay open. */
  freeze({ newToo }) {
    this.#freezesNew = newToo;
    for (const pair of this.#pairs) pair.freeze();
  }

  /** Every chunk of bytes waits so long, in each direction. */
  delay(ms) {
    this.#delayMs = ms;
  }

  /** Works again; what was frozen goes on. */
  pass() {
    this.#isCut = false;
    this.#freezesNew = false;
    this.#delayMs = 0;
    for (const pair of this.#pairs) pair.thaw();
  }

  async stop() {
    this.cut();
    await Promise.all(this.#servers.map(closed));
  }

  async #listen(host, port) {
    const server = createServer((front) => this.#connected(front));
    server.listen(port, host);
    await once(server, "listening");
    return server;
  }

  #connected(front) {
    if (this.#isCut) {
      front.resetAndDestroy();
      return;
    }
    const pair = new Pair(front, connect(this.#target(), "127.0.0.1"), () => this.#delayMs);
    this.#pairs.add(pair);
    pair.onClose = () => this.#pairs.delete(pair);
    if (this.#freezesNew) pair.freeze();
  }
}

/** A connection and its other half. */
class Pair {
  #front;
  #back;
  #thawed = null;
  #thaw = () => {};
  onClose = () => {};

  constructor(front, back, delayMs) {
    this.#front = front;
    this.#back = back;
    front.setNoDelay();
    back.setNoDelay();
    const gate = () =>
      new Transform({
        transform: async (chunk, _, done) => {
          if (delayMs() > 0) await new Promise((resolve) => setTimeout(resolve, delayMs()));
          await this.#thawed;
          done(null, chunk);
        },
      });
    // What breaks one half breaks the other; why is no matter here.
    pipeline(front, gate(), back, () => this.#ended());
    pipeline(back, gate(), front, () => this.#ended());
  }

  freeze() {
    this.#thawed ??= new Promise((resolve) => {
      this.#thaw = resolve;
    });
  }

  thaw() {
    this.#thaw();
    this.#thawed = null;
  }

  destroy() {
    this.#front.resetAndDestroy();
    this.#back.destroy();
    this.thaw();
  }

  #ended() {
    if (this.#front.destroyed && this.#back.destroyed) this.onClose();
  }
}

function closed(server) {
  return new Promise((resolve) => server.close(resolve));
}
