// Calls a function of tests/page.ts in Node: its name and arguments come as JSON, its result goes as JSON.
import { text } from "node:stream/consumers";
import { build } from "vite";

const [{ output }] = await build({
  configFile: false,
  logLevel: "error",
  build: { lib: { entry: "tests/page.ts", formats: ["es"] }, write: false, minify: false },
});
const code = `data:text/javascript;base64,${Buffer.from(output[0].code).toString("base64")}`;
const module = await import(code);
const { name, args } = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(await module[name](...args)));
