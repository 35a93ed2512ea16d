import { readFileSync } from "node:fs";
import type { ClientFrame, GatewayFrame } from "../../src/wire/frames.js";
import { recordOf } from "../../src/wire/record.js";
import { text } from "../../src/wire/text.js";

// The golden vectors of the protocol, and frames in their words.

/** One entry of `frames.json`, as far as the binary coding is concerned. */
export interface FrameVector {
  readonly name: string;
  readonly from: "client" | "gateway";
  readonly type: string;
  /** Null where the frame exists in the JSON coding alone. */
  readonly hex: string | null;
  readonly value: unknown;
  /** Another way to write the frame than the one that `encode` takes. */
  readonly decode_only?: boolean;
}

/** One entry of `violations.json`, as far as the binary coding is concerned. */
export interface ViolationVector {
  readonly name: string;
  readonly from: "client" | "gateway";
  readonly coding: "binary" | "json";
  readonly hex?: string;
}

/** A record of an `ev` entry; other fields are records that this client does not write. */
interface RecordValue {
  readonly alias: number;
  readonly payload_hex: string;
}

const COMPRESSED = 0b011;
const LOSSY = 0b100;

/** All entries of one file of the vectors. */
export function entries<T>(file: "frames.json" | "violations.json"): readonly T[] {
  return JSON.parse(readFileSync(`../gateway/wire/vectors/${file}`, "utf8"));
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function unhex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits, "hex"));
}

/** The client's frame that a vector is about; `null` for one that this client never writes. */
export function clientFrame({ type, value }: FrameVector): ClientFrame | null {
  if (type === "ev") return events(value as { flags: number; first_seq: number; records: readonly RecordValue[] });
  if (type === "ping" || type === "pong") return { type, body: unhex((value as { bytes_hex: string }).bytes_hex) };
  if (type === "ignored") return null;
  return { type, body: value } as ClientFrame;
}

/** What a vector should say of this frame of a gateway. */
export function gatewayValue(frame: GatewayFrame): { readonly type: string; readonly value: unknown } {
  switch (frame.type) {
    case "unknown":
      return { type: "ignored", value: null };
    case "ping":
    case "pong":
      return { type: frame.type, value: { bytes_hex: hex(frame.body) } };
    case "ack": {
      const list = frame.body.list.map(({ seq, code, message }) => ({ seq, code, message }));
      return { type: "ack", value: { ...frame.body, list } };
    }
    case "welcome": {
      const rej = frame.body.rej.map(({ seq, code, message }) => ({ s: seq, code, msg: message }));
      return { type: "welcome", value: { ...frame.body, rej } };
    }
    default:
      return { type: frame.type, value: frame.body };
  }
}

function events(value: { flags: number; first_seq: number; records: readonly RecordValue[] }): ClientFrame | null {
  const { flags, first_seq, records } = value;
  const odd = records.some(({ alias, payload_hex, ...more }) => alias !== 0 || Object.keys(more).length > 0);
  if (odd || (flags & COMPRESSED) !== 0) return null;
  const lossy = (flags & LOSSY) !== 0;
  const plain = records.map(({ payload_hex }) => recordOf(text(unhex(payload_hex))));
  return { type: "events", body: { first_seq, ...(lossy && { lossy }), records: plain } };
}
