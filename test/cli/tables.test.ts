import { describe, expect, it } from 'vitest';
import type { ListedContainer } from '../../src/app/list-containers.ts';
import type { ListedImage } from '../../src/app/list-images.ts';
import { formatDoomed } from '../../src/cli/commands/containers-delete.ts';
import { formatContainers, toDocument as containerDocument } from '../../src/cli/commands/containers-list.ts';
import { formatChecks } from '../../src/cli/commands/doctor.ts';
import { formatImages, toDocument as imageDocument } from '../../src/cli/commands/images-list.ts';
import { formatStats } from '../../src/cli/commands/stats.ts';
import { formatClock, formatProcesses } from '../../src/cli/commands/top.ts';
import { formatSummary } from '../../src/cli/commands/update-all.ts';
import { formatTable } from '../../src/cli/output/table.ts';
import { parseContainerName } from '../../src/container/name.ts';

const HEX = 'a343067c24954934e4402a61fd25da2ae265d1fca3b5c7dcb6e064137b5c134c';

function container(changes: Partial<ListedContainer> = {}): ListedContainer {
  return {
    id: parseContainerName('hello'),
    imageId: HEX,
    imageName: 'docker.io/hello:latest',
    command: '/usr/bin/run.sh',
    created: '2026-11-22 03:27:02',
    state: 'running',
    runtime: '/usr/bin/runc',
    backend: 'ostree',
    failedUpdate: undefined,
    ...changes,
  };
}

function image(changes: Partial<ListedImage> = {}): ListedImage {
  return {
    repo: 'docker.io/hello',
    tag: 'latest',
    isDangling: false,
    used: false,
    id: HEX,
    created: '2026-11-22 03:27:02',
    virtualSize: '1.09 MB',
    backend: 'ostree',
    ...changes,
  };
}

describe('the table of containers', () => {
  it("has atomic's columns, cut to their widths", () => {
    expect(
      formatContainers(
        [container({ state: 'failed' }), container({ id: parseContainerName('ns'), state: 'no service' })],
        {
          trunc: true,
        },
      ),
    ).toEqual([
      '   CONTAINER ID IMAGE                NAME       COMMAND    CREATED          STATE      BACKEND    RUNTIME   ',
      '   hello        docker.io/hello:late hello      /usr/bin/r 2026-11-22 03:27 failed     ostree     /usr/bin/r',
      '   ns           docker.io/hello:late ns         /usr/bin/r 2026-11-22 03:27 no service ostree     /usr/bin/r',
    ]);
  });

  it('grows where nothing is to be cut', () => {
    const id = parseContainerName('a-rather-long-name');
    expect(formatContainers([container({ id }), container()], { trunc: false })).toEqual([
      '   CONTAINER ID       IMAGE                  NAME               COMMAND         CREATED          STATE      BACKEND    RUNTIME      ',
      '   a-rather-long-name docker.io/hello:latest a-rather-long-name /usr/bin/run.sh 2026-11-22 03:27 running    ostree     /usr/bin/runc',
      '   hello              docker.io/hello:latest hello              /usr/bin/run.sh 2026-11-22 03:27 running    ostree     /usr/bin/runc',
    ]);
  });

  it('marks a container whose last update failed, and says below where to look', () => {
    const path = '/var/lib/containers/atomic/.atomic-ts/failed/hello';
    const failedUpdate = { image: 'docker.io/hello:v2', time: '2026-11-22T03:27:02.000Z', reason: 'x', path };
    const containers = [container({ failedUpdate }), container({ id: parseContainerName('ns') })];
    const lines = formatContainers(containers, { trunc: true, noheading: true });
    expect(lines).toEqual([
      '!  hello        docker.io/hello:late hello      /usr/bin/r 2026-11-22 03:27 running    ostree     /usr/bin/r',
      '   ns           docker.io/hello:late ns         /usr/bin/r 2026-11-22 03:27 running    ostree     /usr/bin/r',
      `! The last update of hello, to docker.io/hello:v2, did not start: see ${path}`,
    ]);
    expect(formatContainers(containers, { trunc: true, quiet: true })).toEqual(['hello', 'ns']);
    expect(containerDocument(container({ failedUpdate })).failed_update).toEqual(failedUpdate);
  });

  it('is nothing over nothing, has no heading when asked, and is whole names with --quiet', () => {
    expect(formatContainers([], { trunc: true })).toEqual([]);
    expect(formatContainers([container()], { trunc: true, noheading: true })).toHaveLength(1);
    const id = parseContainerName('a-rather-long-name');
    expect(formatContainers([container({ id })], { trunc: true, quiet: true })).toEqual([
      'a-rather-long-name',
    ]);
  });

  it("has atomic's keys and one of ours as JSON", () => {
    expect(JSON.stringify([containerDocument(container())], undefined, 4)).toBe(`[
    {
        "id": "hello",
        "image_id": "a343067c24954934e4402a61fd25da2ae265d1fca3b5c7dcb6e064137b5c134c",
        "image_name": "docker.io/hello:latest",
        "name": "hello",
        "command": "/usr/bin/run.sh",
        "created": "2026-11-22 03:27:02",
        "state": "running",
        "backend": "ostree",
        "runtime": "/usr/bin/runc",
        "vulnerable": false,
        "running": true,
        "failed_update": null
    }
]`);
    expect(containerDocument(container({ state: 'failed' })).running).toBe(false);
  });
});

