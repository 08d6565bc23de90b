import { expect } from 'vitest';
import { requireProvenance } from '../../agents/runtime/provenance.ts';
import { exampleFleet } from '../../coordinator/testing/example-plan.ts';
import { approves, did, type History, historyOf, until } from '../../coordinator/testing/history.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { trustNow } from '../../eventlog/signing/trust.ts';
import { noIteration, type StepRequestedData } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { attack } from './attack.ts';

const revoke = (history: History, writer: string) => {
  const data = { writer, publicKey: testKey(writer).publicKey, by: 'mfritsche', why: 'stolen' };
  history.append('@mfritsche', { type: 'KeyRevoked', iteration: noIteration, attempt: 1, data });
};

const typesOf = (history: History) => history.events.map(({ event }) => event.type);

/** A host's own copy of the fleet's file, with another key for that person. */
const trustWithout = (person: 'architect') => {
  const before = exampleFleet.operators[person];
  const old = testKey(`@${person}`).publicKey;
  const renewed = { ...before, publicKey: testKey('new').publicKey, earlierKeys: [old], revokedKeys: [old] };
  return trustNow(
    Fleet.parse({ ...exampleFleet, operators: { ...exampleFleet.operators, [person]: renewed } }),
  );
};

attack(
  'revoked-in-the-middle',
  'an iteration lands on no approval of a revoked key, and asks for another',
  () => {
    const history = historyOf(...until('land').slice(0, -2), did(approves('architect')));
    revoke(history, '@architect');
    history.command(approves('mfritsche'));
    history.settle();
    expect(typesOf(history)).toContain('ApprovalVoided');
    expect(typesOf(history)).not.toContain('LandRequested');
    history.command(approves('architect'));
    history.settle();
    expect(typesOf(history)).toContain('LandRequested');
  },
);

attack(
  'revoked-in-the-middle',
  'no host is asked for what it would refuse, and the iteration goes on',
  () => {
    const history = historyOf(...until('install').slice(0, -1));
    history.settle();
    revoke(history, '@architect');
    history.settle();
    history.succeed('stage');
    history.settle();
    expect(typesOf(history)).not.toContain('InstallRequested');
    history.command(approves('architect'));
    history.settle();
    const asked = history.events.at(-1)?.event.data as StepRequestedData<'install'>;
    const { provenance, packages } = asked.request;
    // The second approval alone: a host that knows of the revocation refuses the first.
    expect(provenance?.approvals).toHaveLength(2);
    const stale = {
      ...provenance,
      approvals: history
        .iteration()
        .approvals.slice(0, 2)
        .map(({ signed }) => signed),
    };
    expect(provenance?.approvals).not.toEqual(stale.approvals);
    const provided = { packages, version: asked.request.to };
    expect(() => requireProvenance(stale as never, trustWithout('architect'), 'iter5', provided)).toThrow(
      /An approval does not count/,
    );
  },
);

attack('revoked-in-the-middle', 'a build that a revoked key attests is built and published again', () => {
  const history = historyOf(...until('stage'));
  history.settle();
  revoke(history, 'boltzmann');
  history.settle();
  expect(typesOf(history).slice(-4)).toEqual([
    'StageSuperseded',
    'PublishSuperseded',
    'BuildSuperseded',
    'BuildRequested',
  ]);
});
