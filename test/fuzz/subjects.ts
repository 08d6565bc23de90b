import fc from 'fast-check';
import { exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { historyOf, until } from '../../coordinator/testing/history.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { checkEvent } from '../../eventlog/signing/check-event.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { subjectOf } from '../../schemas/events.ts';
import { pureTarget } from './fuzz-target.ts';
import { hostileText } from './hostile.ts';

/** A well-signed event under another subject: only its own subject is accepted. */
export const subjects = pureTarget('subjects', 320, () => {
  const { events } = historyOf(...until('close'));
  const signed = events.map((logged) => ({
    ...logged,
    signature: testKey(logged.event.source).sign(payloadTypes.event, logged.bytes),
  }));
  const all = signed.map(({ subject }) => subject);
  const token = fc.oneof(hostileText, fc.constantFrom(...all.flatMap((subject) => subject.split('.'))));
  const changed = (subject: string): fc.Arbitrary<string> =>
    fc.oneof(
      hostileText,
      fc.constantFrom(...all),
      fc.tuple(fc.nat(7), token).map(([at, by]) =>
        subject
          .split('.')
          .with(at % subject.split('.').length, by)
          .join('.'),
      ),
      token.map((more) => `${subject}.${more}`),
      token.map((more) => `${more}.${subject}`),
      fc.nat(200).map((at) => subject.slice(0, at % subject.length)),
      fc.constant(subject.toUpperCase()),
      fc.constant(subject),
    );
  return {
    input: fc
      .constantFrom(...signed)
      .chain((message) => changed(message.subject).map((subject) => ({ message, subject }))),
    hold: ({ message, subject }) => {
      const { bytes, signature, event } = message;
      const checked = checkEvent(exampleTrust, { sequence: 1, subject, bytes, signature });
      const taken = 'logged' in checked;
      if (taken !== (subject === message.subject))
        throw new Error(
          taken ? `it is taken under ${subject}` : `it is refused where it belongs: ${checked.refused.why}`,
        );
      const data = event.data as { host?: unknown };
      const host =
        typeof data.host === 'string' &&
        /Requested|Superseded|Checkpointed/.test(event.type) &&
        event.kind !== 'iteration'
          ? data.host
          : undefined;
      const own = subjectOf('reauktion', event.source, {
        iteration: event.iteration,
        type: event.type,
        attempt: event.attempt,
        ...(host === undefined ? {} : { host }),
      });
      if (own !== message.subject) throw new Error(`${own} is not ${message.subject}`);
    },
  };
});