describe('the table of images', () => {
  it("has atomic's columns, as wide as their longest cell", () => {
    expect(
      formatImages(
        [
          image({ repo: 'docker.io/multi', used: true, virtualSize: '1.07 MB' }),
          image({ repo: 'docker.io/hello-plain' }),
        ],
        { trunc: true },
      ),
    ).toEqual([
      '   REPOSITORY              TAG      IMAGE ID       CREATED            VIRTUAL SIZE   TYPE      ',
      '>  docker.io/multi         latest   a343067c2495   2026-11-22 03:27   1.07 MB        ostree    ',
      '   docker.io/hello-plain   latest   a343067c2495   2026-11-22 03:27   1.09 MB        ostree    ',
    ]);
  });

  it('has rows without names for layers and configs, those that dangle with a star', () => {
    const layer = { repo: '<none>', tag: '<none>', virtualSize: '' };
    expect(
      formatImages(
        [
          image({ repo: '127.0.0.1:5000/library/hello' }),
          image({ ...layer, id: '18323009b43c'.padEnd(64, '0') }),
          image({ ...layer, id: '21152ca88cc4'.padEnd(64, '0'), isDangling: true }),
        ],
        { trunc: true, noheading: true },
      ),
    ).toEqual([
      '   127.0.0.1:5000/library/hello   latest   a343067c2495   2026-11-22 03:27   1.09 MB        ostree    ',
      '   <none>                         <none>   18323009b43c   2026-11-22 03:27                  ostree    ',
      '*  <none>                         <none>   21152ca88cc4   2026-11-22 03:27                  ostree    ',
    ]);
  });

  it('has whole ids when nothing is to be cut', () => {
    expect(formatImages([image()], { trunc: false })).toEqual([
      `   REPOSITORY        TAG      ${'IMAGE ID'.padEnd(65)} CREATED            VIRTUAL SIZE   TYPE      `,
      `   docker.io/hello   latest   ${HEX}  2026-11-22 03:27   1.09 MB        ostree    `,
    ]);
  });

  it('has its heading over nothing too', () => {
    expect(formatImages([], { trunc: true })).toEqual([
      '   REPOSITORY TAG IMAGE ID       CREATED            VIRTUAL SIZE   TYPE      ',
    ]);
    expect(formatImages([], { trunc: true, noheading: true })).toEqual([]);
  });

  it('is ids with --quiet, whole ones on top of --no-trunc', () => {
    expect(formatImages([image()], { trunc: true, quiet: true })).toEqual(['a343067c2495']);
    expect(formatImages([image()], { trunc: false, quiet: true })).toEqual([HEX]);
  });

  it("has atomic's keys as JSON", () => {
    expect(JSON.stringify([imageDocument(image({ used: true }))], undefined, 4)).toBe(`[
    {
        "repo": "docker.io/hello",
        "tag": "latest",
        "is_dangling": false,
        "used": true,
        "vulnerable": false,
        "id": "a343067c24954934e4402a61fd25da2ae265d1fca3b5c7dcb6e064137b5c134c",
        "type": "image",
        "created": "2026-11-22 03:27:02",
        "virtual_size": "1.09 MB",
        "backend": "ostree",
        "vuln_info": {}
    }
]`);
  });
});

