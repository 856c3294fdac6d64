import { defineConfig } from "vite";

// Everything in files of the page's own: its security policy allows nothing inline.
export default defineConfig({ build: { assetsInlineLimit: 0, modulePreload: { polyfill: false } } });
