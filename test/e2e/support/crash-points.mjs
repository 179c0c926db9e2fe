// Loaded into the program by `node --import`: numbers each moment at which it is about to change the disk or has to do
// with another program, and ends the program there by SIGKILL.
//
// CRASH_LOG names a file that gets one line for each moment; CRASH_AT is the number of the one to die at (none: 0).
// Between two of these moments the program only computes and reads: what is on the disk after one is what is there
// before the next, so dying before each of them, and at the exit, is dying before and after each of them. A sync is no
// moment: what a killed process has written is not lost. Beside a program that only answers is like before it.
import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';

const log = process.env.CRASH_LOG;
const crashAt = Number(process.env.CRASH_AT ?? 0);
// Its own programs are not to be counted, and none of them is to be told of it.
for (const name of ['CRASH_LOG', 'CRASH_AT', 'NODE_OPTIONS']) delete process.env[name];

const journal = log === undefined ? undefined : fs.openSync(log, 'a');
const writeLine = fs.writeSync;
const kill = process.kill.bind(process);
let moments = 0;

function reach(what) {
  moments += 1;
  if (journal !== undefined) writeLine(journal, `${moments} ${what}\n`);
  if (moments === crashAt) kill(process.pid, 'SIGKILL');
}

/** Files that are no one's state: what is written there is not worth a moment. */
const PASSING = /^\/(?:dev|proc)\//;
const WRITING = fs.constants.O_WRONLY | fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC;

function isWriting(flags = 'r') {
  return typeof flags === 'number' ? (flags & WRITING) !== 0 : flags !== 'r' && flags !== 'rs';
}

function watch(object, name, describe) {
  const original = object[name];
  object[name] = function (...given) {
    const what = describe(...given);
    if (what !== undefined) reach(what);
    return original.apply(this, given);
  };
}

const paths =
  (name) =>
  (...given) =>
    `${name} ${given.filter((item) => typeof item === 'string' || Buffer.isBuffer(item)).join(' ')}`;
const CHANGES =
  'rename link unlink symlink mkdir mkdtemp rmdir rm chmod chown lchown utimes lutimes copyFile cp writeFile appendFile truncate';
for (const name of CHANGES.split(' ')) {
  watch(fs.promises, name, paths(name));
  watch(fs, `${name}Sync`, paths(name));
  watch(fs, name, paths(name));
}
const opened = (path, flags) =>
  isWriting(flags) && !PASSING.test(String(path)) ? `open ${path}` : undefined;
watch(fs.promises, 'open', opened);
watch(fs, 'openSync', opened);
watch(fs, 'createWriteStream', (path) => `open ${path}`);

const handle = await fs.promises.open('/dev/null', 'r');
const prototype = Object.getPrototypeOf(handle);
for (const name of ['write', 'writeFile', 'appendFile', 'truncate', 'chmod', 'chown']) {
  watch(prototype, name, () => name);
}
await handle.close();

const ANSWERING =
  /^(?:flock|\S*systemctl (?:show|is-)|\S*(?:runc|crun) (?:state|--help|run --help)|systemd-analyze|rpm (?:--\S+ )*--(?:query|eval)|ostree \S+ (?:cat|show|ls) )/;

const spawn = childProcess.spawn;
childProcess.spawn = function (program, args, ...rest) {
  const command = [program, ...(Array.isArray(args) ? args : [])].join(' ').slice(0, 200);
  reach(`before ${command}`);
  const child = spawn.call(this, program, args, ...rest);
  if (!ANSWERING.test(command)) reach(`beside ${command}`);
  return child;
};
process.prependListener('exit', () => reach('exit'));
// Named imports of built-in modules see them as well.
syncBuiltinESMExports();
