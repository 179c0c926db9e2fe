import { createServer as createHttpServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { promisify } from 'node:util';
import type { Digest } from '../../src/image/digest.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../../src/image/media-type.ts';
import { FakeGate, type FakeAuth } from './fake-auth.ts';
import { answerWithFault, sendAnswer, takeFault, type Fault, type FaultRule } from './fake-faults.ts';
import { digestOf, respond, type FakeContent } from './fake-routes.ts';

export interface FakeRegistryOptions {
  /** Speaks TLS with this certificate; with `ca`, asks for a client's certificate signed by it. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer; readonly ca?: Buffer };
  readonly auth?: FakeAuth;
  /** Told as OCI-Chunk-Min-Length. */
  readonly minimumPart?: number;
  /** Of a request of an upload. */
  readonly largestBody?: number;
}

export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export interface FakeImage {
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** A v2 registry in memory on a loopback port. Each repository has its own manifests; blobs are in all of them. */
export interface FakeRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly origin: string;
  /** Every request, in the order of arrival, those that met a fault included. */
  readonly requests: RecordedRequest[];
  readonly blobs: Map<string, Buffer>;
  /** Uploads that were neither finished nor cancelled, by path. */
  readonly uploads: Map<string, Buffer>;
  /** Has a blob mounted from this repository, when that is asked for. */
  addMountable(repository: string, descriptor: Descriptor): void;
  addBlob(bytes: Uint8Array, mediaType?: string): Descriptor;
  addManifest(repository: string, bytes: Uint8Array, mediaType: string, tag?: string): Digest;
  /** An image with the given layers as they are, and a config that may be told. */
  addImage(repository: string, tag: string, layers: readonly Uint8Array[], config?: object): FakeImage;
  manifest(repository: string, reference: string): { bytes: Buffer; mediaType: string } | undefined;
  /** Does it wrong whenever `on` matches `METHOD /path`, so many times (always when not given); returns the way to stop. */
  addFault(on: RegExp, fault: Fault, times?: number): () => void;
  /** How many requests match `METHOD /path`. */
  count(on: RegExp): number;
  /** Connections that are open now. */
  connections(): Promise<number>;
  revokeTokens(): void;
  close(): Promise<void>;
}

export async function startFakeRegistry(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const state: FakeContent = {
    blobs: new Map(),
    manifests: new Map(),
    uploads: new Map(),
    repositories: new Map(),
    minimumPart: options.minimumPart,
    largestBody: options.largestBody,
  };
  const gate = new FakeGate(options.auth);
  const requests: RecordedRequest[] = [];
  let rules: FaultRule[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    const fault = takeFault(rules, request);
    if (answerWithFault(fault, response)) return;
    respond(state, gate, origin, request, fault).then(
      (answer) => sendAnswer(answer, fault, response),
      () => response.destroy(),
    );
  };
  const { tls } = options;
  const server: Server =
    tls === undefined
      ? createHttpServer(listener)
      : createHttpsServer(
          { ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: tls.ca !== undefined },
          listener,
        );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${portOf(server)}`;
  const origin = `${tls === undefined ? 'http' : 'https'}://${host}`;
  return {
    host,
    origin,
    requests,
    blobs: state.blobs,
    uploads: state.uploads,
    addMountable(repository, { digest }) {
      const blobs = state.repositories.get(repository) ?? new Set();
      state.repositories.set(repository, blobs.add(digest));
    },
    ...contentOf(state),
    addFault(on, fault, times = Infinity) {
      const rule = { on, fault, times };
      rules.push(rule);
      return () => {
        rules = rules.filter((other) => other !== rule);
      };
    },
    count: (on) => requests.filter(({ method, path }) => on.test(`${method} ${path}`)).length,
    connections: () => promisify(server.getConnections.bind(server))(),
    revokeTokens: () => gate.revokeTokens(),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the fake registry has no port');
  return address.port;
}

function contentOf(
  state: FakeContent,
): Pick<FakeRegistry, 'addBlob' | 'addManifest' | 'addImage' | 'manifest'> {
  const addBlob = (bytes: Uint8Array, mediaType = OCI_LAYER): Descriptor => {
    const digest = digestOf(bytes);
    state.blobs.set(digest, Buffer.from(bytes));
    return { mediaType, digest, size: bytes.length };
  };
  const addManifest = (repository: string, bytes: Uint8Array, mediaType: string, tag?: string): Digest => {
    const digest = digestOf(bytes);
    for (const reference of [digest, ...(tag === undefined ? [] : [tag])]) {
      state.manifests.set(`${repository}@${reference}`, { bytes: Buffer.from(bytes), mediaType });
    }
    return digest;
  };
  return {
    addBlob,
    addManifest,
    addImage(repository, tag, layers, config = {}) {
      const document = {
        architecture: 'amd64',
        os: 'linux',
        config: {},
        rootfs: { type: 'layers', diff_ids: layers.map(digestOf) },
        ...config,
      };
      const configDescriptor = addBlob(Buffer.from(JSON.stringify(document)), OCI_CONFIG);
      const descriptors = layers.map((layer) => addBlob(layer));
      const manifest = {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: configDescriptor,
        layers: descriptors,
      };
      const bytes = Buffer.from(JSON.stringify(manifest));
      const digest = addManifest(repository, bytes, OCI_MANIFEST, tag);
      return { digest, bytes, config: configDescriptor, layers: descriptors };
    },
    manifest: (repository, reference) => state.manifests.get(`${repository}@${reference}`),
  };
}
