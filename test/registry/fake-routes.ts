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
  readonly uploads: Set<string>;
}

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
  const body = await readBody(request);
  if (url.pathname === '/token') {
    const token = gate.issue(request);
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
    return { status: 201, headers: { 'docker-content-digest': digest }, body: Buffer.alloc(0) };
  }
  const manifest = state.manifests.get(`${repository}@${reference}`);
  if (manifest !== undefined && request.method === 'DELETE') {
    for (const [key, { bytes }] of state.manifests) {
      if (key.startsWith(`${repository}@`) && bytes.equals(manifest.bytes)) state.manifests.delete(key);
    }
    return { status: 202, headers: {}, body: Buffer.alloc(0) };
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
      body: Buffer.alloc(0),
    };
  }
  const from = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  if (from === undefined || fault?.kind === 'ignore-range') return { status: 200, headers, body: bytes };
  const start = Number(from) + (fault?.kind === 'wrong-range' ? 1 : 0);
  const total = bytes.length + (fault?.kind === 'wrong-total' ? 1 : 0);
  const range = `bytes ${start}-${bytes.length - 1}/${total}`;
  return { status: 206, headers: { ...headers, 'content-range': range }, body: bytes.subarray(start) };
}

function answerUpload(state: FakeContent, url: URL, request: IncomingMessage, body: Buffer): PlannedAnswer {
  if (request.method === 'POST') {
    const upload = `${url.pathname}${randomUUID()}`;
    state.uploads.add(upload);
    return { status: 202, headers: { location: `${upload}?_state=a%2Bb~c%3D` }, body: Buffer.alloc(0) };
  }
  const digest = url.searchParams.get('digest') ?? '';
  const known = url.search.startsWith('?_state=a%2Bb~c%3D&') && state.uploads.delete(url.pathname);
  if (!known) return refuse(404, 'BLOB_UPLOAD_UNKNOWN', 'no such upload');
  if (digest !== digestOf(body)) return refuse(400, 'DIGEST_INVALID', 'digest does not match');
  state.blobs.set(digest, body);
  return { status: 201, headers: { 'docker-content-digest': digest }, body: Buffer.alloc(0) };
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

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
