import { expect, it } from 'vitest';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { LogTree } from '../../eventlog/tree/log-tree.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { coordinator, parseSubject } from '../../schemas/events.ts';
import { decide } from '../decider/decide.ts';
import { exampleTrust } from '../testing/example-plan.ts';
import { createHistory, failed, type History, historyOf, retried, retry, until } from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { LogCopy } from './log-copy.ts';
import { createSayAgain } from './say-again.ts';

const kept = ({ sequence, subject, bytes, event }: LoggedEvent): KeptMessage => ({
  sequence,
  subject,
  bytes,
  signature: testKey(event.source).sign(payloadTypes.event, bytes),
});

/** The next move of a coordinator whose log has lost the history's tail, from an event of this type on. */
const afterLoss = (whole: History, from: string) => {
  const at = whole.events.findIndex(({ event }) => event.type === from);
  const copy = new LogCopy();
  for (const event of whole.events) copy.keep(kept(event), 1);
  copy.endsAt(at);
  const log = createHistory();
  for (const { event, subject } of whole.events.slice(0, at)) {
    const host = parseSubject(subject)?.host;
    log.append(event.source, { ...event, ...(host === undefined ? {} : { host }) } as never);
  }
  const said: string[] = [];
  const tree = new LogTree();
  const next = createSayAgain(copy, exampleTrust, (text) => void said.push(text), { tree });
  return {
    log,
    said,
    /** A host sends its lost event again. */
    again: (type: string) => {
      const one = whole.events.find(({ event }) => event.type === type);
      if (!one) throw new Error(`there was no ${type}`);
      copy.keep(kept({ ...one, sequence: log.append(one.event.source, one.event as never).sequence }), 1);
    },
    /** Lets the coordinator append until it waits. */
    settle: (now: number) => {
      for (let times = 0; times < 20; times += 1) {
        const what = next(log.state, now);
        if (what.do === 'wait') return 'waits';
        if (what.do === 'append') {
          const same = whole.events.find(({ subject }) => subject === what.event.subject);
          copy.keep(kept(log.append(coordinator, same?.event as never)), 1);
          continue;
        }
        const [event] = decide({ do: 'Advance' }, log.state);
        if (!event) return 'rests';
        copy.keep(kept(log.append(coordinator, event)), 1);
      }
      throw new Error('it never comes to rest');
    },
  };
};

it('what a person’s lost event needs is decided again before the coordinator waits for that person', () => {
  const whole = historyOf(...until('publish'), failed('publish'), retried, (history) => history.settle());
  const { log, said, again, settle } = afterLoss(whole, 'BackupSucceeded');
  // In another order than before: the coordinator had answered the last of them.
  for (const type of ['PublishFailed', 'BuildSucceeded', 'BackupSucceeded']) {
    again(type);
    settle(0);
  }
  expect(settle(20_000)).toBe('waits');
  expect(said.join('\n')).toMatch(
    /lost RetryAsked of iter5, which a person wrote.*ka retry iter5 --as mfritsche/,
  );
  expect(log.iteration().ended?.status).toBe('failed');
  expect(() => decide(retry, log.state)).not.toThrow();
});
