import { describe, expect, it } from 'vitest';
import { requireProvenance } from '../../agents/runtime/provenance.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { exampleTrust } from '../testing/example-plan.ts';
import { approves, did, type Happening, historyOf, rejects, retried, until } from '../testing/history.ts';
import { requestFor } from './requests.ts';

const carrying: StepName[] = ['publish', 'install'];
const done = historyOf(...until('close')).iteration();

describe('the provenance in the requests of publish and install', () => {
  it.each(carrying)('%s gets a provenance that its host accepts', (step) => {
    const { provenance, packages } = requestFor(done, step as 'publish');
    const provided = { packages, version: done.plan.package.to };
    expect(() => requireProvenance(provenance, exampleTrust, 'iter5', provided)).not.toThrow();
    expect(provenance?.approvals.map(({ writer }) => writer)).toEqual(['@mfritsche', '@architect']);
  });

  it('holds only the approvals that count: the last word of each person whom the plan asks', () => {
    const again: Happening[] = [
      ...until('review'),
      did(approves('mfritsche')),
      did(rejects('architect')),
      retried,
      did(approves('architect')),
      ...until('close').slice(until('land').length),
    ];
    const { provenance } = requestFor(historyOf(...again).iteration(), 'publish');
    const signed = provenance?.approvals.map(({ bytes }) =>
      JSON.parse(Buffer.from(bytes, 'base64').toString()),
    );
    expect(signed?.map(({ type, data }) => `${type} ${data.by}`)).toEqual([
      'ReviewApproved mfritsche',
      'ReviewApproved architect',
    ]);
  });

  it('is left out if the build is not attested: the host refuses that', () => {
    const [attempt] = done.attempts.build;
    if (attempt?.status !== 'succeeded') throw new Error('nothing was built');
    const { attestation: _none, ...evidence } = attempt.evidence;
    const attempts = { ...done.attempts, build: [{ ...attempt, evidence }] };
    expect(requestFor({ ...done, attempts }, 'publish')).not.toHaveProperty('provenance');
  });
});
