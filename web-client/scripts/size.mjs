// Prints what the built package costs an application, minified and compressed. Fails where that is over its budget, or is not
// what the README says: the next KiB. A budget is what there is now: it goes down with the size. The core is to come to 12 KiB.
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { transform } from "esbuild";

const KIB = 1024;
const BUDGETS = [
  { name: "tidegate", file: "dist/index.js", bytes: 22.5 * KIB },
  { name: "tidegate/page", file: "dist/page.js", bytes: 4 * KIB },
  { name: "script tag", file: "dist/tidegate.iife.js", bytes: 22.5 * KIB },
  { name: "script tag, page", file: "dist/page.iife.js", bytes: 4 * KIB },
];

const readme = await readFile("README.md", "utf8");
let wrong = false;
for (const { name, file, bytes } of BUDGETS) {
  const source = (await readFile(file, "utf8")).replace(/^\/\/# sourceMappingURL=.*$/m, "");
  const format = file.includes("iife") ? undefined : "esm";
  const { code } = await transform(source, { minify: true, format, target: "es2022", legalComments: "none" });
  const compressed = gzipSync(code, { level: 9 }).length;
  const fits = compressed <= bytes;
  const said = readme.match(new RegExp(`^\\| \`${name}\`.* \\| (\\d+) KiB \\|$`, "m"))?.[1];
  const untrue = said !== undefined && Number(said) !== Math.ceil(compressed / KIB);
  wrong ||= !fits || untrue;
  console.log(
    `${name.padEnd(18)} ${file.padEnd(24)} ${kib(code.length)} minified, ${kib(compressed)} with gzip -9, ` +
      `${fits ? "within" : "OVER"} ${kib(bytes)}${untrue ? `, but the README says ${said} KiB` : ""}`,
  );
}
process.exitCode = wrong ? 1 : 0;

function kib(bytes) {
  return `${(bytes / KIB).toFixed(2)} KiB`;
}
