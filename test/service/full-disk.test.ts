import { join } from 'node:path';
import { expect, it } from 'vitest';
import { AtomicError } from '../../src/errors.ts';
import { tellingFullDisk } from '../../src/service/full-disk.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
function failing(error: Error): () => Promise<never> {
  return async () => {
    throw error;
  };
}

it('a failure of systemctl stays what it is where the disk takes something', async () => {
  const error = new AtomicError('command-failed', 'systemctl enable failed');
  await expect(tellingFullDisk(folder(), failing(error))).rejects.toBe(error);
  await expect(tellingFullDisk(join(folder(), 'none'), failing(error))).rejects.toBe(error);
  await tellingFullDisk(folder(), () => Promise.resolve());
});
