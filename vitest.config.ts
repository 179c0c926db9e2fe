import { defineConfig } from 'vitest/config';

/**
 * unit: pure code and fakes, in parallel. integration: real ostree, registries and archives in temp folders.
 * e2e: throw-away hosts under a real systemd; two files at a time, because much of it is waiting.
 */
export default defineConfig({
  test: {
    passWithNoTests: false,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/e2e/**'],
          maxWorkers: 2,
          // Far above what any takes: a busy machine is no failure.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          // Each file has its folders, registries and engines to itself. On two cores vitest's own choice is one worker.
          maxWorkers: 2,
          setupFiles: ['test/integration/keep-machine-untouched.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          // Each file has hosts of its own, which see nothing of each other.
          maxWorkers: 2,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
