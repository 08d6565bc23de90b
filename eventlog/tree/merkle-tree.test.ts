import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyRoot, leafHash, MerkleTree, provesConsistency, provesInclusion } from './merkle-tree.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'hex');
const hex = (one: Uint8Array): string => Buffer.from(one).toString('hex');

// The test vectors of Certificate Transparency's reference implementation, in
// https://github.com/transparency-dev/merkle/blob/main/testonly/constants.go
const leaves = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const nodes = [
  [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
    '0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7',
    '07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7',
    'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    '4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658',
    'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f',
    '46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1',
  ],
  [
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
    '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
    'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
  ],
  [
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
  ],
] as const;
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const grow = (hashes: readonly Uint8Array[]): MerkleTree => {
  const tree = new MerkleTree();
  for (const one of hashes) tree.append(one);
  return tree;
};
const headAt = (tree: MerkleTree, size: number) => ({ size, root: tree.rootAt(size) });

describe("the published tree's", () => {
  const tree = grow(leaves.map((leaf) => leafHash(bytes(leaf))));
  const [[a, b, c, d, e, , g, h], [i, j, k, l], [m, n]] = nodes;
  /** The node over leaves 5 to 7, in a tree of seven. */
  const o = '837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e';

  it('root at each size is the published one', () => {
    expect(roots.map((_, size) => hex(tree.rootAt(size)))).toEqual(roots);
    expect(leaves.map((leaf) => hex(leafHash(bytes(leaf))))).toEqual(nodes[0]);
    expect(hex(emptyRoot)).toBe(roots[0]);
  });

  it.each([
    [0, 8, [b, j, n]],
    [5, 8, [e, l, m]],
    [2, 3, [i]],
    [1, 5, [a, j, e]],
    [6, 8, [h, k, m]],
    [0, 1, []],
  ])('proof that leaf %i is in the tree of %i', (index, size, proof) => {
    expect(tree.inclusionProof(index, size).map(hex)).toEqual(proof);
    const root = bytes(roots[size] ?? '');
    const leaf = bytes(nodes[0][index] ?? '');
    expect(provesInclusion(proof.map(bytes), leaf, index, { size, root })).toBe(true);
  });

  it.each([
    [0, 3, []],
    [1, 1, []],
    [1, 8, [b, j, n]],
    [6, 8, [k, l, m]],
    [2, 5, [j, e]],
    [3, 7, [c, d, i, o]],
    [4, 8, [n]],
    [7, 8, [g, h, k, m]],
  ])('proof that its first %i leaves are those of the tree of %i', (oldSize, newSize, proof) => {
    expect(tree.consistencyProof(oldSize, newSize).map(hex)).toEqual(proof);
    const before = { size: oldSize, root: bytes(roots[oldSize] ?? '') };
    const after = { size: newSize, root: bytes(roots[newSize] ?? '') };
    expect(provesConsistency(proof.map(bytes), before, after)).toBe(true);
  });
});

/** RFC 9162, section 2.1.1, as it is written there. */
const rootByDefinition = (hashes: readonly Uint8Array[]): Uint8Array => {
  const [first] = hashes;
  if (!first) return hash('sha256', '', 'buffer');
  if (hashes.length === 1) return first;
  let split = 1;
  while (split * 2 < hashes.length) split *= 2;
  const both = [rootByDefinition(hashes.slice(0, split)), rootByDefinition(hashes.slice(split))];
  return hash('sha256', Buffer.concat([Buffer.of(1), ...both]), 'buffer');
};

const most = 64;
const many = Array.from({ length: most }, (_, index) => leafHash(Buffer.of(index)));
const tree = grow(many);
const sizes = Array.from({ length: most + 1 }, (_, size) => size);
const heads = sizes.map((size) => headAt(tree, size));
const proofs = sizes.flatMap((to) =>
  sizes.slice(0, to + 1).map((from) => ({ from, to, proof: tree.consistencyProof(from, to) })),
);
const headOf = (size: number) => heads[size] ?? { size: 0, root: emptyRoot };

const flipped = (one: Uint8Array, bit: number): Uint8Array => {
  const other = Uint8Array.from(one);
  other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return other;
};

/** A damaged proof: a bit flipped, a hash dropped, repeated, added, swapped, or cut short. */
const damaged = (proof: readonly Uint8Array[]): fc.Arbitrary<Uint8Array[]> => {
  const place = fc.nat(Math.max(0, proof.length - 1));
  const added = fc
    .tuple(fc.nat(proof.length), fc.constantFrom(emptyRoot, ...many))
    .map(([at, one]) => proof.toSpliced(at, 0, one));
  if (proof.length === 0) return added;
  const at = (index: number) => proof[index] ?? emptyRoot;
  return fc.oneof(
    added,
    fc.tuple(place, fc.nat(255)).map(([index, bit]) => proof.with(index, flipped(at(index), bit))),
    place.map((index) => proof.toSpliced(index, 1)),
    place.map((index) => proof.toSpliced(index, 0, at(index))),
    place.map((index) => proof.with(index, at(index).subarray(1))),
    ...(proof.length > 1 ? [place.map((index) => proof.with(index, at(index - 1 < 0 ? 1 : index - 1)))] : []),
  );
};

