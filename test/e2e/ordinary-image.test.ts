import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BuiltImage } from '../fixtures/image-builder.ts';
import { makeImage } from './support/images.ts';
import { prepareRuntime } from './support/runtimes.ts';
import { CHECKOUTS, openStage, readInfo, waitForPage, type Stage } from './support/stage.ts';

/** What the web server says when it starts, in the second line by way of a path. */
const SPOKEN = ['to the journal', 'by path'];

/** Built as nginx's image is: an entrypoint that prepares and runs the command, SIGQUIT for a stop, a cache to write to. */
function webImage(page: string): BuiltImage {
  const entrypoint = `#!/bin/sh
trap 'kill $!; echo "stopped by QUIT" >>/var/cache/web/log; exit 0' QUIT
echo "started by $(id -un)" >>/var/cache/web/log
echo "to the journal" >&2
echo "by path" >/dev/stderr
"$@" &
wait $!`;
  return makeImage(
    [
      { path: 'docker-entrypoint.sh', content: entrypoint, mode: 0o755 },
      { path: 'srv/www/index.html', content: page },
      { path: 'var/cache', type: 'dir' },
      { path: 'var/cache/web', type: 'dir', mode: 0o700 },
      { path: 'var/cache/web/shipped', content: 'with the image' },
    ],
    {
      Entrypoint: ['/docker-entrypoint.sh'],
      Cmd: ['httpd', '-f', '-p', '8090', '-h', '/srv/www'],
      Env: ['PATH=/usr/bin:/bin', 'WORDS=two words', 'ODD=a=b "c" $HOME ${X} %h \\n'],
      Volumes: { '/var/cache/web': {} },
      StopSignal: 'SIGQUIT',
    },
  );
}

/** Built as redis' image is: a user of its own by name, and a data folder that is both volume and working directory. */
function storeImage(): BuiltImage {
  const server = `#!/bin/sh
trap 'kill $!; exit 0' TERM
echo "$(id -u):$(id -g)" >>log
nc -ll -p 6390 -e /bin/cat &
wait $!`;
  return makeImage(
    [
      {
        path: 'etc/passwd',
        content: 'root:x:0:0:root:/:/bin/sh\nredis:x:999:1000::/data:/bin/sh\n',
      },
      { path: 'etc/group', content: 'root:x:0:\nredis:x:1000:\nlogs:x:1001:redis\n' },
      { path: 'usr/bin/server', content: server, mode: 0o755 },
      { path: 'data', type: 'dir', uid: 999, gid: 1000 },
    ],
    { Cmd: ['server'], User: 'redis', WorkingDir: '/data', Volumes: { '/data': {} } },
  );
}

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  await stage.push(webImage('page one'), 'web:1');
  await stage.push(webImage('page two'), 'web:2');
  await stage.push(storeImage(), 'store:1');
});
afterAll(() => stage.close());

