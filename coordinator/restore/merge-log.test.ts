import { expect, it } from 'vitest';
import { checkEvent } from '../../eventlog/signing/check-event.ts';
import { linkTo, sealEvent } from '../../eventlog/signing/seal.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { coordinator, isPerson, type LoggedEvent, type NewEvent, noIteration } from '../../schemas/events.ts';
import { replayCheck } from '../reading/replay.ts';
import { exampleTrust } from '../testing/example-plan.ts';
import { createHistory, historyOf, until } from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { mergeLog } from './merge-log.ts';
import type { HeldMessage } from './restore-sources.ts';

const { events } = historyOf(...until('install'), (history) => history.settle());
const held = (logged: LoggedEvent, from = 'the copy', known = true): HeldMessage => ({
  sequence: known ? logged.sequence : null,
  subject: logged.subject,
  bytes: logged.bytes,
  signature: testKey(logged.event.source).sign(payloadTypes.event, logged.bytes),
  from,
});
const text = ({ bytes }: { bytes: Uint8Array }) => new TextDecoder().decode(bytes);

it('puts back a log that one source has whole, in its order, whichever others have parts of it', () => {
  const mixed = [...events].reverse();
  const merged = mergeLog(exampleTrust, [
    ...mixed.map((one) => held(one)),
    ...events.map((one) => held(one, 'b')),
  ]);
  expect(merged.events.map(text)).toEqual(events.map(text));
  expect(merged.events.map(({ sequence }) => sequence)).toEqual(events.map(({ sequence }) => sequence));
  expect(merged).toMatchObject({ leftOut: [], missingSequences: [], missingCauses: [] });
  expect(replayCheck(merged.events).mismatches).toEqual([]);
});

it('places an event whose sequence its host does not know last, but never before its cause', () => {
  const unplaced = events.filter(({ event }) => event.type === 'LandSucceeded');
  const rest = events.filter((one) => !unplaced.includes(one) && one.sequence < events.length);
  const merged = mergeLog(exampleTrust, [
    ...unplaced.map((one) => held(one, 'a journal', false)),
    ...rest.map((one) => held(one)),
  ]);
  const at = (type: string) => merged.events.findIndex(({ event }) => event.type === type);
  expect(at('LandSucceeded')).toBeGreaterThan(at('LandRequested'));
  expect(at('LandSucceeded')).toBeLessThan(at('BuildRequested')); // whose cause it is
});

it('reports what no source has: by sequence, by each writer’s own count, and by the causes of others', () => {
  const inJournals = events.filter(
    ({ event }) =>
      !isPerson(event.source) && event.type !== 'ReviewRequested' && event.type !== 'LandSucceeded',
  );
  const merged = mergeLog(
    exampleTrust,
    inJournals.map((one) => held(one)),
  );
  expect(merged.missingCauses).toContain('@mfritsche/iter5.IterationStarted.1');
  expect(merged.missingCauses).toContain('boltzmann/iter5.LandSucceeded.1');
  expect(merged.missingOf.get(coordinator)).toBe(1);
  expect(merged.missingOf.get('boltzmann')).toBe(1);
  const lost = events.filter((one) => !inJournals.includes(one)).map(({ sequence }) => sequence);
  expect(merged.missingSequences).toEqual(lost);
});

