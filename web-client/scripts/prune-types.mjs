// Deletes the declarations in dist/types/ that no entry of the package leads to.
import { readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

const kept = new Set();
const open = ["dist/types/index.d.ts", "dist/types/page/index.d.ts"];
for (let file = open.pop(); file !== undefined; file = open.pop()) {
  if (kept.has(file)) continue;
  kept.add(file);
  for (const [, target] of (await readFile(file, "utf8")).matchAll(/(?:from |import\()"(\.[^"]+)\.js"/g)) {
    open.push(join(dirname(file), `${target}.d.ts`));
  }
}
for (const file of await readdir("dist/types", { recursive: true })) {
  const path = join("dist/types", file);
  if (path.endsWith(".d.ts") && !kept.has(path)) await rm(path);
}
