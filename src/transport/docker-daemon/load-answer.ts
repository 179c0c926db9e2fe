import { AtomicError } from '../../errors.ts';
import { isRecord, parseJson } from '../../image/json.ts';
import { showForeign } from '../registry/text.ts';

/**
 * Reads how loading an image went: a JSON object on each line, any of which may tell an error. The status was 200 long
 * before.
 * @param what subject of the error's sentence: the engine
 * @throws AtomicError `engine-error`
 * @see Docker Engine API, "Import images"; moby pkg/jsonmessage
 */
export function checkLoadAnswer(answer: string, what: string, doing: string): void {
  for (const line of answer.split(/\r?\n/)) {
    if (line.trim() === '') continue;
    const message = parseJson(line, `${what} answered what`, 'engine-error');
    const error = errorIn(message);
    if (error !== undefined) {
      throw new AtomicError('engine-error', `${what} cannot ${doing}: "${showForeign(error)}"`, {
        hint: 'The log of the Docker engine may tell more.',
      });
    }
  }
}

function errorIn(message: unknown): string | undefined {
  if (!isRecord(message)) return undefined;
  const { error, errorDetail: detail } = message;
  if (isRecord(detail) && typeof detail['message'] === 'string') return detail['message'];
  if (typeof error === 'string') return error;
  return error === undefined && detail === undefined ? undefined : 'an error without a message';
}
