#!/usr/bin/env node
// A solc for py-solc-x: runs the compiler of the npm package for the two calls that py-solc-x makes.
const path = require("path");
const fs = require("fs");

const root = path.resolve(path.dirname(fs.realpathSync(__filename)), "..");
const flags = process.argv.slice(2);
const known = ["--version", "--standard-json", "--base-path", "--allow-paths", "--include-path"];
const unknown = flags.find((flag) => flag.startsWith("-") && !known.includes(flag));
if (unknown) {
  console.error(`solc: unknown option ${unknown}: use ${known.join(", ")}`);
  process.exit(1);
}

const solc = require(path.join(root, "node_modules", "solc"));
if (flags.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else {
  // `readFileSync(0)` fails with EAGAIN on a slow pipe.
  let input = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (piece) => (input += piece));
  process.stdin.on("end", () => process.stdout.write(solc.compile(input)));
}
