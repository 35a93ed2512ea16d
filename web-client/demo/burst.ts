/** Dots are handed over so many at a time; then the client is given the time to say that there is no room. */
const AT_ONCE = 250;
/** Turns each dot away from the one before, as seeds of a sunflower. */
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));

/** Sends `count` dots as fast as the client has room, arranged as the seeds of a sunflower on a field of this size. */
export async function burst(
  count: number,
  width: number,
  height: number,
  send: (x: number, y: number) => Promise<void>,
): Promise<void> {
  const reach = 0.46 * Math.min(width, height);
  for (let from = 0; from < count; from += AT_ONCE) {
    const several = [];
    for (let n = from; n < Math.min(from + AT_ONCE, count); n += 1) {
      const radius = reach * Math.sqrt((n + 0.5) / count);
      const angle = n * GOLDEN_ANGLE;
      several.push(send(tenth(width / 2 + radius * Math.cos(angle)), tenth(height / 2 + radius * Math.sin(angle))));
    }
    await Promise.all(several);
  }
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}
