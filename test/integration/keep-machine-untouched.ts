/**
 * skopeo, our judge, run by root keeps a cache in the machine's own /var/lib/containers. Told that it is rootless it
 * keeps that below XDG_DATA_HOME: in a folder of this run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'atomic-ts-skopeo.'));
process.env['_CONTAINERS_ROOTLESS_UID'] = '65534';
process.env['XDG_DATA_HOME'] = folder;

afterAll(() => rmSync(folder, { recursive: true, force: true }));
