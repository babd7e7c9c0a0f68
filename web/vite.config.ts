import { defineConfig } from 'vitest/config';

// In development the page comes from Vite and everything else from a running `lowrank serve`:
//   LOWRANK_SERVER=http://127.0.0.1:7860 npm run dev
const server = process.env.LOWRANK_SERVER ?? 'http://127.0.0.1:7860';
const served = ['/sdapi', '/internal', '/v1', '/sd_extra_networks', '/file=', '/healthz', '/openapi.json', '/docs'];

export default defineConfig({
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  test: { setupFiles: ['tests/setup.ts'] },
  build: { target: 'es2020', modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  server: { proxy: Object.fromEntries(served.map((path) => [path, { target: server, changeOrigin: true, headers: { Origin: server } }])) },
});
