// Bundles a module of the page for Node: `node tests/bundle.mjs web/src/groth16.ts OUT.mjs`.
import { build } from "vite";

const [entry, out] = process.argv.slice(2);
await build({
  configFile: false,
  logLevel: "error",
  build: {
    lib: { entry, formats: ["es"], fileName: () => out.split("/").at(-1) },
    outDir: out.split("/").slice(0, -1).join("/"),
    emptyOutDir: false,
    minify: false,
  },
});
