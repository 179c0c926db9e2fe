import { AtomicError } from '../errors.ts';

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

/** The account files of an image; undefined when it has none. */
export interface AccountFiles {
  readonly passwd: string | undefined;
  readonly group: string | undefined;
}

interface Account {
  readonly name: string;
  readonly id: number;
}

/** Linux ids as runtimes take them: 31 bits. */
const LARGEST_ID = 2 ** 31 - 1;

/**
 * Finds the ids of an image's `User`: `user`, `uid`, `user:group`, `uid:gid` and mixtures; empty is root.
 * A number needs no entry (its group is then 0). Without a group, the user's own and those that list it are taken.
 * @throws AtomicError `config-invalid` for a name that the image does not have
 * @see image-spec config.md, "User"
 */
export function resolveUser(user: string, files: AccountFiles): ResolvedUser {
  const [userPart = '', groupPart = ''] = user.split(':', 2);
  const wanted = userPart === '' ? '0' : userPart;
  const entry = readEntries(files.passwd).find(({ name, id }) => name === wanted || id === numeric(wanted));
  const uid = entry?.id ?? numeric(wanted);
  if (uid === undefined) throw unknownAccount('user', wanted, '/etc/passwd');
  const groups = readEntries(files.group);
  if (groupPart !== '') {
    const group = groups.find(({ name, id }) => name === groupPart || id === numeric(groupPart));
    const gid = group?.id ?? numeric(groupPart);
    if (gid === undefined) throw unknownAccount('group', groupPart, '/etc/group');
    return { uid, gid, additionalGids: [] };
  }
  const gid = numeric(entry?.fields[3]) ?? 0;
  const member = entry?.name;
  const additionalGids = groups
    .filter(({ fields, id }) => id !== gid && member !== undefined && fields[3]?.split(',').includes(member))
    .map(({ id }) => id);
  return { uid, gid, additionalGids: [...new Set(additionalGids)] };
}

/** The names of the accounts or groups in such a file; the first of an id counts, as for the C library. */
export function readNames(text: string | undefined): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const { id, name } of readEntries(text)) if (!names.has(id)) names.set(id, name);
  return names;
}

/** passwd(5) and group(5) both begin `name:password:id`; lines that do not are passed over. */
function readEntries(text: string | undefined): (Account & { readonly fields: readonly string[] })[] {
  const entries = [];
  for (const line of (text ?? '').split('\n')) {
    const fields = line.trim().split(':');
    const id = numeric(fields[2]);
    if (fields[0] !== undefined && fields[0] !== '' && id !== undefined)
      entries.push({ name: fields[0], id, fields });
  }
  return entries;
}

function numeric(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= LARGEST_ID ? id : undefined;
}

function unknownAccount(kind: string, name: string, file: string): AtomicError {
  return new AtomicError(
    'config-invalid',
    `The image is to run as the ${kind} ${JSON.stringify(name)}, which its ${file} does not have`,
    { hint: 'The image must name its user by number, or carry the entry.' },
  );
}
