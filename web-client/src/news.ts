import type { ClientEvents } from "./client.js";
import type { Emitter } from "./emitter.js";
import type { DropReason, Settlement } from "./outbox/outbox.js";
import type { StoredEvent } from "./outbox/store.js";
import type { Reporter } from "./report.js";

/** Tells an application what became of events, and the gateway's `reporter` how long it took. */
export function tellSettled(
  emit: Emitter<ClientEvents>["emit"],
  reporter: Reporter | null,
  client: string,
  settlements: readonly Settlement[],
): void {
  let run: { -readonly [K in keyof ClientEvents["acknowledged"]]: ClientEvents["acknowledged"][K] } | undefined;
  const tell = (told: typeof run) => told && emit("acknowledged", () => told);
  for (const { event, latencyMs, level, refusal } of settlements) {
    const { seq, payload } = event;
    if (refusal) {
      tell(run);
      run = undefined;
      const { code, message } = refusal;
      emit("refused", () => ({ client, seq, code, message, event: JSON.parse(payload) }));
    } else {
      reporter?.acknowledged(latencyMs);
      run ??= { client, first: seq, last: seq, count: 0, level, latencyMs };
      run.last = seq;
      run.count += 1;
      run.latencyMs = latencyMs;
    }
  }
  tell(run);
}

/** The same of those that were given up. */
export function tellDropped(
  emit: Emitter<ClientEvents>["emit"],
  reporter: Reporter,
  reason: DropReason,
  events: readonly StoredEvent[],
): void {
  // Of what ends with the client the gateway is not told any more.
  if (reason !== "closed") reporter.count(reason, events.length);
  emit("dropped", () => ({ reason, events: events.map(({ payload }) => JSON.parse(payload)) }));
}
