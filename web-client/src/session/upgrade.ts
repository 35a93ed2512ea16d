import type { Link, Route } from "../link/link.js";
import type { Connection, Ending } from "./connection.js";
import type { RunParts } from "./lane.js";
import { UPGRADE_MIN_MS } from "./timing.js";

/** Opens something better beside what carries a session now. */
export interface Upgrade {
  /** Some time: what is open then, and better than `old`, takes over when the gateway answers there. */
  plan(old: Connection): void;
  /** `old` has ended: resolves when all that was to take over from it has, too, with how the last one did that had taken over. */
  heirs(): Promise<Ending | null>;
  /** Plans nothing more, and ends what is to take over from `current`, if it is on its way. */
  forgo(current: Connection | null): void;
}

/** What it works with. */
export interface UpgradeParts extends Pick<RunParts, "preference"> {
  readonly clock: RunParts["platform"]["clock"];
  /** All that there are, best first. */
  readonly routes: () => readonly Route[];
  readonly open: (better: readonly Route[]) => Promise<Link>;
  /** A connection that will take over. */
  readonly converse: (link: Link) => Connection;
  /** Whether nothing shall take over any more. */
  readonly isOver: () => boolean;
}

/** Plans nothing yet. */
export function newUpgrade({ clock, preference, routes, open, converse, isOver }: UpgradeParts): Upgrade {
  let heir: Connection | null = null;
  let cancel = () => {};

  const plan = (old: Connection) => {
    cancel();
    const delayMs = preference.betterAfter(old.name, routes());
    if (delayMs !== null) cancel = clock.after(Math.max(delayMs, UPGRADE_MIN_MS), () => upgrade(old));
  };

  const upgrade = async (old: Connection) => {
    const rank = routes().findIndex(({ transport }) => transport === old.name);
    const better = preference.order(routes().slice(0, rank));
    try {
      const link = await open(better);
      if (isOver() || !old.isOpen()) return link.close();
      old.pause(true);
      heir = converse(link);
      if ((await heir.ended).welcomed) return;
    } catch {
      if (old.isOpen()) for (const { transport } of better) preference.stalled(transport);
    }
    heir = null;
    if (!old.isOpen()) return;
    old.pause(false);
    plan(old);
  };

  return {
    plan,
    heirs: async () => {
      let last: Ending | null = null;
      for (let next = heir; next; next = heir) {
        const ending: Ending = await next.ended;
        if (heir === next) heir = null;
        if (ending.welcomed) last = ending;
      }
      cancel();
      return last;
    },
    forgo: (current) => {
      cancel();
      if (heir !== current) heir?.stop();
    },
  };
}
