import { listRemoteTags } from '../../app/list-tags.ts';
import { toGoJson } from '../output/go-template/json.ts';
import { Struct } from '../output/go-template/values.ts';
import { openTransfer, type CommandContext } from './context.ts';
import { readRemoteAccess, type RemoteFlags } from './remote-access.ts';

export async function runListTags(
  context: CommandContext,
  repository: string,
  flags: RemoteFlags,
): Promise<void> {
  const app = await openTransfer(context);
  const list = await listRemoteTags(app, repository, readRemoteAccess(flags));
  const shape = new Struct([
    { name: 'Repository', value: list.repository ?? '', omitEmpty: true },
    { name: 'Tags', value: list.tags },
  ]);
  context.output.line(toGoJson(shape, '    '));
}
