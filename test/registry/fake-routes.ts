import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { parseDigest, type Digest } from '../../src/image/digest.ts';
import type { FakeGate } from './fake-auth.ts';
import type { Fault, PlannedAnswer } from './fake-faults.ts';

/** What a fake registry holds. */
export interface FakeContent {
  readonly blobs: Map<string, Buffer>;
  /** By `repository@reference`. */
  readonly manifests: Map<string, { bytes: Buffer; mediaType: string }>;
  /** What each has so far, by its path. */
  readonly uploads: Map<string, Buffer>;
  /** Blobs that can be mounted from a repository. */
  readonly repositories: Map<string, Set<string>>;
  /** OCI-Chunk-Min-Length. */
  readonly minimumPart?: number | undefined;
  /** Of an upload's request; a larger one is refused with 413. */
  readonly largestBody?: number | undefined;
}

const NOTHING = Buffer.alloc(0);
/** Has to come back as it was spelled. */
const UPLOAD_STATE = '?_state=a%2Bb~c%3D';

export function digestOf(bytes: Uint8Array): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, 'a test');
}

/** The right answer to a request. */
export async function respond(
  state: FakeContent,
  gate: FakeGate,
  origin: string,
  request: IncomingMessage,
  fault: Fault | undefined,
): Promise<PlannedAnswer> {
  const url = new URL(request.url ?? '', origin);
  const body = await readBody(state, request, url.pathname, fault);
  if (url.pathname === '/token') {
    const token = gate.issue(request, body);
    return token === undefined ? refuse(401, 'UNAUTHORIZED', 'wrong password') : json(200, token);
  }
  const refusal = gate.check(request, origin);
  if (refusal !== undefined) {
    const answer = refuse(401, 'UNAUTHORIZED', 'authentication required');
    return { ...answer, headers: { ...answer.headers, 'www-authenticate': refusal.challenge } };
  }
  if (url.pathname === '/v2/') return json(200, {});
  const [, repository = '', kind, reference = ''] =
    /^\/v2\/(.+)\/(manifests|blobs|tags)\/(.+)$/.exec(url.pathname) ?? [];
  if (kind === 'manifests') return answerManifest(state, repository, reference, request, body);
  if (kind === 'blobs' && reference.startsWith('uploads/')) return answerUpload(state, url, request, body);
  if (kind === 'blobs') return answerBlob(state, reference, request, fault);
  if (kind === 'tags') return answerTags(state, repository, url);
  return refuse(404, 'UNSUPPORTED', 'no such endpoint');
}

