import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listArchiveNames } from '../../../src/transport/docker-archive/list-names.ts';
import { writeDockerArchive } from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { messageOfFailure, smallImage } from '../images.ts';

const folder = useTempFolder();

test('the names of all images of an archive are listed, those without one by their place', async () => {
  const path = join(folder(), 'x.tar');
  writeDockerArchive(path, [
    { image: smallImage('1'), names: ['a:1', 'localhost:5000/b:2'] },
    { image: smallImage('2') },
    { image: smallImage('3'), names: ['c:latest'] },
  ]);
  expect(await listArchiveNames(path)).toEqual(['a:1', 'localhost:5000/b:2', '@1', 'c:latest']);
});

test('what is no archive has no names to list', async () => {
  const path = join(folder(), 'x.tar');
  expect(await messageOfFailure(listArchiveNames(path), 'image-not-found')).toContain('There is no file');
  writeFileSync(path, 'x'.repeat(1024));
  expect(await messageOfFailure(listArchiveNames(path), 'archive-invalid')).toContain('is not a tar archive');
});
