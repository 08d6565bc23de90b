import { describe, expect, it } from 'vitest';
import { signEnvelope } from '../../eventlog/signing/envelope.ts';
import { rotation } from '../../eventlog/signing/key-history.ts';
import { noIteration, type StepRequestedData } from '../../schemas/events.ts';
import { waitsFor } from '../reading/progress.ts';
import { replayCheck } from '../reading/replay.ts';
import { goodEvidence } from '../testing/example-evidence.ts';
import {
  approves,
  did,
  failed,
  type Happening,
  type History,
  historyOf,
  retried,
  started,
  until,
} from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { touchedBy } from './decide.ts';
import { approvedIn, reviewOf } from './graph.ts';
import { lastAttempt } from './state.ts';
import { verdictsOf } from './verdicts.ts';

let told = 0;
const revoked =
  (writer: string, publicKey = testKey(writer).publicKey): Happening =>
  (history) => {
    told += 1;
    const data = { writer, publicKey, by: 'mfritsche', why: 'stolen' };
    history.append('@mfritsche', { type: 'KeyRevoked', iteration: noIteration, attempt: told, data });
  };
const rotated =
  (writer: string): Happening =>
  (history) => {
    const next = testKey(`${writer} 2`);
    const data = rotation('reauktion', writer, testKey(writer).publicKey, next);
    history.append(writer, { type: 'KeyRotated', iteration: noIteration, attempt: 1, data });
  };
const settled: Happening = (history) => history.settle();
const types = ({ events }: History, from = 0): string[] =>
  events
    .slice(from)
    .filter(({ event }) => event.source === 'coordinator')
    .map(({ event }) => `${event.type}.${event.attempt}`);
const lastRequest = ({ events }: History, step: 'install') => {
  const found = events.findLast(
    ({ event }) => event.kind === 'step' && event.step === step && event.fact === 'Requested',
  );
  return (found?.event.data as StepRequestedData<'install'> | undefined)?.request;
};
const decidesTheSame = (history: History) => expect(replayCheck(history.events).mismatches).toEqual([]);

/** The build of the builder's other key. */
const builtWith =
  (key: string): Happening =>
  (history) => {
    const evidence = goodEvidence(history.iteration(), 'build');
    const payload = Buffer.from(evidence.attestation?.payload ?? '', 'base64');
    history.succeed('build', { ...evidence, attestation: signEnvelope(testKey(key), payload) });
  };

const openBuild = [...until('build'), settled];

