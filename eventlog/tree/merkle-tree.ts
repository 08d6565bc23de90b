import { hash } from 'node:crypto';

/** Bytes of a hash. */
export const hashSize = 32;

const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer');
const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const leafPrefix = Uint8Array.of(0);
const nodePrefix = Uint8Array.of(1);

/** The root of a tree without leaves. */
export const emptyRoot = sha256(new Uint8Array());

/** The hash of a leaf. RFC 9162, section 2.1.1. */
export const leafHash = (data: Uint8Array): Uint8Array => sha256(Buffer.concat([leafPrefix, data]));

const nodeHash = (left: Uint8Array, right: Uint8Array): Uint8Array =>
  sha256(Buffer.concat([nodePrefix, left, right]));

/** The largest power of two below `size`, which is at least 2. No tree that fits into memory has 2^32 leaves. */
const splitOf = (size: number): number => 2 ** (31 - Math.clz32(size - 1));

/** Hashes of one length, one after the other: a million of them as objects would take a quarter of a gigabyte. */
class Row {
  #bytes = Buffer.alloc(16 * hashSize);
  count = 0;

  push(one: Uint8Array): void {
    const at = this.count * hashSize;
    if (at === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(at)]);
    this.#bytes.set(one, at);
    this.count += 1;
  }

  at(index: number): Uint8Array {
    return this.#bytes.subarray(index * hashSize, (index + 1) * hashSize);
  }
}

/**
 * The hash tree of RFC 6962, section 2.1 (RFC 9162, section 2.1), over leaves that only ever grow in number. It keeps
 * the hash of every complete subtree, 64 bytes per leaf, so that the root and the proofs at any size are cheap.
 */
export class MerkleTree {
  /** Row `n` holds the hashes of the complete subtrees of 2^n leaves, from the left. */
  readonly #rows = [new Row()];

  get size(): number {
    return this.#rows[0]?.count ?? 0;
  }

  /** @param leaf its hash, {@link leafHash}. */
  append(leaf: Uint8Array): void {
    if (leaf.length !== hashSize)
      throw new RangeError(`a leaf's hash has ${leaf.length} bytes, expected ${hashSize}`);
    let node = leaf;
    for (let height = 0; ; height += 1) {
      this.#rows[height] ??= new Row();
      const row = this.#rows[height] as Row;
      row.push(node);
      if (row.count % 2 === 1) return;
      node = nodeHash(row.at(row.count - 2), row.at(row.count - 1));
    }
  }

  /** The hash of the leaf `index`, counted from 0; undefined if there is none. */
  leafAt(index: number): Uint8Array | undefined {
    const row = this.#rows[0] as Row;
    return index >= 0 && index < row.count ? row.at(index) : undefined;
  }

