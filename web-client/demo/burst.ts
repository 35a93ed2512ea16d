/** Dots are handed over so many at a time; then the client is given the time to say that there is no room. */
const AT_ONCE = 250;
/** Turns each dot away from the one before, as seeds of a sunflower. */
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));

/** Sends `count` dots as fast as the client has room, arranged as the seeds of a sunflower; `x` and `y` are 0 to 1. */
export async function burst(
  count: number,
  ratio: number,
  send: (x: number, y: number) => Promise<void>,
): Promise<void> {
  const reach = 0.46;
  for (let from = 0; from < count; from += AT_ONCE) {
    const several = [];
    for (let n = from; n < Math.min(from + AT_ONCE, count); n += 1) {
      const radius = reach * Math.sqrt((n + 0.5) / count);
      const angle = n * GOLDEN_ANGLE;
      // Round, whatever the shape of the field.
      const [wide, high] = ratio > 1 ? [1 / ratio, 1] : [1, ratio];
      several.push(send(0.5 + radius * wide * Math.cos(angle), 0.5 + radius * high * Math.sin(angle)));
    }
    await Promise.all(several);
  }
}