describe('an approver’s key that is revoked', () => {
  it('before the landing makes the iteration wait for another approval, and land on that one', () => {
    const history = historyOf(
      ...until('land').slice(0, -2),
      did(approves('architect')),
      revoked('@architect'),
      did(approves('mfritsche')),
      settled,
    );
    expect(types(history).at(-1)).toMatch(/^ApprovalVoided\./);
    expect(reviewOf(history.iteration())?.missing).toEqual(['architect']);
    expect(waitsFor(history.iteration(), history.state)).toContain('the review of architect');
    expect(verdictsOf(history.iteration()).find(({ id }) => id === 'C12')?.verdict).not.toBe('PASS');
    history.command(approves('architect'));
    history.settle();
    expect(types(history)).toContain('LandRequested.1');
    const last = history.iteration().approvals.at(-1);
    expect(approvedIn(history.iteration()).approvals).toContainEqual(last?.signed);
    expect(approvedIn(history.iteration()).approvals).toHaveLength(2);
    decidesTheSame(history);
  });

  it.each([
    ['land', 'LandSuperseded.1', 'LandRequested.2'],
    ['build', 'BuildSuperseded.1', 'BuildRequested.2'],
    ['publish', 'PublishSuperseded.1', 'PublishRequested.2'],
  ] as const)(
    'while %s is open has it asked again with another approval, of the same host',
    (step, stopped, again) => {
      const history = historyOf(...until(step), settled);
      const before = history.events.length;
      const host = lastAttempt(history.iteration(), step)?.host;
      revoked('@architect')(history);
      history.settle();
      expect(types(history, before)).toEqual([expect.stringMatching(/^ApprovalVoided/), stopped]);
      history.command(approves('architect'));
      history.settle();
      expect(types(history, before)).toContain(again);
      expect(lastAttempt(history.iteration(), step)?.host).toBe(host);
      decidesTheSame(history);
    },
  );

  it('after the landing holds up the install, which then shows the new approval', () => {
    const history = historyOf(...until('stage'), settled);
    revoked('@architect')(history);
    history.settle();
    history.succeed('stage');
    history.settle();
    expect(types(history)).not.toContain('InstallRequested.1');
    history.command(approves('architect'));
    history.settle();
    expect(types(history).at(-1)).toBe('InstallRequested.1');
    const last = history.iteration().approvals.at(-1);
    expect(lastRequest(history, 'install')?.provenance?.approvals).toContainEqual(last?.signed);
    decidesTheSame(history);
  });

  it('once the board installs changes nothing', () => {
    for (const station of ['install', 'reboot', 'close'] as const) {
      const history = historyOf(...until(station), settled);
      revoked('@architect')(history);
      expect(history.decideOnce()).toBe(false);
    }
  });

  it('leaves what an earlier key of theirs has signed, and what others have', () => {
    const history = historyOf(...until('land').slice(0, -1), rotated('@architect'));
    history.command(approves('architect'));
    for (const mark of [
      revoked('@somebody'),
      rotated('@mfritsche'),
      revoked('@mfritsche', testKey('@mfritsche 2').publicKey),
    ])
      mark(history);
    history.settle();
    expect(types(history)).toContain('LandRequested.1');
    expect(types(history).join()).not.toContain('Voided');
  });

  it('is seen by a retry as well, and decides about every iteration under way', () => {
    const history = historyOf(...openBuild, failed('build'), revoked('@architect'), retried);
    history.settle();
    expect(types(history).at(-1)).toMatch(/^ApprovalVoided\./);
    history.command(approves('architect'));
    history.settle();
    expect(types(history)).toContain('BuildRequested.2');
    decidesTheSame(history);
    const underWay = historyOf(started());
    revoked('@architect')(underWay);
    const event = underWay.events.at(-1);
    expect(event && touchedBy(event, underWay.state)).toEqual(['iter5']);
  });
});

describe('a builder’s key that is revoked', () => {
  it('has another build asked, and what was done with its packages done again', () => {
    const history = historyOf(...until('install').slice(0, -1), settled);
    const before = history.events.length;
    revoked('boltzmann')(history);
    history.settle();
    expect(types(history, before)).toEqual([
      'StageSuperseded.1',
      'PublishSuperseded.1',
      'BuildSuperseded.1',
      'BuildRequested.2',
    ]);
    builtWith('boltzmann 2')(history);
    for (const step of ['publish', 'stage', 'install', 'reboot', 'sweep', 'confirm', 'record'] as const) {
      history.settle();
      history.succeed(step);
    }
    history.settle();
    expect(history.iteration().ended?.status).toBe('closed');
    decidesTheSame(history);
  });

  it('while it builds has it asked again', () => {
    const history = historyOf(...openBuild);
    const before = history.events.length;
    revoked('boltzmann')(history);
    history.settle();
    expect(types(history, before)).toEqual(['BuildSuperseded.1', 'BuildRequested.2']);
    // It is built with the old key all the same: the publisher refuses that.
    history.succeed('build');
    history.settle();
    expect(types(history, before)).toEqual([
      ...['BuildSuperseded.1', 'BuildRequested.2', 'PublishRequested.1'],
    ]);
    decidesTheSame(history);
  });

  it('leaves a build that the other builder attests', () => {
    const history = historyOf(...until('publish'), settled, revoked('fermi'));
    expect(history.decideOnce()).toBe(false);
  });
});
