/** The reference renderer: Python's own string.Template, asked for many templates by one process. */
import { spawnSync } from 'node:child_process';

type Values = Readonly<Record<string, string | number>>;

export interface Case {
  /** The template, or the file that Python itself is to read, as atomic read it. */
  readonly text: string | { readonly file: string };
  readonly values: Values;
}

const PROGRAM = `
import json, string, sys
def read(text):
    if isinstance(text, str):
        return text
    with open(text['file'], encoding='utf-8') as f:
        return f.read()
out = []
for case in json.loads(sys.stdin.buffer.read().decode()):
    try:
        out.append(string.Template(read(case['text'])).substitute(case['values']))
    except KeyError as e:
        out.append("The template file 'P' still contains an unreplaced value for: '%s'" % e)
    except ValueError as e:
        out.append(str(e))
print(json.dumps(out))
`;

/** What string.Template makes of each, an error in atomic's words included; P stands for the file. */
export function askPython(cases: readonly Case[]): string[] {
  const { stdout, status, stderr, error } = spawnSync('python3', ['-c', PROGRAM], {
    input: JSON.stringify(cases),
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status !== 0) throw error ?? new Error(stderr);
  const answers: string[] = JSON.parse(stdout);
  return answers;
}
