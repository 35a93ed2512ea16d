const KEPT = 10;
const INTERACTIONS_PER_OUTLIER = 50;
/** What browsers that do not count interactions add to an id from one interaction to the next. */
const ID_STEP = 7;

/** Interaction to next paint: the longest interaction, but for one outlier in each 50. */
export class Interactions {
  /** The longest, by id. */
  readonly #longest = new Map<number, number>();
  #lowestId = Number.POSITIVE_INFINITY;
  #highestId = 0;

  /** One event of the interaction; that with the longest duration counts. */
  add(id: number, durationMs: number): void {
    this.#lowestId = Math.min(this.#lowestId, id);
    this.#highestId = Math.max(this.#highestId, id);
    this.#longest.set(id, Math.max(durationMs, this.#longest.get(id) ?? 0));
    if (this.#longest.size > KEPT) {
      const [shortest] = [...this.#longest].reduce((a, b) => (b[1] < a[1] ? b : a));
      this.#longest.delete(shortest);
    }
  }

  /** In ms; null: there was no interaction. `count`: how many there were in all, where the browser counts them. */
  value(count = (this.#highestId - this.#lowestId) / ID_STEP + 1): number | null {
    const durations = [...this.#longest.values()].sort((a, b) => b - a);
    const outliers = Math.floor(count / INTERACTIONS_PER_OUTLIER);
    return durations[Math.min(outliers, durations.length - 1)] ?? null;
  }
}
