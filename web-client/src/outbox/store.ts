import type { StorageError } from "../errors/storage-error.js";
import type { EventRecord } from "../wire/frames.js";

/** An event as it is kept. */
export interface StoredEvent extends EventRecord {
  readonly seq: number;
  /** When it was handed over, Unix ms. */
  readonly at: number;
}

/** A numbering with what is not settled of it. */
export interface SlotState {
  /** Name that the gateway knows the slot by. */
  readonly client: string;
  readonly epoch: number;
  /** Everything up to here is settled. */
  readonly upto: number;
  /** Highest number given out. */
  readonly last: number;
  /** In order; numbers between may be missing (given up). */
  readonly events: readonly StoredEvent[];
}

/** Where one slot is kept. It is told the same state each time, which changes meanwhile, and finds out what has to be written. */
export interface SlotStore {
  /** Numbers up to here are given out by nobody else, whether or not their events are stored in the end. */
  readonly reserved: number;
  /**
   * Resolves when all of `state`, as it is now, would survive the tab. Many calls at once become one transaction. Another name or epoch
   * takes the place of the old one, in one transaction. Writing that fails (quota, storage gone) rejects with `StorageError`; the
   * slot lives on in memory, and the next call tries to write what is missing.
   */
  save(state: SlotState): Promise<void>;
  /** Events are gone from `state`; that is written soon, together with others. */
  trim(state: SlotState): void;
  /** Writes what is pending, and lets others have the slot. */
  release(): Promise<void>;
  /** Set by the slot's user; called once when another tab has taken the slot. */
  onLost?: (error: StorageError) => void;
}

/** A slot that is ours until released, or until the tab ends however it ends. */
export interface Lease {
  readonly state: SlotState;
  readonly store: SlotStore;
}

/** All slots of one gateway in this browser profile. */
export interface Slots {
  /** The lowest slot that no tab has; a new one (new name, `epoch` = Unix ms) if need be. */
  lease(): Promise<Lease>;
  /** A slot that no tab has and that holds events, for sending what others left behind. */
  adopt(): Promise<Lease | null>;
  /** Whether events outlive the page. */
  readonly persistent: boolean;
}
