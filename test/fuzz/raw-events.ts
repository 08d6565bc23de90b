import fc from 'fast-check';
import { decide } from '../../coordinator/decider/decide.ts';
import { evolve } from '../../coordinator/decider/evolve.ts';
import { initialState } from '../../coordinator/decider/state.ts';
import { eventLine } from '../../coordinator/reading/event-line.ts';
import { exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { historyOf, until } from '../../coordinator/testing/history.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { checkEvent, type KeptMessage } from '../../eventlog/signing/check-event.ts';
import { createVerifier } from '../../eventlog/signing/verifier.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { pureTarget } from './fuzz-target.ts';
import { hostileText, hostileValue, mutated, mutatedText } from './hostile.ts';
import { expectPrintable } from './terminal-text.ts';

const encode = (text: string) => new TextEncoder().encode(text);
const writers = [...exampleTrust.writers.keys()];

/** Bytes and the subject under which they are published. */
interface Said {
  subject: string;
  bytes: Uint8Array;
}

const nestedBytes = fc
  .tuple(fc.constantFrom('[', '{"a":'), fc.constantFrom(10, 100, 1000, 20_000))
  .map(([open, depth]) => encode(open.repeat(depth) + (open === '[' ? ']' : '1}').repeat(depth)));

const asBytes = (input: fc.Arbitrary<Said>) => input;

/**
 * Messages of a log: each is an event or is refused with a sentence. An accepted one has a good signature, and can be
 * folded and decided on.
 */
export const rawEvents = pureTarget('events', 120, () => {
  const { events } = historyOf(...until('close'));
  const good: Said[] = events.map(({ subject, bytes }) => ({ subject, bytes }));
  const documents = events.map(({ subject, bytes }) => ({
    subject,
    text: new TextDecoder().decode(bytes),
  }));
  const one = fc.constantFrom(...documents);
  const said = asBytes(
    fc.oneof(
      {
        weight: 50,
        arbitrary: one.chain(({ subject, text }) =>
          mutated(JSON.parse(text), 3).map((value) => ({ subject, bytes: encode(JSON.stringify(value)) })),
        ),
      },
      {
        weight: 20,
        arbitrary: one.chain(({ subject, text }) =>
          mutatedText(text, ['{', '}', '[', ']', '"', ':', ',', '1e999', '\\u0000', '\\ud800']).map(
            (changed) => ({
              subject,
              bytes: encode(changed),
            }),
          ),
        ),
      },
      {
        weight: 10,
        arbitrary: fc.record({
          subject: fc.constantFrom(...good.map(({ subject }) => subject)),
          bytes: fc.uint8Array({ maxLength: 200 }),
        }),
      },
      {
        weight: 10,
        arbitrary: fc.record({
          subject: hostileText,
          bytes: fc.constantFrom(...good.map(({ bytes }) => bytes)),
        }),
      },
      {
        weight: 10,
        arbitrary: fc
          .tuple(hostileText, hostileValue, fc.constantFrom(...writers))
          .map(([type, data, writer]) => {
            const event = {
              specversion: '1.0',
              id: `_.${type}.1`,
              source: writer,
              type,
              subject: '_',
              fleet: 'reauktion',
              time: '2026-05-11T00:00:00Z',
              iteration: '_',
              attempt: 1,
              writerseq: 1,
              data,
            };
            return { subject: `ka.reauktion.${writer}._.${type}.1`, bytes: encode(JSON.stringify(event)) };
          }),
      },
      { weight: 1, arbitrary: nestedBytes.map((bytes) => ({ subject: good[0]?.subject ?? '', bytes })) },
      {
        weight: 1,
        arbitrary: nestedBytes.map((bytes) => ({
          subject: 'ka.reauktion.fresnel._.Thing.1',
          bytes: encode(
            `{"specversion":"1.0","id":"_.Thing.1","source":"fresnel","type":"Thing","subject":"_","fleet":"reauktion","time":"2026-05-11T00:00:00Z","iteration":"_","attempt":1,"writerseq":1,"data":${new TextDecoder().decode(bytes)}}`,
          ),
        })),
      },
    ),
  );
  const signer = fc.constantFrom('its own', 'its own', 'its own', 'another', 'text');
  return {
    input: fc.record({ said, signer, text: hostileText }),
    hold: ({ said: { subject, bytes }, signer: by, text }) => {
      const writer = subject.split('.')[2] ?? '';
      const key = testKey(by === 'its own' ? writer : 'nobody');
      const signature = by === 'text' ? text : key.sign(payloadTypes.event, bytes);
      const message: KeptMessage = { sequence: 1, subject, bytes, signature };
      const checked = checkEvent(exampleTrust, message);
      const verified = createVerifier(exampleTrust).verify(message);
      if ('refused' in checked) {
        const { why } = checked.refused;
        if (why.length > 2000) throw new Error(`the refusal of a message is ${why.length} letters long`);
        if (!('refused' in verified)) throw new Error('the verifier takes what is refused one by one');
        return;
      }
      if (by !== 'its own') throw new Error(`it took what ${writer} has not signed`);
      const { event } = checked.logged;
      JSON.stringify(event);
      expectPrintable(eventLine(event));
      decide({ do: 'Advance' }, evolve(initialState, checked.logged));
    },
  };
});