describe('a tree of up to 64 leaves', () => {
  it('has the root that the definition gives, also when it has grown on since', () => {
    for (const { size, root } of heads) expect(hex(root)).toBe(hex(rootByDefinition(many.slice(0, size))));
  });

  it('proves that it begins with each of its former selves', () => {
    expect(
      proofs.filter(({ from, to, proof }) => !provesConsistency(proof, headOf(from), headOf(to))),
    ).toEqual([]);
  });

  it('proves each of its leaves in each size', () => {
    for (const head of heads)
      for (const [index, leaf] of many.slice(0, head.size).entries())
        if (!provesInclusion(tree.inclusionProof(index, head.size), leaf, index, head))
          expect.fail(`leaf ${index} of ${head.size} is not proven`);
  });

  const small = heads.slice(0, 25);

  it('proves with one proof nothing of other sizes, and nothing of other roots', () => {
    const wrong = proofs
      .filter(({ from, to }) => from > 0 && to < small.length)
      .flatMap(({ from, to, proof }) => {
        const [before, after] = [headOf(from), headOf(to)];
        const proves = (old: typeof before, grown: typeof after) => provesConsistency(proof, old, grown);
        return small
          .filter(
            ({ size, root }) =>
              (size !== from && proves({ size: from, root }, after)) ||
              (size !== to && proves(before, { size: to, root })) ||
              (from < to && size !== from && proves({ size, root }, after)) ||
              (from < to && size !== to && proves(before, { size, root })),
          )
          .map(({ size }) => ({ from, to, size }));
      });
    expect(wrong).toEqual([]);
  });

  it('proves a leaf in no place but its own', () => {
    const wrong: unknown[] = [];
    for (const head of small)
      for (let index = 0; index < head.size; index += 1) {
        const proof = tree.inclusionProof(index, head.size);
        for (const [place, leaf] of many.slice(0, head.size).entries())
          if (
            place !== index &&
            (provesInclusion(proof, leaf, index, head) ||
              provesInclusion(proof, many[index] ?? leaf, place, head))
          )
            wrong.push({ size: head.size, index, place });
      }
    expect(wrong).toEqual([]);
  });

  it('accepts no damaged proof', () => {
    const pairs = proofs.filter(({ from }) => from > 0);
    const change = fc.constantFrom(...pairs).chain((one) => fc.tuple(fc.constant(one), damaged(one.proof)));
    fc.assert(
      fc.property(change, ([{ from, to }, proof]) => !provesConsistency(proof, headOf(from), headOf(to))),
      { numRuns: 3000 },
    );
    const places = pairs.filter(({ from, to }) => from < to);
    const leafChange = fc.constantFrom(...places).chain(({ from: index, to: size }) => {
      const proof = tree.inclusionProof(index, size);
      return fc.tuple(fc.constant({ index, size }), damaged(proof));
    });
    fc.assert(
      fc.property(
        leafChange,
        ([{ index, size }, proof]) => !provesInclusion(proof, many[index] ?? emptyRoot, index, headOf(size)),
      ),
      { numRuns: 3000 },
    );
  });

  it('accepts no proof with any one bit changed', () => {
    for (const [from, to] of [
      [3, 7],
      [4, 8],
      [21, 53],
    ] as const) {
      const proof = tree.consistencyProof(from, to);
      for (const [index, one] of proof.entries())
        for (let bit = 0; bit < 256; bit += 1)
          expect(provesConsistency(proof.with(index, flipped(one, bit)), headOf(from), headOf(to))).toBe(
            false,
          );
    }
  });
});

describe('a tree', () => {
  it('has no root and no proof for a size that it never had', () => {
    expect(() => tree.rootAt(most + 1)).toThrow('the tree has 64 leaves, and no size 65');
    expect(() => tree.rootAt(-1)).toThrow(RangeError);
    expect(() => tree.rootAt(1.5)).toThrow(RangeError);
    expect(() => tree.inclusionProof(5, 5)).toThrow('a tree of 5 leaves has no leaf 5');
    expect(() => tree.consistencyProof(6, 5)).toThrow('a tree of 5 leaves never follows one of 6');
    expect(() => tree.append(Buffer.alloc(31))).toThrow("a leaf's hash has 31 bytes, expected 32");
  });

  it('never shrinks, and has the format’s root while it is empty', () => {
    expect(provesConsistency([], headOf(5), headOf(4))).toBe(false);
    expect(provesConsistency([], { size: 0, root: many[0] ?? emptyRoot }, headOf(4))).toBe(false);
    expect(provesConsistency([], headOf(0), { size: 0, root: many[0] ?? emptyRoot })).toBe(false);
    expect(provesConsistency([emptyRoot], headOf(0), headOf(4))).toBe(false);
  });
});
