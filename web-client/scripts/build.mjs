// Bundles the package into dist/ and the demo page into dist/demo/, all minified:
//
//   index.js, page.js                     modules: `tidegate` and `tidegate/page`
//   session.js                            part of `tidegate` that is loaded at once, beside the page's own work
//   https.js, leases.js                   parts of `tidegate` that are loaded when they are needed
//   tidegate.iife.js, page.iife.js        for script tags: the globals `Tidegate` and `TidegatePage`
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { build } from "esbuild";

/** Members that get a short name: those that only the client's own parts see, and by no string. None is on the wire, in storage or in the API. */
const OWN = [
  "adopt after ageMs betterAfter changed clock connection converse current dial emit encoder ended endpoint",
  "everSent expire failed first_seq foreign forgo giveUp grasp handed heard heed heirs hurried integer isForeign",
  "isFree isHttps isOpen isOver judge lease listen listener loaded lookOnce lose moveTo newId onLost onPersistence",
  "onStored order pause plan platform preference prefix probe pump quiet records refusal release renewed renumbered",
  "reporter reserved reset retryAfter roomBytes routes sending sentUpto settings settled shrink silent staggerMs",
  "stalled startLane stored systemClock tell ticked tokenFailed tooLarge until useful waits wake watch welcomed",
  "within writeLossy",
];

const common = { bundle: true, minify: true, legalComments: "none", target: "es2022", logLevel: "warning" };
const mangleProps = new RegExp(`^(${OWN.join(" ").replaceAll(" ", "|")})$`);
const library = { ...common, mangleProps, sourcemap: true, outdir: "dist" };
/** See src/part.ts. */
const IMPORT_AT = "const importAt=a=>import(/* webpackIgnore: true *//* @vite-ignore */a);";
const entries = { index: "src/index.ts", page: "src/page/index.ts" };

await rm("dist/types", { recursive: true, force: true });
await rm("dist/demo", { recursive: true, force: true });
await mkdir("dist/demo", { recursive: true });

// One by one, and each part under its own name. What a page loads at the start is one file: a part that imports what another has,
// and is not given it, would make a third of what both need.
for (const [name, entry] of Object.entries(entries)) {
  const options = { ...library, format: "esm", splitting: true, chunkNames: "[name]", metafile: true };
  const { metafile } = await build({ ...options, entryPoints: { [name]: entry } });
  for (const [file, { imports }] of Object.entries(metafile.outputs)) {
    const shared = imports.find(({ kind }) => kind === "import-statement");
    if (shared) throw new Error(`${file} imports ${shared.path}`);
  }
}
await prepend("dist/index.js", IMPORT_AT);
for (const [name, entry, globalName] of [
  ["tidegate.iife", entries.index, "Tidegate"],
  ["page.iife", entries.page, "TidegatePage"],
]) {
  await build({ ...library, format: "iife", globalName, entryPoints: { [name]: entry } });
}

await build({ ...common, format: "esm", entryPoints: ["demo/demo.ts"], outfile: "dist/demo/demo.js" });
for (const file of await readdir("demo", { withFileTypes: true })) {
  if (file.isFile() && !file.name.endsWith(".ts")) await copyFile(`demo/${file.name}`, `dist/demo/${file.name}`);
}

/** Puts a line before a built file. In its source map a line is a semicolon. */
async function prepend(path, line) {
  const [code, map] = await Promise.all([path, `${path}.map`].map((name) => readFile(name, "utf8")));
  const { mappings, ...rest } = JSON.parse(map);
  await writeFile(path, `${line}\n${code}`);
  await writeFile(`${path}.map`, JSON.stringify({ ...rest, mappings: `;${mappings}` }));
}
