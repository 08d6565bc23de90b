import { describe, expect, it } from 'vitest';
import type { EndReason, SupersededReason } from '../../schemas/reasons.ts';
import { endedWords, endingWords, supersededWords } from '../reading/english/reasons.ts';
import { waitsFor } from '../reading/progress.ts';
import { badEvidence, goodEvidence } from '../testing/example-evidence.ts';
import { examplePlan } from '../testing/example-plan.ts';
import { advance, given } from '../testing/given.ts';
import {
  abort,
  approved,
  approves,
  did,
  failed,
  type Happening,
  historyOf,
  rejects,
  retried,
  retry,
  started,
  startOf,
  succeeded,
  timedOut,
  until,
  waive,
} from '../testing/history.ts';
import { decide } from './decide.ts';
import { mostEarly } from './evolve.ts';
import { treesToApprove } from './graph.ts';
import type { Iteration } from './state.ts';

const keyChecked = succeeded('keycheck');
const settled: Happening = (history) => history.settle();
const badly = (step: Parameters<typeof succeeded>[0]): Happening =>
  succeeded(step, (iteration) => badEvidence(iteration, step));
const told = (data: unknown): string => {
  const { reason } = data as { reason: SupersededReason | EndReason };
  return reason.code === 'iteration-ends'
    ? supersededWords(reason)
    : endedWords(data as Parameters<typeof endedWords>[0]);
};
const ends = ({ ended }: Iteration): string => (ended ? endingWords(ended) : '');

