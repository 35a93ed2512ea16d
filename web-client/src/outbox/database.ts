import type { Clock } from "../clock.js";
import { StorageError, type StorageFailure } from "../errors/storage-error.js";

/** Tables of the database. `meta`: `id`. `slots`: by slot. `chunks`: by [slot, first number]. `leases`: by slot. */
export type Tables = Readonly<Record<(typeof NAMES)[number], IDBObjectStore>>;

const NAMES = ["meta", "slots", "chunks", "leases"] as const;
const VERSION = 1;
const REASONS: Readonly<Record<string, StorageFailure>> = {
  QuotaExceededError: "quota",
  InvalidStateError: "closed",
  VersionError: "closed",
  AbortError: "closed",
};
const OPEN_TIMEOUT_MS = 3_000;
const WRITE_TIMEOUT_MS = 10_000;

/** One database, opened again where the browser closes it. */
export class Database {
  readonly #factory: IDBFactory;
  readonly #name: string;
  readonly #clock: Clock;
  #connection: Promise<IDBDatabase> | null = null;
  /** Asked to go, for an upgrade or for good. */
  #asked = false;

  constructor(factory: IDBFactory, name: string, clock: Clock) {
    this.#factory = factory;
    this.#name = name;
    this.#clock = clock;
  }

  /**
   * Runs `work` in one transaction over all tables; resolves when that is committed. `work` may wait for requests of its tables,
   * and for nothing else. When it throws, nothing was written. Rejects with `StorageError`.
   */
  async write<T>(work: (tables: Tables) => Promise<T>): Promise<T> {
    try {
      const connection = await this.#open();
      const transaction = connection.transaction(NAMES, "readwrite", { durability: "relaxed" });
      const committed = this.#committed(transaction);
      try {
        const entries = NAMES.map((name) => [name, transaction.objectStore(name)]);
        const result = await work(Object.fromEntries(entries) as Tables);
        await committed;
        return result;
      } catch (error) {
        abort(transaction);
        // A request that failed says less than its transaction.
        await committed.catch((cause: unknown) => {
          if (!(error instanceof StorageError)) throw cause ?? error;
        });
        throw error;
      }
    } catch (error) {
      const failure = storageError(error);
      // Closed without an event, perhaps: the next write opens it again.
      if (failure.reason === "closed") this.#connection = null;
      throw failure;
    }
  }

  #committed(transaction: IDBTransaction): Promise<void> {
    const committed = new Promise<void>((resolve, reject) => {
      const cancel = this.#clock.after(WRITE_TIMEOUT_MS, () => {
        if (abort(transaction)) reject(new StorageError("failed", `no answer within ${WRITE_TIMEOUT_MS / 1000} s`));
      });
      transaction.oncomplete = () => {
        cancel();
        resolve();
      };
      transaction.onabort = () => {
        cancel();
        reject(transaction.error);
      };
    });
    // It may break before anybody waits for it.
    committed.catch(() => {});
    return committed;
  }

  #open(): Promise<IDBDatabase> {
    if (this.#asked) return Promise.reject(new StorageError("closed", "the database is upgraded or deleted elsewhere"));
    if (!this.#connection) {
      const opening = this.#connect();
      this.#connection = opening;
      opening.catch(() => this.#forget(opening));
    }
    return this.#connection;
  }

  async #connect(): Promise<IDBDatabase> {
    const connection = await opened(this.#factory.open(this.#name, VERSION), this.#clock);
    const opening = this.#connection;
    connection.onclose = () => this.#forget(opening);
    connection.onversionchange = () => {
      this.#asked = true;
      connection.close();
    };
    if (NAMES.every((name) => connection.objectStoreNames.contains(name))) return connection;
    connection.close();
    throw new StorageError("failed", `the database ${this.#name} is not an outbox`);
  }

  #forget(connection: Promise<IDBDatabase> | null): void {
    if (this.#connection === connection) this.#connection = null;
  }
}

/** What a request answers. */
export function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function opened(request: IDBOpenDBRequest, clock: Clock): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    let late = false;
    const cancel = clock.after(OPEN_TIMEOUT_MS, () => {
      late = true;
      reject(new StorageError("failed", `the database did not open within ${OPEN_TIMEOUT_MS / 1000} s`));
    });
    request.onupgradeneeded = () => {
      for (const name of NAMES) request.result.createObjectStore(name);
    };
    request.onsuccess = () => {
      cancel();
      if (late) request.result.close();
      else resolve(request.result);
    };
    request.onerror = () => {
      cancel();
      reject(request.error);
    };
  });
}

function abort(transaction: IDBTransaction): boolean {
  try {
    transaction.abort();
    return true;
  } catch {
    // It has ended already.
    return false;
  }
}

function storageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return new StorageError(REASONS[name] ?? "failed", `${name}: ${message}`, { cause: error });
}