it('leaves out an event that is not signed by its writer, and one that its writer has replaced since', () => {
  const [first, ...rest] = events.map((one) => held(one));
  if (!first) throw new Error('the history is empty');
  const merged = mergeLog(exampleTrust, [{ ...first, signature: rest[0]?.signature ?? '' }, ...rest]);
  expect(merged.leftOut).toEqual([`${first.subject} of the copy: its signature is not @mfritsche's`]);
  expect(merged.events).toHaveLength(events.length - 1);

  const last = events.findLast(({ event }) => event.source === coordinator);
  const before = events.filter((one) => one !== last).map((one) => held(one));
  if (!last) throw new Error('the coordinator was silent');
  const broken = text(last).replace(/"prevhash":"[0-9a-f]{8}/, '"prevhash":"00000000');
  const unlinked = mergeLog(exampleTrust, [
    ...before,
    held({ ...last, bytes: new TextEncoder().encode(broken) }),
  ]);
  expect(unlinked.leftOut).toEqual([
    `coordinator/${last.event.id}: it does not follow coordinator's event before it`,
  ]);
});

/** Events of the coordinator, each linked to the one before it. */
const supersededFrom = (says: string) =>
  ({
    host: 'hertz',
    reason: { code: 'iteration-ends', reason: { code: 'aborted', by: 'mfritsche', says } },
  }) as const;

const said = (because: string, attempt: number, last?: HeldMessage & { seq: number }) => {
  const sealed = sealEvent(
    { type: 'BuildSuperseded', iteration: 'iter5', attempt, host: 'hertz', data: supersededFrom(because) },
    { fleet: 'reauktion', name: coordinator, key: testKey(coordinator) },
    last && linkTo(last.seq, last.bytes),
    '2026-05-11T08:00:00Z',
  );
  return { ...sealed, sequence: null, from: because };
};

it('leaves out all that follows an event that was left out, even if no source has the events between', () => {
  const a1 = said('log', 1);
  const b2 = said('log', 2, a1);
  const otherwise = [said('cut', 3, a1)]; // another subject than b2, or the same one
  const same = [said('cut', 2, a1)];
  for (const cut of [otherwise, same]) {
    for (const attempt of [4, 5, 6]) cut.push(said('cut', attempt, cut.at(-1)));
    expect(mergeLog(exampleTrust, [a1, b2, ...cut]).events.map(({ from }) => from)).toEqual(['log', 'log']);
  }
});

it('knows the highest epoch that a person has begun, and none that another event has made up', () => {
  const a1 = said('log', 1);
  const sealed = (event: NewEvent, name: string, epoch: number) => ({
    ...sealEvent(
      event,
      { fleet: 'reauktion', name, key: testKey(name), epoch },
      undefined,
      '2026-05-11T08:00:00Z',
    ),
    ...{ sequence: null, from: 'a journal' },
  });
  const data = supersededFrom('');
  const superseded = {
    type: 'BuildSuperseded',
    iteration: 'iter5',
    attempt: 2,
    host: 'hertz',
    data,
  } as const;
  const madeUp = sealed(superseded, coordinator, Number.MAX_SAFE_INTEGER);
  const restored = { epoch: 4, by: 'mfritsche', rebuilt: 1, missing: 0 };
  const begun = sealed(
    { type: 'LogRestored', iteration: noIteration, attempt: 3, data: restored },
    '@mfritsche',
    4,
  );
  expect(mergeLog(exampleTrust, [a1, madeUp]).epoch).toBe(1);
  expect(mergeLog(exampleTrust, [a1, madeUp, begun]).epoch).toBe(4);
});

it('refuses a subject that no event can have, whoever signed it', () => {
  const good = events.find(({ event }) => event.source === 'boltzmann');
  if (!good) throw new Error('boltzmann was silent');
  const bytes = new TextEncoder().encode(text(good).replaceAll(good.event.type, 'Invented'));
  const own = good.subject.replace(good.event.type, 'Invented');
  const check = (subject: string) =>
    checkEvent(exampleTrust, {
      sequence: 1,
      subject,
      bytes,
      signature: testKey('boltzmann').sign(payloadTypes.event, bytes),
    });
  expect(check(`${own}.hertz`)).toHaveProperty('logged');
  for (const end of ['.', '.>', '.*', '.a b', '..a', '.a.'])
    expect(check(own + end)).toMatchObject({
      refused: { why: expect.stringContaining('can have such a subject') },
    });
});

it('puts a chain together that is longer than any stack', () => {
  const chain = [said('log', 1)];
  for (let attempt = 2; attempt <= 12_000; attempt += 1) chain.push(said('log', attempt, chain.at(-1)));
  // The last one has the lowest known place, so that all others are put before it.
  const merged = mergeLog(
    exampleTrust,
    chain.map((one, index) => ({ ...one, sequence: index + 1 === chain.length ? 1 : null })),
  );
  expect(merged.events.map(({ event }) => event.attempt)).toEqual(chain.map(({ seq }) => seq));
});

it('leaves out what a revoked key signed after its revocation, and keeps what the writer’s new key signed', () => {
  const log = createHistory();
  const started = (attempt: number) => ({
    ...{ type: 'AgentStarted', iteration: '_', attempt },
    data: { role: 'builder', version: '1', bootId: 'b', release: 'r', package: null },
  });
  const [before] = [log.append('boltzmann', started(1))];
  const revoked = log.append('@mfritsche', {
    ...{ type: 'KeyRevoked', iteration: '_', attempt: 1 },
    data: { writer: 'boltzmann', publicKey: testKey('stolen').publicKey, by: 'mfritsche', why: 'stolen' },
  });
  const trust = {
    ...exampleTrust,
    writers: new Map(exampleTrust.writers).set('boltzmann', {
      role: 'builder',
      keys: [testKey('boltzmann').publicKey, testKey('stolen').publicKey],
    }),
  };
  const sealed = (key: string, bootId: string) => {
    const event = started(2);
    return sealEvent(
      { ...event, type: 'AgentStarted', data: { ...event.data, bootId } },
      { fleet: exampleTrust.fleet, name: 'boltzmann', key: testKey(key) },
      linkTo(1, before.bytes),
      '2026-05-11T08:00:00Z',
    );
  };
  const of = (sequence: number, { subject, bytes, signature }: ReturnType<typeof sealed>): HeldMessage => ({
    ...{ sequence, subject, bytes, signature },
    from: 'the copy',
  });
  const first = { ...held(before), signature: testKey('stolen').sign(payloadTypes.event, before.bytes) };
  const merged = mergeLog(trust, [
    first,
    held(revoked),
    of(3, sealed('stolen', 'thief')),
    of(4, sealed('boltzmann', 'honest')),
  ]);
  expect(merged.events.map(({ event }) => event.type)).toEqual([
    'AgentStarted',
    'KeyRevoked',
    'AgentStarted',
  ]);
  expect(merged.events.at(-1)?.event.data).toMatchObject({ bootId: 'honest' });
  expect(merged.leftOut).toEqual([expect.stringContaining('boltzmann had another key there')]);
});
