import { type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import type { NewEvent } from '../../schemas/events.ts';
import type { State } from '../decider/state.ts';
import { withWords } from './with-words.ts';

/**
 * Seals an event that was decided on a state, and links it to the writer's last event in this state.
 * @param now the writer's clock, in milliseconds since 1970.
 */
export const sealDecided = (
  event: NewEvent,
  writer: { fleet: string; name: string; key: WriterKey },
  state: State,
  now = Date.now(),
): SealedEvent =>
  sealEvent(
    withWords(event, state),
    { ...writer, epoch: state.epoch },
    state.writers.get(writer.name),
    new Date(now).toISOString(),
  );
