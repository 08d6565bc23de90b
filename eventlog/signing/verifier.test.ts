import { describe, expect, it } from 'vitest';
import { type EventType, type NewEvent, noIteration, type UntypedEvent } from '../../schemas/events.ts';
import type { WriterRole } from '../../schemas/roles.ts';
import type { KeptMessage } from './check-event.ts';
import { createKeyHistory, rotation } from './key-history.ts';
import { linkTo, sealEvent } from './seal.ts';
import type { Trust, TrustedWriter } from './trust.ts';
import { createVerifier } from './verifier.ts';
import { generateWriterKey, payloadTypes, readWriterKey, type WriterKey } from './writer-key.ts';

const fleet = 'test';
const newKey = () => readWriterKey(generateWriterKey());
const keys = {
  coordinator: newKey(),
  boltzmann: newKey(),
  hertz: newKey(),
  fresnel: newKey(),
  '@lars': newKey(),
  '@eve': newKey(),
};
type Writer = keyof typeof keys;
const roles: Record<Writer, WriterRole> = {
  coordinator: 'coordinator',
  boltzmann: 'builder',
  hertz: 'publisher',
  fresnel: 'board',
  '@lars': 'operator',
  '@eve': 'operator',
};

/**
 * The fleet's pins. @param newer a writer's newer keys, the newest first: they come before the key that it begins with.
 */
const trusting = (newer: Partial<Record<Writer, readonly WriterKey[]>> = {}): Trust => ({
  fleet,
  approvals: 1,
  authorMayApprove: false,
  writers: new Map(
    (Object.keys(keys) as Writer[]).map((writer): [string, TrustedWriter] => [
      writer,
      {
        role: roles[writer],
        keys: [...(newer[writer] ?? []), keys[writer]].map(({ publicKey }) => publicKey),
        ...(writer === '@lars' ? { may: ['start', 'keys'] } : writer === '@eve' ? { may: ['start'] } : {}),
      },
    ]),
  ),
});

const started = (attempt = 1): NewEvent => ({
  type: 'AgentStarted',
  iteration: noIteration,
  attempt,
  data: { role: 'builder', version: '1', bootId: 'b', release: 'r', package: null },
});
const rotated = (
  from: WriterKey,
  to: WriterKey,
  changes: { writer?: Writer; attempt?: number } = {},
): NewEvent => ({
  type: 'KeyRotated',
  iteration: noIteration,
  attempt: changes.attempt ?? 1,
  data: rotation(fleet, changes.writer ?? 'boltzmann', from.publicKey, to),
});
const revoked = (
  key: WriterKey,
  { writer = 'boltzmann' as Writer, by = 'lars', attempt = 1 } = {},
): NewEvent => ({
  type: 'KeyRevoked',
  iteration: noIteration,
  attempt,
  data: { writer, publicKey: key.publicKey, by, why: 'stolen' },
});

/** A log whose messages are checked one by one. */
const createLog = (trust = trusting()) => {
  const verifier = createVerifier(trust);
  const last = new Map<string, { seq: number; hash: string }>();
  let sequence = 0;
  const give = (message: Omit<KeptMessage, 'sequence'>) => {
    sequence += 1;
    const verified = verifier.verify({ sequence, ...message });
    return 'refused' in verified ? verified.refused.why : verified.faults;
  };
  const seal = (
    writer: Writer,
    event: UntypedEvent,
    { key = keys[writer], after = last.get(writer), inFleet = fleet } = {},
  ) => sealEvent(event, { fleet: inFleet, name: writer, key }, after, '2026-05-11T08:00:00Z');
  return {
    give,
    seal,
    /** Appends a writer's next event. @returns its faults, or why it is refused. */
    say: (writer: Writer, event: UntypedEvent, key = keys[writer]) => {
      const sealed = seal(writer, event, { key });
      const verified = give(sealed);
      if (typeof verified !== 'string') last.set(writer, linkTo(sealed.seq, sealed.bytes));
      return verified;
    },
  };
};