describe.each([
  ['runc', SPOKEN],
  // Here /dev/stderr is the journal's own socket, which nothing can open by its path.
  ['crun', SPOKEN.slice(0, 1)],
])('an image without /exports, under %s,', (runtime, spoken) => {
  const web = `web-${runtime}`;
  const store = `store-${runtime}`;
  let program: string;
  const pidOf = async (name: string): Promise<string> =>
    String((JSON.parse(await stage.run(program, 'state', name)) as { pid: number }).pid);
  const journalOf = (name: string): Promise<string> =>
    stage.run('journalctl', '--quiet', `--unit=${name}`, `--unit=crun-${name}.scope`, '--output=cat');
  const install = (name: string, image: string): Promise<string> =>
    stage.succeed('install', `localhost:5000/${image}`, '--name', name, '--runtime', program);

  beforeAll(async () => {
    program = await prepareRuntime(stage, runtime);
  });

  it('runs what its Entrypoint and Cmd say, and serves', async () => {
    await install(web, 'web:1');
    await waitForPage(stage, 'http://localhost:8090/', 'page one');
    expect(await readInfo(stage, web)).toMatchObject({ runtime: program, 'has-container-service': true });
    expect(await stage.host.readFile(`/etc/systemd/system/${web}.service`)).toContain(
      `ExecStart=${program} `,
    );
    const [entrypoint, command] = await Promise.all(
      [await pidOf(web), `$(cat /proc/${await pidOf(web)}/task/*/children)`].map((pid) =>
        stage.shell(`tr '\\0' ' ' </proc/$(echo ${pid})/cmdline`),
      ),
    );
    expect(entrypoint).toBe('/bin/sh /docker-entrypoint.sh httpd -f -p 8090 -h /srv/www');
    expect(command).toBe('httpd -f -p 8090 -h /srv/www');
  });

  it('has its Env, byte for byte', async () => {
    const environment = await stage.run('cat', `/proc/${await pidOf(web)}/environ`);
    expect(environment.split('\0').filter((entry) => /^(?:PATH|WORDS|ODD)=/.test(entry))).toEqual([
      'PATH=/usr/bin:/bin',
      'WORDS=two words',
      'ODD=a=b "c" $HOME ${X} %h \\n',
    ]);
  });

  it('writes to its volume and not to its root, and speaks to the journal', async () => {
    const pid = await pidOf(web);
    const options = await stage.shell(`awk '$5 == "/" { print $6 }' /proc/${pid}/mountinfo`);
    expect(options.split(',')).toContain('ro');
    const volume = `/var/lib/${web}/var-cache-web`;
    expect(await stage.run('cat', `${volume}/log`, `${volume}/shipped`)).toBe(
      'started by root\nwith the image',
    );
    expect(await stage.run('stat', '-c', '%a %u:%g', volume)).toBe('700 0:0');
    const journal = (await journalOf(web)).split('\n');
    expect(journal.filter((line) => SPOKEN.includes(line))).toEqual(spoken);
  });

  it('ends by its StopSignal when it is stopped, and is not killed', async () => {
    await stage.run('systemctl', 'stop', web);
    expect(await stage.run('cat', `/var/lib/${web}/var-cache-web/log`)).toContain('stopped by QUIT');
    expect(await stage.run('systemctl', 'show', '-P', 'Result', web)).toBe('success');
    expect(await stage.run('journalctl', '--quiet', `--unit=${web}`)).not.toMatch(/timed out|SIGKILL/);
    expect(await stage.run(program, 'list', '-q')).toBe('');
    await stage.run('systemctl', 'start', web);
  });

  it('runs as its User, by name out of its own passwd, in its WorkingDir', async () => {
    await install(store, 'store:1');
    const pid = await pidOf(store);
    const ids = await stage.run('grep', '-E', '^(Uid|Gid|Groups):', `/proc/${pid}/status`);
    expect(ids.split('\n').map((line) => line.split(/\s+/).filter((part) => part !== ''))).toEqual([
      ['Uid:', '999', '999', '999', '999'],
      ['Gid:', '1000', '1000', '1000', '1000'],
      expect.arrayContaining(['Groups:', '1001']),
    ]);
    expect(await stage.run('readlink', `/proc/${pid}/cwd`)).toBe('/data');
    await expect
      .poll(() => stage.shell('echo ping | busybox nc -w 2 localhost 6390 || true'), { timeout: 20_000 })
      .toBe('ping');
    const volume = `/var/lib/${store}/data`;
    expect(await stage.run('cat', `${volume}/log`)).toBe('999:1000');
    expect(await stage.run('stat', '-c', '%u:%g', volume, `${volume}/log`)).toBe('999:1000\n999:1000');
  });

  it('keeps its volume over an update', async () => {
    await stage.succeed('update', web, '--rebase', 'localhost:5000/web:2');
    await waitForPage(stage, 'http://localhost:8090/', 'page two');
    const log = await stage.run('cat', `/var/lib/${web}/var-cache-web/log`);
    expect(log.split('\n').filter((line) => line === 'started by root')).toHaveLength(3);
    expect((await readInfo(stage, web))['runtime']).toBe(program);
  });

  it('keeps its volume when it is uninstalled, and finds it when it is installed again', async () => {
    await stage.succeed('uninstall', store);
    expect(await stage.run('ls', CHECKOUTS)).not.toContain(store);
    expect(await stage.run('cat', `/var/lib/${store}/data/log`)).toBe('999:1000');
    await install(store, 'store:1');
    await expect
      .poll(() => stage.run('cat', `/var/lib/${store}/data/log`), { timeout: 20_000 })
      .toBe('999:1000\n999:1000');
    await stage.succeed('uninstall', store);
    await stage.succeed('uninstall', web);
    expect(await stage.run(program, 'list', '-q')).toBe('');
  });
});
