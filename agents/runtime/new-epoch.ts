import { checkSignedEvent } from '../../eventlog/signing/check-event.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';

/** Whether an operator who may restore the log has signed that this epoch begins. The coordinator's word is not enough. */
export const isBegun = (trust: Trust, restored: SignedEvent | undefined, epoch: number): boolean => {
  const checked = restored && checkSignedEvent(trust, restored);
  if (!checked || 'refused' in checked) return false;
  const { event } = checked.logged;
  return event.kind === 'fleet' && event.type === 'LogRestored' && event.data.epoch === epoch;
};
