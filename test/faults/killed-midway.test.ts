import { faultRow } from './fault-row.ts';
import { closesKilledAt, midway } from './killed-anywhere.ts';

faultRow(
  'killed-anywhere',
  'iteration 5 closes, the agent killed in the middle of every effect, while the program that it had started lives on',
  closesKilledAt('midway', midway, 'alone'),
  600_000,
);

faultRow(
  'killed-anywhere',
  'iteration 5 closes, the agent killed in the middle of every effect, and the program that it had started with it',
  closesKilledAt('midway-too', midway, 'with children'),
  600_000,
);
