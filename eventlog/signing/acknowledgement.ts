import { type KaEvent, personWriter } from '../../schemas/events.ts';
import type { Acknowledged } from '../grouped-alarms.ts';
import { leafOf } from '../tree/log-tree.ts';
import type { KeptMessage } from './check-event.ts';

/** The hash by which a person acknowledges a message: of its subject, its signature and its bytes. */
export const acknowledgedHash = (message: KeptMessage): string =>
  Buffer.from(leafOf(message)).toString('hex');

/** What an event acknowledges; nothing, if it is of another type, or in somebody else's name. */
export const acknowledgedBy = (event: KaEvent): (Acknowledged & { sha256: string })[] => {
  if (event.kind !== 'fleet' || event.type !== 'RefusalAcknowledged') return [];
  const { by, why, messages } = event.data;
  if (event.source !== personWriter(by)) return [];
  return messages.map(({ sequence, sha256 }) => ({ sequence, sha256, by, why }));
};
