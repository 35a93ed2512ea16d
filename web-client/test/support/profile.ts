import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { openSlots } from "../../src/outbox/open.js";
import type { Lease, SlotState, SlotStore, Slots, StoredEvent } from "../../src/outbox/store.js";
import { recordOf } from "../../src/wire/record.js";
import { FakeClock } from "./clock.js";

const DATABASE = "tidegate";

/** Locks of one profile, as `navigator.locks` of a tab sees them. */
class FakeLocks {
  readonly #owners = new Map<string, Tab>();

  of(tab: Tab): Pick<LockManager, "request"> {
    const request = async (name: string, _options: LockOptions, run: (lock: Lock | null) => unknown) => {
      await null;
      if (this.#owners.has(name)) return run(null);
      this.#owners.set(name, tab);
      const result = await run({ name, mode: "exclusive" });
      if (this.#owners.get(name) === tab) this.#owners.delete(name);
      return result;
    };
    return { request: request as LockManager["request"] };
  }

  free(tab: Tab): void {
    for (const [name, owner] of this.#owners) if (owner === tab) this.#owners.delete(name);
  }
}

/** A browser's storage that several tabs share. */
export class Profile {
  readonly factory = new IDBFactory();
  readonly locks = new FakeLocks();
  /** Unix ms. */
  now = 1_000_000;
  /** Read-write transactions that were begun. */
  transactions = 0;
  /** Called before a record is put; may throw as `put` does. */
  onPut: (table: string, transaction: IDBTransaction) => void = () => {};
  #ids = 0;

  tab(options: { webLocks?: boolean } = {}): Tab {
    return new Tab(this, options.webLocks ?? true);
  }

  newId(): string {
    this.#ids += 1;
    return `id${this.#ids}`;
  }

  /** Looks at, or damages, what is stored. */
  async edit<T>(work: (table: (name: string) => IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const connection = await asked(this.factory.open(DATABASE));
    const names = [...connection.objectStoreNames];
    const transaction = connection.transaction(names, "readwrite");
    const result = await asked(work((name) => transaction.objectStore(name)));
    connection.close();
    return result;
  }

  count(table: string): Promise<number> {
    return this.edit((tables) => tables(table).count());
  }
}

/** One tab: opens slots, and may end without a word. */
export class Tab {
  readonly clock = new FakeClock();
  readonly connections = new Set<IDBDatabase>();
  /** Connections that nobody has closed. */
  openConnections = 0;
  /** What `onPersistence` was called for. */
  readonly persistence: boolean[] = [];
  readonly #profile: Profile;
  readonly #webLocks: boolean;
  #dead = false;

  constructor(profile: Profile, webLocks: boolean) {
    this.#profile = profile;
    this.#webLocks = webLocks;
  }

  async open(prefix = "web"): Promise<Slots> {
    const profile = this.#profile;
    const slots = await openSlots(
      {
        name: DATABASE,
        prefix,
        kind: "auto",
        now: () => profile.now,
        newId: () => profile.newId(),
        onPersistence: () => this.persistence.push(slots.persistent),
      },
      { indexedDB: this.#factory(), locks: this.#webLocks ? profile.locks.of(this) : null, clock: this.clock },
    );
    return slots;
  }

  /** Ends the tab as a crash does: what is committed stays, nothing else happens any more. */
  crash(): void {
    this.#dead = true;
    for (const connection of this.connections) connection.close();
    this.#profile.locks.free(this);
  }

  #factory(): IDBFactory {
    const open = (name: string, version?: number): IDBOpenDBRequest => {
      if (this.#dead) throw new DOMException("the tab is gone", "InvalidStateError");
      const request = this.#profile.factory.open(name, version);
      request.addEventListener("success", () => this.#watch(request.result));
      return request;
    };
    return Object.assign(Object.create(this.#profile.factory), { open });
  }

  #watch(connection: IDBDatabase): void {
    this.connections.add(connection);
    this.openConnections += 1;
    const close = connection.close.bind(connection);
    connection.close = () => {
      close();
      this.openConnections -= 1;
      connection.close = close;
    };
    const begin = connection.transaction.bind(connection);
    connection.transaction = (...given) => {
      const transaction = begin(...given);
      this.#profile.transactions += 1;
      const table = transaction.objectStore.bind(transaction);
      transaction.objectStore = (name) => {
        const store = table(name);
        const put = store.put.bind(store);
        store.put = (value, key) => {
          this.#profile.onPut(name, transaction);
          return put(value, key);
        };
        return store;
      };
      return transaction;
    };
  }
}

/** The answer of a request. */
export function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Events with numbers `first` to `last`, each of its own bytes. */
export function events(first: number, last: number, bytes = 8): StoredEvent[] {
  return Array.from({ length: last - first + 1 }, (_, index) => {
    const seq = first + index;
    const payload = String.fromCharCode(seq % 128).repeat(bytes);
    return { seq, ...recordOf(payload), at: seq };
  });
}

/** What a lease holds, as text that differs where anything does. */
export function held({ state }: Lease): string[] {
  return state.events.map(({ seq, at, payload }) => `${seq}@${at}:${payload.length}x${payload.codePointAt(0) ?? "-"}`);
}

/** The same of events. */
export function texts(given: readonly StoredEvent[]): string[] {
  return given.map(({ seq, at, payload }) => `${seq}@${at}:${payload.length}x${payload.codePointAt(0) ?? "-"}`);
}

/** Stands for the outbox that a lease is for. */
export class Holder implements SlotState {
  readonly store: SlotStore;
  client: string;
  epoch: number;
  upto: number;
  last: number;
  events: readonly StoredEvent[];

  constructor({ state, store }: Lease) {
    this.store = store;
    this.client = state.client;
    this.epoch = state.epoch;
    this.upto = state.upto;
    this.last = state.last;
    this.events = state.events;
  }

  append(given: readonly StoredEvent[]): Promise<void> {
    this.events = [...this.events, ...given];
    this.last = given.at(-1)?.seq ?? this.last;
    return this.store.save(this);
  }

  settle(upto: number): void {
    this.upto = upto;
    this.events = this.events.filter(({ seq }) => seq > upto);
    this.store.trim(this);
  }

  drop(seqs: readonly number[]): void {
    const gone = new Set(seqs);
    this.events = this.events.filter(({ seq }) => !gone.has(seq));
    this.store.trim(this);
  }

  restart(state: SlotState): Promise<void> {
    Object.assign(this, state);
    return this.store.save(this);
  }
}
