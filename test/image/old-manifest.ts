/** Manifests of schema 1, as Docker wrote them. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { sha256 } from '../fixtures/image-builder.ts';

export interface OldLayer {
  readonly blobSum: string;
  /** Fields of its v1Compatibility beside id and parent. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** The document, unsigned; layers base first. */
export function oldManifest(layers: readonly OldLayer[], more: object = {}): Record<string, unknown> {
  const ids = layers.map((_, i) => sha256(Buffer.from(`layer ${i}`)).slice('sha256:'.length));
  const history = layers.map(({ fields }, i) => ({
    v1Compatibility: JSON.stringify({
      id: ids[i],
      ...(i === 0 ? {} : { parent: ids[i - 1] }),
      created: '2015-01-01T00:00:00Z',
      ...(i === layers.length - 1 ? { architecture: 'amd64', os: 'linux' } : {}),
      ...fields,
    }),
  }));
  return {
    schemaVersion: 1,
    name: 'library/old',
    tag: '1',
    architecture: 'amd64',
    fsLayers: layers.map(({ blobSum }) => ({ blobSum })).reverse(),
    history: history.reverse(),
    ...more,
  };
}

export interface SignOptions {
  /** Changes what is signed as the protected header. */
  readonly protect?: (header: Record<string, unknown>, signer: number) => unknown;
  readonly signers?: number;
}

/** Signs a document as libtrust does: the signatures go in before the last brace. */
export function signOld(
  document: object,
  { protect = (header) => header, signers = 1 }: SignOptions = {},
): Buffer {
  const text = JSON.stringify(document, undefined, 3);
  const formatLength = Buffer.byteLength(text) - 2;
  const formatTail = Buffer.from(text.slice(-2)).toString('base64url');
  const signatures = Array.from({ length: signers }, (_, i) => {
    const header = { formatLength, formatTail, time: '2015-01-01T00:00:00Z' };
    const encoded = Buffer.from(JSON.stringify(protect(header, i))).toString('base64url');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const payload = `${encoded}.${Buffer.from(text).toString('base64url')}`;
    const signature = sign('sha256', Buffer.from(payload), { key: privateKey, dsaEncoding: 'ieee-p1363' });
    return { header: { alg: 'ES256' }, signature: signature.toString('base64url'), protected: encoded };
  });
  const inserted = `,\n   "signatures": ${JSON.stringify(signatures)}\n}`;
  return Buffer.from(text.slice(0, -2) + inserted);
}
