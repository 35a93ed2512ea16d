// What a gateway's /metrics says.

/** Samples of one scrape. */
export function parseMetrics(text) {
  const samples = text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const space = line.lastIndexOf(" ");
      return { name: line.slice(0, space), value: Number(line.slice(space + 1)) };
    });
  return {
    /** The sum over a series, of the samples whose labels contain `label`. */
    sum(series, label = "") {
      return samples
        .filter(({ name }) => name.split("{")[0] === series && name.includes(label))
        .reduce((sum, { value }) => sum + value, 0);
    },
    /** All samples whose names begin so, for the reader of a failure. */
    text(prefix) {
      const some = samples.filter(({ name }) => name.startsWith(prefix));
      return some.map(({ name, value }) => `${name} ${value}`).join("\n");
    },
  };
}
