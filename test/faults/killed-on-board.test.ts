import { faultRow } from './fault-row.ts';
import { aroundOnBoard, closesKilledAt } from './killed-anywhere.ts';

faultRow(
  'killed-anywhere',
  'iteration 5 closes, the board’s agent killed at every boundary of every effect and of the runtime',
  closesKilledAt('killed-board', aroundOnBoard, 'alone'),
  900_000,
);
