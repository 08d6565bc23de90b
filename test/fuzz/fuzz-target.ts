import fc from 'fast-check';

/** Code that gets hostile input, and the property that has to hold. */
export interface FuzzTarget {
  name: string;
  /** Its share of the cases, in thousandths. */
  share: number;
  /** Whether a case starts real programs: then it is slow, and checks their traces itself. */
  programs?: true;
  /** A property of one input. @param folder this run's own folder, for temporary files. */
  property(folder: string): Promise<fc.IRawProperty<unknown>> | fc.IRawProperty<unknown>;
}

/** A target whose code is pure, or only reads files. `hold` throws if the property does not hold. */
export const pureTarget = <Value>(
  name: string,
  share: number,
  make: (folder: string) => { input: fc.Arbitrary<Value>; hold: (value: Value) => void },
): FuzzTarget => ({
  name,
  share,
  property: (folder) => {
    const { input, hold } = make(folder);
    return fc.property(input, hold) as unknown as fc.IRawProperty<unknown>;
  },
});

/** The result of some cases of a target. */
export interface FuzzResult {
  cases: number;
  seconds: number;
  /** The smallest input found that breaks the property, and how. */
  broken?: { input: string; how: string };
}
