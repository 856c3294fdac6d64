import { defineConfig } from "vite";

// The content security policy forbids inline scripts and styles.
export default defineConfig({ build: { assetsInlineLimit: 0, modulePreload: { polyfill: false } } });
