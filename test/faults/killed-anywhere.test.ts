import { faultRow } from './fault-row.ts';
import { around, closesKilledAt } from './killed-anywhere.ts';

faultRow(
  'killed-anywhere',
  'iteration 5 closes, each daemon killed at every boundary of every effect, of the runtime and of the coordinator',
  closesKilledAt('killed', around, 'alone'),
  900_000,
);
