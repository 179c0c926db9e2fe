// Runs every check and every test project, whatever fails before, and ends with one line: `N passed, N failed`.
// Tests are counted from vitest's JSON reports. A check that fails, a project that breaks outside of a test, a project
// without a single test and each test that was skipped count as one failure. What failed stands once more at the end, by
// name and with the first line of its message. The exit status is 0 only when nothing failed.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import process from 'node:process';
import { stripVTControlCharacters } from 'node:util';

process.chdir(join(import.meta.dirname, '..'));

/** What is kept of the caller's environment: certificates, proxies, logins and npm's settings must not matter. */
const KEPT = ['PATH', 'HOME', 'TMPDIR', 'TERM', 'CI', 'USER', 'LOGNAME', 'NO_COLOR'];
/** Far above what a step takes: a hanging one must end some day. */
const STEP_TIMEOUT_MS = 60 * 60_000;
const env = {
  ...Object.fromEntries(KEPT.flatMap((name) => (name in process.env ? [[name, process.env[name]]] : []))),
  ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }),
  LANG: 'C.UTF-8',
  npm_config_userconfig: '/dev/null',
};

const STEPS = [
  { name: 'types', script: 'types' },
  { name: 'lint', script: 'lint' },
  { name: 'unit', project: 'unit' },
  { name: 'build', script: 'build' },
  { name: 'integration', project: 'integration' },
  { name: 'e2e', project: 'e2e' },
];

const reports = mkdtempSync(join(tmpdir(), 'atomic-ts-reports.'));

function runProgram(program, args) {
  const { status, signal, error } = spawnSync(program, args, {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: STEP_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  if (error !== undefined) console.log(`${program} did not run to its end: ${error.message}`);
  if (signal !== null) console.log(`${program} was ended by ${signal}`);
  return status === 0;
}

function runScript(script) {
  const ok = runProgram('npm', ['run', '--silent', script]);
  return { passed: 0, failed: ok ? 0 : 1, summary: ok ? 'ok' : 'FAILED' };
}

function runProject(project) {
  const file = join(reports, `${project}.json`);
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', project];
  const ok = runProgram(process.execPath, [
    ...vitest,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ]);
  const { passed, failed, skipped, failures } = readReport(file);
  const broken = failed === 0 && (!ok || passed === 0) ? 1 : 0;
  const reason = passed === 0 && failed === 0 ? 'no test ran' : 'vitest failed outside of a test';
  return {
    passed,
    // A test that was skipped has not shown anything: it counts as one that failed.
    failed: failed + broken + skipped,
    summary: `${passed} passed, ${failed} failed, ${skipped} skipped${broken ? `; FAILED: ${reason}` : ''}`,
    failures,
  };
}

function readReport(file) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    const skipped = report.numPendingTests + report.numTodoTests;
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests,
      skipped,
      failures: report.testResults.flatMap(failuresOf),
    };
  } catch (error) {
    console.log(`no report from vitest: ${error.message}`);
    return { passed: 0, failed: 0, skipped: 0, failures: [] };
  }
}

/** A line for each thing that failed or was skipped in a test file, or for the file itself where it could not be read. */
function failuresOf({ name, status, message, assertionResults }) {
  const file = relative('.', name);
  const firstLine = (text) => stripVTControlCharacters(text ?? '').split('\n')[0];
  const failures = assertionResults
    .filter((test) => test.status !== 'passed')
    .map((test) => `${file} > ${test.fullName}: ${firstLine(test.failureMessages[0] ?? test.status)}`);
  return failures.length === 0 && status === 'failed' ? [`${file}: ${firstLine(message)}`] : failures;
}

const results = [];
for (const { name, script, project } of STEPS) {
  console.log(`\n==> ${name}`);
  const result = script === undefined ? runProject(project) : runScript(script);
  results.push({ name, ...result });
}
// A test run that was killed leaves its hosts behind.
runProgram('test/host/host', ['reap']);
rmSync(reports, { recursive: true });

console.log('\n==> summary');
for (const { name, summary, failures = [] } of results) {
  console.log(`${name}: ${summary}`);
  for (const failure of failures) console.log(`  ${failure}`);
}
const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
console.log(`${total('passed')} passed, ${total('failed')} failed`);
process.exitCode = total('failed') === 0 ? 0 : 1;
