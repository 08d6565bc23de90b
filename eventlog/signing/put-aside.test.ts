import { describe, expect, it } from 'vitest';
import {
  blobsNamedBy,
  isMarker,
  largestBlobBytes,
  markerOf,
  mostBlobs,
  withBlobs,
} from '../../schemas/blob-marker.ts';
import { sha256 } from '../../schemas/hash.ts';
import { lookupIn, putAside } from './put-aside.ts';

const limit = 256 * 1024;
const text = (length: number, letter = 'x') => letter.repeat(length);
const there = (data: unknown) => {
  const put = putAside(data, limit);
  if (!put) throw new Error('it does not fit');
  return put;
};
const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

describe('what is put aside', () => {
  it('comes back as it was', () => {
    const data = {
      host: 'boltzmann',
      evidence: {
        symbols: Array.from({ length: 40_000 }, (_, n) => ({ name: `sym${n}`, n })),
        note: 'ß\ud800',
      },
    };
    const put = there(data);
    expect(encode(put.data).length).toBeLessThan(limit);
    expect(put.data).toMatchObject({ host: 'boltzmann', evidence: { note: 'ß\ud800' } });
    expect(withBlobs(put.data, lookupIn(put.blobs))).toEqual({ data });
  });

  it('is the same blob in whatever stands around it', () => {
    const series = [
      { file: 'a.patch', base64: text(300_000) },
      { file: 'b.patch', base64: text(290_000, 'y') },
    ];
    const [one, other] = [there({ plan: 'p', series }), there({ request: { series, tree: 't' } })];
    expect(one.blobs.map((blob) => blob.sha256)).toEqual(other.blobs.map((blob) => blob.sha256));
  });

  it('is the largest first, and no more than has to be', () => {
    const put = there({ large: text(300_000), small: text(200_000, 'y') });
    expect(put.data).toMatchObject({ small: text(200_000, 'y') });
    expect(put.blobs).toHaveLength(1);
  });

  it('is never a value that names a blob, and a blob is never too large', () => {
    const tooLarge = Array.from({ length: 5 }, (_, n) => text(2 * 1024 * 1024, String(n)));
    const put = there({ list: tooLarge });
    expect(put.blobs.every(({ bytes }) => bytes.length <= largestBlobBytes)).toBe(true);
    expect(put.blobs.some(({ bytes }) => Buffer.from(bytes).includes('$blob'))).toBe(false);
    expect(withBlobs(put.data, lookupIn(put.blobs))).toEqual({ data: { list: tooLarge } });
  });

  it('stays as it is if it was put aside before', () => {
    const before = there({ list: [text(300_000)], more: text(300_000, 'y') });
    const again = there({ ...(before.data as object), late: text(300_000, 'z') });
    expect(again.blobs).toHaveLength(1);
    expect(withBlobs(again.data, lookupIn([...before.blobs, ...again.blobs]))).toEqual({
      data: { list: [text(300_000)], more: text(300_000, 'y'), late: text(300_000, 'z') },
    });
  });

  it('is limited', () => {
    const list = (count: number) => Array.from({ length: count }, (_, n) => text(7_000_000, String(n)));
    expect(putAside({ list: list(2) }, limit)).toBeDefined();
    expect(putAside({ list: list(3) }, limit)).toBeUndefined();
    expect(
      putAside({ list: Array.from({ length: 3_000 }, (_, n) => text(5_000, `${n} `)) }, limit),
    ).toBeUndefined();
  });
});

describe('a reader of what was put aside', () => {
  const bytes = encode([1, 2, 3]);
  const marker = { sha256: sha256(bytes), sizeBytes: bytes.length };

  it('reports what is missing, and counts wrong bytes as missing', () => {
    expect(withBlobs({ list: markerOf(marker) }, () => undefined)).toEqual({ lacks: [marker] });
    expect(withBlobs({ list: markerOf(marker) }, () => encode([1, 2, 4]))).toEqual({ lacks: [marker] });
  });

  it('does not look into it for more', () => {
    const inner = encode(markerOf(marker));
    const outer = markerOf({ sha256: sha256(inner), sizeBytes: inner.length });
    const asked: string[] = [];
    const read = withBlobs({ a: outer }, (wanted) => {
      asked.push(wanted);
      return inner;
    });
    expect(read).toEqual({ data: { a: markerOf(marker) } });
    expect(asked).toEqual([sha256(inner)]);
  });

  it('refuses an event that names more than one may, or hides it deep', () => {
    const large = markerOf({ ...marker, sizeBytes: largestBlobBytes });
    expect(() => withBlobs([large, large, large], () => undefined)).toThrow('at most');
    expect(() => withBlobs(Array(mostBlobs + 1).fill(markerOf(marker)), () => undefined)).toThrow('at most');
    expect(() => withBlobs(markerOf({ ...marker, sizeBytes: 2 ** 40 }), () => undefined)).toThrow();
    const deep = JSON.parse(
      `${'['.repeat(100_000)}${JSON.stringify(markerOf(marker))}${']'.repeat(100_000)}`,
    );
    expect(() => withBlobs(deep, () => undefined)).toThrow('nests');
  });

  it('asks nothing of an event that only speaks of blobs', () => {
    const said = encode({ data: { note: 'a "$blob" in a sentence', $blob: { more: 1 }, other: 1 } });
    expect(blobsNamedBy(said)).toEqual([]);
    expect(isMarker({ $blob: marker, other: 1 })).toBe(false);
  });
});
