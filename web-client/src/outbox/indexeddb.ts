import type { Clock } from "../clock.js";
import { StorageError } from "../errors/storage-error.js";
import { CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX, RESERVE, RETRY_MS, TRIM_DELAY_MS } from "./bounds.js";
import { answer, type Write } from "./database.js";
import type { Hold } from "./hold.js";
import { type Chunk, chunkRange, type Loaded, save as saveRecord } from "./load.js";
import type { SlotState, SlotStore } from "./store.js";

/** What a slot in the database works with. */
export interface SlotParts {
  readonly write: Write;
  readonly slot: number;
  readonly loaded: Loaded;
  readonly hold: Hold;
  readonly clock: Clock;
  readonly now: () => number;
  /** Told whenever events begin or cease to outlive the page. */
  readonly onPersistence: (persistent: boolean) => void;
}

/**
 * A slot in IndexedDB. One transaction runs at a time, and what comes meanwhile is the next one: it makes the database what the slot's
 * state is then. What was written outlives the tab and the browser; durability is relaxed, so a power cut may take the last moments.
 */
export function indexedDbStore({ write, slot, loaded, hold, clock, now, onPersistence }: SlotParts): SlotStore {
  let state = loaded.state;
  /** As the database has it. */
  let { chunks } = loaded;
  let { client, epoch, last } = state;
  let next: Promise<void> | null = null;
  let turn: Promise<void> = Promise.resolve();
  let cancelTrim: (() => void) | null = null;
  let failure: { readonly at: number; readonly error: StorageError } | null = null;
  let persistent = true;
  let ended: StorageError | null = null;

  const isWritten = () => state.client === client && state.epoch === epoch;

  /** Of `whole`, or but for events that are not in the database. */
  const commit = async (whole: boolean) => {
    const written = await write(async (tables) => {
      const [ours, known] = await Promise.all([hold.check?.(tables), answer<unknown>(tables.slots.get(slot))]);
      if (ours === false) throw lost();
      const { client, epoch, last, events } = state;
      // Somebody may have deleted it: then it is written from the beginning.
      const isNew = known === undefined || !isWritten();
      if (isNew && !whole) return null;
      if (isNew) tables.chunks.delete(chunkRange(slot));
      // What was given up before the first event is as good as settled.
      const upto = (events[0]?.seq ?? last + 1) - 1;
      saveRecord(tables, slot, { client, epoch, upto, last });
      const kept: Chunk[] = [];
      let from = 0;
      for (const { first, last, count: before } of isNew ? [] : chunks) {
        let to = from;
        for (let event = events[to]; event && event.seq <= last; event = events[to]) to += 1;
        const count = to - from;
        if (count === 0) tables.chunks.delete([slot, first]);
        else kept.push({ first, last, count });
        // Some between were given up.
        if (count > 0 && count < Math.min(before, last - upto))
          tables.chunks.put(events.slice(from, to), [slot, first]);
        from = to;
      }
      while (whole && from < events.length) {
        let total = 0;
        const chunk = events.slice(from, from + CHUNK_EVENTS_MAX).filter(({ bytes }) => {
          const fits = total < CHUNK_BYTES_MAX;
          total += bytes;
          return fits;
        });
        const [first, last] = [chunk[0]?.seq ?? 0, chunk.at(-1)?.seq ?? 0];
        tables.chunks.put(chunk, [slot, first]);
        kept.push({ first, last, count: chunk.length });
        from += chunk.length;
      }
      return { client, epoch, last, kept };
    });
    if (written) ({ client, epoch, last, kept: chunks } = written);
  };

  const attempt = async () => {
    cancelTrim?.();
    cancelTrim = null;
    try {
      if (failure && now() - failure.at < RETRY_MS) throw failure.error;
      await commit(true);
      failure = null;
    } catch (thrown) {
      const error = thrown as StorageError;
      if (error.reason === "lost") lose();
      else {
        if (error !== failure?.error) failure = { at: now(), error };
        // Events that do not fit still use up numbers: at least these are written, so that nobody uses them a second time. Not those
        // of a numbering that is not written yet: the old one stays whole until then.
        if (error.reason !== "closed") await commit(false).catch(() => {});
      }
      throw error;
    } finally {
      tell(!failure);
    }
  };

  const save = (given: SlotState) => {
    if (ended) return Promise.reject(ended);
    state = given;
    if (!next) {
      // Whatever is called in one go belongs together.
      next = turn.then(() => {
        next = null;
        return attempt();
      });
      turn = next.catch(() => {});
    }
    return next;
  };

  const lose = () => {
    if (ended?.reason === "lost") return;
    ended = lost();
    failure = null;
    cancelTrim?.();
    void hold.release().catch(() => {});
    tell(true);
    store.onLost?.(ended);
  };

  const tell = (told: boolean) => {
    if (persistent !== told) onPersistence(told);
    persistent = told;
  };

  hold.onLost = lose;
  const store: SlotStore = {
    get reserved() {
      return isWritten() && ended?.reason !== "lost" ? last + RESERVE : 0;
    },
    save,
    trim: (given) => {
      if (ended) return;
      state = given;
      cancelTrim ??= clock.after(TRIM_DELAY_MS, () => void save(state).catch(() => {}));
    },
    release: async () => {
      if (ended) return;
      save(state).catch(() => {});
      ended = new StorageError("released", "the slot was released");
      await turn;
      // Where it cannot be given back it is free when the tab ends.
      await hold.release().catch(() => {});
      tell(true);
    },
  };
  return store;
}

function lost(): StorageError {
  return new StorageError("lost", "another tab has the slot");
}
