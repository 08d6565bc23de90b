import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { type NewEvent, parseSubject } from '../../schemas/events.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import type { State } from '../decider/state.ts';
import { withWords } from './with-words.ts';

/** A message of the log, to be carried inside another event. */
export const signedEventOf = ({ subject, bytes, signature }: KeptMessage): SignedEvent => ({
  writer: parseSubject(subject)?.writer ?? '',
  bytes: Buffer.from(bytes).toString('base64'),
  signature,
});

/**
 * Seals an event that was decided on a state, and links it to the writer's last event in this state.
 * @param now the writer's clock, in milliseconds since 1970.
 * @param restored the message that began the log's epoch, unless it is the first: a host that is asked is shown it.
 */
export const sealDecided = (
  event: NewEvent,
  writer: { fleet: string; name: string; key: WriterKey },
  state: State,
  now = Date.now(),
  restored?: KeptMessage,
): SealedEvent =>
  sealEvent(
    withWords(event, state),
    {
      ...writer,
      epoch: state.epoch,
      ...(restored && event.host !== undefined && event.type.endsWith('Requested')
        ? { restored: signedEventOf(restored) }
        : {}),
    },
    state.writers.get(writer.name),
    new Date(now).toISOString(),
  );
