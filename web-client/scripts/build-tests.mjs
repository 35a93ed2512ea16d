// Compiles every test/*.test.ts into dist/test/ for node's own test runner.
import { readdir, rm } from "node:fs/promises";
import { build } from "esbuild";

const names = (await readdir("test")).filter((name) => name.endsWith(".test.ts"));
if (names.length === 0) throw new Error("no tests found in test/");

await rm("dist/test", { recursive: true, force: true });
await build({
  entryPoints: names.map((name) => `test/${name}`),
  outdir: "dist/test",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  inject: ["test/support/share.ts"],
  // The package says that its modules do nothing by themselves; that one does.
  ignoreAnnotations: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: "inline",
  logLevel: "warning",
});