function answerManifest(
  state: FakeContent,
  repository: string,
  reference: string,
  request: IncomingMessage,
  body: Buffer,
): PlannedAnswer {
  if (request.method === 'PUT') {
    const digest = digestOf(body);
    const manifest = { bytes: body, mediaType: request.headers['content-type'] ?? '' };
    state.manifests.set(`${repository}@${reference}`, manifest).set(`${repository}@${digest}`, manifest);
    return { status: 201, headers: { 'docker-content-digest': digest }, body: NOTHING };
  }
  const manifest = state.manifests.get(`${repository}@${reference}`);
  if (manifest !== undefined && request.method === 'DELETE') {
    for (const [key, { bytes }] of state.manifests) {
      if (key.startsWith(`${repository}@`) && bytes.equals(manifest.bytes)) state.manifests.delete(key);
    }
    return { status: 202, headers: {}, body: NOTHING };
  }
  if (manifest === undefined) {
    const known = [...state.manifests.keys()].some((key) => key.startsWith(`${repository}@`));
    return known
      ? refuse(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
      : refuse(404, 'NAME_UNKNOWN', 'repository name not known to registry');
  }
  const headers = { 'content-type': manifest.mediaType, 'docker-content-digest': digestOf(manifest.bytes) };
  return { status: 200, headers, body: manifest.bytes };
}

/** @see OCI distribution specification 1.1, "Listing Tags" */
function answerTags(state: FakeContent, repository: string, url: URL): PlannedAnswer {
  const last = url.searchParams.get('last') ?? '';
  const count = Number(url.searchParams.get('n') ?? '2');
  const references = [...state.manifests.keys()].filter((key) => key.startsWith(`${repository}@`));
  if (references.length === 0) return refuse(404, 'NAME_UNKNOWN', 'repository name not known to registry');
  const tags = references
    .map((key) => key.slice(repository.length + 1))
    .filter((tag) => !tag.includes(':') && tag > last)
    .sort();
  const page = tags.slice(0, count);
  const answer = json(200, { name: repository, tags: page });
  if (page.length === tags.length) return answer;
  const link = `</v2/${repository}/tags/list?n=${count}&last=${page.at(-1)}>; rel="next"`;
  return { ...answer, headers: { ...answer.headers, link } };
}

function answerBlob(
  state: FakeContent,
  digest: string,
  request: IncomingMessage,
  fault: Fault | undefined,
): PlannedAnswer {
  const bytes = state.blobs.get(digest);
  if (bytes === undefined) return refuse(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
  const headers = { 'content-type': 'application/octet-stream', 'docker-content-digest': digest };
  if (request.method === 'HEAD') {
    return {
      status: 200,
      headers: { ...headers, 'content-length': String(bytes.length) },
      body: NOTHING,
    };
  }
  const from = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  if (from === undefined || fault?.kind === 'ignore-range') return { status: 200, headers, body: bytes };
  const start = Number(from) + (fault?.kind === 'wrong-range' ? 1 : 0);
  const total = bytes.length + (fault?.kind === 'wrong-total' ? 1 : 0);
  const range = `bytes ${start}-${bytes.length - 1}/${total}`;
  return { status: 206, headers: { ...headers, 'content-range': range }, body: bytes.subarray(start) };
}

/** @see OCI distribution specification 1.1, "Push" */
function answerUpload(state: FakeContent, url: URL, request: IncomingMessage, body: Buffer): PlannedAnswer {
  const { pathname, searchParams } = url;
  if (request.method === 'POST') return openUpload(state, url);
  const stored = state.uploads.get(pathname);
  if (stored === undefined || !url.search.startsWith(UPLOAD_STATE))
    return refuse(404, 'BLOB_UPLOAD_UNKNOWN', 'no such upload');
  const largest = state.largestBody ?? Infinity;
  if (body.length > largest) return refuse(413, 'SIZE_INVALID', `at most ${largest} bytes at once`);
  const bytes = Buffer.concat([stored, body]);
  switch (request.method) {
    case 'GET':
      return { status: 204, headers: uploadHeaders(state, pathname), body: NOTHING };
    case 'DELETE':
      state.uploads.delete(pathname);
      return { status: 204, headers: {}, body: NOTHING };
    case 'PATCH':
      if (request.headers['content-range'] !== `${stored.length}-${bytes.length - 1}`)
        return refuse(416, 'RANGE_INVALID', `the upload is at ${stored.length}`);
      state.uploads.set(pathname, bytes);
      return { status: 202, headers: uploadHeaders(state, pathname), body: NOTHING };
    default: {
      const digest = searchParams.get('digest') ?? '';
      state.uploads.delete(pathname);
      if (digest !== digestOf(bytes)) return refuse(400, 'DIGEST_INVALID', 'digest does not match');
      state.blobs.set(digest, bytes);
      return { status: 201, headers: { 'docker-content-digest': digest }, body: NOTHING };
    }
  }
}

/** As with docker-registry, a mount that cannot be done opens an upload. */
function openUpload(state: FakeContent, { pathname, searchParams }: URL): PlannedAnswer {
  const mount = searchParams.get('mount') ?? '';
  if (state.repositories.get(searchParams.get('from') ?? '')?.has(mount) === true) {
    return { status: 201, headers: { 'docker-content-digest': mount }, body: NOTHING };
  }
  const upload = `${pathname}${randomUUID()}`;
  state.uploads.set(upload, NOTHING);
  return { status: 202, headers: uploadHeaders(state, upload), body: NOTHING };
}

function uploadHeaders({ uploads, minimumPart }: FakeContent, upload: string): Record<string, string> {
  return {
    location: `${upload}${UPLOAD_STATE}`,
    range: `0-${Math.max(0, (uploads.get(upload)?.length ?? 0) - 1)}`,
    ...(minimumPart === undefined ? {} : { 'oci-chunk-min-length': String(minimumPart) }),
  };
}

function json(status: number, document: object): PlannedAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(document)),
  };
}

function refuse(status: number, code: string, message: string): PlannedAnswer {
  return json(status, { errors: [{ code, message }] });
}

/** @param fault `cut-request` keeps what arrived of an upload */
async function readBody(
  { uploads }: FakeContent,
  request: IncomingMessage,
  path: string,
  fault: Fault | undefined,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (fault?.kind !== 'cut-request' || length < fault.after) continue;
    uploads.set(path, Buffer.concat([uploads.get(path) ?? NOTHING, ...chunks]));
    throw new Error('cut');
  }
  return Buffer.concat(chunks);
}
