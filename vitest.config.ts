import { defineConfig } from 'vitest/config';

/**
 * unit: pure code and fakes, in parallel. integration: real ostree, registries and archives in temp folders.
 * e2e: throw-away hosts under a real systemd. Three files at a time on whatever there is: much of it is waiting.
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
          maxWorkers: 3,
          // Far above what any takes: a busy machine is no failure.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          // Each file has its folders, registries and engines to itself. Vitest's own choice on two cores is one.
          maxWorkers: 3,
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
          maxWorkers: 3,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