  #check(size: number): void {
    if (!Number.isInteger(size) || size < 0 || size > this.size)
      throw new RangeError(`the tree has ${this.size} leaves, and no size ${size}`);
  }

  /** The root over the `size` leaves from `start` on, which are a subtree of the tree at some size. */
  #rootOf(start: number, size: number): Uint8Array {
    const height = 31 - Math.clz32(size);
    if (2 ** height === size) return (this.#rows[height] as Row).at(start / size);
    const split = splitOf(size);
    return nodeHash(this.#rootOf(start, split), this.#rootOf(start + split, size - split));
  }

  /** The root of the tree when it had `size` leaves. @throws {RangeError} if it never had that many. */
  rootAt(size: number): Uint8Array {
    this.#check(size);
    return size === 0 ? emptyRoot : Uint8Array.from(this.#rootOf(0, size));
  }

  /**
   * Proves that the leaf `index`, counted from 0, is in the tree of `size` leaves. RFC 9162, section 2.1.3.1.
   * @throws {RangeError} if there is no such leaf or size.
   */
  inclusionProof(index: number, size: number): Uint8Array[] {
    this.#check(size);
    if (!Number.isInteger(index) || index < 0 || index >= size)
      throw new RangeError(`a tree of ${size} leaves has no leaf ${index}`);
    const path = (start: number, leaves: number): Uint8Array[] => {
      if (leaves === 1) return [];
      const split = splitOf(leaves);
      return index < start + split
        ? [...path(start, split), this.#rootOf(start + split, leaves - split)]
        : [...path(start + split, leaves - split), this.#rootOf(start, split)];
    };
    return path(0, size).map((one) => Uint8Array.from(one));
  }

  /**
   * Proves that the tree of `newSize` leaves begins with the one of `oldSize`. RFC 9162, section 2.1.4.1. The proof is
   * empty if the sizes are the same, or the old one is 0.
   * @throws {RangeError} if the tree never had one of the sizes, or the old size is the larger.
   */
  consistencyProof(oldSize: number, newSize: number): Uint8Array[] {
    this.#check(newSize);
    this.#check(oldSize);
    if (oldSize > newSize)
      throw new RangeError(`a tree of ${newSize} leaves never follows one of ${oldSize}`);
    if (oldSize === 0) return [];
    /** @param isKnown whether this subtree is the old tree, whose root the reader has. */
    const path = (start: number, old: number, leaves: number, isKnown: boolean): Uint8Array[] => {
      if (old === leaves) return isKnown ? [] : [this.#rootOf(start, leaves)];
      const split = splitOf(leaves);
      return old <= split
        ? [...path(start, old, split, isKnown), this.#rootOf(start + split, leaves - split)]
        : [...path(start + split, old - split, leaves - split, false), this.#rootOf(start, split)];
    };
    return path(0, oldSize, newSize, true).map((one) => Uint8Array.from(one));
  }
}

/**
 * The size and the root of a tree at some time. A signature has to bind the two together: a proof alone does not fix
 * the size.
 */
export interface TreeHead {
  /** Leaves. */
  size: number;
  root: Uint8Array;
}

const isOdd = (place: number): boolean => place % 2 === 1;
const half = (place: number): number => Math.floor(place / 2);
const isSize = (size: number): boolean => Number.isSafeInteger(size) && size >= 0;
const areHashes = (...hashes: readonly Uint8Array[]): boolean =>
  hashes.every(({ length }) => length === hashSize);

/** Whether the proof shows that the leaf `index`, counted from 0, is in the tree. RFC 9162, section 2.1.3.2. */
export const provesInclusion = (
  proof: readonly Uint8Array[],
  leaf: Uint8Array,
  index: number,
  head: TreeHead,
): boolean => {
  if (!isSize(index) || !isSize(head.size) || index >= head.size || !areHashes(leaf, head.root, ...proof))
    return false;
  let place = index;
  let last = head.size - 1;
  let root = leaf;
  for (const one of proof) {
    if (last === 0) return false;
    if (isOdd(place) || place === last) {
      root = nodeHash(one, root);
      while (!isOdd(place) && place !== 0) [place, last] = [half(place), half(last)];
    } else root = nodeHash(root, one);
    [place, last] = [half(place), half(last)];
  }
  return last === 0 && isSame(root, head.root);
};

/** Whether the proof shows that the new tree begins with the old one. RFC 9162, section 2.1.4.2. */
export const provesConsistency = (
  proof: readonly Uint8Array[],
  oldHead: TreeHead,
  newHead: TreeHead,
): boolean => {
  if (!isSize(oldHead.size) || !isSize(newHead.size) || oldHead.size > newHead.size) return false;
  if (!areHashes(oldHead.root, newHead.root, ...proof)) return false;
  if (newHead.size === 0 && !isSame(newHead.root, emptyRoot)) return false;
  if (oldHead.size === 0) return proof.length === 0 && isSame(oldHead.root, emptyRoot);
  if (oldHead.size === newHead.size) return proof.length === 0 && isSame(oldHead.root, newHead.root);
  let place = oldHead.size - 1;
  let last = newHead.size - 1;
  while (isOdd(place)) [place, last] = [half(place), half(last)];
  // A complete old tree is a node of the new one, so the proof leaves its root out. The old tree is complete if `place`
  // is 0.
  const [first, ...rest] = place === 0 ? [oldHead.root, ...proof] : proof;
  if (!first || proof.length === 0) return false;
  let oldRoot = first;
  let newRoot = first;
  for (const one of rest) {
    if (last === 0) return false;
    if (isOdd(place) || place === last) {
      oldRoot = nodeHash(one, oldRoot);
      newRoot = nodeHash(one, newRoot);
      while (!isOdd(place) && place !== 0) [place, last] = [half(place), half(last)];
    } else newRoot = nodeHash(newRoot, one);
    [place, last] = [half(place), half(last)];
  }
  return last === 0 && isSame(oldRoot, oldHead.root) && isSame(newRoot, newHead.root);
};