describe('an iteration on its way', () => {
  it('goes from the plan to the close, each step after those that it needs', () => {
    const { events } = historyOf(...until('close'), settled);
    expect(
      events.filter(({ event }) => event.source === 'coordinator').map(({ event }) => event.type),
    ).toEqual([
      'IterationAccepted',
      'PreflightRequested',
      'KeycheckRequested',
      'ReviewRequested',
      'LandRequested',
      'PresweepRequested',
      'BackupRequested',
      'BuildRequested',
      'PublishRequested',
      'StageRequested',
      'InstallRequested',
      'RebootRequested',
      'SweepRequested',
      'ConfirmRequested',
      'RecordRequested',
      'IterationClosed',
    ]);
  });

  it('asks the host of its role', () => {
    given(started()).when(advance).then('PreflightRequested.1 → boltzmann', 'KeycheckRequested.1 → hertz');
    given(...until('publish'))
      .when(advance)
      .then('PublishRequested.1 → hertz');
    given(...until('install'))
      .when(advance)
      .then('InstallRequested.1 → fresnel');
  });

  it('sweeps and backs up the board while the builder works', () => {
    given(...until('land'))
      .when(advance)
      .then('LandRequested.1 → boltzmann', 'PresweepRequested.1 → fresnel', 'BackupRequested.1 → fresnel');
    given(...until('build'))
      .when(advance)
      .then('BuildRequested.1 → boltzmann');
  });

  it('does not install before backup, presweep and stage are done', () => {
    const without = [...until('land'), succeeded('land'), succeeded('build'), succeeded('publish')];
    given(...without, succeeded('stage'), succeeded('backup'))
      .when(advance)
      .then();
    given(...without, succeeded('stage'), succeeded('backup'), succeeded('presweep'))
      .when(advance)
      .then('InstallRequested.1 → fresnel');
  });

  it('names as its cause the event that it follows from', () => {
    const [request] = given(started())
      .when(advance)
      .then('PreflightRequested.1 → boltzmann', 'KeycheckRequested.1 → hertz');
    expect(request?.causationid).toBe('coordinator/iter5.IterationAccepted.1');
  });

  it('closes with a verdict and the events of every clause', () => {
    const [closed] = given(...until('close'))
      .when(advance)
      .then('IterationClosed.1');
    const { clauses } = (closed?.data ?? {}) as {
      clauses: { id: string; verdict: string; events: number[] }[];
    };
    expect(clauses.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual(
      examplePlan().plan.clauses.map(({ id }) => `${id} PASS`),
    );
    expect(clauses.every(({ events }) => events.length > 0)).toBe(true);
  });

  it('decides nothing after the end', () => {
    given(...until('close'), settled)
      .when(advance)
      .then();
    given(started(), keyChecked, failed('preflight'), settled).when(advance).then();
  });

  it('refuses to start on a board that another one works on', () => {
    const second = examplePlan((plan) => {
      plan.iteration = 'iter6';
    });
    given(started())
      .when(startOf(second))
      .thenRefused(/iter5 is under way on fresnel.*ka abort iter5/);
    given(...until('close'), settled)
      .when(startOf(second))
      .then('IterationStarted.1');
  });

  it('can be one of two under way at once, on two boards', () => {
    const second = examplePlan((plan) => {
      plan.iteration = 'iter6';
      plan.board = 'ohm';
    });
    const { history } = given(started(), started(second), succeeded('preflight'), settled);
    expect(history.iteration('iter6').attempts.preflight.map(({ status }) => status)).toEqual(['open']);
    expect(history.iteration('iter5').reviews).toHaveLength(1);
    history.fail('preflight', {}, 'iter6');
    history.settle();
    expect(history.iteration('iter6').ended?.status).toBe('failed');
    expect(history.iteration('iter5').ended).toBeUndefined();
  });

  it('can not be started twice', () => {
    given(started())
      .when(startOf(examplePlan()))
      .thenRefused(/"iter5" exists already.*mfritsche/);
    given(...until('close'), settled)
      .when(startOf(examplePlan()))
      .thenRefused(/exists already/);
  });

  it('tolerates events that this version does not know', () => {
    const unknown: Happening = (history) =>
      void history.append('fresnel', {
        type: 'BatteryLow',
        iteration: 'iter5',
        attempt: 1,
        data: { percent: 3 },
      });
    const known = given(...until('land'), unknown, succeeded('land'));
    expect(known.history.state.writers.get('fresnel')?.seq).toBe(1);
    known.when(advance).then('BuildRequested.1 → boltzmann');
  });
});

describe('the review', () => {
  it('waits for everybody whom the plan asks for', () => {
    given(...until('review'))
      .when(advance)
      .then('ReviewRequested.1');
    given(...until('review'), settled)
      .when(advance)
      .then();
    given(...until('review'), did(approves('architect')))
      .when(advance)
      .then();
  });

  it('accepts no word of anybody else, and none before preflight', () => {
    given(started())
      .when(approves('architect'))
      .thenRefused(/no preflight yet/);
    given(...until('review'))
      .when(approves('mallory'))
      .thenRefused(/asks for mfritsche, architect/);
    given(...until('land'), settled)
      .when(rejects('architect'))
      .thenRefused(/past its review/);
  });

  it('is asked for by every plan', () => {
    const loaded = examplePlan((plan) => {
      plan.review.approvals = [];
    });
    given()
      .when(startOf(loaded))
      .thenRefused(/asks for nobody's review/);
  });

  const approvesOther =
    (change: {
      trees?: { purpose: string; tree: string }[];
      planSha256?: string;
      board?: string;
    }): Happening =>
    (history) => {
      for (const [attempt, by] of ['mfritsche', 'architect'].entries()) {
        const { planSha256 } = history.iteration();
        const trees = treesToApprove(history.iteration());
        if (!trees) throw new Error('nothing to review');
        const data = {
          by,
          note: '',
          board: 'fresnel',
          planSha256,
          trees,
          expires: '2099-01-01T00:00:00Z',
          ...change,
        };
        history.append(`@${by}`, {
          type: 'ReviewApproved',
          iteration: 'iter5',
          attempt: attempt + 1,
          data,
        });
      }
    };

  it('does not count an approval of another tree, plan or board', () => {
    given(...until('review'), approvesOther({ trees: [{ purpose: 'series', tree: '0'.repeat(40) }] }))
      .when(advance)
      .then();
    given(...until('review'), approvesOther({ planSha256: '0'.repeat(64) }))
      .when(advance)
      .then();
    given(...until('review'), approvesOther({ board: 'ohm' }))
      .when(advance)
      .then();
    given(...until('review'), approvesOther({}))
      .when(advance)
      .then('LandRequested.1 → boltzmann', 'PresweepRequested.1 → fresnel', 'BackupRequested.1 → fresnel');
  });

  it('does not count an approval that a host has written', () => {
    const forged: Happening = (history) => {
      const { planSha256 } = history.iteration();
      const trees = treesToApprove(history.iteration()) ?? [];
      for (const by of ['mfritsche', 'architect'])
        history.append('fresnel', {
          type: 'ReviewApproved',
          iteration: 'iter5',
          attempt: 1,
          data: {
            by,
            note: '',
            board: 'fresnel',
            planSha256,
            trees,
            expires: '2099-01-01T00:00:00Z',
          },
        });
    };
    given(...until('review'), forged)
      .when(advance)
      .then();
  });

  it('fails the iteration when it is rejected, and a retry waits for the same person again', () => {
    const rejected = [...until('review'), did(approves('mfritsche')), did(rejects('architect'))];
    const [event] = given(...rejected)
      .when(advance)
      .then('IterationFailed.1');
    expect(told(event?.data)).toBe('review: architect rejected it: wrong');
    given(...rejected, retried)
      .when(advance)
      .then();
    given(...rejected, retried, did(approves('architect')))
      .when(advance)
      .then('LandRequested.1 → boltzmann', 'PresweepRequested.1 → fresnel', 'BackupRequested.1 → fresnel');
  });

  it('is asked for again when a retry gives another tree', () => {
    const another = succeeded('preflight', (iteration) => ({
      ...goodEvidence(iteration, 'preflight'),
      tree: '1'.repeat(40),
    }));
    const first = succeeded('preflight', (iteration) => badEvidence(iteration, 'preflight'));
    given(started(), first, retried, another).when(advance).then('ReviewRequested.1');
    given(started(), first, retried, another, did(approves('architect')))
      .when(advance)
      .then();
  });

  it('is asked for again with preflight when a retry finds that the branch has moved before the landing', () => {
    const moved = failed('land', { code: 'moved' });
    const before = [...until('land'), moved, settled];
    given(...before, retried)
      .when(advance)
      .then('PreflightRequested.2 → boltzmann');
    const again = succeeded('preflight', (iteration) => ({
      ...goodEvidence(iteration, 'preflight'),
      packagingTree: '1'.repeat(40),
    }));
    given(...before, retried, again)
      .when(advance)
      .then('ReviewRequested.2');
  });
});

describe('a builder that lets the iteration down', () => {
  it('is replaced by the fallback, for this step and those after it', () => {
    given(...until('build'), settled, failed('build', { fault: 'host' }))
      .when(advance)
      .then('BuildRequested.2 → fermi');
    given(started(), timedOut('preflight')).when(advance).then('PreflightRequested.2 → fermi');
    given(
      started(),
      keyChecked,
      timedOut('preflight'),
      succeeded('preflight'),
      ...approved,
      succeeded('land'),
    )
      .when(advance)
      .then('BuildRequested.1 → fermi');
  });

  it('is not replaced when the work is bad', () => {
    const { history } = given(
      ...until('build'),
      settled,
      failed('build', { reason: 'make ended with 2' }),
      settled,
    );
    expect(history.iteration().ended?.status).toBe('failed');
    expect(ends(history.iteration())).toBe('build on boltzmann: make ended with 2');
  });

  it('fails the iteration when nobody is left', () => {
    given(started(), keyChecked, timedOut('preflight'), failed('preflight', { fault: 'host' }))
      .when(advance)
      .then('IterationFailed.1');
  });

  it('has its late outcome recorded and not acted on', () => {
    const late: Happening = (history) =>
      void history.append('boltzmann', {
        type: 'BuildSucceeded',
        iteration: 'iter5',
        attempt: 1,
        data: { evidence: goodEvidence(history.iteration(), 'build'), seconds: 9 },
      });
    const { history } = given(...until('build'), settled, timedOut('build'), settled, late);
    expect(history.iteration().attempts.build).toMatchObject([
      { status: 'superseded', late: history.state.sequence },
      { status: 'open', host: 'fermi' },
    ]);
    given(...until('build'), settled, timedOut('build'), settled, late)
      .when(advance)
      .then();
  });

  it('can not answer for the one that took over', () => {
    const forged: Happening = (history) =>
      void history.append('boltzmann', {
        type: 'BuildSucceeded',
        iteration: 'iter5',
        attempt: 2,
        data: { evidence: goodEvidence(history.iteration(), 'build'), seconds: 9 },
      });
    const { history } = given(...until('build'), settled, timedOut('build'), settled, forged);
    expect(history.iteration().attempts.build.at(-1)).toMatchObject({ status: 'open', host: 'fermi' });
  });
});

describe('a failure before the install', () => {
  it.each(['preflight', 'land', 'build', 'publish', 'stage'] as const)(
    'in %s ends the iteration at once and leaves the board alone',
    (step) => {
      const { history } = given(...until(step), settled, failed(step), settled);
      expect(ends(history.iteration())).toMatch(new RegExp(`^${step} on .*: ${step} broke$`));
      expect(history.events.at(-1)?.event.data).toMatchObject({ boardRolledBack: false, goBack: 'phase 0' });
    },
  );

  it('stops what still runs, and is itself the reason', () => {
    const [stopped] = given(...until('land'), settled, failed('backup'))
      .when(advance)
      .then('LandSuperseded.1 → boltzmann', 'PresweepSuperseded.1 → fresnel');
    expect(told(stopped?.data)).toBe('the iteration ends: backup on fresnel: backup broke');
    const wrongKey = [...until('land'), succeeded('land'), succeeded('build'), badly('publish'), settled];
    const { history } = given(...wrongKey);
    expect(ends(history.iteration())).toMatch(/^publish: C8: hertz reports the key 0{40}/);
  });

  it.each(['preflight', 'land', 'build', 'publish', 'backup', 'stage'] as const)(
    'is also evidence of %s that the plan does not expect',
    (step) => {
      const way = step === 'backup' ? [...until('build'), settled] : [...until(step), settled];
      const { history } = given(...way, badly(step), settled);
      expect(history.iteration().ended?.status).toBe('failed');
      expect(ends(history.iteration())).toMatch(new RegExp(`^${step}: C\\d`));
      expect(history.iteration().attempts.rollback).toHaveLength(0);
    },
  );

  it('is also a landing without a commit to build, even if its clause was waived', () => {
    const nothing = succeeded('land', (iteration) => {
      const evidence = goodEvidence(iteration, 'land');
      return { ...evidence, commits: evidence.commits.slice(0, 1) };
    });
    const { history } = given(...until('land'), did(waive('C6')), nothing, settled);
    expect(ends(history.iteration())).toBe('land: nothing was committed to packages');
  });

  it('can be retried: what had failed is asked for again, what was done is not', () => {
    const stopped = [...until('build'), settled, failed('build'), retried];
    given(...stopped)
      .when(advance)
      .then('BuildRequested.2 → boltzmann', 'PresweepRequested.2 → fresnel', 'BackupRequested.2 → fresnel');
    given(...until('publish'), badly('publish'), retried)
      .when(advance)
      .then('PublishRequested.2 → hertz');
  });

  it('can be retried by a builder whose failure no longer counts', () => {
    const both = [
      started(),
      keyChecked,
      timedOut('preflight'),
      failed('preflight', { fault: 'host' }),
      retried,
    ];
    given(...both)
      .when(advance)
      .then('PreflightRequested.3 → boltzmann');
  });

  it('is the only end that can be retried', () => {
    given(started())
      .when(retry)
      .thenRefused(/is under way/);
    given(...until('close'), settled)
      .when(retry)
      .thenRefused(/has closed/);
    given(started(), did(abort), settled)
      .when(retry)
      .thenRefused(/has aborted/);
  });
});

describe('a board that was touched', () => {
  it.each(['install', 'reboot', 'sweep'] as const)('is rolled back when %s fails', (step) => {
    const broken = [...until(step), settled, failed(step)];
    const [request] = given(...broken)
      .when(advance)
      .then('RollbackRequested.1 → fresnel');
    expect(request?.data).toMatchObject({
      request: { reason: { code: 'step-failed', step, host: 'fresnel', says: `${step} broke` } },
    });
    const [end] = given(...broken, succeeded('rollback'))
      .when(advance)
      .then('IterationFailed.1');
    expect(end?.data).toEqual({
      reason: { code: 'step-failed', step, host: 'fresnel', attempt: 1, says: `${step} broke` },
      boardRolledBack: true,
      goBack: 'phase 0',
    });
  });

  it.each(['install', 'reboot', 'sweep'] as const)('is rolled back when %s shows something else', (step) => {
    given(...until(step), settled, badly(step))
      .when(advance)
      .then('RollbackRequested.1 → fresnel');
  });

  it('is rolled back when a step on it does not end', () => {
    given(...until('reboot'), settled, timedOut('reboot'))
      .when(advance)
      .then('RollbackRequested.1 → fresnel');
  });

  it('is left alone when the install refused before it began', () => {
    const refused = [...until('install'), settled, failed('install', { begun: [], reason: 'no room' })];
    const [end] = given(...refused)
      .when(advance)
      .then('IterationFailed.1');
    expect(end?.data).toMatchObject({ boardRolledBack: false });
    given(...refused, retried)
      .when(advance)
      .then('InstallRequested.2 → fresnel');
  });

  it('is rolled back twice at most, then left to a person', () => {
    const broken = [...until('sweep'), badly('sweep'), failed('rollback')];
    given(...broken)
      .when(advance)
      .then('RollbackRequested.2 → fresnel');
    const [end] = given(...broken, badly('rollback'))
      .when(advance)
      .then('IterationFailed.1');
    expect(end?.data).toMatchObject({ boardRolledBack: false });
    expect(told(end?.data)).toMatch(
      /rollback failed 2 times \(7\.0-2 is installed, not 7\.0-1\): fresnel needs a person\. By hand: unpack its backup of 7\.0-1 \(boot\.tar\.zst, also on hertz in fresnel\/7\.0-1\)/,
    );
  });

  it('goes back to the version that it had, even if the PKGBUILD had another', () => {
    const loaded = examplePlan((plan) => {
      Object.assign(plan.package, { from: '7.0-2', to: '7.0-3', installed: '7.0-1' });
    });
    const way = [started(loaded), ...until('sweep').slice(1), badly('sweep'), succeeded('rollback'), settled];
    const { history } = given(...way);
    expect(history.iteration().ended?.status).toBe('failed');
    expect(history.events.at(-1)?.event.data).toMatchObject({ boardRolledBack: true });
  });

  it('can not be retried or waived once it is rolled back', () => {
    const rolling = [...until('sweep'), badly('sweep'), settled];
    given(...rolling)
      .when(waive('C11'))
      .thenRefused(/rolled back on fresnel/);
    given(...rolling, succeeded('rollback'), settled)
      .when(retry)
      .thenRefused(/start a new iteration/);
  });

  it('keeps its kernel when only the record fails, and a retry records', () => {
    const unrecorded = [...until('record'), settled, failed('record')];
    const [end] = given(...unrecorded)
      .when(advance)
      .then('IterationFailed.1');
    expect(told(end?.data)).toBe('record on boltzmann: record broke');
    given(...unrecorded, retried)
      .when(advance)
      .then('RecordRequested.2 → boltzmann');
    given(...unrecorded, retried, succeeded('record'))
      .when(advance)
      .then('IterationClosed.1');
  });
});

describe('the signing key', () => {
  it('is tried before anything lands', () => {
    const reviewed = [started(), succeeded('preflight'), ...approved];
    given(...reviewed)
      .when(advance)
      .then('PresweepRequested.1 → fresnel', 'BackupRequested.1 → fresnel');
    given(...reviewed, keyChecked)
      .when(advance)
      .then('LandRequested.1 → boltzmann');
  });

  it('that is not the fleet’s ends the iteration', () => {
    const { history } = given(started(), succeeded('preflight'), badly('keycheck'), settled);
    expect(ends(history.iteration())).toMatch(/^keycheck: key-usable: hertz reports the key 0{40}/);
  });
});

describe('a board that does not come back', () => {
  const lose: Happening = (history) => {
    const reason = {
      ...({ code: 'overdue-and-silent', step: 'reboot' } as const),
      ...{ limitSeconds: 1800, silentSeconds: 801 },
    };
    history.decideOnce({ do: 'Lose', iteration: 'iter5', step: 'reboot', attempt: 1, reason });
  };
  const lost = [...until('reboot'), settled, lose];

  it('makes the iteration wait for it, and for a person', () => {
    const { history } = given(...lost);
    given(...lost)
      .when(advance)
      .then();
    expect(history.iteration().ended).toBeUndefined();
    expect(waitsFor(history.iteration(), history.state)).toMatch(
      /fresnel, which is lost: .*Look at its console/,
    );
  });

  it('lets the iteration go on when it speaks again', () => {
    const { history } = given(...lost, succeeded('reboot'));
    expect(history.iteration().lost).toBeUndefined();
    given(...lost, succeeded('reboot'))
      .when(advance)
      .then('SweepRequested.1 → fresnel');
  });

  it('does not delay an abort, and is reported as not put back', () => {
    const { history } = given(...lost, did(abort), settled);
    expect(history.iteration().ended?.status).toBe('aborted');
    expect(history.events.at(-1)?.event.data).toMatchObject({ boardRolledBack: false });
    expect(told(history.events.at(-1)?.event.data)).toMatch(/fresnel is lost and was not put back.*By hand/);
  });
});

describe('a board that went back on its own', () => {
  const went = (host: string): Happening => {
    const boot = { bootId: 'b', release: '7.0.0', procVersion: 'Linux version 7.0.0' };
    const data = {
      because: 'nobody confirmed 7.0-2 within 60 s',
      restored: true,
      version: '7.0-1',
      unconfirmed: boot,
      now: boot,
    };
    return (history) =>
      void history.append(host, { type: 'DeadlinePassed', iteration: 'iter5', attempt: 1, data });
  };

  it('ends the iteration once the rollback has verified it', () => {
    const [request] = given(...until('sweep').slice(0, -1), went('fresnel'), succeeded('reboot'))
      .when(advance)
      .then('RollbackRequested.1 → fresnel');
    expect(request?.data).toMatchObject({
      request: { reason: { code: 'went-back', host: 'fresnel', version: '7.0-1', restored: true } },
    });
    const { history } = given(...until('sweep'), went('fresnel'), succeeded('rollback'), settled);
    expect(history.iteration().ended?.status).toBe('failed');
  });

  it('is believed only if the board itself reports it', () => {
    const { history } = given(...until('sweep'), went('hertz'), settled);
    expect(history.iteration().deadline).toBeUndefined();
  });
});

describe('a log that has lost its tail', () => {
  it('counts an outcome that comes before its request, once the request is there', () => {
    const early: Happening = (history) =>
      void history.append('boltzmann', {
        type: 'BuildSucceeded',
        iteration: 'iter5',
        attempt: 1,
        data: { evidence: goodEvidence(history.iteration(), 'build'), seconds: 9 },
      });
    const { history } = given(...until('land'), settled, succeeded('backup'), succeeded('presweep'), early);
    expect(history.iteration().attempts.build).toEqual([]);
    history.succeed('land');
    history.decideOnce();
    expect(history.iteration().attempts.build).toMatchObject([{ status: 'succeeded', seconds: 9 }]);
    expect(history.state.early.size).toBe(0);
    history.decideOnce();
    expect(history.events.at(-1)?.event.type).toBe('PublishRequested');
  });

  it('keeps few such outcomes, and only of a host and an iteration that may be asked', () => {
    const says =
      (host: string, iteration: string, attempt: number): Happening =>
      (history) =>
        void history.append(host, {
          type: 'BuildFailed',
          iteration,
          attempt,
          data: { fault: 'work', reason: 'x', output: [], begun: [] },
        });
    const many = (host: string, of: (nth: number) => [iteration: string, attempt: number]) =>
      Array.from({ length: 200 }, (_, nth) => says(host, ...of(nth)));
    const { history } = given(
      ...until('land'),
      ...many('fresnel', (nth) => ['iter5', nth + 1]),
      ...many('fresnel', (nth) => [`made-up-${nth}`, 1]),
      ...many('ohm', (nth) => ['iter5', nth + 1]),
    );
    expect(history.state.early.size).toBe(mostEarly);
    expect([...history.state.iterations.keys()]).toEqual(['iter5']);
  });

  it('does not let another host answer for the one that is asked', () => {
    const early: Happening = (history) =>
      void history.append('fermi', {
        type: 'BuildSucceeded',
        iteration: 'iter5',
        attempt: 1,
        data: { evidence: goodEvidence(history.iteration(), 'build'), seconds: 9 },
      });
    const { history } = given(...until('land'), early, succeeded('land'), settled);
    expect(history.iteration().attempts.build).toMatchObject([{ status: 'open', host: 'boltzmann' }]);
  });
});

describe('a restored log', () => {
  const restored: Happening = (history) =>
    void history.append('@mfritsche', {
      type: 'LogRestored',
      iteration: '_',
      attempt: 2,
      data: { epoch: 2, by: 'mfritsche', rebuilt: 9, missing: 0 },
    });
  const anew: Happening = (history) => {
    const reason = { code: 'never-arrived', host: 'fresnel', epoch: 1 } as const;
    history.decideOnce({ do: 'AskAgain', iteration: 'iter5', step: 'install', attempt: 1, reason });
  };

  it('asks again, in its own epoch, for an attempt that a host never heard of', () => {
    const { history } = given(...until('install'), settled, restored, anew);
    history.settle();
    expect(history.iteration().attempts.install).toMatchObject([
      { status: 'superseded', again: true },
      { status: 'open', host: 'fresnel' },
    ]);
    expect(history.iteration().attempts.rollback).toEqual([]);
  });
});

describe('an abort', () => {
  it('stops what runs and ends the iteration', () => {
    given(...until('build'), settled, did(abort))
      .when(advance)
      .then(
        'BuildSuperseded.1 → boltzmann',
        'PresweepSuperseded.1 → fresnel',
        'BackupSuperseded.1 → fresnel',
      );
    const { history } = given(...until('build'), did(abort), settled);
    expect(history.iteration().ended?.status).toBe('aborted');
    expect(ends(history.iteration())).toBe('mfritsche aborted it: lunch');
    given(...until('build'), did(abort))
      .when(abort)
      .thenRefused(/being aborted already/);
  });

  it('in the middle of an install lets it finish, then rolls back', () => {
    const midway = [...until('install'), settled, did(abort)];
    given(...midway)
      .when(advance)
      .then();
    given(...midway, succeeded('install'))
      .when(advance)
      .then('RollbackRequested.1 → fresnel');
    const [end] = given(...midway, succeeded('install'), succeeded('rollback'))
      .when(advance)
      .then('IterationAborted.1');
    expect(end?.data).toMatchObject({ boardRolledBack: true });
  });

  it('while recording puts the board back as well', () => {
    const { history } = given(...until('record'), settled, did(abort), settled);
    expect(history.iteration().attempts.record.at(-1)?.status).toBe('superseded');
    expect(history.iteration().attempts.rollback.at(-1)?.status).toBe('open');
  });
});

describe('a waiver', () => {
  it('given before, lets the iteration pass and close, with the clause WAIVED', () => {
    const { history } = given(
      ...until('sweep'),
      did(waive('C11')),
      badly('sweep'),
      succeeded('confirm'),
      succeeded('record'),
      settled,
    );
    expect(history.iteration().ended?.status).toBe('closed');
    const closed = history.events.at(-1)?.event;
    expect(closed?.data).toMatchObject({
      clauses: expect.arrayContaining([expect.objectContaining({ id: 'C11', verdict: 'WAIVED' })]),
    });
  });

  it('given after, lets a retry go on', () => {
    const refused = [...until('publish'), badly('publish'), did(waive('C8'))];
    given(...refused)
      .when(advance)
      .then();
    given(...refused, retried)
      .when(advance)
      .then('StageRequested.1 → fresnel');
  });

  it('is for a clause of the plan, once, before the end', () => {
    given(started())
      .when(waive('C99'))
      .thenRefused(/no clause "C99"; it has C1, C2/);
    given(started(), did(waive('C1')))
      .when(waive('C1'))
      .thenRefused(/waived already/);
    given(...until('close'), settled)
      .when(waive('C1'))
      .thenRefused(/has closed already/);
  });
});

describe('a time-out', () => {
  it('of an attempt or an iteration that has ended produces nothing', () => {
    const { history } = given(...until('review'));
    const timeOut = {
      do: 'TimeOut',
      iteration: 'iter5',
      step: 'preflight',
      attempt: 1,
      reason: { code: 'step-overdue', host: 'boltzmann', step: 'preflight', limitSeconds: 1 },
    } as const;
    expect(decide(timeOut, history.state)).toEqual([]);
  });
});

it('a command about an unknown iteration is refused', () => {
  given()
    .when(retry)
    .thenRefused(/no iteration "iter5"; the log holds: none/);
  given(started())
    .when({ ...abort, iteration: 'iter9' } as typeof abort)
    .thenRefused(/the log holds: iter5/);
});

it('cuts an endless reason so that the events that repeat it are not too large', () => {
  const reason = 'x'.repeat(900_000);
  const { history } = given(...until('land'), failed('land', { reason }));
  history.settle();
  const told = history.events.slice(-3);
  expect(told.map(({ event }) => event.type)).toEqual([
    'PresweepSuperseded',
    'BackupSuperseded',
    'IterationFailed',
  ]);
  for (const { bytes } of told) expect(bytes.length).toBeLessThan(30_000);
});
