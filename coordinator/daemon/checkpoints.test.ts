import { expect, it } from 'vitest';
import { LogTree, leafOf } from '../../eventlog/tree/log-tree.ts';
import { noIteration } from '../../schemas/events.ts';
import { examplePlan } from '../testing/example-plan.ts';
import { historyOf, started, until } from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { checkpointsDue } from './checkpoints.ts';

it('tells each host which iterations go on and name it', () => {
  const history = historyOf(...until('close'));
  history.settle();
  for (const host of ['boltzmann', 'fresnel', 'maxwell'])
    history.append(host, {
      type: 'AgentStarted',
      iteration: noIteration,
      attempt: 1,
      data: { role: 'board', version: '1', bootId: 'b', release: 'r', package: null },
    });
  const next = examplePlan((plan) => {
    plan.iteration = 'iter6';
  });
  started(next)(history);
  history.settle();
  expect([...history.state.iterations.values()].map(({ ended }) => ended?.status)).toEqual([
    'closed',
    undefined,
  ]);

  const tree = new LogTree();
  for (const event of history.events) tree.append(leafOf({ signature: '', ...event }));
  const commands = checkpointsDue(history.state, {
    ...{ fleet: 'reauktion', key: testKey('coordinator'), tree },
    knownBy: () => undefined,
    restored: undefined,
  });
  const told = [...commands].flatMap((command) =>
    command.do === 'Checkpoint' ? [[command.host, command.open]] : [],
  );
  expect(Object.fromEntries(told)).toEqual({ boltzmann: ['iter6'], fresnel: ['iter6'], maxwell: [] });
});
