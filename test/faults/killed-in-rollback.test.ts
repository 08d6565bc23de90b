import { expect } from 'vitest';
import { planVariant } from '../plan-variant.ts';
import { failpointsOf, isMidway } from './every-failpoint.ts';
import type { KillMode } from './failpoints.ts';
import { faultRow } from './fault-row.ts';
import { killAtAll } from './killed-anywhere.ts';

const points = failpointsOf(['rollback'], ['IterationFailed']);

const rollsBackKilledAt = (how: KillMode, which: typeof points) => () =>
  killAtAll(
    'killed-back',
    which,
    how,
    ({ folder }) => planVariant(folder, { iteration: 'iter5', variants: ['no-repair'] }),
    ({ ran, before, after }) => {
      expect(ran.stdout).toMatch(/ iter5 FAILED: .*; the board was rolled back/);
      expect(ran.exitCode).toBe(1);
      expect(after).toMatchObject({
        upgraded: before.upgraded + 2,
        downgraded: before.downgraded + 2,
        otherwise: before.otherwise,
        boots: before.boots + 2,
      });
    },
  );

faultRow(
  'killed-anywhere',
  'a board is rolled back once, its agent killed at every boundary of the rollback',
  rollsBackKilledAt(
    'alone',
    points.filter((point) => !isMidway(point)),
  ),
  600_000,
);

faultRow(
  'killed-anywhere',
  'a board is rolled back once, its agent killed in the middle of every effect, and the program with it',
  rollsBackKilledAt('with children', points.filter(isMidway)),
  600_000,
);
