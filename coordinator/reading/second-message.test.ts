import { describe, expect, it } from 'vitest';
import type { KeptMessage, RefusedMessage } from '../../eventlog/signing/check-event.ts';
import { createVerifier } from '../../eventlog/signing/verifier.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { parseSubject } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { evolve, passOver } from '../decider/evolve.ts';
import { initialState, type State } from '../decider/state.ts';
import { exampleTrust } from '../testing/example-plan.ts';
import { historyOf, until } from '../testing/history.ts';
import { RecordedLog } from '../testing/recorded-log.ts';
import { testKey } from '../testing/test-key.ts';
import { verifyLog } from './verify-log.ts';

/** A reader of a log, which folds it as `ka` and the coordinator do, and keeps what is reported to it. */
const readerOf = (messages: readonly KeptMessage[]) => {
  const verifier = createVerifier(exampleTrust);
  const told: RefusedMessage[] = [];
  let state: State = initialState;
  for (const message of messages) {
    const verified = verifier.verify(message);
    if ('refused' in verified) {
      told.push(verified.refused);
      state = passOver(state, message.sequence);
    } else {
      for (const why of verified.faults)
        told.push({ sequence: message.sequence, subject: message.subject, cause: 'chain', why });
      state = evolve(state, verified.logged);
    }
  }
  return { state, told };
};

const whyOf = (first: number) =>
  `it is the second message under this subject: the one at sequence ${first} counts`;

describe('a log that holds two messages under one subject', () => {
  const history = historyOf(...until('close'));
  const messages = history.events.map(({ sequence, subject, bytes, signature = '' }) => ({
    sequence,
    subject,
    bytes,
    signature,
  }));
  const whole = readerOf(messages);
  const end = messages.length + 1;

  /** A second message of the same writer, well signed, with other content: as if a cluster had accepted two at once. */
  const second = ({ subject, bytes }: KeptMessage, sequence: number): KeptMessage => {
    const other = Buffer.from(Buffer.from(bytes).toString().replace('2026-05-11', '2026-05-12'));
    return {
      sequence,
      subject,
      bytes: other,
      signature: testKey(parseSubject(subject)?.writer ?? '').sign(payloadTypes.event, other),
    };
  };

  it('is whole without the second', () => {
    expect(whole.told).toEqual([]);
    expect(verifyLog(exampleTrust, { records: messages }).faults).toEqual([]);
  });

  it('is folded as without the second, whichever it is, and both the reader and the check report it', () => {
    for (const message of messages) {
      const both = [...messages, second(message, end)];
      const told = [
        { sequence: end, subject: message.subject, cause: 'second', why: whyOf(message.sequence) },
      ];
      expect(readerOf(both)).toEqual({ state: passOver(whole.state, end), told });
      expect(verifyLog(exampleTrust, { records: both })).toMatchObject({
        events: messages.length,
        faults: told,
      });
    }
  });

  it('is folded as without the second if the second comes in between and the writer goes on from the first', () => {
    for (const message of messages) {
      const renumber = (one: KeptMessage) =>
        one.sequence <= message.sequence ? one : { ...one, sequence: one.sequence + 1 };
      const both = messages
        .map(renumber)
        .toSpliced(message.sequence, 0, second(message, message.sequence + 1));
      const { state, told } = readerOf(both);
      expect(told).toEqual([
        {
          sequence: message.sequence + 1,
          subject: message.subject,
          cause: 'second',
          why: whyOf(message.sequence),
        },
      ]);
      expect(state.iterations.get('iter5')?.digest).toBe(whole.state.iterations.get('iter5')?.digest);
      expect(verifyLog(exampleTrust, { records: both }).faults).toEqual(told);
    }
  });

  it('is also reported if only hashes are shown', () => {
    const log = new RecordedLog();
    const event = { type: 'LaterThanThis', iteration: 'iter5', attempt: 1, data: {} };
    const records = [log.append('hertz', event), log.append('hertz', event)];
    expect(records[0]?.subject).toBe(records[1]?.subject);
    const withheld = records.map(({ bytes, ...rest }) => ({ ...rest, sha256: sha256(bytes) }));
    expect(verifyLog(exampleTrust, { records: withheld }).faults).toEqual([
      { sequence: 2, subject: records[0]?.subject, cause: 'second', why: whyOf(1) },
    ]);
  });
});
