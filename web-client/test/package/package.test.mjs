// The package as npm would publish it, installed and used as an application does. `npm run build` comes before.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createContext, runInContext, Script } from "node:vm";

const application = mkdtempSync(join(tmpdir(), "tidegate-application-"));
const installed = join(application, "node_modules/tidegate");
let files = [];

before(() => {
  const args = ["pack", "--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", application];
  const [{ filename, files: packed }] = JSON.parse(execFileSync("npm", args, { encoding: "utf8" }));
  files = packed.map(({ path }) => path);
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", join(application, filename), "--strip-components=1", "-C", installed]);
  mkdirSync(join(application, "node_modules/@types"));
  for (const name of ["@types/node", "undici-types"]) {
    symlinkSync(join(process.cwd(), "node_modules", name), join(application, "node_modules", name));
  }
  cpSync("examples", join(application, "examples"), { recursive: true });
  writeFileSync(join(application, "package.json"), '{ "type": "module" }');
});

after(() => rmSync(application, { recursive: true }));

test("the package has what an application needs, and nothing else", () => {
  const belongs =
    /^(LICENSE|README\.md|package\.json|dist\/(index|session|https|leases|page|tidegate\.iife|page\.iife)\.js(\.map)?|dist\/types\/.+\.d\.ts)$/;
  assert.deepEqual(
    files.filter((file) => !belongs.test(file)),
    [],
  );
  for (const file of [
    "LICENSE",
    "README.md",
    "dist/session.js",
    "dist/https.js",
    "dist/types/index.d.ts",
    "dist/types/page/index.d.ts",
  ]) {
    assert.ok(files.includes(file), `${file} is missing`);
  }
  const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  assert.equal(manifest.dependencies, undefined);
  for (const field of ["main", "types", "unpkg", "jsdelivr"]) {
    assert.ok(files.includes(manifest[field].replace("./", "")), `${field} names a file that is missing`);
  }
  assert.equal(readFileSync("LICENSE", "utf8"), readFileSync("../LICENSE", "utf8"));
});

test("Node imports both entries", () => {
  const script = `
    import { connect, EventError } from "tidegate";
    import { observePage } from "tidegate/page";
    const client = connect("http://localhost:9", { outbox: { storage: "memory" } });
    const refused = await client.send({ type: "" }).catch((error) => error instanceof EventError);
    observePage(client, { views: true })(); // no document here: nothing to observe
    client.close();
    console.log(typeof connect, typeof observePage, refused);
    process.exit();`;
  const output = execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: application,
    encoding: "utf8",
  });
  assert.equal(output, "function function true\n");
});

test("what an application loads is minified, and leads back to the sources", () => {
  for (const file of files.filter((name) => /^dist\/[\w.]+\.js$/.test(name))) {
    const lines = readFileSync(join(installed, file), "utf8").trimEnd().split("\n");
    assert.ok(lines.length <= 4, `${file} has ${lines.length} lines`);
  }
  const map = new SourceMap(JSON.parse(readFileSync(join(installed, "dist/index.js.map"), "utf8")));
  const lines = readFileSync(join(installed, "dist/index.js"), "utf8").split("\n");
  const line = lines.findIndex((text) => text.includes("no such option"));
  const { originalSource } = map.findEntry(line, lines[line].indexOf("no such option"));
  assert.match(originalSource, /src\/options\.ts$/);
});

