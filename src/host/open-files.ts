/** Who has a file open, as /proc tells it: proc(5). Root sees all processes, anybody else their own. */
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';

interface OpenFile {
  readonly pid: number;
  readonly descriptor: string;
}

/** Whether any process has the file at a path open. */
export async function isFileOpen(path: string): Promise<boolean> {
  return (await findOpenFiles(path)).length > 0;
}

/** The processes that hold a flock(2) lock through their descriptor of a file; one that only waits for it does not. */
export async function findLockHolders(path: string): Promise<number[]> {
  const holders = new Set<number>();
  for (const { pid, descriptor } of await findOpenFiles(path)) {
    const info = await readFile(`/proc/${pid}/fdinfo/${descriptor}`, 'latin1').catch(() => '');
    if (/^lock:.*\bFLOCK\b/m.test(info)) holders.add(pid);
  }
  return [...holders];
}

/** When a process began, in the kernel's ticks since the boot: with it, a pid is never another's. Undefined for a corpse. */
export async function readStartTime(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // The name, in parentheses, may itself have spaces and parentheses.
  const [state = 'X', ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || state === 'X' ? undefined : fields[18];
}

/** A program's name, at most 15 characters of it. */
export async function readProgramName(pid: number): Promise<string | undefined> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => undefined))?.trimEnd();
}

/** Found by device and inode: a process in another mount namespace may know the file's folder by another name. */
async function findOpenFiles(path: string): Promise<OpenFile[]> {
  const file = await stat(path).catch(() => undefined);
  if (file === undefined) return [];
  const found: OpenFile[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^[1-9][0-9]*$/.test(name)) continue;
    for (const descriptor of await readdir(`/proc/${name}/fd`).catch(() => [])) {
      const link = `/proc/${name}/fd/${descriptor}`;
      // Only namesakes are looked at closely: a look at a file of a dead network file system would hang.
      if (basename(await readlink(link).catch(() => '')) !== basename(path)) continue;
      const open = await stat(link).catch(() => undefined);
      if (open?.ino === file.ino && open.dev === file.dev) found.push({ pid: Number(name), descriptor });
    }
  }
  return found;
}
