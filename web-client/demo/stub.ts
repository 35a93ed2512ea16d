// Stands in for the client until it is there: the old session under the new API.
import { type TransportName as Old, Session, type Settlement } from "../src/index.js";

export type TransportName = "webtransport" | "websocket" | "https";
export interface CloudEvent {
  readonly type: string;
  readonly id?: string;
  readonly data?: unknown;
  readonly [attribute: string]: unknown;
}
export interface State {
  readonly status: "connecting" | "open" | "waiting" | "offline" | "stopped" | "closed";
  readonly transport: TransportName | null;
  readonly reason: string;
  readonly error: Error | null;
  readonly unsettled: { readonly events: number; readonly bytes: number };
  readonly persistent: boolean;
  readonly client: string | null;
}
export interface ClientEvents {
  state: State;
  acknowledged: {
    client: string;
    first: number;
    last: number;
    count: number;
    level: "stored" | "committed";
    latencyMs: number;
  };
  refused: { client: string; seq: number; code: string; message: string; event: CloudEvent };
  dropped: { reason: "overflow" | "expired" | "too_large" | "lossy"; events: readonly CloudEvent[] };
}
export interface Client {
  send(event: CloudEvent, options?: { signal?: AbortSignal }): Promise<void>;
  readonly state: State;
  on<K extends keyof ClientEvents>(name: K, listener: (event: ClientEvents[K]) => void): () => void;
}
export interface Options {
  transports?: readonly TransportName[];
  outbox?: { maxBytes?: number; storage?: "auto" | "memory" };
}

export function connect(url: URL, options: Options = {}): Client {
  const listeners: { [K in keyof ClientEvents]: Set<(event: ClientEvents[K]) => void> } = {
    state: new Set(),
    acknowledged: new Set(),
    refused: new Set(),
    dropped: new Set(),
  };
  let bytes = 0;
  const transport = options.transports?.[0] as Old | undefined;
  const session: Session = new Session({ endpoint: url, ...(transport && { transport }), onState: () => emit() });
  const state = (): State => ({
    ...session.state,
    error: session.state.message === null ? null : new Error(session.state.message),
    unsettled: { events: session.unsettled, bytes },
    persistent: false,
    client: session.client,
  });
  const emit = () => {
    for (const listener of listeners.state) listener(state());
  };
  return {
    get state() {
      return state();
    },
    on(name, listener) {
      listeners[name].add(listener);
      return () => listeners[name].delete(listener);
    },
    async send(event) {
      const size = JSON.stringify(event).length;
      const at = performance.now();
      while (bytes > (options.outbox?.maxBytes ?? 5 << 20) / 2) await new Promise((resolve) => setTimeout(resolve, 10));
      const { settled, seq } = session.send(event as never);
      bytes += size;
      void settled.then((settlement: Settlement) => {
        bytes -= size;
        const client = session.client;
        if (settlement.outcome === "refused") {
          const { code, message } = settlement;
          for (const listener of listeners.refused) listener({ client, seq, code, message, event });
        } else if (settlement.outcome === "acknowledged") {
          const latencyMs = performance.now() - at;
          const told = { client, first: seq, last: seq, count: 1, level: settlement.level, latencyMs };
          for (const listener of listeners.acknowledged) listener(told);
        }
      });
    },
  };
}
