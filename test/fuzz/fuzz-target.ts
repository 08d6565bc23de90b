import fc from 'fast-check';

/** What is fed hostile input, and what has to hold then. */
export interface FuzzTarget {
  name: string;
  /** Its part of the cases, in thousandths. */
  share: number;
  /** Whether a case starts real programs: then it is slow, and looks at what they left itself. */
  programs?: true;
  /** A property of one input. @param folder a folder of this run's own, for files in passing. */
  property(folder: string): Promise<fc.IRawProperty<unknown>> | fc.IRawProperty<unknown>;
}

/** A target whose code is pure, or reads files at most. `hold` throws where something does not hold. */
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

/** What came of some cases of a target. */
export interface FuzzResult {
  cases: number;
  seconds: number;
  /** The smallest input that was found to break the property, and how. */
  broken?: { input: string; how: string };
}