describe('a table', () => {
  it('keeps what an image put into a cell on its line, and visible', () => {
    const [row] = formatTable(
      [
        { heading: 'A', width: 1 },
        { heading: 'B', width: 1 },
      ],
      [['a\nb\tc', '\u001b[2J']],
      {
        heading: false,
      },
    );
    expect(row).toBe('a b c \\u001b[2J');
  });

  it('cuts between characters, not within one', () => {
    const columns = [{ heading: 'A', width: 2, cut: true }];
    expect(formatTable(columns, [['a😀b']], { heading: false })).toEqual(['a😀']);
  });
});

describe('the lines of doctor', () => {
  it('have the advice below what was found, and the verdict at the end', () => {
    const fine = { name: 'root', status: 'ok', found: 'running as root', advice: '' } as const;
    const bad = { name: 'ostree', status: 'problem', found: 'not installed', advice: 'Install it.' } as const;
    const odd = { name: 'cgroup', status: 'warning', found: 'version 1', advice: 'Boot anew.' } as const;
    expect(formatChecks([fine, bad, odd])).toEqual([
      'ok       root    running as root',
      'problem  ostree  not installed',
      '                 Install it.',
      'warning  cgroup  version 1',
      '                 Boot anew.',
      '',
      '1 problem has to be solved before a container can be installed.',
    ]);
    expect(formatChecks([fine, odd]).at(-1)).toBe('System containers can be installed on this host.');
    expect(formatChecks([bad, bad]).at(-1)).toContain('2 problems have');
  });
});

describe('the tables of running containers', () => {
  const hello = parseContainerName('hello');

  it('name what is to be deleted, in the form of atomic', () => {
    const name = parseContainerName('fromdocker');
    expect(formatDoomed([{ name, image: 'atomic-test-system:latest' }])).toEqual([
      '   ID           NAME                 IMAGE_NAME                STORAGE   ',
      '   fromdocker   fromdocker           atomic-test-system:latest ostree    ',
    ]);
  });

  it('sum an update of all up, in the form of atomic', () => {
    const [before, latest] = ['a343067c24954934e4402a61fd25da2a', '792021433536442b13cc980f5b0d0932'];
    const more = 'c'.repeat(32);
    expect(
      formatSummary([
        {
          name: hello,
          before: before + more,
          after: before + more,
          latest: latest + more,
          status: 'Not updated',
          error: undefined,
        },
        { name: hello, before: '', after: '', latest: undefined, status: 'Unknown', error: undefined },
      ]),
    ).toEqual([
      'Container       Image ID before update           Image ID after update            Latest image ID                  Status         ',
      `hello           ${before} ${before} ${latest} Not updated    `,
      `hello           ${' '.repeat(32)} ${' '.repeat(32)} <NOT FOUND>                      Unknown        `,
    ]);
  });

  const web = {
    container: hello,
    pid: 4711,
    parent: 1,
    uid: 0,
    gid: 33,
    user: 'root',
    cpuSeconds: 3725,
    ageSeconds: 10,
    cpuPercent: 12.5,
    memoryPercent: 0.1,
    residentBytes: 1_048_576,
    command: ['sh', '-c', 'a\u001b[0m'],
    cgroup: undefined,
  };

  it('list processes, with more columns where they are asked for', () => {
    const now = new Date(2026, 10, 22, 3, 27, 12);
    expect(formatProcesses([web], [], now)).toEqual([
      'CONTAINER  PID     USER     %CPU  %MEM  RSS       UID   GID   CMD             ',
      'hello      4711    root     12.5  0.1   1.05 MB   0     33    sh -c a\\u001b[0m',
    ]);
    expect(formatProcesses([web], ['ppid', 'time', 'stime'], now).map((line) => line.slice(40, 90))).toEqual([
      'RSS       TIME     STIME               PPID    UID',
      '1.05 MB   01:02:05 2026-11-22 03:27:02 1       0  ',
    ]);
  });

  it('tell what is used, and a dash where nobody counts', () => {
    const used = { container: hello, processes: 2, cpuSeconds: 1, cpuPercent: 0.4, memoryBytes: 5_000_000 };
    expect(
      formatStats([{ ...used, memoryLimitBytes: undefined, readBytes: 0, writtenBytes: undefined }]),
    ).toEqual([
      'CONTAINER  PROCESSES %CPU  TIME     MEMORY    LIMIT     READ      WRITTEN  ',
      'hello      2         0.4   00:00:01 5.0 MB    -         0.0 B     -        ',
    ]);
  });

  it('write days before hours', () => {
    expect(formatClock(86_400 * 3 + 59)).toBe('3-00:00:59');
    expect(formatClock(0.9)).toBe('00:00:00');
  });
});
