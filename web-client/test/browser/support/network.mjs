// The network between browsers and a gateway: the one place where it is broken.
import { Front } from "./front.mjs";
import { TcpProxy } from "./tcp-proxy.mjs";
import { UdpProxy } from "./udp-proxy.mjs";

/** A way to a gateway, whose ports may change. */
export class Network {
  #front;
  /** HTTP and WebSocket. */
  tcp;
  /** WebTransport. */
  udp;

  static async start(gateway) {
    const network = new Network();
    const addresses = () => ({ tcp: network.tcp.port, udp: network.udp.port });
    network.#front = await Front.start(() => gateway.ports.plain, addresses);
    network.tcp = await TcpProxy.start(() => network.#front.port);
    network.udp = await UdpProxy.start(() => gateway.ports.secure);
    return network;
  }

  /** What clients are given as the gateway's URL. */
  get endpoint() {
    return `http://localhost:${this.tcp.port}`;
  }

  /** What was asked for, such as `POST /v1/events` or `UPGRADE /v1/stream`. */
  get requests() {
    return this.#front.requests;
  }

  /** `refuse`: handshakes are answered with 403. `hang`: they are not answered. */
  blockWebSocket(how) {
    this.#front.webSocket = how;
  }

  /** No connection works, nor comes to be. */
  cut() {
    this.tcp.cut();
    this.udp.drop();
  }

  /** All works again. */
  pass() {
    this.#front.webSocket = "pass";
    this.tcp.pass();
    this.udp.pass();
  }

  async stop() {
    await Promise.all([this.tcp.stop(), this.udp.stop()]);
    await this.#front.stop();
  }
}
