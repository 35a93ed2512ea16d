// Writes the files of examples/ into the README, where it names them.
import { readFile, writeFile } from "node:fs/promises";

const readme = await readFile("README.md", "utf8");
const parts = readme.split(/(?<=<!-- examples\/\S+ -->\n\n```\w+\n).*?(?=```)/s);
const names = [...readme.matchAll(/<!-- (examples\/\S+) -->/g)].map(([, name]) => name);
const examples = await Promise.all(names.map((name) => readFile(name, "utf8")));
await writeFile("README.md", parts.map((part, index) => part + (examples[index] ?? "")).join(""));
