/** The files of a container against their checksums: config.json, the unit, the tmpfiles configuration, host files. */
import { join, posix } from 'node:path';
import { escapeLine } from '../../escape.ts';
import type { HostFiles } from '../../host/ports.ts';
import type { Deployment } from '../containers.ts';
import { drift, notRecorded, ok, type DriftedFile, type Judgement } from './parts.ts';

type Files = Pick<HostFiles, 'checksum' | 'readLink'>;

const CONFIG = 'config.json';

/** The runtime's configuration, which only the deployment has. */
export async function judgeConfig(files: Files, { path, info }: Deployment): Promise<Judgement> {
  const file = join(path, CONFIG);
  const now = await files.checksum(file);
  if (info.filesChecksum === undefined) {
    if (now === undefined && info.hasContainerService)
      return drift('config', `${file} is missing`, { deployment: true });
    return notRecorded('config', `no checksum of ${file}`);
  }
  const recorded = info.filesChecksum[CONFIG];
  if (now === recorded) return ok('config', recorded === undefined ? 'none' : file);
  return drift('config', `${file} ${now === undefined ? 'is missing' : 'was edited'}`, { deployment: true });
}

/** A file that was rendered into the deployment and put on the host from there. */
export async function judgeOnHost(
  files: Files,
  { path, info }: Deployment,
  name: 'unit' | 'tmpfiles',
  copyName: string,
  place: string,
): Promise<Judgement> {
  const copy = join(path, copyName);
  const own = await files.checksum(copy);
  const recorded = info.filesChecksum === undefined ? own : info.filesChecksum[copyName];
  if (recorded === undefined) return judgeUnknown(files, name, place, info.hasContainerService);
  const now = await files.checksum(place);
  const isDamaged = own !== recorded;
  const copyDamage = isDamaged ? [`${copy} ${own === undefined ? 'is missing' : 'was edited'}`] : [];
  if (now === recorded && !isDamaged) return ok(name, place);
  if (now === recorded)
    return drift(
      name,
      `${place} is as it was, the deployment's copy is not`,
      { deployment: true },
      copyDamage,
    );
  const found = await describeOther(files, place, now);
  return drift(name, `${place} ${found}`, { [name]: true, deployment: isDamaged }, copyDamage);
}

/** Without a copy nothing tells what a file was; a unit that is not there at all is missing nevertheless. */
async function judgeUnknown(
  files: Files,
  name: 'unit' | 'tmpfiles',
  place: string,
  hasService: boolean,
): Promise<Judgement> {
  const isThere = (await files.checksum(place)) !== undefined;
  if (name === 'unit' && hasService) {
    if (!isThere) return drift(name, `${place} is missing`, { unit: true, deployment: true });
    return notRecorded(name, `the deployment has no copy of ${place}`);
  }
  return isThere ? notRecorded(name, `nothing says whose ${place} is`) : ok(name, 'none');
}

async function describeOther(files: Files, place: string, now: string | undefined): Promise<string> {
  if (now === undefined) return 'is missing';
  const target = await files.readLink(place);
  if (target === '/dev/null') return 'is masked';
  return target === undefined ? 'was edited' : `is a link to ${escapeLine(target)}`;
}

/** Files that the image brought to the host. Only what was taken a checksum of is judged. */
export async function judgeHostFiles(files: Files, { info }: Deployment): Promise<Judgement> {
  const name = 'host-files';
  const { installedFiles, installedFilesChecksum } = info;
  if (installedFiles.length === 0) return ok(name, 'none');
  const drifted: DriftedFile[] = [];
  let unknown = 0;
  for (const listed of installedFiles) {
    const recorded = Object.hasOwn(installedFilesChecksum, listed)
      ? installedFilesChecksum[listed]
      : undefined;
    // atomic lists files of the root folder as "/./x".
    const path = posix.normalize(listed);
    if (!path.startsWith('/') || listed.split('/').includes('..')) {
      unknown += 1;
      continue;
    }
    const now = await files.checksum(path);
    if (now === undefined) drifted.push({ path, state: 'missing' });
    else if (recorded === undefined || recorded === '') unknown += 1;
    else if (now !== recorded) drifted.push({ path, state: 'changed' });
  }
  const count = installedFiles.length;
  if (drifted.length > 0) {
    const found = `${drifted.length} of ${count} ${count === 1 ? 'is' : 'are'} not as installed`;
    const details = drifted.map(
      ({ path, state }) => `${escapeLine(path)} ${state === 'missing' ? 'is missing' : 'was changed'}`,
    );
    return drift(name, found, { hostFiles: drifted }, details);
  }
  return unknown === 0 ? ok(name, `${count}`) : notRecorded(name, `no checksums of ${unknown} of ${count}`);
}
