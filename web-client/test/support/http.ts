import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Inbox } from "./inbox.js";

/** A request as it came, waiting for the test to answer it. */
export interface HeardRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Answers with a JSON document, or with text as it is. */
  answer(status: number, document: unknown, headers?: Readonly<Record<string, string>>): void;
  /** Cuts the connection instead. */
  cut(): void;
}

/** An HTTP server whose answers are the test's, one request after the other. */
export class HttpEnd {
  readonly url: URL;
  readonly #server: Server;
  readonly #requests: Inbox<HeardRequest>;

  private constructor(server: Server, requests: Inbox<HeardRequest>) {
    this.#server = server;
    this.#requests = requests;
    this.url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/events`);
  }

  static async listen(): Promise<HttpEnd> {
    const requests = new Inbox<HeardRequest>();
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      requests.push({
        method: request.method ?? "",
        path: request.url ?? "",
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
        answer: (status, document, headers = {}) => {
          response.writeHead(status, headers);
          response.end(typeof document === "string" ? document : JSON.stringify(document));
        },
        cut: () => request.socket.destroy(),
      });
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    return new HttpEnd(server, requests);
  }

  /** The next request, waited for. */
  async heard(): Promise<HeardRequest> {
    const { value, done } = await this.#requests.next();
    if (done) throw new Error("the server is closed");
    return value;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}

/** A refusal as the gateway writes it. */
export function problem(status: number, reason: string): Readonly<Record<string, unknown>> {
  return { type: "about:blank", title: "x", status, detail: `refused: ${reason}`, reason };
}
