/** Images that a throw-away host can run: this machine's own static busybox is their only program. */
import { existsSync, readFileSync } from 'node:fs';
import { readIdentity } from '../../../src/host/identity.ts';
import type { Platform } from '../../../src/image/platform.ts';
import {
  buildImage,
  type BuiltImage,
  type ImageSpec,
  type LayerSpec,
  type TarEntry,
} from '../../fixtures/image-builder.ts';

const APPLETS =
  'cat date echo false grep head httpd id kill ls mkdir mount nc ps pwd readlink rm sh sleep stat test touch true umask wget'.split(
    ' ',
  );
/** Debian's and Fedora's places. */
const BUSYBOX = ['/bin/busybox', '/usr/sbin/busybox'];
const HELLO = new URL('../../fixtures/hello-world/', import.meta.url);

export function hostPlatform(): Platform {
  const { architecture, variant } = readIdentity();
  return { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) };
}

/** The layer that all of these images begin with. */
export function busyboxLayer(): LayerSpec {
  const busybox = BUSYBOX.find((path) => existsSync(path));
  if (busybox === undefined) throw new Error(`busybox is missing (looked for ${BUSYBOX.join(' and ')})`);
  const folders = 'bin dev etc proc run srv srv/www sys usr usr/bin var'.split(' ');
  return {
    entries: [
      ...folders.map((path): TarEntry => ({ path, type: 'dir' })),
      { path: 'tmp', type: 'dir', mode: 0o1777 },
      { path: 'bin/busybox', content: readFileSync(busybox), mode: 0o755 },
      ...APPLETS.map((name): TarEntry => ({ path: `bin/${name}`, type: 'symlink', target: 'busybox' })),
      { path: 'etc/passwd', content: 'root:x:0:0:root:/:/bin/sh\n' },
      { path: 'etc/group', content: 'root:x:0:\n' },
    ],
  };
}

/** An image of busybox and the given files, for this machine's platform. */
export function makeImage(
  entries: readonly TarEntry[],
  config: NonNullable<ImageSpec['config']> = {},
): BuiltImage {
  return buildImage({ layers: [busyboxLayer(), { entries }], config, platform: hostPlatform() });
}

export interface HelloOptions {
  /** Instead of those of fixtures/hello-world. */
  readonly defaults?: Readonly<Record<string, string>>;
  /** Templates and other files of /exports by name; undefined leaves one out. */
  readonly exports?: Readonly<Record<string, string | undefined>>;
  /** Added to the image. */
  readonly files?: readonly TarEntry[];
}

/** The demo's web server: a page that says "Hi $RECEIVER" on $PORT. */
export function helloImage({ defaults, exports = {}, files = [] }: HelloOptions = {}): BuiltImage {
  const manifest =
    defaults === undefined ? {} : { 'manifest.json': JSON.stringify({ defaultValues: defaults }) };
  const own = Object.fromEntries(
    ['config.json.template', 'manifest.json', 'service.template', 'tmpfiles.template'].map((name) => [
      name,
      readHello(`exports/${name}`),
    ]),
  );
  const exported = Object.entries<string | undefined>({ ...own, ...manifest, ...exports });
  return makeImage(
    [
      { path: 'usr/bin/run.sh', content: readHello('run.sh'), mode: 0o755 },
      { path: 'exports', type: 'dir' },
      ...exported.flatMap(([name, content]): TarEntry[] =>
        content === undefined ? [] : [{ path: `exports/${name}`, content }],
      ),
      ...files,
    ],
    {
      Cmd: ['/usr/bin/run.sh'],
      Env: ['PATH=/usr/bin:/bin'],
      Labels: { 'atomic.type': 'system', 'atomic.summary': 'Says hi over HTTP' },
    },
  );
}

/** An ordinary image whose one process is a shell script. */
export function scriptImage(script: string, config: NonNullable<ImageSpec['config']> = {}): BuiltImage {
  return makeImage([{ path: 'usr/bin/run.sh', content: `#!/bin/sh\n${script}\n`, mode: 0o755 }], {
    Cmd: ['/usr/bin/run.sh'],
    ...config,
  });
}

/** A script that stays until SIGTERM; PID 1 of a container ignores every signal that it has no handler for. */
export const STAY = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

export function readHello(path: string): string {
  return readFileSync(new URL(path, HELLO), 'utf8');
}
