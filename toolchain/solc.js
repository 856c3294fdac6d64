#!/usr/bin/env node
// A solc for py-solc-x: runs the compiler of the npm package for the two calls that py-solc-x makes.
// The compiler reads nothing but its input, and its latest answers are kept in .cache/solc.
const crypto = require("crypto");
const fs = require("fs");
const path = require("path");
const v8 = require("v8");

const KEPT = 200; // answers
const root = path.resolve(path.dirname(fs.realpathSync(__filename)), "..");
const cache = path.join(root, ".cache", "solc");
const compiler = path.join(root, "node_modules", "solc");

const flags = process.argv.slice(2);
const known = ["--version", "--standard-json", "--base-path", "--allow-paths", "--include-path"];
const unknown = flags.find((flag) => flag.startsWith("-") && !known.includes(flag));
if (unknown) {
  console.error(`solc: unknown option ${unknown}: use ${known.join(", ")}`);
  process.exit(1);
}

/** Return the kept answer to a question, or else ask the compiler and keep its answer. */
function answer(question, ask) {
  const { version } = require(path.join(compiler, "package.json"));
  const hash = crypto.createHash("sha256").update(`${version}\n${question}`).digest("hex");
  const file = path.join(cache, hash);
  try {
    const kept = fs.readFileSync(file, "utf8");
    fs.utimes(file, new Date(), new Date(), () => {}); // the answers in use are the latest ones
    return kept;
  } catch {
    v8.setFlagsFromString("--liftoff-only"); // one short run does not repay optimised code
    rememberFunctions();
    const made = ask(require(compiler));
    keep(file, made);
    return made;
  }
}

/** Look up each function of the compiler's table once: its exceptions call them through it. */
function rememberFunctions() {
  const table = WebAssembly.Table.prototype;
  const { get, set } = table;
  const found = [];
  table.get = function (index) {
    return (found[index] ??= get.call(this, index));
  };
  table.set = function (index, value) {
    found[index] = undefined;
    return set.call(this, index, value);
  };
}

/** Write a file whole, and remove the oldest ones; a disk that is full or read-only keeps none. */
function keep(file, content) {
  try {
    fs.mkdirSync(cache, { recursive: true });
    const beside = `${file}.${process.pid}.partial`;
    fs.writeFileSync(beside, content);
    fs.renameSync(beside, file);
    const age = (name) => fs.statSync(path.join(cache, name)).mtimeMs;
    const names = fs.readdirSync(cache);
    if (names.length > KEPT) {
      const newest = names.sort((one, other) => age(other) - age(one));
      newest.slice(KEPT).forEach((name) => fs.rmSync(path.join(cache, name), { force: true }));
    }
  } catch {
    // Nothing depends on what is kept.
  }
}

if (flags.includes("--version")) {
  const version = answer("--version", (solc) => solc.version());
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${version}`);
} else {
  // `readFileSync(0)` fails with EAGAIN on a slow pipe.
  let input = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (piece) => (input += piece));
  process.stdin.on("end", () =>
    process.stdout.write(answer(input, (solc) => solc.compile(input))),
  );
}
