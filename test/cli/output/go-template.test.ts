import { describe, expect, test } from 'vitest';
import { renderTemplate } from '../../../src/cli/output/go-template/evaluate.ts';
import { toGoJson } from '../../../src/cli/output/go-template/json.ts';
import { NIL_LIST, NIL_MAP, Struct, Time, type Value } from '../../../src/cli/output/go-template/values.ts';

const DATA = new Struct([
  { name: 'Name', value: 'docker.io/library/busybox' },
  { name: 'Tag', value: '', omitEmpty: true },
  { name: 'Os', value: 'linux' },
  { name: 'Created', value: Time.parse('2020-05-06T07:08:09.120+02:00') ?? null },
  {
    name: 'Labels',
    value: new Map([
      ['version', '1.2'],
      ['a-b', '<x> & y'],
    ]),
  },
  { name: 'Layers', value: ['sha256:aa', 'sha256:bb'] },
  { name: 'Env', value: NIL_LIST },
  { name: 'Annotations', value: NIL_MAP },
  { name: 'Size', key: 'size', value: 7 },
  { name: 'Config', value: new Struct([{ name: 'Cmd', value: ['sh', '-c'] }]) },
]);

const render = (template: string): string => renderTemplate(template, DATA);

function messageOf(template: string, data: Value = DATA): string {
  try {
    return `no error but ${renderTemplate(template, data)}`;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a template', () => {
  test.each([
    ['fields', '{{.Name}} on {{ .Os }}', 'docker.io/library/busybox on linux'],
    ['fields of fields', '{{.Config.Cmd}} {{$.Config.Cmd}}', '[sh -c] [sh -c]'],
    ['keys of a map', '{{.Labels.version}} {{.Labels.none}}', '1.2 <no value>'],
    ['index', '{{index .Labels "a-b"}}{{index .Labels "none"}} {{index .Layers 1}}', '<x> & y sha256:bb'],
    [
      'lists and maps as Go prints them',
      '{{.Layers}} {{.Labels}} {{.Env}} {{.Annotations}}',
      '[sha256:aa sha256:bb] map[a-b:<x> & y version:1.2] [] map[]',
    ],
    ['a time', '{{.Created}}', '2020-05-06 07:08:09.12 +0200 +0200'],
    ['json', '{{json .Labels}} {{json .Env}}', '{"a-b":"\\u003cx\\u003e \\u0026 y","version":"1.2"} null'],
    ['range', '{{range .Layers}}<{{.}}>{{end}}', '<sha256:aa><sha256:bb>'],
    [
      'range with its keys, in order',
      '{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}',
      'a-b=<x> & y;version=1.2;',
    ],
    ['range with one variable', '{{range $v := .Layers}}{{$v}},{{end}}', 'sha256:aa,sha256:bb,'],
    ['range over nothing', '{{range .Env}}x{{else}}none{{end}}', 'none'],
    ['if and else if', '{{if .Tag}}a{{else if eq .Os "linux"}}b{{else}}c{{end}}', 'b'],
    ['with', '{{with .Config}}{{.Cmd}}{{end}}{{with .Tag}}x{{else}}y{{end}}', '[sh -c]y'],
    ['variables', '{{$x := .Os}}{{if true}}{{$x = "other"}}{{end}}{{$x}}', 'other'],
    ['a pipeline', '{{.Layers | len | printf "%03d"}}', '002'],
    ['parentheses', '{{(index .Layers 0) | printf "%.8s|"}}{{len (index .Layers 0)}}', 'sha256:a|9'],
    ['trimmed space', 'a {{- .Os -}} b', 'alinuxb'],
    ['comments', 'a{{/* {{.Nope}} */}}b{{- /* x */ -}} c', 'abc'],
    ['strings with braces in them', '{{"}}"}}{{`{{`}}', '}}{{'],
    ['println and print', '{{println .Os .Size}}{{print .Size 8 "a" 9}}', 'linux 7\n7 8a9'],
    ['join and split', '{{join .Layers ","}} {{index (split .Name "/") 2}}', 'sha256:aa,sha256:bb busybox'],
    ['and, or, not', '{{and .Os .Tag}}{{or .Tag .Os}}{{not .Tag}}', 'linuxtrue'],
    [
      'comparisons',
      '{{eq .Os "x" "linux"}} {{ne .Os "x"}} {{lt .Size 8}} {{ge .Size 8}}',
      'true true true false',
    ],
    ['slice', '{{slice .Name 0 6}}{{slice .Layers 1}}', 'docker[sha256:bb]'],
    [
      'printf',
      '{{printf "%-6s|%7s|%q|%v|%t|%%" .Os .Os .Os .Layers true}}',
      'linux |  linux|"linux"|[sha256:aa sha256:bb]|true|%',
    ],
  ])('has %s', (_what, template, expected) => {
    expect(render(template)).toBe(expected);
  });

  test.each([
    ['{{.Nope}}', 'names .Nope'],
    ['{{.Name.First}}', '.First'],
    ['{{.Created.Year}}', 'a time'],
    ['{{call .Name}}', '"call"'],
    ['{{template "x"}}', '"template" is not supported'],
    ['{{range .Name}}{{end}}', 'is no list'],
    ['{{if .Name}}', 'without its {{end}}'],
    ['x{{end}}', '{{end}}'],
    ['{{.Name', 'without "}}"'],
    ['{{(.Name}}', '"(" without ")"'],
    ['{{.Name)}}', '")" too many'],
    ['{{}}', 'value missing'],
    ['{{.Name .Os}}', 'no function'],
    ['{{$x}}', '$x'],
    ['{{.Name # 1}}', '"# 1"'],
    ['{{index .Layers 9}}', 'item 9'],
    ['{{printf "%d" .Name}}', '%d'],
    ['{{printf "%s"}}', 'no value'],
    ['{{constructor}}', '"constructor"'],
    ['{{.constructor}}', '.constructor'],
    ['{{.Layers.length}}', '.length'],
  ])('that says %s is told of: %s', (template, found) => {
    expect(messageOf(template)).toMatch(/^--format /);
    expect(messageOf(template)).toContain(found);
  });
});

