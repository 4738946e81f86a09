import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [svelte()],
  build: { target: 'es2022', sourcemap: false },
  worker: { format: 'es' },
  server: { proxy: { '/ovation.v1': 'http://localhost:8080', '/v1': { target: 'ws://localhost:8080', ws: true } } },
});
