import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { trimContainers } from '../../src/app/trim-containers.ts';
import type { ProgressEvent } from '../../src/events.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { answerShow, createListHost, writeContainer } from './list-host.ts';

const folder = useTempFolder();

describe('the trim', () => {
  it('asks once for each file system that running containers are on, and names them', async () => {
    const show = answerShow({ web: { ActiveState: 'inactive' } });
    const { app, exec } = createListHost(folder(), (line) =>
      line.startsWith('fstrim') ? '/x: 1.5 GiB (1610612736 bytes) trimmed\n' : show(line),
    );
    for (const name of ['db', 'mail', 'web'])
      mkdirSync(join(writeContainer(app.paths.checkouts, name), 'rootfs'));
    const events: ProgressEvent[] = [];
    const path = join(app.paths.checkouts, 'db.0/rootfs');
    expect(await trimContainers({ ...app, report: (event) => void events.push(event) })).toEqual([
      { path, bytes: 1_610_612_736, containers: ['db', 'mail'] },
    ]);
    expect(exec.lines.filter((line) => line.startsWith('fstrim'))).toEqual([`fstrim --verbose ${path}`]);
    expect(events.map((event) => ('text' in event ? event.text : ''))).toEqual([
      'Trimming container id db',
      'Trimming container id mail',
    ]);
  });
});
