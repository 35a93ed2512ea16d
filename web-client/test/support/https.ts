import assert from "node:assert/strict";
import { afterEach, beforeEach } from "node:test";
import { Backoff } from "../../src/backoff.js";
import { https } from "../../src/link/https.js";
import type { Limits } from "../../src/link/limits.js";
import type { Link } from "../../src/link/link.js";
import { ask } from "../../src/link/request.js";
import type { Ack, ClientFrame, GatewayFrame } from "../../src/wire/frames.js";
import { recordOf } from "../../src/wire/record.js";
import { FakeClock } from "./clock.js";
import { type HeardRequest, HttpEnd } from "./http.js";
import type { Inbox } from "./inbox.js";
import { received } from "./received.js";

// Each test has a gateway, a clock and a link of its own.

export let gateway: HttpEnd;
export let clock: FakeClock;
export let link: Link;
/** What comes on the link. */
export let frames: Inbox<GatewayFrame>;

export const limits: Limits = {
  max_event_bytes: 100_000,
  max_frame_bytes: 500_000,
  max_batch_events: 1_000,
  max_body_bytes: 400_000,
};

beforeEach(async () => {
  gateway = await HttpEnd.listen();
  clock = new FakeClock();
  open({});
});

afterEach(async () => {
  link.close();
  // No timer outlives the link.
  await settledWith(() => clock.pending === 0);
  await gateway.close();
});

/** Another link, to a gateway of other limits. */
export function open(changed: Partial<Limits>): void {
  link = https(gateway.url, { ...limits, ...changed }, { ask, clock, backoff: new Backoff(() => 0.5) });
  frames = received(link);
}

/** The next frame, waited for. */
export async function next(): Promise<GatewayFrame> {
  const { value, done } = await frames.next();
  assert(!done, "the link has ended");
  return value;
}

/** The next frame, which must be an ACK. */
export async function acked(): Promise<Ack> {
  const frame = await next();
  assert(frame.type === "ack", frame.type);
  return frame.body;
}

/** Sends without waiting; how it ends shows elsewhere. */
export function sendOff(frame: ClientFrame): void {
  link.send(frame).catch(() => {});
}

export const hello: ClientFrame = {
  type: "hello",
  body: { v: 1, client: "web-a-0", epoch: 7, next: 5, token: "web.S" },
};

/** HELLO and WELCOME: number 5 is next. */
export async function welcomed(): Promise<void> {
  sendOff(hello);
  (await gateway.heard()).answer(200, standing(4));
  assert.equal((await next()).type, "welcome");
}

export function events(first_seq: number, ...payloads: string[]): ClientFrame {
  return { type: "events", body: { first_seq, records: payloads.map(recordOf) } };
}

/** What the gateway answers once everything up to `upto` is settled. */
export function standing(upto: number, more: object = {}): object {
  return { accepted: 0, rejected: [], level: "committed", upto, limit: upto + 1_024, limit_bytes: 400_000, ...more };
}

/** The headers that name the numbering. */
export function numbering({ headers }: HeardRequest): unknown[] {
  return [headers["tidegate-client"], headers["tidegate-epoch"], headers["tidegate-seq"]];
}

/** Waits for what the network brings about; a test that waits in vain is ended by the runner. */
export async function settledWith(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
