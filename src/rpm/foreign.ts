/** Packages that an image brings, or the spec of: what they may do to the host, and where a spec may run. */
import { mkdir, open, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AtomicError, isAtomicError } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import { BUILD_LOG_BYTES, FOREIGN_BUILD_MS, FOREIGN_PACKAGE_BYTES } from '../limits.ts';
import { definitions, requirePlainPath } from './build.ts';
import { ACCOUNT } from './facts.ts';
import type { PackageContent } from './read-package.ts';

/**
 * Refuses a package of an image whose installation could not be taken back: one that runs programs of its own, or takes
 * other packages away; and one of another name, which would not go with its container.
 * @param expected the name it has to have
 * @throws AtomicError `exports-invalid`
 */
export function checkForeignPackage(content: PackageContent, expected: string): void {
  const refuse = (found: string, details: readonly string[] = []): AtomicError =>
    new AtomicError(
      'exports-invalid',
      `Will not install the image's own package ${content.label}: ${found}`,
      {
        ...(details.length === 0 ? {} : { details: details.join('\n') }),
        hint: 'To look at it: --system-package=build. To install without it: --system-package=no.',
      },
    );
  if (content.name !== expected) throw refuse(`it is called ${content.name}, and not ${expected}`);
  if (content.scriptlets.length > 0)
    throw refuse(
      'it has scriptlets, which run as root, and nothing could take back what they do',
      content.scriptlets,
    );
  if (content.obsoletes.length > 0) throw refuse('it takes the place of other packages', content.obsoletes);
  const accounts = content.provides.filter((line) => ACCOUNT.test(line));
  if (accounts.length > 0) throw refuse('rpm would make accounts for it', accounts);
  const odd = content.files.find(({ kind }) => kind === 'other');
  if (odd !== undefined)
    throw refuse(`${JSON.stringify(odd.path)} is neither file, folder nor symbolic link`);
}

export interface ForeignBuild {
  /** A folder for this alone, with the files in its `sourceTree`. */
  readonly folder: string;
  readonly spec: string;
  readonly epoch: number;
  readonly signal: AbortSignal;
}

/** Where the sandbox sees the folder's sources, and where it may write. */
const SOURCES = '/mnt/image';
const WORK = '/tmp';

/** The host files, owned by whoever copies them. */
const COPY = `cp -dR --preserve=mode,links ${SOURCES}/root/.`;

/** All that runs in the sandbox besides what the spec says; its output is the package. */
const SCRIPT = `set -e
mkdir ${WORK}/home ${WORK}/BUILD ${WORK}/root
${COPY} ${WORK}/root/
cd ${WORK}
rpmbuild -bb --target=noarch --buildroot=${WORK}/root "$@" ${SOURCES}/rpm.spec >&2
set -- ${WORK}/RPMS/*.rpm
[ $# = 1 ] || { echo "the spec makes $# packages, and one is needed" >&2; exit 1; }
cat "$1"
`;

/**
 * Where a spec runs: as a user of its own, without capabilities, network, devices and homes, on a file system that it
 * cannot write to but for a folder in memory. It may read what every user may, and has nobody to tell.
 */
function sandbox(folder: string, output: string, log: string): string[] {
  const properties = [
    'DynamicUser=yes',
    'PrivateNetwork=yes',
    'PrivateDevices=yes',
    'PrivateIPC=yes',
    'ProtectSystem=strict',
    'ProtectHome=yes',
    'ProtectClock=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
    'ProtectControlGroups=yes',
    'ProtectProc=invisible',
    'RestrictRealtime=yes',
    // For pipes between programs; there are no sockets of others in sight.
    'RestrictAddressFamilies=AF_UNIX',
    'LockPersonality=yes',
    'CapabilityBoundingSet=',
    'UMask=0022',
    `TemporaryFileSystem=${WORK}:mode=1777,size=2G /mnt:ro /run:ro`,
    `BindReadOnlyPaths=${join(folder, 'SOURCES')}:${SOURCES}`,
    'MemoryMax=3G',
    'TasksMax=256',
    `LimitFSIZE=${FOREIGN_PACKAGE_BYTES}`,
    `RuntimeMaxSec=${FOREIGN_BUILD_MS / 1000}`,
    `StandardOutput=truncate:${output}`,
    `StandardError=truncate:${log}`,
  ];
  return properties.map((property) => `--property=${property}`);
}

/**
 * Builds a package from an image's spec, whose macros and scripts are foreign programs.
 * @returns the package, which nobody has looked at yet
 * @throws AtomicError `exports-invalid` with the end of what the build said, `tool-missing`; the signal's reason
 */
export async function buildForeignPackage(exec: Exec, request: ForeignBuild): Promise<string> {
  const { folder, spec, epoch, signal } = request;
  requirePlainPath(folder);
  const output = join(folder, 'RPMS', 'foreign.rpm');
  const log = join(folder, 'build.log');
  await mkdir(join(folder, 'RPMS'), { recursive: true });
  await writeFile(join(folder, 'SOURCES', 'rpm.spec'), spec);
  const unit = `atomic-ts-rpmbuild-${basename(folder)}`;
  // The root of a user namespace of its own, so that files belong to root and nothing else does.
  const inside = ['unshare', '--user', '--map-root-user', '--', 'sh', '-c', SCRIPT, 'sh'];
  // Before %install the host files are there; rpm itself would empty the tree, or make another.
  const prepare = `%{___build_pre}\nmkdir -p "$RPM_BUILD_ROOT"\n${COPY} "$RPM_BUILD_ROOT/"\n`;
  const macros = [...definitions(WORK), `--define=__spec_install_pre ${prepare}`];
  const variables = [
    `--setenv=SOURCE_DATE_EPOCH=${epoch}`,
    `--setenv=HOME=${WORK}/home`,
    '--setenv=LC_ALL=C.UTF-8',
  ];
  const options = ['--quiet', '--wait', '--collect', '--service-type=exec', `--unit=${unit}`];
  try {
    await exec.run(
      'systemd-run',
      [...options, ...variables, ...sandbox(folder, output, log), '--', ...inside, ...macros],
      { signal },
    );
  } catch (error) {
    // Whoever asked for it may be gone: the unit would go on.
    await exec.run('systemctl', ['stop', '--', `${unit}.service`], { accept: [0, 1, 5] });
    if (!isAtomicError(error, 'command-failed')) throw error;
    throw new AtomicError('exports-invalid', "The image's rpm.spec makes no package", {
      details: (await readEnd(log)) || error.message,
      cause: error,
      hint: 'To do without it: --system-package=no.',
    });
  }
  return output;
}

async function readEnd(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const length = Math.min(size, BUILD_LOG_BYTES);
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await file.read(bytes, 0, length, size - length);
    return bytes.subarray(0, bytesRead).toString('utf8').trim();
  } finally {
    await file.close();
  }
}
