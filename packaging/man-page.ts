/** docs/man/atomic-ts.1 out of the commands themselves, so that the page and `--help` cannot disagree. */
import type { Command } from 'commander';
import { formatLimit, LIMIT_NAMES, LIMITS } from '../src/limits.ts';

/** The page as roff; the same commands give the same page. */
export function formatManPage(program: Command): string {
  return `${[
    '.\\" Made from the commands themselves: npm run man',
    '.TH ATOMIC-TS 1 "" "atomic-ts" "User Commands"',
    '.SH NAME',
    'atomic-ts \\- run OCI and Docker images as system containers',
    '.SH SYNOPSIS',
    '.B atomic-ts',
    '[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]',
    '.SH DESCRIPTION',
    `${escapeRoff(program.description())}.`,
    '.SH OPTIONS',
    ...optionLines(program),
    '.SH COMMANDS',
    ...leafCommands(program).flatMap(commandLines),
    '.SH LIMITS',
    'What a foreign image may make this program read, hold or write is capped. \\-\\-limit \\fINAME\\fR=\\fIVALUE\\fR moves a cap for one command, ',
    '.B limits:',
    'in atomic.conf (a mapping of names to values) for all. A size takes K, M, G or T (powers of 1024).',
    ...limitLines(),
    '.PP',
    'What Linux or a format caps (4096 bytes in a path, 255 in a name) cannot be raised.',
    '.SH EXIT STATUS',
    '0: done, or nothing to do. 1: failed; what was begun is undone. 2: usage. 4: the service of an update or a rollback did not come up, and the deployment before it runs again. ' +
      '5: a container or an image is not what was recorded. 130, 143: interrupted by SIGINT or SIGTERM and undone.',
    '.SH FILES',
    '.TP',
    '.I /var/lib/containers/atomic',
    'deployments NAME.0 and NAME.1, the link NAME to the one in use, and the ostree repo .storage/ostree',
    '.TP',
    '.I /etc/atomic.conf',
    'optional: ostree_repository, checkout_path, runtime, http_proxy, https_proxy, no_proxy, limits',
    '.TP',
    '.I ${XDG_RUNTIME_DIR}/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json',
    'credentials for registries, as containers\\-auth.json(5) has them',
    '.TP',
    '.I /etc/containers/registries.conf, /etc/containers/registries.conf.d, /etc/containers/certs.d, /etc/docker/certs.d',
    'which registries stand behind a name, and their certificates',
    '.SH ENVIRONMENT',
    'ATOMIC_OSTREE_CHECKOUT_PATH, ATOMIC_OSTREE_REPO, ATOMIC_CONF, RUNC_PATH; for registries HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, ' +
      'REGISTRY_AUTH_FILE, CONTAINERS_REGISTRIES_CONF, XDG_RUNTIME_DIR, XDG_CONFIG_HOME, DOCKER_CONFIG; for the Docker engine DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH; ' +
      'TMPDIR, where what is converted waits (/var/tmp).',
    '.SH SEE ALSO',
    'ostree(1), runc(8), systemd.service(5), tmpfiles.d(5), containers\\-transports(5), containers\\-registries.conf(5), containers\\-auth.json(5), containers\\-certs.d(5)',
  ].join('\n')}\n`;
}

function leafCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => (child.commands.length > 0 ? leafCommands(child) : [child]));
}

function commandLines(command: Command): string[] {
  const names: string[] = [];
  for (let at: Command | null = command; at !== null && at.parent !== null; at = at.parent)
    names.unshift(at.name());
  const given = command.registeredArguments
    .map((argument) => ` \\fI${argument.name().toUpperCase()}\\fR`)
    .join('');
  return [
    `.SS ${escapeRoff(names.join(' '))}${given}`,
    `${escapeRoff(command.description())}.`,
    ...optionLines(command),
  ];
}

function optionLines(command: Command): string[] {
  return command.options.flatMap((option) => [
    '.TP',
    `.B ${escapeRoff(option.flags)}`,
    escapeRoff(option.description),
  ]);
}

function limitLines(): string[] {
  return LIMIT_NAMES.flatMap((name) => [
    '.TP',
    `.BR ${escapeRoff(name)} " (default: ${formatLimit(name, LIMITS[name].default)}, at most ${formatLimit(name, LIMITS[name].max)})"`,
    escapeRoff(LIMITS[name].caps),
  ]);
}

/** Hyphens stay hyphens, and no line begins a request. */
function escapeRoff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^([.'])/gm, '\\&$1');
}