test("bundlers are told of the one import that is not theirs", () => {
  const imports = readFileSync(join(installed, "dist/index.js"), "utf8").match(/import\([^")]+\)/g);
  assert.deepEqual(imports, ["import(/* webpackIgnore: true *//* @vite-ignore */a)"]);
});

test("script tags define two globals, and no others", () => {
  const context = createContext({ TextDecoder, TextEncoder });
  const before = Object.keys(context);
  for (const file of ["tidegate.iife.js", "page.iife.js"]) {
    runInContext(readFileSync(join(installed, "dist", file), "utf8"), context);
  }
  assert.deepEqual(Object.keys(context).slice(before.length), ["Tidegate", "TidegatePage"]);
  assert.equal(typeof context.Tidegate.connect, "function");
  assert.equal(typeof context.TidegatePage.observePage, "function");
});

for (const moduleResolution of ["bundler", "nodenext"]) {
  test(`the examples compile as an application's code, by ${moduleResolution}`, () => {
    compile({ moduleResolution, include: ["examples"] });
  });
}

test("a Node application needs no types of the DOM", () => {
  compile({ moduleResolution: "nodenext", lib: ["ES2022"], include: ["examples/node.ts"] });
});

test("misuse does not compile", () => {
  writeFileSync(
    join(application, "misuse.ts"),
    `import { connect } from "tidegate";
     connect("https://ingest.example.com").send({ data: 1 });`,
  );
  assert.throws(() => compile({ moduleResolution: "bundler", include: ["misuse.ts"] }), /'type' is missing/);
});

test("the README shows the examples as they are", () => {
  const readme = readFileSync("README.md", "utf8");
  const shown = [...readme.matchAll(/<!-- (examples\/\S+) -->\n+```\w+\n(.*?)```/gs)];
  const examples = readdirSync("examples").filter((name) => !name.endsWith(".d.ts"));
  assert.deepEqual(shown.map(([, path]) => path).sort(), examples.map((name) => `examples/${name}`).sort());
  for (const [, path, code] of shown) assert.equal(code, readFileSync(path, "utf8"), path);
  const blocks = [...readme.matchAll(/^```(ts|tsx|js|html)$/gm)];
  assert.equal(blocks.length, shown.length, "a block of code in the README is in no file of examples/");
});

test("the page of the script tag is one that parses", () => {
  const page = readFileSync("examples/script-tag.html", "utf8");
  for (const [, file] of page.matchAll(/<script src="\/vendor\/(.+?)">/g))
    assert.ok(files.includes(`dist/${file}`), file);
  for (const [, script] of page.matchAll(/<script>(.*?)<\/script>/gs)) new Script(script);
});

test("the page of modules takes files that there are, and the README names all that are to be copied", () => {
  const page = readFileSync("examples/module.html", "utf8");
  const readme = readFileSync("README.md", "utf8");
  const { imports } = JSON.parse(page.match(/<script type="importmap">(.*?)<\/script>/s)[1]);
  for (const [, name] of page.matchAll(/from "(.+?)"/g)) assert.ok(imports[name], name);
  for (const [, file] of page.matchAll(/"\/vendor\/tidegate\/(.+?)"/g)) assert.ok(files.includes(`dist/${file}`), file);
  const copied = readme.match(/^Copy (.*?) from the package/m)[1];
  const modules = files.filter((file) => /^dist\/\w+\.js$/.test(file)).map((file) => file.slice(5));
  assert.deepEqual([...copied.matchAll(/`(.+?)`/g)].map(([, file]) => file).sort(), modules.sort());
});

test("the README leads nowhere that is not in the package", () => {
  const readme = readFileSync("README.md", "utf8");
  const links = [...readme.matchAll(/\]\((?!https:|#)(.+?)\)/g)].map(([, target]) => target);
  assert.deepEqual(
    links.filter((target) => !files.includes(target)),
    [],
  );
});

/** Throws with what the compiler says. */
function compile({ moduleResolution, include, lib = ["ES2022", "DOM", "DOM.Iterable"] }) {
  const compilerOptions = {
    target: "ES2022",
    module: moduleResolution === "nodenext" ? "nodenext" : "ESNext",
    moduleResolution,
    lib,
    types: ["node"],
    jsx: "react-jsx",
    strict: true,
    skipLibCheck: false,
    noEmit: true,
  };
  writeFileSync(join(application, "tsconfig.json"), JSON.stringify({ compilerOptions, include }));
  try {
    execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", application], { encoding: "utf8" });
  } catch (error) {
    throw new Error(`${error.stdout}${error.stderr}`);
  }
}
