// Bundles the library into dist/index.js and the demo page into dist/demo/.
import { copyFile, mkdir, rm } from "node:fs/promises";
import { build } from "esbuild";

const common = { bundle: true, format: "esm", target: "es2022", logLevel: "warning" };

await rm("dist/demo", { recursive: true, force: true });
await mkdir("dist/demo", { recursive: true });

await build({ ...common, entryPoints: ["src/index.ts"], outfile: "dist/index.js", sourcemap: true });
await build({ ...common, entryPoints: ["demo/demo.ts"], outfile: "dist/demo/demo.js", minify: true });
for (const file of ["index.html", "demo.css", "icon.svg"]) {
  await copyFile(`demo/${file}`, `dist/demo/${file}`);
}
