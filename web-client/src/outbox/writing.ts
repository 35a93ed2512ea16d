import type { StorageError } from "../errors/storage-error.js";
import type { SlotState, SlotStore } from "./store.js";

/** How much of an outbox is written to its slot. */
export interface Writing {
  /** Everything up to here is stored: who takes over the slot sends it. */
  readonly stored: number;
  /** Everything up to here is as safe as it gets: stored, or in memory alone where storage fails. */
  readonly safe: number;
  /** Ends when everything so far is as safe as it gets. Calls of one go share the promise. */
  save(): Promise<void>;
  /** Everything up to here is settled, and need not be written any more. */
  settled(upto: number): void;
  /** There is another numbering: until it is written, what is `stored` is so under the old one. */
  renumbered(stored: number): void;
}

/** What `state` holds now is stored; it changes meanwhile. */
export function newWriting(
  state: SlotState,
  store: SlotStore,
  /** Something more is safe. */
  onSafe: () => void,
  /** The slot is somebody else's. Nothing is written any more once it `isLost`. */
  lose: (error: StorageError) => void,
  isLost: () => boolean,
): Writing {
  let stored = state.last;
  let safe = stored;
  let saving: Promise<void> | null = null;

  const write = async (): Promise<void> => {
    saving = null;
    if (isLost()) return;
    const { client, epoch, last } = state;
    let isStored = true;
    try {
      await store.save(state);
    } catch (error) {
      if ((error as StorageError).reason === "lost") return lose(error as StorageError);
      isStored = false;
    }
    if (client !== state.client || epoch !== state.epoch) return save();
    if (isStored) stored = Math.max(stored, last);
    if (last <= safe) return;
    safe = last;
    onSafe();
  };

  const save = () => {
    saving ??= Promise.resolve().then(write);
    return saving;
  };

  return {
    get stored() {
      return stored;
    },
    get safe() {
      return safe;
    },
    save,
    settled: (upto) => {
      stored = Math.max(stored, upto);
      safe = Math.max(safe, upto);
    },
    renumbered: (count) => {
      stored = count;
      safe = 0;
    },
  };
}
