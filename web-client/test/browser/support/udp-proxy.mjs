// A UDP proxy that can be broken. Each client's address has a socket of its own towards the target, so replies find back.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { onLoopback } from "./loopback.mjs";

/** Bursts of QUIC wait here while the event loop is busy. */
const BUFFER_BYTES = 4 * 1024 * 1024;

/** Passes datagrams on to a port of 127.0.0.1. */
export class UdpProxy {
  #target;
  #fronts = [];
  #backs = new Map();
  #drops = false;
  #dropped = 0;
  port = 0;

  /** `target()` says the port that a datagram goes to. */
  static async start(target) {
    const proxy = new UdpProxy();
    proxy.#target = target;
    const { port, opened } = await onLoopback((host, port) => proxy.#listen(host, port), closed);
    proxy.port = port;
    proxy.#fronts = opened;
    return proxy;
  }

  /** Datagrams that were dropped since the start. */
  get dropped() {
    return this.#dropped;
  }

  /** Nothing comes through, in either direction, and nobody is told. */
  drop() {
    this.#drops = true;
  }

  pass() {
    this.#drops = false;
  }

  /** From here on the target sees every client at another address, as when a NAT forgets, or a phone changes networks. */
  rebind() {
    const backs = [...this.#backs.values()];
    this.#backs.clear();
    return Promise.all(backs.map(closed));
  }

  async stop() {
    this.drop();
    await Promise.all([...this.#fronts, ...this.#backs.values()].map(closed));
  }

  async #listen(host, port) {
    const front = createSocket(host === "::1" ? "udp6" : "udp4");
    front.on("message", (message, from) => this.#forth(front, message, from));
    front.bind(port, host);
    await once(front, "listening");
    enlarge(front);
    // Such as a datagram that cannot be delivered: it counts as lost.
    front.on("error", () => {});
    return front;
  }

  #forth(front, message, from) {
    if (this.#isDropped()) return;
    const key = `${from.address} ${from.port}`;
    let back = this.#backs.get(key);
    if (!back) {
      back = createSocket("udp4");
      back.on("error", () => {});
      back.on("message", (reply) => {
        if (!this.#isDropped()) front.send(reply, from.port, from.address, () => {});
      });
      back.bind(0, "127.0.0.1", () => enlarge(back));
      this.#backs.set(key, back);
    }
    back.send(message, this.#target(), "127.0.0.1", () => {});
  }

  #isDropped() {
    if (this.#drops) this.#dropped += 1;
    return this.#drops;
  }
}

function enlarge(socket) {
  socket.setRecvBufferSize(BUFFER_BYTES);
  socket.setSendBufferSize(BUFFER_BYTES);
}

function closed(socket) {
  return new Promise((resolve) => socket.close(resolve));
}
