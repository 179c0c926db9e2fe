/** A command that fails in good order: one sentence, one line of advice, and a host that is as it was. */
import { expect } from 'vitest';
import type { ExecResult } from '../../host/host.ts';
import { listChanges, type Stage } from './stage.ts';

export interface Refusal {
  readonly code: number;
  readonly stdout: string;
  /** A program's last words, where there are some. */
  readonly details: string;
  /** What was tried on what, and what was found. */
  readonly sentence: string;
  /** What to do about it. */
  readonly hint: string;
  /** Signs of a defect: a stack trace, or text made of a thing that is none. */
  readonly defects: readonly string[];
  /** What is not as it was on the host. */
  readonly changes: readonly string[];
  /** What systemd knows of the unit `bad`. */
  readonly unit: string;
}

/** Takes apart what a command printed with --quiet, and compares the host with a snapshot. */
export async function readRefusal(stage: Stage, before: string, result: ExecResult): Promise<Refusal> {
  const { code, stdout, stderr } = result;
  const lines = stderr.split('\n').slice(0, -1);
  const [sentence = '', hint = ''] = lines.slice(-2);
  return {
    code,
    stdout,
    details: lines.slice(0, -2).join('\n'),
    sentence,
    hint,
    defects: stderr.match(/^\s+at .*|node:\w+|undefined|\[object|NaN/gm) ?? [],
    changes: await listChanges(stage, before),
    unit: await stage.run('systemctl', 'show', '-P', 'LoadState,ActiveState', 'bad'),
  };
}

/** What `readRefusal` gives when all is well; nothing was said but the sentence, the hint, and these details. */
export function refusal(
  sentence: readonly string[],
  hint: string,
  details?: readonly string[],
): Record<keyof Refusal, unknown> {
  return {
    code: 1,
    stdout: '',
    details: details === undefined ? '' : saying(details),
    sentence: saying(sentence),
    hint: saying([hint]),
    defects: [],
    changes: [],
    unit: 'not-found\ninactive',
  };
}

/** Text with all of these words in it, in any order. */
function saying(words: readonly string[]): unknown {
  const escaped = words.map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return expect.stringMatching(new RegExp(escaped.map((text) => `^(?=.*${text})`).join(''), 's'));
}
