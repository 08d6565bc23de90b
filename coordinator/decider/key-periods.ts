import type { FleetEvent } from '../../schemas/events.ts';
import type { KeyPeriod, State } from './state.ts';

type Keys = Pick<State, 'keys'>;

const first: readonly KeyPeriod[] = [{ since: 0, publicKey: null }];
const periodsOf = ({ keys }: Keys, writer: string): readonly KeyPeriod[] => keys.get(writer) ?? first;

/** The periods of a writer that has another key from that event on. */
export const rotated = (
  state: Keys,
  { source, data }: FleetEvent & { type: 'KeyRotated' },
  since: number,
): readonly KeyPeriod[] => [...periodsOf(state, source), { since, publicKey: data.publicKey }];

/**
 * The periods of a writer whose key is revoked: that of the key is marked. If it was in use, a new one begins, with a key
 * that no event has named.
 */
export const revoked = (
  state: Keys,
  { writer, publicKey }: (FleetEvent & { type: 'KeyRevoked' })['data'],
  since: number,
): readonly KeyPeriod[] => {
  const periods = periodsOf(state, writer);
  const named = periods.findLastIndex((one) => one.publicKey === publicKey);
  const at = named >= 0 ? named : periods.findLastIndex((one) => one.publicKey === null);
  if (at < 0 || periods[at]?.revoked !== undefined) return periods;
  const marked = periods.with(at, { since: periods[at]?.since ?? 0, publicKey, revoked: since });
  const isLast = at === periods.length - 1;
  return isLast ? [...marked, { since, publicKey: null }] : marked;
};

/** The key with which a writer signed an event at that place, if it has been revoked since. */
export const revokedSince = (state: Keys, writer: string, sequence: number): string | undefined => {
  const period = periodsOf(state, writer).findLast(({ since }) => since < sequence);
  return period?.revoked !== undefined && period.publicKey !== null ? period.publicKey : undefined;
};

/** Whether that key of a writer has been revoked after that place in the log. */
export const isRevokedAfter = (state: Keys, writer: string, publicKey: string, sequence: number): boolean =>
  periodsOf(state, writer).some((one) => one.publicKey === publicKey && (one.revoked ?? 0) > sequence);
