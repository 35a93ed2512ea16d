// Prints how large each file of the built package is, as it is and compressed. Fails where one is over its budget, or is
// not what the README says: the next KiB. Budgets are what there is now, and go down with it.
import { readFile } from "node:fs/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";

const KIB = 1024;
const BUDGETS = [
  { file: "index.js", gzip: 9.4, brotli: 8.6 },
  { file: "session.js", gzip: 9.3, brotli: 8.5 },
  { file: "https.js", gzip: 2.7, brotli: 2.5 },
  { file: "leases.js", gzip: 0.4, brotli: 0.4 },
  { file: "tidegate.iife.js", gzip: 20.8, brotli: 18.9 },
  { file: "page.js", gzip: 3.4, brotli: 3 },
  { file: "page.iife.js", gzip: 3.5, brotli: 3.2 },
];

const readme = await readFile("README.md", "utf8");
const both = { gzip: 0, brotli: 0 };
let wrong = false;
for (const { file, ...budgets } of BUDGETS) {
  const code = await readFile(`dist/${file}`);
  const kib = { gzip: gzipSync(code, { level: 9 }).length / KIB, brotli: brotliCompressSync(code).length / KIB };
  const said = saidOf(`\`${file}\``);
  const told = Object.entries(kib).map(([how, size], index) => {
    const fits = size <= budgets[how];
    const untrue = Number(said?.[index]) !== Math.ceil(size);
    wrong ||= !fits || untrue;
    return (
      `${size.toFixed(2)} KiB with ${how}, ${fits ? "within" : "OVER"} ${budgets[how]}` +
      (untrue ? `, but the README says ${said?.[index] ?? "nothing"}` : "")
    );
  });
  if (file === "index.js" || file === "session.js") {
    for (const how of Object.keys(both)) both[how] += kib[how];
  }
  console.log(`${file.padEnd(18)} ${(code.length / KIB).toFixed(2)} KiB; ${told.join("; ")}`);
}
const [gzip, brotli] = Object.values(both).map((size) => Math.ceil(size));
if (String(saidOf("both together")) !== `${gzip},${brotli}`) {
  wrong = true;
  console.log(
    `both together: ${gzip} KiB with gzip, ${brotli} KiB with brotli, but the README says ${saidOf("both together")}`,
  );
}

process.exitCode = wrong ? 1 : 0;

/** What the README says of a file: KiB with gzip and with brotli. */
function saidOf(what) {
  return readme.match(new RegExp(`^\\| ${what}.* \\| (\\d+) KiB \\| (\\d+) KiB \\|$`, "m"))?.slice(1, 3);
}
