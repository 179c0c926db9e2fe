// Builds dist/: one entry and the chunks that it loads lazily, with every dependency inside, so that the installed
// program needs node and nothing else.
import { readFile, rm, cp, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const { version } = JSON.parse(await readFile('package.json', 'utf8'));
await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: { 'atomic-ts': 'src/cli/main.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  chunkNames: 'chunks/[name]-[hash]',
  // Readable stack traces matter more than the bytes.
  minify: false,
  legalComments: 'linked',
  alias: { undici: './packaging/undici.cjs' },
  define: { ATOMIC_TS_VERSION: JSON.stringify(version) },
  banner: {
    // CommonJS dependencies ask for `require`, which an ES module does not have.
    js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
// Where nothing says so, node reads each file as CommonJS first, to find out that it is none.
await writeFile('dist/package.json', '{"type":"module"}\n');
await cp('templates', 'dist/templates', { recursive: true });