describe('JSON as Go writes it', () => {
  test('has null for what was never made, [] and {} for what is empty', () => {
    expect(
      toGoJson(
        new Struct([
          { name: 'A', value: NIL_LIST },
          { name: 'B', value: [] },
          { name: 'C', value: NIL_MAP },
          { name: 'D', value: new Map() },
          { name: 'E', value: null },
        ]),
      ),
    ).toBe('{"A":null,"B":[],"C":null,"D":{},"E":null}');
  });

  test('is indented, sorted and escaped', () => {
    expect(
      toGoJson(
        new Map<string, Value>([
          ['ü', ['<']],
          ['a', 'x\u2028\n'],
        ]),
        '  ',
      ),
    ).toBe('{\n  "a": "x\\u2028\\n",\n  "ü": [\n    "\\u003c"\n  ]\n}');
  });

  test('leaves out what is to be left out when empty, and uses the names of JSON', () => {
    expect(
      toGoJson(
        new Struct([
          { name: 'Tag', value: '', omitEmpty: true },
          { name: 'Size', key: 'size', value: 7 },
        ]),
      ),
    ).toBe('{"size":7}');
  });
});

describe('a time', () => {
  test.each([
    ['2020-01-02T03:04:05Z', '2020-01-02T03:04:05Z', '2020-01-02 03:04:05 +0000 UTC'],
    ['2020-01-02T03:04:05.100000000Z', '2020-01-02T03:04:05.1Z', '2020-01-02 03:04:05.1 +0000 UTC'],
    ['2020-01-02T03:04:05.000+00:00', '2020-01-02T03:04:05Z', '2020-01-02 03:04:05 +0000 UTC'],
    [
      '2020-01-02T03:04:05.1234567899-07:30',
      '2020-01-02T03:04:05.123456789-07:30',
      '2020-01-02 03:04:05.123456789 -0730 -0730',
    ],
  ])('%s is written and printed as Go does', (text, json, printed) => {
    expect(Time.parse(text)?.toRfc3339()).toBe(json);
    expect(String(Time.parse(text))).toBe(printed);
  });

  test.each(['yesterday', '2020-13-02T03:04:05Z', '2020-01-02 03:04:05Z', '2020-01-02T03:04:05'])(
    '%s is none',
    (text) => {
      expect(Time.parse(text)).toBeUndefined();
    },
  );
});