/** The message with its bytes changed and signed again by its own writer: the signature is good. */
const resigned = (writer: Writer, sealed: Omit<KeptMessage, 'sequence'>, change: Record<string, unknown>) => {
  const envelope = JSON.parse(new TextDecoder().decode(sealed.bytes));
  const bytes = new TextEncoder().encode(JSON.stringify({ ...envelope, ...change }));
  return { ...sealed, bytes, signature: keys[writer].sign(payloadTypes.event, bytes) };
};

const aborted = { reason: { code: 'aborted', by: 'lars', says: 'x' }, boardRolledBack: false };

describe('a key is rotated', () => {
  it('and from then on only the new one counts, but what the old one signed before stands', () => {
    const [log, next] = [createLog(), newKey()];
    expect(log.say('boltzmann', started())).toEqual([]);
    expect(log.say('boltzmann', started(2), next)).toBe("its signature is not boltzmann's");
    expect(log.say('boltzmann', rotated(keys.boltzmann, next))).toEqual([]);
    expect(log.say('boltzmann', started(3))).toBe("its signature is not boltzmann's");
    expect(log.say('boltzmann', started(4), next)).toEqual([]);
    expect(log.say('hertz', started())).toEqual([]);
  });

  it('though the fleet’s file pins the new one already: until then the old one is in use', () => {
    const next = newKey();
    const log = createLog(trusting({ boltzmann: [next] }));
    expect(log.say('boltzmann', started(), next)).toBe("its signature is not boltzmann's");
    expect(log.say('boltzmann', rotated(keys.boltzmann, next))).toEqual([]);
    expect(log.say('boltzmann', started(2), next)).toEqual([]);
  });

  it.each<[string, (next: WriterKey) => UntypedEvent, RegExp]>([
    [
      'without the new key’s proof',
      (next) => ({ ...rotated(keys.boltzmann, next), data: { publicKey: next.publicKey, proof: '' } }),
      /has not signed its rotation/,
    ],
    [
      'with the old key’s signature for a proof',
      (next) => ({
        ...rotated(keys.boltzmann, next),
        data: {
          ...rotation(fleet, 'boltzmann', keys.boltzmann.publicKey, keys.boltzmann),
          publicKey: next.publicKey,
        },
      }),
      /has not signed its rotation/,
    ],
    [
      'with a proof for another writer',
      (next) => rotated(keys.boltzmann, next, { writer: 'hertz' }),
      /not signed/,
    ],
    ['with a proof from another key', (next) => rotated(keys.hertz, next), /has not signed its rotation/],
    ['to a key of another writer', () => rotated(keys.boltzmann, keys.hertz), /^the new key is hertz's$/],
    ['to the key that it has', () => rotated(keys.boltzmann, keys.boltzmann), /had before/],
    [
      'to what is spelled like a key and is none',
      (next) => ({
        ...rotated(keys.boltzmann, next),
        data: { publicKey: `U${'A'.repeat(55)}`, proof: '' },
      }),
      /has not signed its rotation/,
    ],
  ])('and refused: %s', (_name, event, why) => {
    const [log, next] = [createLog(), newKey()];
    expect(log.say('boltzmann', event(next))).toMatch(why);
    expect(log.say('boltzmann', started(), next)).toBe("its signature is not boltzmann's");
    expect(log.say('boltzmann', started(2))).toEqual([]);
  });

  it('and refused: back to one that it had, or to one that another has by a rotation', () => {
    const [log, next] = [createLog(), newKey()];
    log.say('boltzmann', rotated(keys.boltzmann, next));
    expect(log.say('boltzmann', rotated(next, keys.boltzmann, { attempt: 2 }), next)).toMatch(/had before/);
    expect(log.say('hertz', rotated(keys.hertz, next, { writer: 'hertz' }))).toBe(
      "the new key is boltzmann's",
    );
  });
});

describe('a key is revoked', () => {
  it('and its writer has none, where no newer one is pinned', () => {
    const log = createLog();
    expect(log.say('boltzmann', started())).toEqual([]);
    expect(log.say('@lars', revoked(keys.boltzmann))).toEqual([]);
    expect(log.say('boltzmann', started(2))).toBe("its signature is not boltzmann's");
    expect(log.say('hertz', started())).toEqual([]);
  });

  it('and the next newer one that is pinned takes its place', () => {
    const [second, third] = [newKey(), newKey()];
    const log = createLog(trusting({ boltzmann: [third, second] }));
    expect(log.say('boltzmann', started(), second)).toBe("its signature is not boltzmann's");
    expect(log.say('@lars', revoked(keys.boltzmann))).toEqual([]);
    expect(log.say('boltzmann', started(2))).toBe("its signature is not boltzmann's");
    expect(log.say('boltzmann', started(3), third)).toBe("its signature is not boltzmann's");
    expect(log.say('boltzmann', started(4), second)).toEqual([]);
  });

  it('which a thief had rotated to: the writer’s own newer key takes its place', () => {
    const [thief, second] = [newKey(), newKey()];
    const log = createLog(trusting({ boltzmann: [second] }));
    expect(log.say('boltzmann', rotated(keys.boltzmann, thief))).toEqual([]);
    expect(log.say('@lars', revoked(thief))).toEqual([]);
    expect(log.say('boltzmann', started(), thief)).toBe("its signature is not boltzmann's");
    expect(log.say('boltzmann', started(2), keys.boltzmann)).toBe("its signature is not boltzmann's");
    expect(log.say('boltzmann', started(3), second)).not.toBeTypeOf('string');
  });

  it('that is not in use: nothing changes', () => {
    const [log, next] = [createLog(), newKey()];
    log.say('boltzmann', rotated(keys.boltzmann, next));
    expect(log.say('@lars', revoked(keys.boltzmann))).toEqual([]);
    expect(log.say('boltzmann', started(), next)).toEqual([]);
  });

  it.each<[string, Writer, string, string]>([
    ['by a person who may not', '@eve', 'eve', '@eve may not write KeyRevoked'],
    ['by a host', 'hertz', 'hertz', 'hertz may not write KeyRevoked'],
    ['in another’s name', '@lars', 'eve', '@lars writes it in the name of eve'],
  ])('and refused: %s', (_name, writer, by, why) => {
    const log = createLog();
    expect(log.say(writer, revoked(keys.boltzmann, { by }))).toBe(why);
    expect(log.say('boltzmann', started())).toEqual([]);
  });
});

it('the history of keys tells each one’s first and last sequence', () => {
  const next = newKey();
  const history = createKeyHistory(trusting());
  const event = (kind: NewEvent, source: Writer) => ({ ...kind, kind: 'fleet', source }) as never;
  expect(history.of('boltzmann')).toEqual([{ publicKey: keys.boltzmann.publicKey, since: 0 }]);
  expect(history.rotationTo('boltzmann', next)).toMatchObject({ attempt: 1 });
  expect(history.note(event(rotated(keys.boltzmann, next), 'boltzmann'), 7)).toBeUndefined();
  expect(history.rotationTo('boltzmann', newKey())).toMatchObject({ attempt: 2 });
  history.note(event(revoked(next), '@lars'), 9);
  expect(history.of('boltzmann')).toEqual([
    { publicKey: keys.boltzmann.publicKey, since: 0, until: 7 },
    { publicKey: next.publicKey, since: 7, until: 9, revoked: true },
  ]);
  expect(history.inUse('boltzmann')).toBeNull();
});

describe('a writer’s chain', () => {
  const asked = (attempt: number) => started(attempt);

  it('a gap is told, and the event is its writer’s all the same', () => {
    const log = createLog();
    log.say('boltzmann', asked(1));
    const skipped = log.seal('boltzmann', asked(2));
    const after = linkTo(skipped.seq, skipped.bytes);
    expect(log.give(log.seal('boltzmann', asked(3), { after }))).toEqual([
      "boltzmann's events 2 to 2 are missing before it",
    ]);
  });

  it('a count that was used is told', () => {
    const log = createLog();
    log.say('boltzmann', asked(1));
    log.say('boltzmann', asked(2));
    expect(log.give(log.seal('boltzmann', asked(3), { after: { seq: 1, hash: '0'.repeat(64) } }))).toEqual([
      "it is boltzmann's event 2 again: boltzmann has already written event 2",
    ]);
  });

  it('a fork is told: the count follows, the hash does not', () => {
    const log = createLog();
    log.say('boltzmann', asked(1));
    const other = linkTo(1, new TextEncoder().encode('{}'));
    expect(log.give(log.seal('boltzmann', asked(2), { after: other }))).toEqual([
      "it does not follow from boltzmann's event before it",
    ]);
  });

  it('each writer has its own, and a refused event is in none', () => {
    const log = createLog();
    expect(log.say('boltzmann', asked(1))).toEqual([]);
    expect(log.say('hertz', asked(1))).toEqual([]);
    expect(log.say('boltzmann', asked(2), newKey())).toMatch(/signature/);
    expect(log.say('boltzmann', asked(3))).toEqual([]);
  });
});

describe('a second message under one subject', () => {
  it('is refused, whatever it is, and nothing follows from it', () => {
    const [log, next] = [createLog(), newKey()];
    const [first, other] = [
      log.seal('boltzmann', started()),
      log.seal('boltzmann', started(), { key: next }),
    ];
    const second = 'it is the second message under this subject: the one at sequence 1 counts';
    expect(log.give(first)).toEqual([]);
    expect(log.give(first)).toBe(second);
    expect(log.give(resigned('boltzmann', first, { time: '2026-05-12T08:00:00Z' }))).toBe(second);
    expect(log.give(other)).toBe(second);
    const after = linkTo(first.seq, first.bytes);
    expect(log.give(log.seal('boltzmann', started(2), { after }))).toEqual([]);
  });

  it('is refused as well where the first is no event', () => {
    const log = createLog();
    expect(log.say('boltzmann', started(), newKey())).toBe("its signature is not boltzmann's");
    expect(log.say('boltzmann', started())).toMatch(/^it is the second message under this subject/);
  });

  it('rotates no key', () => {
    const [log, next, other] = [createLog(), newKey(), newKey()];
    expect(log.say('boltzmann', rotated(keys.boltzmann, next))).toEqual([]);
    expect(log.say('boltzmann', rotated(next, other), next)).toMatch(/^it is the second message/);
    expect(log.say('boltzmann', started(), next)).toEqual([]);
  });
});

describe('a role', () => {
  const ofIteration = (type: EventType, data: unknown): UntypedEvent => ({
    type,
    iteration: 'iter5',
    attempt: 1,
    data,
  });
  const failed = (step: 'Build' | 'Publish' | 'Install') =>
    ofIteration(`${step}Failed`, { fault: 'work', reason: 'broke', output: [] });
  const wrong: [Writer, UntypedEvent][] = [
    ['coordinator', failed('Build')],
    ['coordinator', revoked(keys.hertz)],
    ['coordinator', ofIteration('AbortAsked', { by: 'lars', why: '' })],
    ['hertz', ofIteration('IterationAborted', aborted)],
    ['boltzmann', ofIteration('AbortAsked', { by: 'lars', why: '' })],
    ['fresnel', ofIteration('IterationAborted', aborted)],
    ['@lars', started()],
    ['@lars', ofIteration('AbortAsked', { by: 'lars', why: '' })], // lars does not have this right
    ['@eve', revoked(keys.hertz, { by: 'eve' })],
  ];

  it.each(wrong.map(([writer, event]) => [writer, event.type, event] as const))(
    '%s may not write %s',
    (writer, type, event) => {
      expect(createLog().say(writer, event)).toBe(`${writer} may not write ${type}`);
    },
  );

  it('may write what is its own', () => {
    for (const [writer, event] of [
      ['boltzmann', failed('Build')],
      ['hertz', failed('Publish')],
      ['fresnel', failed('Install')],
      ['hertz', failed('Build')], // the host that was asked answers, whatever its role
      ['coordinator', ofIteration('IterationAborted', aborted)],
      ['@lars', revoked(keys.hertz)],
    ] as const)
      expect(createLog().say(writer, event)).toEqual([]);
  });
});

describe('an event counts where it was said', () => {
  const log = createLog();
  const give = (message: Omit<KeptMessage, 'sequence'>) => createLog().give(message);
  const good = log.seal('boltzmann', started());
  const ofIteration = log.seal('boltzmann', {
    type: 'BuildFailed',
    iteration: 'iter5',
    attempt: 1,
    data: { fault: 'work', reason: 'broke', output: [] },
  });

  it('not in another fleet', () => {
    const { bytes, signature } = log.seal('boltzmann', started(), { inFleet: 'other' });
    expect(give({ subject: good.subject, bytes, signature })).toBe(
      'it belongs to fleet other, and this is test',
    );
  });

  it('not under another subject than its own', () => {
    for (const subject of [
      'ka.test.boltzmann._.AgentStarted.2',
      'ka.test.boltzmann._.AgentStarted.1.boltzmann',
      'ka.test.boltzmann.iter5.AgentStarted.1',
      'ka.test.boltzmann._.KeyRotated.1',
      'ka.other.boltzmann._.AgentStarted.1',
    ])
      expect(give({ ...good, subject })).toMatch(/which is not what its subject says$/);
    expect(give({ ...good, subject: 'ka.test.hertz._.AgentStarted.1' })).toBe("its signature is not hertz's");
    expect(give({ ...good, subject: 'ka.test.mallory._.AgentStarted.1' })).toBe(
      'no key is pinned for the writer "mallory"',
    );
    expect(give({ ...good, subject: 'ka.test.boltzmann.*.AgentStarted.1' })).toBe(
      'no message can have such a subject',
    );
  });

  it('a fleet’s event in no iteration, and an iteration’s in one', () => {
    const moved = resigned('boltzmann', good, {
      iteration: 'iter5',
      subject: 'iter5',
      id: 'iter5.AgentStarted.1',
    });
    const subject = 'ka.test.boltzmann.iter5.AgentStarted.1';
    expect(give({ ...moved, subject })).toBe('a AgentStarted does not belong to an iteration');
    const out = resigned('boltzmann', ofIteration, { iteration: '_', subject: '_', id: '_.BuildFailed.1' });
    expect(give({ ...out, subject: 'ka.test.boltzmann._.BuildFailed.1' })).toBe(
      'a BuildFailed does not belong to no iteration',
    );
  });

  it('under an id and a CloudEvents subject that are its own', () => {
    expect(give(resigned('boltzmann', good, { id: '_.AgentStarted.2' }))).toBe(
      'its id is _.AgentStarted.2, and it is AgentStarted.1 of _',
    );
    expect(give(resigned('boltzmann', good, { subject: 'iter5' }))).toMatch(/^its id is /);
  });

  it('over its exact bytes, as an event, and in the signature’s one spelling', () => {
    const flipped = Uint8Array.from(good.bytes);
    flipped[10] = (flipped[10] ?? 0) ^ 1;
    const refused = "its signature is not boltzmann's";
    expect(give({ ...good, bytes: flipped })).toBe(refused);
    const otherKind = keys.boltzmann.sign(payloadTypes.inToto, good.bytes);
    expect(give({ ...good, signature: otherKind })).toBe(refused);
    expect(give({ ...good, signature: good.signature.replace('==', '=') })).toBe(refused);
    expect(give({ ...good, signature: '' })).toBe(refused);
    expect(give(good)).toEqual([]);
  });

  it('and is read only once its signature is good', () => {
    const bytes = new TextEncoder().encode('no JSON');
    expect(give({ ...good, bytes })).toBe("its signature is not boltzmann's");
    const signature = keys.boltzmann.sign(payloadTypes.event, bytes);
    expect(give({ ...good, bytes, signature })).toMatch(/^it can't be read: /);
  });
});
